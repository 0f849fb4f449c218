//! Who produced a record. In: calls of client libraries, and records on the wire; out: `send T` spans, each with the cause of its call.
//!
//! A library that tells of acknowledgements by the message's address names place and call: that is exact. Of others calls and records are compared in
//! their order, by partition and sizes. Such a match counts once all calls were met by records and no record came without a call shortly after; where two
//! calls fit, or a call was not seen, it counts for nothing until the order is known again. Unmatched is a root, and counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::{ClientCall, Nanos, Pid};
use crate::losses::Losses;
use crate::model::causes::{Cause, Doer};
use crate::observation::{Observation, Span};

mod names;
mod queue;

use names::Names;
pub(super) use queue::Wire;
use queue::{Called, Queue, Sizes};

const PROCESSES_MOST: usize = 4096;
/// Calls of all processes that wait for their records.
const CALLS_MOST: usize = 65_536;
/// Spans that wait for their call.
const WAITING_MOST: usize = 16_384;
/// Acknowledgements that were told before their exchange.
const EARLY_MOST: usize = 16_384;
/// So long a span waits for the word of the library.
const ACKNOWLEDGED: Nanos = 1_000_000_000;
/// A call whose record never comes is forgotten.
const EXPIRY: Nanos = 30_000_000_000;

/// Process, topic, partition and offset.
type Place = (Pid, Arc<str>, i32, i64);

/// A span that left, with what its call was made for.
pub(super) struct Sent {
    pub span: Observation,
    pub doer: Doer,
    pub cause: Cause,
}

#[derive(Debug, Default)]
pub(super) struct Produces {
    processes: BTreeMap<Pid, OfProcess>,
    calls: usize,
    /// Wait for the acknowledgement of their place.
    waiting: HashMap<Place, Waiting>,
    due: VecDeque<(Nanos, Place)>,
    early: HashMap<Place, Called>,
    early_order: VecDeque<(Nanos, Place)>,
}

#[derive(Debug)]
struct Waiting {
    span: Box<Span>,
    size: Sizes,
}

#[derive(Debug, Default)]
struct OfProcess {
    /// It tells of acknowledgements.
    acknowledges: bool,
    names: Names,
    queue: Queue,
}

impl Produces {
    /// The application hands a message to its library. Returns spans whose calls are not known any more.
    pub fn called(
        &mut self,
        call: &ClientCall,
        doer: Doer,
        cause: Cause,
        losses: &mut Losses,
    ) -> Vec<Sent> {
        let pid = call.pid;
        let new = !self.processes.contains_key(&pid);
        if self.calls >= CALLS_MOST || new && self.processes.len() >= PROCESSES_MOST {
            losses.add("produce_table_full", 1);
            return self.forget(pid);
        }
        let of = self.processes.entry(pid).or_default();
        if of.names.take(call, &of.queue) {
            of.acknowledges |= names::are_counted(call);
        } else if std::mem::take(&mut of.acknowledges) {
            // Records of calls that wait may have been there already.
            of.queue.doubt();
        }
        let before = of.queue.len();
        of.queue.push(call, doer, cause, of.acknowledges);
        self.calls = (self.calls + of.queue.len()).saturating_sub(before);
        Vec::new()
    }

    pub fn knows(&self, pid: Pid) -> bool {
        self.processes.contains_key(&pid)
    }

    /// A message was acknowledged in its place, or refused.
    pub fn acknowledged(&mut self, call: &ClientCall) -> Option<Sent> {
        let of = self.processes.get_mut(&call.pid)?;
        if !of.names.are_trusted(call) {
            return None;
        }
        // Some producers ask for reports of failures only.
        of.acknowledges |= call.first >= 0;
        let before = of.queue.len();
        let called = of.queue.take(call);
        // A report may have no name of its topic; who handed the message over had one.
        let named = called.as_ref().filter(|_| call.topic.is_empty());
        let topic = named.map_or(&call.topic, |called| &called.topic);
        let topic = Arc::clone(topic);
        if call.count > 1 || call.truncated || call.fault {
            // Of some it is not told what became of them: their addresses may be those of others from here on.
            of.queue.lose(&topic, call.time);
        }
        self.calls = (self.calls + of.queue.len()).saturating_sub(before);
        let called = called?;
        if call.first < 0 || call.partition < 0 || topic.is_empty() {
            return None;
        }
        let place = (call.pid, topic, call.partition, call.first);
        if let Some(Waiting { span, .. }) = self.waiting.remove(&place) {
            // A call after its record is of another one, at the same address.
            let fits = called.doer.time <= span.began;
            return Some(called.sent(span, fits));
        }
        if !called.has_cause() {
            return None;
        }
        // In both until it is due, or in its order only.
        if self.early_order.len() >= EARLY_MOST
            && let Some((_, oldest)) = self.early_order.pop_front()
        {
            self.early.remove(&oldest);
        }
        let due = call.time.saturating_add(EXPIRY);
        self.early_order.push_back((due, place.clone()));
        self.early.insert(place, called);
        None
    }

