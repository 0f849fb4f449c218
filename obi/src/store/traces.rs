//! Recent traces: the spans that OTLP gets, kept for `obi kafka traces`, also where nothing is sent. In: spans; out: `obi.traces/1`.
//!
//! Spans of one trace id are one trace, whichever process made them. Bounded in number and bytes. The newest traces are kept whatever
//! they are; of those that make room for others, the ones with errors and the slowest are kept for longer. Headers of records are
//! never kept, keys only as the configuration shows them on spans.

mod kept;
pub mod report;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::Nanos;
use kafka_analyzer::observation::{Query, Request, Span};
use lru::LruCache;

pub use kept::cut;
use kept::{Kept, TraceId};

const RECENT: Bound = Bound {
    traces: NonZeroUsize::new(2_000).unwrap(),
    bytes: 1_408 << 10,
    age: 600 * 1_000_000_000,
};
/// Traces with errors; and the slowest.
const CHOSEN: Bound = Bound {
    traces: NonZeroUsize::new(200).unwrap(),
    bytes: 256 << 10,
    age: 3_600 * 1_000_000_000,
};
/// Commits by themselves: a consumer may commit after each message, and they say little without what they link to.
const COMMITS: Bound = Bound {
    traces: NonZeroUsize::new(200).unwrap(),
    bytes: 128 << 10,
    age: RECENT.age,
};
/// Spans kept of one trace: a test that sends everything under one id must not fill the table.
const SPANS_OF_TRACE: usize = 128;
/// What a trace takes beside its spans, about.
const TRACE_BYTES: usize = 200;

struct Bound {
    traces: NonZeroUsize,
    bytes: usize,
    /// A trace without a new span for so long goes.
    age: Nanos,
}

#[derive(Clone, Debug, Default)]
struct Trace {
    spans: Vec<Kept>,
    updated: Nanos,
    failed: bool,
    /// Spans that found no room in it.
    left_out: u64,
    bytes: usize,
}

impl Trace {
    /// When its work began, and when the last span ended. What a poll waited for its messages is no work.
    fn extent(&self) -> (Nanos, Nanos) {
        let began = self.spans.iter().map(Kept::work_began).min();
        let ended = self.spans.iter().map(|span| span.ended).max();
        let began = began.unwrap_or(0);
        (began, ended.unwrap_or(0).max(began))
    }

    fn is_commit(&self) -> bool {
        !self.failed && self.spans.iter().all(|span| span.operation == "commit")
    }

    fn duration(&self) -> Nanos {
        let (began, ended) = self.extent();
        ended - began
    }

    fn add(&mut self, span: Kept, now: Nanos) -> bool {
        self.updated = self.updated.max(now);
        self.failed |= span.error.is_some();
        let fits = self.spans.len() < SPANS_OF_TRACE;
        if fits {
            self.bytes += span.weight();
            self.spans.push(span);
        } else {
            self.left_out += 1;
        }
        fits
    }
}

/// Traces in the order of their newest spans.
#[derive(Debug)]
struct Shelf {
    traces: LruCache<TraceId, Arc<Trace>>,
    bytes: usize,
}

impl Default for Shelf {
    fn default() -> Self {
        Shelf {
            traces: LruCache::unbounded(),
            bytes: 0,
        }
    }
}

impl Shelf {
    fn put(&mut self, id: TraceId, trace: Arc<Trace>) {
        self.bytes += TRACE_BYTES + trace.bytes;
        self.traces.put(id, trace);
    }

    fn take(&mut self, id: &TraceId) -> Option<Arc<Trace>> {
        let trace = self.traces.pop(id)?;
        self.bytes = self.bytes.saturating_sub(TRACE_BYTES + trace.bytes);
        Some(trace)
    }

    fn holds_too_much(&self, bound: &Bound) -> bool {
        self.traces.len() > bound.traces.get() || self.bytes > bound.bytes
    }

