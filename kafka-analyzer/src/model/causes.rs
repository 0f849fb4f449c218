//! Whose child a span is. In: what tasks did, and the work that was shown to be theirs; out: spans with their parents.
//!
//! A message that its task has in hand is known at once. Of a batch, a pool, a channel only the end of the work tells who worked on what, and when: what
//! tasks did meanwhile waits for it, a bounded time. Where several works fit none is taken: a parent is right or absent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::requests::RequestKey;
use crate::capture::{Nanos, Pid, Task};
use crate::losses::Losses;
use crate::observation::{Link, Observation, SpanKind};
use crate::trace::address::{SpanId, TraceId};

/// Spans that wait.
const WAITING_MOST: usize = 16_384;
/// How long for the end of what a task has in hand, and for a word of who works on what was given away.
pub(super) const HELD: Nanos = 60_000_000_000;
pub(super) const LOOSE: Nanos = 10_000_000_000;
/// Partitions whose last work is remembered for its commit.
const FINISHED_MOST: usize = 16_384;

/// What a task does, it does for this.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    /// Nothing that is known.
    Unknown,
    /// A trace that gets no spans.
    Unsampled,
    Span(TraceId, SpanId, String),
    /// A request that gets spans only if a message that was sent for it does.
    Perhaps(RequestKey),
    /// The end of the work will tell, if it comes within this time.
    Later(Nanos),
}

/// Who did something, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doer {
    pub pid: Pid,
    pub task: Option<Task>,
    /// The goroutine that started it.
    pub parent: Option<u64>,
    pub time: Nanos,
}

impl Doer {
    /// It, then who started it.
    pub fn tasks(self) -> impl Iterator<Item = Task> {
        let parent = self.parent.map(Task::Goroutine);
        self.task.into_iter().chain(parent)
    }
}

/// Work that ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub pid: Pid,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offsets: (i64, i64),
    /// Who worked, and since when at the earliest.
    pub worker: Option<(Task, Nanos)>,
    /// Who named it, and when.
    pub named: Option<(Task, Nanos)>,
    pub ended: Nanos,
    pub cause: Cause,
}

#[derive(Debug)]
struct Waiting {
    due: Nanos,
    doer: Doer,
    observation: Observation,
    /// It goes also without a parent.
    alone: bool,
    /// Works that fit, told by one fact; those of the doer itself count first.
    found: [Vec<Cause>; 2],
}

#[derive(Debug, Default)]
pub(super) struct Causes {
    waiting: BTreeMap<u64, Waiting>,
    by_task: HashMap<(Pid, Task), BTreeSet<u64>>,
    due: BTreeSet<(Nanos, u64)>,
    number: u64,
    /// Those that found something since [`Causes::decide`].
    touched: BTreeSet<u64>,
    finished: HashMap<(Pid, Arc<str>, i32), Ended>,
}

impl Causes {
    /// The end of some work will tell whose child it is. Returns one that has to go as it is, if there is no room.
    pub fn wait(
        &mut self,
        doer: Doer,
        patience: Nanos,
        observation: Observation,
        alone: bool,
        losses: &mut Losses,
    ) -> Option<Observation> {
        let mut gone = None;
        if self.waiting.len() >= WAITING_MOST
            && let Some(oldest) = self.waiting.keys().next().copied()
        {
            losses.add("cause_table_full", 1);
            gone = self.take(oldest).and_then(Waiting::alone);
        }
        self.number += 1;
        let number = self.number;
        let due = observation.origin().time.saturating_add(patience);
        for task in doer.tasks() {
            let of_task = self.by_task.entry((doer.pid, task)).or_default();
            of_task.insert(number);
        }
        self.due.insert((due, number));
        let waiting = Waiting {
            due,
            doer,
            observation,
            alone,
            found: Default::default(),
        };
        self.waiting.insert(number, waiting);
        gone
    }

    /// Some work ended: what its task did meanwhile was for it.
    pub fn ended(&mut self, ended: Ended) {
        if let Some((task, since)) = ended.worker {
            let of_task = self.by_task.get(&(ended.pid, task)).into_iter().flatten();
            for number in of_task {
                let Some(waiting) = self.waiting.get_mut(number) else {
                    continue;
                };
                if !(since..=ended.ended).contains(&waiting.doer.time) {
                    continue;
                }
                let [own, other] = &mut waiting.found;
                let found = if waiting.doer.task == Some(task) {
                    own
                } else {
                    other
                };
                if !found.contains(&ended.cause) {
                    found.push(ended.cause.clone());
                }
                self.touched.insert(*number);
            }
        }
        if ended.named.is_none() {
            return;
        }
        let key = (ended.pid, Arc::clone(&ended.topic), ended.partition);
        if self.finished.len() >= FINISHED_MOST && !self.finished.contains_key(&key) {
            self.finished.clear();
        }
        self.finished.insert(key, ended);
    }