    /// Records of a partition were written, in order; `spans` are those of some of them. Returns what can go.
    pub fn wrote(
        &mut self,
        wire: &Wire<'_>,
        spans: Vec<(usize, Box<Span>)>,
        losses: &mut Losses,
    ) -> Vec<Sent> {
        let pid = wire.pid;
        let Some(of) = self.processes.get_mut(&pid) else {
            return spans.into_iter().map(|(_, span)| root(span)).collect();
        };
        if !of.acknowledges {
            let before = of.queue.len();
            let out = of.queue.wrote(wire, spans, losses);
            self.calls = (self.calls + of.queue.len()).saturating_sub(before);
            return out;
        }
        let caused = of.queue.is_caused();
        let mut out = Vec::new();
        for (at, span) in spans {
            let place = span
                .offset
                .map(|offset| (pid, Arc::clone(&span.topic), span.partition, offset));
            let early = place.as_ref().and_then(|place| self.early.remove(place));
            let has_context = span.parent.is_some();
            match (early, place) {
                (Some(called), _) => {
                    let fits = called.doer.time <= span.began;
                    out.push(called.sent(span, fits));
                }
                (None, Some(place)) if caused && !has_context && self.due.len() < WAITING_MOST => {
                    let due = span.origin.time.saturating_add(ACKNOWLEDGED);
                    self.due.push_back((due, place.clone()));
                    let sizes = wire.sizes.as_ref().and_then(|sizes| sizes.get(at));
                    let size = sizes.copied().unwrap_or_default();
                    self.waiting.insert(place, Waiting { span, size });
                }
                _ => out.push(root(span)),
            }
        }
        out
    }

    /// What is due at `now`: the library said nothing, or no record came without a call.
    pub fn advance(&mut self, now: Nanos, losses: &mut Losses) -> Vec<Sent> {
        let mut out = Vec::new();
        while self.due.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, place)) = self.due.pop_front()
                && let Some(Waiting { span, size }) = self.waiting.remove(&place)
            {
                // Who asks for reports with the next message only has told nothing of the last one.
                let of = self.processes.get_mut(&span.pid);
                match of.and_then(|of| of.queue.only(&span, size)) {
                    Some(called) => out.push(called.sent(span, true)),
                    None => {
                        losses.add("produce_unmatched", 1);
                        out.push(root(span));
                    }
                }
            }
        }
        while self.early_order.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, place)) = self.early_order.pop_front() {
                self.early.remove(&place);
            }
        }
        let mut calls = 0;
        for of in self.processes.values_mut() {
            of.queue.advance(now, &mut out, losses);
            calls += of.queue.len();
        }
        self.calls = calls;
        out
    }

    /// Calls of this process were not seen: nothing is known of the order any more.
    pub fn forget(&mut self, pid: Pid) -> Vec<Sent> {
        let Some(of) = self.remove(pid) else {
            return Vec::new();
        };
        // What its names are worth is still known.
        if of.names.are_shared {
            let names = of.names;
            self.processes.insert(
                pid,
                OfProcess {
                    names,
                    ..OfProcess::default()
                },
            );
        }
        of.queue.into_roots()
    }

    /// All that it did was seen.
    pub fn exited(&mut self, pid: Pid) -> Vec<Sent> {
        let of = self.remove(pid);
        of.map_or_else(Vec::new, |of| of.queue.into_last())
    }

    fn remove(&mut self, pid: Pid) -> Option<OfProcess> {
        let of = self.processes.remove(&pid)?;
        self.calls = self.calls.saturating_sub(of.queue.len());
        Some(of)
    }

    pub fn table(&self) -> (&'static str, usize, usize) {
        ("produce_calls", self.calls, CALLS_MOST + queue::SEEN_MOST)
    }
}

/// Nobody is known to have called for it.
fn root(span: Box<Span>) -> Sent {
    let doer = Doer {
        pid: span.pid,
        task: None,
        parent: None,
        time: span.began,
    };
    Sent {
        span: Observation::Span(*span),
        doer,
        cause: Cause::Unknown,
    }
}