    /// The oldest, if it is too old or there is no room for it.
    fn take_oldest(&mut self, bound: &Bound, now: Nanos) -> Option<(TraceId, Arc<Trace>)> {
        let (id, trace) = self.traces.peek_lru()?;
        let old = now.saturating_sub(trace.updated) > bound.age;
        let id = *id;
        if !old && !self.holds_too_much(bound) {
            return None;
        }
        self.take(&id).map(|trace| (id, trace))
    }
}

#[derive(Debug, Default)]
struct State {
    recent: Shelf,
    commits: Shelf,
    failed: Shelf,
    slowest: Shelf,
    dropped: Dropped,
}

/// What is not shown any more, or never was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// That had to make room, or were too old.
    pub traces: u64,
    /// That found no room in their trace.
    pub spans: u64,
}

impl State {
    fn add(&mut self, id: TraceId, span: Kept, now: Nanos) {
        // A trace that goes on is recent again.
        let held = [
            &mut self.recent,
            &mut self.commits,
            &mut self.failed,
            &mut self.slowest,
        ];
        let held = held.into_iter().find_map(|shelf| shelf.take(&id));
        let mut trace = held.unwrap_or_default();
        let fits = Arc::make_mut(&mut trace).add(span, now);
        self.dropped.spans += u64::from(!fits);
        match trace.is_commit() {
            true => self.commits.put(id, trace),
            false => self.recent.put(id, trace),
        }
        self.make_room(now);
    }

    fn make_room(&mut self, now: Nanos) {
        while self.commits.take_oldest(&COMMITS, now).is_some() {
            self.dropped.traces += 1;
        }
        while let Some((id, trace)) = self.recent.take_oldest(&RECENT, now) {
            match trace.failed {
                true => self.failed.put(id, trace),
                false => self.offer(id, trace),
            }
        }
        while let Some((id, trace)) = self.failed.take_oldest(&CHOSEN, now) {
            self.offer(id, trace);
        }
        while self.slowest.take_oldest(&CHOSEN, now).is_some() {
            self.dropped.traces += 1;
        }
    }

    /// Among the slowest, if it is one of them.
    fn offer(&mut self, id: TraceId, trace: Arc<Trace>) {
        self.slowest.put(id, trace);
        while self.slowest.holds_too_much(&CHOSEN) {
            let all = self.slowest.traces.iter();
            let Some(least) = all.min_by_key(|(_, trace)| trace.duration()) else {
                return;
            };
            let id = *least.0;
            self.slowest.take(&id);
            self.dropped.traces += 1;
        }
    }
}

/// Traces by id, with the shelf on which each stands.
type Shelved = HashMap<TraceId, (&'static str, Arc<Trace>)>;

#[derive(Debug, Default)]
pub struct Table(Mutex<State>);

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn message(&self, span: &Span, service: &Arc<str>) {
        let kept = Kept::message(span, service);
        self.state().add(span.trace_id, kept, span.origin.time);
    }

    pub fn request(&self, request: &Request, service: &Arc<str>) {
        let kept = Kept::request(request, service);
        let (id, now) = (request.ids.trace_id, request.origin.time);
        self.state().add(id, kept, now);
    }

    pub fn query(&self, query: &Query, service: &Arc<str>) {
        let kept = Kept::query(query, service);
        self.state()
            .add(query.ids.trace_id, kept, query.origin.time);
    }

    /// Cheap copies: the caller works on them without the lock.
    fn all(&self, now: Nanos) -> (Shelved, Dropped) {
        let mut state = self.state();
        state.make_room(now);
        let shelves = [
            ("recent", &state.recent),
            ("recent", &state.commits),
            ("errors", &state.failed),
            ("slowest", &state.slowest),
        ];
        let mut all = Shelved::new();
        for (name, shelf) in shelves {
            let traces = shelf.traces.iter();
            all.extend(traces.map(|(id, trace)| (*id, (name, Arc::clone(trace)))));
        }
        (all, state.dropped)
    }

    /// Since the agent started.
    pub fn dropped(&self) -> Dropped {
        self.state().dropped
    }
}

#[cfg(test)]
mod tests;
