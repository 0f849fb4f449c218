//! `process T`, and `poll T` of what a client library handed over. In: what calls showed, with its labels; out: spans of sampled records.
//!
//! A single message hangs under its creation context and links to it; messages that cannot be told apart have one span with links only.

use std::sync::Arc;

use super::contexts::Sampled;
use super::{LINKS_MOST, Spans};
use crate::capture::{Nanos, Pid, Task};
use crate::model::causes::Cause;
use crate::model::processing::InHand;
use crate::observation::{Observation, Origin, Span, SpanKind};
use crate::settings::SpanTree;
use crate::trace::address::{SpanId, TraceId, own_ids};

/// Messages that a call was about.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Work<'a> {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: &'a Arc<str>,
    pub client_id: &'a Arc<str>,
    pub group: &'a Arc<str>,
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offsets: (i64, i64),
    pub count: u32,
    pub began: Nanos,
    pub ended: Nanos,
    /// None: it is known by fetch and commit alone.
    pub task: Option<Task>,
    /// When the messages were handed over.
    pub handed: Nanos,
    pub error: Option<&'static str>,
}

impl Spans {
    /// None: none of the messages is among those chosen.
    pub fn processed(&mut self, work: &Work<'_>) -> Option<Span> {
        let (pid, topic, index) = (work.pid, work.topic, work.partition);
        let found = self.contexts.within(pid, topic, index, work.offsets);
        let done = |sampled: &mut Sampled| {
            sampled.awaited = false;
            sampled.clone()
        };
        let sampled: Vec<Sampled> = found.map(done).collect();
        work.span(SpanKind::Process, &sampled, true)
    }

    /// What is done for a single message that a task has in hand. Of ones with a span it is known before they are done.
    pub fn cause(&mut self, of: &InHand) -> Cause {
        let (pid, offset) = (of.pid, of.offset);
        let mut found = self
            .contexts
            .within(pid, &of.topic, of.partition, (offset, offset));
        let Some(sampled) = found.next() else {
            return Cause::Unsampled;
        };
        let work = Unique {
            topic: &of.topic,
            partition: of.partition,
            pid,
            task: Some(of.task),
            handed: of.handed,
        };
        let ((trace_id, span_id), _) = work.place(b"process", sampled, true);
        let state = sampled.span.trace_state.clone();
        Cause::Span(trace_id, span_id, state)
    }

    /// The application has the messages.
    pub fn handed_over(&mut self, work: &Work<'_>, out: &mut Vec<Observation>) {
        let (pid, topic, index) = (work.pid, work.topic, work.partition);
        let mut sampled = Vec::new();
        for record in self.contexts.within(pid, topic, index, work.offsets) {
            // Of some the Fetch answer told before any hand-over was seen.
            if !std::mem::replace(&mut record.polled, true) {
                sampled.push(record.clone());
            }
        }
        let from = out.len();
        match self.settings.span_tree {
            SpanTree::Children => {
                for one in sampled.chunks(1) {
                    let mut span = Work { count: 1, ..*work }.span(SpanKind::Poll, one, true);
                    if let Some(span) = &mut span {
                        span.links = Vec::new();
                    }
                    out.extend(span.map(Observation::Span));
                }
            }
            tree => {
                let span = work.span(SpanKind::Poll, &sampled, tree == SpanTree::Both);
                out.extend(span.map(Observation::Span));
            }
        }
        for observation in out.iter().skip(from) {
            if let Observation::Span(span) = observation {
                self.commits.polled(span);
            }
        }
    }
}

impl Work<'_> {
    /// Of sampled messages, of which there is one at least. A single one is a child of its creation context, if `under` says so.
    fn span(&self, kind: SpanKind, sampled: &[Sampled], under: bool) -> Option<Span> {
        let first = sampled.first()?;
        let mut span = first.span.clone();
        let name: &[u8] = match kind {
            SpanKind::Poll => b"hand-over",
            _ => b"process",
        };
        let unique = Unique {
            topic: self.topic,
            partition: self.partition,
            pid: self.pid,
            task: self.task,
            handed: self.handed,
        };
        ((span.trace_id, span.span_id), span.parent) =
            unique.place(name, first, under && self.count == 1);
        if self.count > 1 {
            self.is_batch(&mut span, sampled);
        }
        span.span = kind;
        let links = sampled.iter().take(LINKS_MOST);
        span.links = links.map(|one| one.link.clone()).collect();
        let dropped = sampled.len().saturating_sub(LINKS_MOST);
        span.links_dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        (span.origin, span.began, span.ended) = (self.origin, self.began, self.ended);
        (span.error, span.task) = (self.error, self.task);
        span.cluster = Arc::clone(self.cluster);
        span.client_id = Arc::clone(self.client_id);
        span.group = Arc::clone(self.group);
        Some(span)
    }

    /// What is of a single message is not of the batch; the first one that is sampled stands for codec and offset.
    fn is_batch(&self, span: &mut Span, sampled: &[Sampled]) {
        span.message_count = Some(u64::from(self.count));
        (span.key, span.tombstone) = (None, false);
        (span.body_size, span.envelope_size, span.timestamp_ms) = (None, None, None);
        (span.headers, span.trace_state) = (Vec::new(), String::new());
        span.headers_read = sampled.iter().all(|one| one.span.headers_read);
        "none".clone_into(&mut span.address);
    }
}

/// What makes the work on a message unique: who got it, and when. Known from the hand-over on; a second delivery has another time.
struct Unique<'a> {
    topic: &'a str,
    partition: i32,
    pid: Pid,
    task: Option<Task>,
    handed: Nanos,
}

impl Unique<'_> {
    /// Ids, and the parent: the creation context of the (first) message if it hangs `under` that, else there is none.
    fn place(
        &self,
        name: &[u8],
        first: &Sampled,
        under: bool,
    ) -> ((TraceId, SpanId), Option<SpanId>) {
        let (tag, task) = match self.task {
            Some(Task::Thread(id)) => (0_u8, u64::from(id)),
            Some(Task::Goroutine(id)) => (1, id),
            None => (2, 0),
        };
        let link = &first.link;
        let own = own_ids(&[
            name,
            &link.span_id,
            self.topic.as_bytes(),
            &self.partition.to_be_bytes(),
            &link.offset.to_be_bytes(),
            &self.pid.to_be_bytes(),
            &[tag],
            &task.to_be_bytes(),
            &self.handed.to_be_bytes(),
        ]);
        match under && !first.linked_only {
            true => ((link.trace_id, own.1), Some(link.span_id)),
            false => (own, None),
        }
    }
}
