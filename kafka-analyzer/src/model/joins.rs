//! One trace of what goes through Kafka on this node. In: spans on their way out; out: the same, with the trace to which their message belongs.
//!
//! A record without a context of its own is in the trace that its address gives, which is all that another node knows. Where the caller of a `send T` is known
//! the record belongs to the caller's trace: `send T` hangs there, under the same span id, and a `create T` of the record's own trace links to it. What this
//! node's consumers do with the record joins the caller's trace. A consumer may have a record before the producer has its acknowledgement:
//! spans wait a little, so that one trace has one id. What left before it was known stays apart, under `create T`.

use std::collections::{HashMap, VecDeque};

use crate::capture::Nanos;
use crate::losses::Losses;
use crate::observation::{Link, Observation, Span, SpanKind};
use crate::trace::address::TraceId;

/// Traces that are remembered; the oldest are forgotten.
const MOST: usize = 32_768;
/// Spans that wait.
const HELD_MOST: usize = 16_384;
/// For so long after they end.
const PATIENCE: Nanos = 1_500_000_000;
/// A message of a message of a message ...
const DEPTH_MOST: usize = 32;

#[derive(Clone, Debug, PartialEq)]
enum Joined {
    To(TraceId, String),
    /// Spans left with its own id.
    Apart,
}

#[derive(Debug, Default)]
pub(super) struct Joins {
    traces: HashMap<TraceId, Joined>,
    order: VecDeque<TraceId>,
    held: VecDeque<(Nanos, Observation)>,
    /// Calls with a cause were seen: before, no record has another trace.
    active: bool,
}

impl Joins {
    pub fn begin(&mut self) {
        self.active = true;
    }

    /// Takes spans out of what goes; those that need not wait go on.
    pub fn depart(&mut self, from: usize, out: &mut Vec<Observation>, losses: &mut Losses) {
        if !self.active {
            return;
        }
        let mut left = Vec::new();
        for mut observation in out.split_off(from) {
            match &mut observation {
                Observation::Processing(work) => {
                    if let Some((trace_id, _)) = &mut work.span {
                        self.resolve(trace_id);
                    }
                }
                Observation::Span(span) => {
                    if let Some(create) = self.sent(span) {
                        self.hold(Observation::Span(create), &mut left, losses);
                    }
                    self.hold(observation, &mut left, losses);
                    continue;
                }
                Observation::Query(_) => {
                    self.hold(observation, &mut left, losses);
                    continue;
                }
                _ => {}
            }
            left.push(observation);
        }
        out.append(&mut left);
    }

    /// What waited long enough.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while self.held.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, observation)) = self.held.pop_front() {
                out.push(self.leave(observation));
            }
        }
    }

    pub fn table(&self) -> (&'static str, usize, usize) {
        ("spans_held", self.held.len(), HELD_MOST)
    }

    /// A record is in its caller's trace. Returns the span of its own.
    fn sent(&mut self, span: &Span) -> Option<Span> {
        let [own] = &span.links[..] else {
            return None;
        };
        if span.span != SpanKind::Send || span.parent.is_none() {
            return None;
        }
        if !self.traces.contains_key(&own.trace_id) {
            let joined = Joined::To(span.trace_id, span.trace_state.clone());
            self.remember(own.trace_id, joined);
        }
        let link = Link {
            trace_id: span.trace_id,
            ..own.clone()
        };
        Some(Span {
            span: SpanKind::Create,
            trace_id: own.trace_id,
            parent: None,
            trace_state: String::new(),
            links: vec![link],
            ended: span.began,
            error: None,
            ..span.clone()
        })
    }

    fn hold(&mut self, observation: Observation, left: &mut Vec<Observation>, losses: &mut Losses) {
        let due = observation.origin().time.saturating_add(PATIENCE);
        // They come nearly in order: one that comes late leaves with its neighbours.
        let due = self.held.back().map_or(due, |(last, _)| due.max(*last));
        self.held.push_back((due, observation));
        if self.held.len() > HELD_MOST {
            losses.add("span_hold_full", 1);
            if let Some((_, oldest)) = self.held.pop_front() {
                left.push(self.leave(oldest));
            }
        }
    }

    fn leave(&mut self, mut observation: Observation) -> Observation {
        match &mut observation {
            // It stands for the record's own trace.
            Observation::Span(span) if span.span == SpanKind::Create => {
                for link in &mut span.links {
                    self.resolve(&mut link.trace_id);
                }
            }
            Observation::Span(span) => {
                let own = span.trace_id;
                let state = self.resolve(&mut span.trace_id);
                span.trace_state = state.unwrap_or(std::mem::take(&mut span.trace_state));
                // The context by address, of which `create T` tells.
                if span.span != SpanKind::Send {
                    for link in &mut span.links {
                        self.resolve(&mut link.trace_id);
                    }
                }
                // Nobody is told later of a caller of a root.
                if span.span != SpanKind::Send || span.parent.is_some() {
                    self.stays(own, span.trace_id);
                }
            }
            Observation::Query(query) => {
                let ids = &mut query.ids;
                let own = ids.trace_id;
                let state = self.resolve(&mut ids.trace_id);
                ids.trace_state = state.unwrap_or(std::mem::take(&mut ids.trace_state));
                self.stays(own, query.ids.trace_id);
            }
            _ => {}
        }
        observation
    }

    /// The trace that it belongs to, and that one's state if it is another.
    fn resolve(&self, trace_id: &mut TraceId) -> Option<String> {
        let mut state = None;
        for _ in 0..DEPTH_MOST {
            let Some(Joined::To(other, of)) = self.traces.get(trace_id) else {
                break;
            };
            *trace_id = *other;
            state = Some(of.clone());
        }
        state
    }

    /// Something left with this id: nothing of the same trace may take another now.
    fn stays(&mut self, own: TraceId, now: TraceId) {
        if own == now && !self.traces.contains_key(&own) {
            self.remember(own, Joined::Apart);
        }
        if own != now && !self.traces.contains_key(&now) {
            self.remember(now, Joined::Apart);
        }
    }

    fn remember(&mut self, trace_id: TraceId, joined: Joined) {
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
        }
        self.order.push_back(trace_id);
        self.traces.insert(trace_id, joined);
    }
}