    /// All works that one fact ended were told: what fits one of them has its parent, what fits several has none.
    pub fn decide(&mut self, losses: &mut Losses) -> Vec<Observation> {
        let mut out = Vec::new();
        for number in std::mem::take(&mut self.touched) {
            let Some(mut waiting) = self.take(number) else {
                continue;
            };
            let [own, other] = std::mem::take(&mut waiting.found);
            let mut found = if own.is_empty() { other } else { own };
            match found.pop().filter(|_| found.is_empty()) {
                Some(cause) => out.extend(under(waiting.observation, &cause)),
                None => {
                    losses.add("cause_ambiguous", 1);
                    out.extend(waiting.alone());
                }
            }
        }
        out
    }

    /// What waited in vain up to `now`.
    pub fn overdue(&mut self, now: Nanos) -> Vec<Observation> {
        let mut out = Vec::new();
        while let Some((_, number)) = self.due.first().filter(|(due, _)| *due <= now).copied() {
            out.extend(self.take(number).and_then(Waiting::alone));
        }
        out
    }

    /// The work that a commit up to before these offsets ends, if one call named it; and who did, and when.
    pub fn committed(
        &self,
        pid: Pid,
        offsets: impl Iterator<Item = (Arc<str>, i32, i64)>,
    ) -> Option<(&Cause, (Task, Nanos))> {
        let mut newest: Option<(&Cause, (Task, Nanos))> = None;
        let mut several = false;
        for (topic, partition, offset) in offsets {
            let Some(ended) = self.finished.get(&(pid, topic, partition)) else {
                continue;
            };
            let (first, last) = ended.offsets;
            let Some(named) = ended
                .named
                .filter(|_| (first..=last).contains(&offset.saturating_sub(1)))
            else {
                continue;
            };
            // Clients commit again what they committed before: only the newest was named for this commit.
            match newest {
                Some((_, known)) if known.1 > named.1 => {}
                Some((cause, known)) if known == named => several |= *cause != ended.cause,
                _ => (newest, several) = (Some((&ended.cause, named)), false),
            }
        }
        newest.filter(|_| !several)
    }

    pub fn exited(&mut self, pid: Pid) {
        self.finished.retain(|(of, ..), _| *of != pid);
    }

    pub fn table(&self) -> (&'static str, usize, usize) {
        ("causes", self.waiting.len(), WAITING_MOST)
    }

    fn take(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.due.remove(&(waiting.due, number));
        for task in waiting.doer.tasks() {
            let key = (waiting.doer.pid, task);
            if let Some(of_task) = self.by_task.get_mut(&key) {
                of_task.remove(&number);
                if of_task.is_empty() {
                    self.by_task.remove(&key);
                }
            }
        }
        Some(waiting)
    }
}

impl Waiting {
    fn alone(self) -> Option<Observation> {
        self.alone.then_some(self.observation)
    }
}

/// The span as a child of its cause. None: its trace gets no spans. (Messages are chosen by their address alone, at both ends alike.)
pub(super) fn under(mut observation: Observation, cause: &Cause) -> Option<Observation> {
    let Cause::Span(trace_id, parent, state) = cause else {
        let chosen = match &observation {
            Observation::Query(_) => *cause != Cause::Unsampled,
            _ => true,
        };
        return chosen.then_some(observation);
    };
    match &mut observation {
        Observation::Query(query) => {
            let ids = &mut query.ids;
            (ids.trace_id, ids.parent) = (*trace_id, Some(*parent));
            ids.trace_state.clone_from(state);
        }
        Observation::Span(span) if matches!(span.span, SpanKind::Send | SpanKind::Commit) => {
            // Whoever only has the record knows it by its address.
            if span.span == SpanKind::Send && span.address != "none" {
                span.links = vec![Link {
                    trace_id: span.trace_id,
                    span_id: span.span_id,
                    offset: span.offset.unwrap_or(-1),
                    key: span.key.clone(),
                    tombstone: span.tombstone,
                }];
            }
            (span.trace_id, span.parent) = (*trace_id, Some(*parent));
            span.trace_state.clone_from(state);
        }
        _ => {}
    }
    Some(observation)
}
