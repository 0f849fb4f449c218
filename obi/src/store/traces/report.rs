//! The answer to `obi kafka traces`: `obi.traces/1`. In: traces as they are kept; out: times by the wall clock, spans in order, links in both
//! directions. What is not known is left out.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_analyzer::capture::{Nanos, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kept::{Kept, SpanId, TraceId};
use super::{Shelved, Table};
use crate::config::{Config, When};
use crate::export::registry::Clocks;

pub const SCHEMA: &str = "obi.traces/1";

/// Spans of other traces that are named beside the one that they link to.
const LINKED_FROM: usize = 16;

/// What the spans of this node showed lately, the newest trace first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traces {
    /// Always `obi.traces/1`.
    pub schema: String,
    pub makes: Makes,
    pub traces: Vec<Trace>,
    /// Traces that had to make room for newer ones since the agent started.
    pub forgotten: u64,
    /// Spans that found no room in their trace since then.
    pub spans_left_out: u64,
}

/// Of what the agent makes spans, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Makes {
    /// Does it watch Kafka clients at all?
    pub kafka: bool,
    /// Messages that get spans in a second, about; of more, some are chosen.
    pub spans_per_second: u32,
    /// Are spans sent by OTLP?
    pub otlp: bool,
    /// `process` spans: calls of client libraries.
    pub client_hooks: bool,
    /// Spans of messages: bodies of record batches are read.
    pub read_records: bool,
    /// HTTP requests and PostgreSQL statements.
    pub app: bool,
    /// How keys of records are kept.
    pub keys: Keys,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// Not at all.
    #[default]
    None,
    Text,
    Hash,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    pub trace_id: String,
    /// Why it is kept: `recent`, `errors`, `slowest`.
    pub kept: String,
    /// Milliseconds since the epoch: when its work began. What a `poll` waited for its messages is no work.
    pub start_ms: i64,
    /// From there to the end of its last span.
    pub duration_ms: f64,
    /// Has a span an error?
    pub failed: bool,
    /// In the order in which their work began.
    pub spans: Vec<Span>,
    /// Spans that found no room here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spans_left_out: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    pub span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// False: the parent is none of these spans: it is of another node, of an application that makes its own spans, or was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_seen: Option<bool>,
    pub name: String,
    /// `send`, `create`, `poll`, `process`, `commit`, `transaction`, `request`, `query`.
    pub operation: String,
    /// `producer`, `consumer`, `client`, `server`, `internal`.
    pub kind: String,
    pub service: String,
    pub pid: u32,
    /// After the trace's own start. Below 0: a `poll` that waited.
    pub start_ms: f64,
    pub duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goroutine: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Of the message, or of the first of several; of a commit the committed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// As the configuration shows keys: text, or `hash:` and digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Of a request, without its query string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of a request: the status of HTTP, or of gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// Without literals and comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Spans that it links to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Linked>,
    #[serde(default, skip_serializing_if = "is_none")]
    pub links_left_out: u32,
    /// Spans of other traces that link to it, 16 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked_from: Vec<Linked>,
}

/// The other end of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Linked {
    pub trace_id: String,
    pub span_id: String,
    /// Of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Where the span itself is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// After the start of the trace in which this stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<f64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_none(n: &u32) -> bool {
    *n == 0
}

impl Makes {
    pub fn new(config: &Config) -> Makes {
        let kafka = &config.instrumentation.kafka;
        Makes {
            kafka: kafka.enabled,
            spans_per_second: config.told_per_second(),
            otlp: config.export.otlp.sends(&config.export.otlp.traces),
            client_hooks: kafka.client_hooks,
            read_records: kafka.read_records,
            app: config.instrumentation.app.enabled == When::Always,
            keys: match (kafka.capture_key, kafka.hash_keys) {
                (false, _) => Keys::None,
                (true, false) => Keys::Text,
                (true, true) => Keys::Hash,
            },
        }
    }
}

type Place = (TraceId, SpanId);
/// Every span by its place, and the places that link to it.
struct Known<'a> {
    spans: HashMap<Place, &'a Kept>,
    from: HashMap<Place, Vec<(Place, i64)>>,
}

