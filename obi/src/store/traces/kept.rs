//! One span as it is kept. In: a span of any protocol; out: what `obi kafka traces` shows of it, small: most of its texts are shared.

use std::sync::Arc;

use kafka_analyzer::capture::{Nanos, Pid, Task};
use kafka_analyzer::observation::{Query, Request, Span, SpanKind};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as SpanKindOf;

use crate::export::otlp::{app, spans};

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];
type Name = Arc<str>;

/// Bytes kept of one text.
pub const MAX_TEXT: usize = 256;
/// Links kept of one span.
const LINKS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// Below 0: not known.
    pub offset: i64,
}

#[derive(Clone, Debug)]
pub struct Kept {
    pub span_id: SpanId,
    pub parent: Option<SpanId>,
    pub began: Nanos,
    pub ended: Nanos,
    pub name: Box<str>,
    /// `send`, `poll`, …, `request`, `query`.
    pub operation: &'static str,
    /// As OpenTelemetry has it.
    pub kind: &'static str,
    pub service: Name,
    pub pid: Pid,
    pub error: Option<Name>,
    pub topic: Name,
    /// Below 0: none.
    pub partition: i32,
    pub offset: Option<i64>,
    pub key: Option<Box<str>>,
    pub client_id: Name,
    pub group: Name,
    pub messages: Option<u64>,
    pub task: Option<Task>,
    /// Of a request its path, of a query its statement.
    pub text: Option<Name>,
    pub status: Option<u32>,
    pub links: Box<[Link]>,
    pub links_left_out: u32,
}

impl Kept {
    pub fn message(span: &Span, service: &Name) -> Kept {
        let (operation, kind) = spans::operation(span.span);
        let of_partition = match span.span {
            SpanKind::Transaction => false,
            SpanKind::Commit => span.offset.is_some(),
            _ => true,
        };
        let links = span.links.iter().take(LINKS).map(|link| Link {
            trace_id: link.trace_id,
            span_id: link.span_id,
            offset: link.offset,
        });
        let links: Box<[Link]> = links.collect();
        let left_out = span.links.len() - links.len();
        Kept {
            span_id: span.span_id,
            parent: span.parent,
            began: span.began,
            ended: span.ended.max(span.began),
            name: cut(&spans::name(span, operation)).into(),
            operation,
            kind: match kind {
                SpanKindOf::Producer => "producer",
                SpanKindOf::Consumer => "consumer",
                SpanKindOf::Client => "client",
                _ => "internal",
            },
            service: Arc::clone(service),
            pid: span.pid,
            error: span.error.map(Name::from),
            topic: short(&span.topic),
            partition: if of_partition { span.partition } else { -1 },
            offset: span.offset,
            key: span.key.as_deref().map(|key| cut(key).into()),
            client_id: short(&span.client_id),
            group: short(&span.group),
            messages: span.message_count,
            task: span.task,
            text: None,
            status: None,
            links,
            links_left_out: span
                .links_dropped
                .saturating_add(u32::try_from(left_out).unwrap_or(u32::MAX)),
        }
    }

    pub fn request(request: &Request, service: &Name) -> Kept {
        let status = match request.grpc {
            true => request.grpc_status,
            false => request.status.map(u32::from),
        };
        Kept {
            span_id: request.ids.span_id,
            parent: request.ids.parent,
            began: request.began,
            ended: request.ended.max(request.began),
            name: cut(&app::request_name(request)).into(),
            error: request.error.clone(),
            task: request.task,
            // The name of a call of gRPC is its path.
            text: (!request.grpc).then(|| cut(&request.path).into()),
            status,
            ..Kept::bare("request", "server", request.pid, service)
        }
    }

    pub fn query(query: &Query, service: &Name) -> Kept {
        Kept {
            span_id: query.ids.span_id,
            parent: query.ids.parent,
            began: query.began,
            ended: query.ended.max(query.began),
            name: cut(&app::query_name(query)).into(),
            error: query.error.clone(),
            task: query.task,
            text: query.statement.as_ref().map(short),
            ..Kept::bare("query", "client", query.pid, service)
        }
    }

    fn bare(operation: &'static str, kind: &'static str, pid: Pid, service: &Name) -> Kept {
        Kept {
            span_id: [0; 8],
            parent: None,
            began: 0,
            ended: 0,
            name: "".into(),
            operation,
            kind,
            service: Arc::clone(service),
            pid,
            error: None,
            topic: "".into(),
            partition: -1,
            offset: None,
            key: None,
            client_id: "".into(),
            group: "".into(),
            messages: None,
            task: None,
            text: None,
            status: None,
            links: Box::default(),
            links_left_out: 0,
        }
    }

    /// A poll works at its end: before, it waits for messages.
    pub fn work_began(&self) -> Nanos {
        match self.operation {
            "poll" => self.ended,
            _ => self.began,
        }
    }

    /// Bytes, at most: texts that are shared count here as if they were not.
    pub fn weight(&self) -> usize {
        let texts = [
            self.key.as_deref(),
            self.text.as_deref(),
            self.error.as_deref(),
        ];
        let names = [
            &*self.name,
            &*self.topic,
            &*self.client_id,
            &*self.group,
            &*self.service,
        ];
        let texts = texts.into_iter().flatten().chain(names);
        size_of::<Kept>() + texts.map(str::len).sum::<usize>() + size_of_val(&*self.links)
    }
}

/// As much of a text as is kept; what is longer ends with `...`.
pub fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let ends = (0..=MAX_TEXT - 3).rev();
    let end = ends.into_iter().find(|at| text.is_char_boundary(*at));
    format!("{}...", text.get(..end.unwrap_or(0)).unwrap_or_default())
}

fn short(text: &Name) -> Name {
    match text.len() <= MAX_TEXT {
        true => Arc::clone(text),
        false => cut(text).into(),
    }
}
