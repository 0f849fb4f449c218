//! Findings get their labels and leave. In: what was found, and who reads the partition; out: observations.

use std::sync::Arc;

use super::current::By;
use super::told::{Out, Told, What};
use super::{Processing, Reader, WAITING_MOST};
use crate::capture::Nanos;
use crate::model::causes::{Cause, Ended};
use crate::model::spans::Work;
use crate::model::{Labels, Model, PATIENCE, UNKNOWN};
use crate::observation::Processing as Processed;
use crate::observation::{
    Delivered, LagBasis, LagUnknown, Observation, Origin, PollInterval, ProcessingError, Signal,
};

impl Model {
    /// Says what calls showed. After each fact, as its labels may be known by now.
    pub(in crate::model) fn say_processing(&mut self, out: &mut Vec<Observation>) {
        for mut told in std::mem::take(&mut self.processing.told) {
            self.unseen(&mut told);
            if matches!(told.what, What::Left { .. }) {
                self.processing.left.push_back(told);
            } else if !self.shows(&told.topic) {
            } else if self
                .processing
                .readers
                .is_settled(told.pid, &told.topic, told.partition)
            {
                self.say_told(told, out);
            } else {
                self.processing.waiting.push_back(told);
            }
        }
        while self.processing.waiting.len() > WAITING_MOST
            || self.processing.left.len() > WAITING_MOST
        {
            self.losses.add("label_table_full", 1);
            self.release_processing(self.processing.left.len() > WAITING_MOST, out);
        }
        out.extend(self.causes.decide(&mut self.losses));
    }

    /// Adds what the application got before these messages while hooks were away.
    fn unseen(&mut self, told: &mut Told) {
        let What::Delivered {
            first,
            last,
            count,
            after,
            unseen,
            counted,
            ..
        } = &mut told.what
        else {
            return;
        };
        let place = (&told.topic, told.partition);
        let by = match self.processing.is_away(told.pid) {
            _ if *count == 0 => By::Commit,
            true => By::Batch,
            false => By::Window,
        };
        let readers = &mut self.processing.readers;
        readers.told(told.pid, place, told.time, by);
        if by == By::Commit {
            return;
        }
        let found = readers.handed(told.pid, place, (*first, *last), *count, *after);
        *unseen = u32::try_from(found.count).unwrap_or(u32::MAX);
        *counted = found.counted;
        self.losses.add("delivered_unseen", u64::from(found.more));
    }

    /// Where applications are is not known for ever while hooks are away.
    pub(in crate::model) fn forget_outdated(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        for outdated in self.processing.readers.outdated(now) {
            let Reader { cluster, group, .. } = outdated.reader;
            let unknown = LagUnknown {
                origin: Origin::at(now),
                cluster,
                group,
                topic: outdated.topic,
                partition: outdated.partition,
                basis: LagBasis::Delivered,
            };
            if self.lags.forget_delivered(&unknown, outdated.told) {
                out.push(Observation::LagUnknown(unknown));
            }
        }
    }

    /// Lets go what was due up to `now`, each at its time.
    pub(in crate::model) fn advance_processing(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while let Some(due) = self.processing.due().filter(|due| *due <= now) {
            out.extend(self.causes.overdue(due));
            self.processing.decide(due, &mut self.losses);
            self.say_processing(out);
            let is_due = |told: Option<&Told>| {
                told.is_some_and(|told| told.time.saturating_add(PATIENCE) <= due)
            };
            while is_due(self.processing.waiting.front()) {
                self.release_processing(false, out);
            }
            while is_due(self.processing.left.front()) {
                self.release_processing(true, out);
            }
            out.extend(self.causes.decide(&mut self.losses));
        }
    }

    /// The capture ended.
    pub(in crate::model) fn finish_processing(&mut self, out: &mut Vec<Observation>) {
        let told = &mut self.processing.told;
        for process in self.processing.processes.values_mut() {
            process.conclude(&mut Out {
                told,
                losses: &mut self.losses,
            });
        }
        self.say_processing(out);
        while !self.processing.waiting.is_empty() {
            self.release_processing(false, out);
        }
        while !self.processing.left.is_empty() {
            self.release_processing(true, out);
        }
        out.extend(self.causes.decide(&mut self.losses));
        out.extend(self.causes.overdue(Nanos::MAX));
    }

    /// The first one that waits for its labels, or for a commit, goes as it is.
    fn release_processing(&mut self, left: bool, out: &mut Vec<Observation>) {
        let processing = &mut self.processing;
        if left {
            if let Some(told) = processing.left.pop_front() {
                out.extend(
                    processing
                        .left_without_commit(&told)
                        .filter(|_| self.shows(&told.topic)),
                );
            }
        } else if let Some(told) = processing.waiting.pop_front() {
            processing
                .readers
                .give_up(told.pid, &told.topic, told.partition);
            self.say_told(told, out);
        }
    }