impl Table {
    pub fn report(&self, now: Clocks, makes: &Makes) -> Traces {
        let (shelved, dropped) = self.all(now.event);
        let known = Known::of(&shelved);
        // Without a wall clock times are those of the events.
        let wall = |time: Nanos| match now.wall {
            Some(wall) => wall - (now.event.saturating_sub(time) / 1_000_000) as i64,
            None => (time / 1_000_000) as i64,
        };
        let mut traces: Vec<(Nanos, Trace)> = Vec::with_capacity(shelved.len());
        for (id, (shelf, kept)) in &shelved {
            let (began, ended) = kept.extent();
            let mut spans: Vec<&Kept> = kept.spans.iter().collect();
            spans.sort_by_key(|span| (span.work_began(), span.ended, span.span_id));
            let spans = spans.into_iter().map(|span| known.span(id, span, began));
            let trace = Trace {
                trace_id: hex(id),
                kept: (*shelf).to_owned(),
                start_ms: wall(began),
                duration_ms: millis(ended - began),
                failed: kept.failed,
                spans: spans.collect(),
                spans_left_out: kept.left_out,
            };
            traces.push((began, trace));
        }
        traces.sort_by(|a, b| (b.0, &b.1.trace_id).cmp(&(a.0, &a.1.trace_id)));
        Traces {
            schema: SCHEMA.to_owned(),
            makes: makes.clone(),
            traces: traces.into_iter().map(|(_, trace)| trace).collect(),
            forgotten: dropped.traces,
            spans_left_out: dropped.spans,
        }
    }
}

impl<'a> Known<'a> {
    fn of(shelved: &'a Shelved) -> Known<'a> {
        let mut known = Known {
            spans: HashMap::new(),
            from: HashMap::new(),
        };
        for (id, (_, trace)) in shelved {
            for span in &trace.spans {
                known.spans.insert((*id, span.span_id), span);
                for link in &span.links {
                    let to = (link.trace_id, link.span_id);
                    let from = known.from.entry(to).or_default();
                    if link.trace_id != *id && from.len() < LINKED_FROM {
                        from.push(((*id, span.span_id), link.offset));
                    }
                }
            }
        }
        known
    }

    fn span(&self, id: &TraceId, kept: &Kept, began: Nanos) -> Span {
        let known = |text: &Arc<str>| (!text.is_empty()).then(|| text.to_string());
        let (goroutine, thread) = match kept.task {
            Some(Task::Goroutine(id)) => (Some(id), None),
            Some(Task::Thread(id)) => (None, Some(id)),
            None => (None, None),
        };
        // A link to the parent says nothing more.
        let links = kept
            .links
            .iter()
            .filter(|link| link.trace_id != *id || Some(link.span_id) != kept.parent);
        let links = links.map(|to| self.linked((to.trace_id, to.span_id), to.offset, began));
        let mut from: Vec<_> = self
            .from
            .get(&(*id, kept.span_id))
            .cloned()
            .unwrap_or_default();
        from.sort_unstable();
        let from = from
            .into_iter()
            .map(|(place, offset)| self.linked(place, offset, began));
        let text = kept.text.as_deref().map(str::to_owned);
        let is_query = kept.operation == "query";
        Span {
            span_id: hex(&kept.span_id),
            parent: kept.parent.map(|parent| hex(&parent)),
            parent_seen: kept
                .parent
                .map(|parent| self.spans.contains_key(&(*id, parent))),
            name: kept.name.to_string(),
            operation: kept.operation.to_owned(),
            kind: kept.kind.to_owned(),
            service: kept.service.to_string(),
            pid: kept.pid,
            start_ms: after(kept.began, began),
            duration_ms: millis(kept.ended - kept.began),
            error: kept.error.as_deref().map(str::to_owned),
            goroutine,
            thread,
            topic: known(&kept.topic),
            partition: (kept.partition >= 0).then_some(kept.partition),
            offset: kept.offset,
            key: kept.key.as_deref().map(str::to_owned),
            messages: kept.messages,
            client_id: known(&kept.client_id),
            group: known(&kept.group),
            path: text.clone().filter(|_| !is_query),
            status: kept.status,
            statement: text.filter(|_| is_query),
            links: links.collect(),
            links_left_out: kept.links_left_out,
            linked_from: from.collect(),
        }
    }

    fn linked(&self, place: Place, offset: i64, began: Nanos) -> Linked {
        let span = self.spans.get(&place);
        Linked {
            trace_id: hex(&place.0),
            span_id: hex(&place.1),
            offset: (offset >= 0).then_some(offset),
            name: span.map(|span| span.name.to_string()),
            service: span.map(|span| span.service.to_string()),
            start_ms: span.map(|span| after(span.work_began(), began)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With three decimals.
fn millis(nanos: Nanos) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

fn after(time: Nanos, began: Nanos) -> f64 {
    if time >= began {
        millis(time - began)
    } else {
        -millis(began - time)
    }
}