    fn say_told(&mut self, told: Told, out: &mut Vec<Observation>) {
        let reader = self.processing.reader(&told);
        let origin = origin(&told);
        match told.what {
            What::Processed {
                first,
                last,
                count,
                basis,
                done,
                began,
                ended,
                task,
                error,
                handed,
                worker,
                named,
                whole,
            } => {
                let work = work_of(&told, &reader, origin);
                let work = Work {
                    offsets: (first, last),
                    count,
                    began,
                    ended,
                    task: Some(task),
                    handed,
                    error: error.map(Signal::as_str),
                    ..work
                };
                let span = self.spans.processed(&work);
                let ids = span.as_ref().map(|span| (span.trace_id, span.span_id));
                let work = Ended {
                    pid: told.pid,
                    topic: Arc::clone(&told.topic),
                    partition: told.partition,
                    offsets: (first, last),
                    worker,
                    named,
                    whole,
                    ended,
                    cause: match &span {
                        Some(span) => {
                            let state = span.trace_state.clone();
                            Cause::Span(span.trace_id, span.span_id, state)
                        }
                        None => Cause::Unsampled,
                    },
                };
                let sends = self.produces.knows(told.pid);
                self.causes.ended(work, sends);
                out.extend(span.map(Observation::Span));
                out.push(Observation::Processing(Processed {
                    origin,
                    pid: told.pid,
                    cluster: reader.cluster,
                    client_id: reader.client_id,
                    group: reader.group,
                    topic: told.topic,
                    partition: told.partition,
                    first,
                    last,
                    count,
                    basis,
                    done,
                    began,
                    ended,
                    task: Some(task),
                    error,
                    span: ids,
                }));
            }
            What::Delivered {
                first,
                last,
                count,
                asked,
                task,
                after: _,
                unseen,
                counted,
            } => {
                let work = Work {
                    offsets: (first, last),
                    count,
                    began: asked.unwrap_or(told.time),
                    task: Some(task),
                    ..work_of(&told, &reader, origin)
                };
                let from = out.len();
                self.spans.handed_over(&work, out);
                let spans = out.get(from..).unwrap_or_default();
                let losses = &mut self.losses;
                self.transactions
                    .polled(&reader.cluster, told.pid, spans, losses);
                let next_offset = last.saturating_add(1);
                let place = (&told.topic, told.partition);
                let readers = &mut self.processing.readers;
                if readers.get(told.pid, place.0, place.1).is_none() {
                    readers.told_nameless(told.pid, place, (first, last), count);
                }
                let labels = Labels {
                    origin,
                    pid: told.pid,
                    cluster: Arc::clone(&reader.cluster),
                    client_id: Arc::clone(&reader.client_id),
                    server: None,
                };
                self.lags.delivered(
                    &labels,
                    &reader.group,
                    &told.topic,
                    told.partition,
                    next_offset,
                    &mut self.losses,
                );
                out.push(Observation::Delivered(Delivered {
                    origin,
                    pid: told.pid,
                    cluster: reader.cluster,
                    client_id: reader.client_id,
                    group: reader.group,
                    topic: told.topic,
                    partition: told.partition,
                    count: count.saturating_sub(counted).saturating_add(unseen),
                    next_offset,
                }));
            }
            What::Wrong {
                offset,
                count,
                signal,
            } => out.push(wrong(
                &told.topic,
                (origin, &told),
                reader,
                (offset, count, signal),
            )),
            What::Interval { nanos } => {
                let (group, client_id) = (&reader.group, &reader.client_id);
                let limit_ms =
                    self.groups
                        .poll_limit_ms(&reader.cluster, group, told.pid, client_id);
                out.push(Observation::PollInterval(PollInterval {
                    origin,
                    pid: told.pid,
                    cluster: reader.cluster,
                    client_id: reader.client_id,
                    group: reader.group,
                    nanos,
                    limit_ms,
                }));
            }
            What::Left { .. } => {}
        }
    }
}

impl Processing {
    fn reader(&self, told: &Told) -> Reader {
        let known = self.readers.get(told.pid, &told.topic, told.partition);
        known.cloned().unwrap_or_else(|| Reader {
            cluster: UNKNOWN.into(),
            client_id: "".into(),
            group: "".into(),
        })
    }

    /// None: a commit covers it, or there is no group that would read it again.
    fn left_without_commit(&self, told: &Told) -> Option<Observation> {
        let What::Left { first, last, count } = told.what else {
            return None;
        };
        let reader = self.reader(told);
        let key = (told.pid, Arc::clone(&told.topic), told.partition);
        let committed = self.committed.get(&key).copied().unwrap_or(first);
        if reader.group.is_empty() || committed > last {
            return None;
        }
        let offset = first.max(committed);
        let count = if offset == first {
            count
        } else {
            let span = last.saturating_sub(offset).saturating_add(1);
            count.min(u32::try_from(span).unwrap_or(u32::MAX))
        };
        let signal = Signal::LeftWithoutCommit;
        Some(wrong(
            &told.topic,
            (origin(told), told),
            reader,
            (offset, count, signal),
        ))
    }
}

/// Labels of a span; the rest is of a hand-over in no time.
fn work_of<'a>(told: &'a Told, reader: &'a Reader, origin: Origin) -> Work<'a> {
    Work {
        origin,
        pid: told.pid,
        cluster: &reader.cluster,
        client_id: &reader.client_id,
        group: &reader.group,
        topic: &told.topic,
        partition: told.partition,
        offsets: (0, 0),
        count: 0,
        began: told.time,
        ended: told.time,
        task: None,
        handed: told.time,
        error: None,
    }
}

/// As the calls' own facts: processes of one time keep an order.
fn origin(told: &Told) -> Origin {
    Origin {
        offset: u64::from(told.pid),
        ..Origin::at(told.time)
    }
}

fn wrong(
    topic: &Arc<str>,
    (origin, told): (Origin, &Told),
    reader: Reader,
    (offset, count, signal): (i64, u32, Signal),
) -> Observation {
    Observation::ProcessingError(ProcessingError {
        origin,
        pid: told.pid,
        cluster: reader.cluster,
        group: reader.group,
        topic: Arc::clone(topic),
        partition: told.partition,
        offset,
        count,
        signal,
    })
}
