//! Spans in OpenTelemetry's form. In: spans with their processes; out: one request in which each process is a resource.
//!
//! Names follow the messaging conventions 1.44; what they have no name for is `obi.kafka.*`.

use std::net::SocketAddr;

use kafka_analyzer::capture::{Nanos, Task};
use kafka_analyzer::observation::{Link, Span, SpanKind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::attributes::{SCHEMA_URL, int, scope, text, texts, truth};
use super::batch::Batch;
use super::resource;
use super::transport::Request;
use super::{Item, app};

/// W3C trace flags: sampled.
pub const SAMPLED: u32 = 1;

pub fn request(batch: Batch<otlp::Span>) -> Request {
    let resource_spans = batch
        .into_processes()
        .map(|(process, spans)| otlp::ResourceSpans {
            resource: Some(resource::of_process(&process)),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(scope()),
                spans,
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        });
    Request::Traces(ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    })
}

/// `wall_offset`: wall clock minus monotonic clock, ns.
pub fn encode(item: Item, wall_offset: i64) -> otlp::Span {
    match item {
        Item::Message(span) => message(*span, wall_offset),
        Item::Request(request) => app::request(request, wall_offset),
        Item::Query(query) => app::query(query, wall_offset),
    }
}

/// `messaging.operation.name`, and the kind of the span.
pub fn operation(kind: SpanKind) -> (&'static str, otlp::span::SpanKind) {
    match kind {
        SpanKind::Send => ("send", otlp::span::SpanKind::Producer),
        SpanKind::SendBatch => ("send", otlp::span::SpanKind::Client),
        SpanKind::Create => ("create", otlp::span::SpanKind::Producer),
        SpanKind::Poll => ("poll", otlp::span::SpanKind::Client),
        SpanKind::Commit => ("commit", otlp::span::SpanKind::Client),
        SpanKind::Transaction => ("transaction", otlp::span::SpanKind::Internal),
        SpanKind::Process => ("process", otlp::span::SpanKind::Consumer),
    }
}

fn message(span: Span, wall_offset: i64) -> otlp::Span {
    let wall = |time: Nanos| time.wrapping_add_signed(wall_offset);
    let (operation, kind) = operation(span.span);
    let status = span.error.map(|error| otlp::Status {
        message: error.to_owned(),
        code: otlp::status::StatusCode::Error as i32,
    });
    otlp::Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        flags: SAMPLED,
        name: name(&span, operation),
        kind: kind as i32,
        start_time_unix_nano: wall(span.began),
        end_time_unix_nano: wall(span.ended.max(span.began)),
        attributes: attributes(&span, operation),
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.links_dropped,
        status: Some(status.unwrap_or_default()),
        trace_state: span.trace_state,
        ..otlp::Span::default()
    }
}

/// What the operation is about: a topic, a transactional id, or several topics, which are not named.
pub fn name(span: &Span, operation: &str) -> String {
    let about = match span.span {
        SpanKind::Transaction => &span.transactional_id,
        _ => &span.topic,
    };
    if about.is_empty() {
        operation.to_owned()
    } else {
        format!("{operation} {about}")
    }
}

fn attributes(span: &Span, operation: &str) -> Vec<KeyValue> {
    let mut out = vec![
        text("messaging.system", "kafka"),
        text("messaging.operation.name", operation),
    ];
    let kind = match span.span {
        SpanKind::Poll => Some("receive"),
        SpanKind::Commit => Some("settle"),
        // The conventions have no type for it.
        SpanKind::Transaction => None,
        SpanKind::Send | SpanKind::SendBatch | SpanKind::Create | SpanKind::Process => {
            Some(operation)
        }
    };
    out.extend(kind.map(|kind| text("messaging.operation.type", kind)));
    if !span.topic.is_empty() {
        out.push(text("messaging.destination.name", span.topic.as_ref()));
    }
    let known = |key: &str, value: &str| (!value.is_empty()).then(|| text(key, value));
    out.extend(known("messaging.client.id", &span.client_id));
    out.extend(known("messaging.consumer.group.name", &span.group));
    out.extend(
        (&*span.cluster != "unknown")
            .then(|| known("messaging.kafka.cluster.id", &span.cluster))
            .flatten(),
    );
    out.extend(known("obi.kafka.transactional_id", &span.transactional_id));
    out.extend(span.error.map(|error| text("error.type", error)));
    out.extend(span.server.map(server).into_iter().flatten());
    match span.span {
        SpanKind::Commit => {
            // Of one partition.
            if let Some(offset) = span.offset {
                out.push(partition(span));
                out.push(int("obi.kafka.committed_offset", offset));
            }
        }
        SpanKind::Transaction => {
            let records = span.message_count;
            out.extend(records.map(|n| int("obi.kafka.transaction.records", n as i64)));
        }
        SpanKind::Send
        | SpanKind::SendBatch
        | SpanKind::Create
        | SpanKind::Poll
        | SpanKind::Process => {
            messages(span, &mut out);
        }
    }
    out.extend(span.task.map(task));
    out
}

pub fn task(task: Task) -> KeyValue {
    match task {
        Task::Thread(id) => int("thread.id", i64::from(id)),
        Task::Goroutine(id) => int("goroutine.id", i64::try_from(id).unwrap_or(i64::MAX)),
    }
}

fn partition(span: &Span) -> KeyValue {
    text(
        "messaging.destination.partition.id",
        span.partition.to_string(),
    )
}

/// What is said of messages that are sent or received.
fn messages(span: &Span, out: &mut Vec<KeyValue>) {
    out.push(partition(span));
    out.push(text("obi.kafka.codec", span.codec));
    let offset = if span.message_count.is_some() {
        "obi.kafka.batch.first_offset"
    } else {
        "messaging.kafka.offset"
    };
    out.extend(span.offset.map(|n| int(offset, n)));
    out.extend(
        span.key
            .as_ref()
            .map(|key| text("messaging.kafka.message.key", key.as_str())),
    );
    out.extend(
        span.tombstone
            .then(|| truth("messaging.kafka.message.tombstone", true)),
    );
    out.extend(
        span.message_count
            .map(|n| int("messaging.batch.message_count", n as i64)),
    );
    out.extend(
        span.body_size
            .map(|n| int("messaging.message.body.size", n as i64)),
    );
    out.extend(
        span.envelope_size
            .map(|n| int("messaging.message.envelope.size", n as i64)),
    );
    out.extend(
        span.timestamp_ms
            .map(|ms| int("obi.kafka.message.timestamp", ms)),
    );
    if span.span == SpanKind::Poll {
        // A call of the client library was made by somebody.
        let basis = match span.task {
            Some(_) => "poll",
            None => "fetch_response",
        };
        out.push(text("obi.kafka.receive.basis", basis));
    }
    if span.span == SpanKind::Process && span.task.is_none() {
        // Nobody was seen to work: it is from the Fetch answer to the commit.
        out.push(text("obi.kafka.processing.basis", "commit"));
    }
    if !span.headers_read {
        out.push(text("obi.kafka.headers", "unread"));
    }
    match span.address.as_str() {
        "" => {}
        "none" => out.push(text("obi.kafka.address", "none")),
        address => out.push(text("obi.kafka.message.address", address)),
    }
    headers(&span.headers, out);
}

/// The server really contacted.
pub fn server(address: SocketAddr) -> [KeyValue; 4] {
    let (ip, port) = (
        address.ip().to_canonical().to_string(),
        i64::from(address.port()),
    );
    [
        text("server.address", ip.as_str()),
        int("server.port", port),
        text("network.peer.address", ip),
        int("network.peer.port", port),
    ]
}

/// A header that stands several times becomes a list.
fn headers(headers: &[(String, String)], out: &mut Vec<KeyValue>) {
    for (at, (name, _)) in headers.iter().enumerate() {
        if headers.iter().take(at).any(|(earlier, _)| earlier == name) {
            continue;
        }
        let values: Vec<&str> = headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .collect();
        out.push(texts(&format!("obi.kafka.header.{name}"), &values));
    }
}

fn link(link: &Link) -> otlp::span::Link {
    let mut attributes = Vec::new();
    attributes.extend((link.offset >= 0).then(|| int("messaging.kafka.offset", link.offset)));
    attributes.extend(
        link.key
            .as_ref()
            .map(|key| text("messaging.kafka.message.key", key.as_str())),
    );
    attributes.extend(
        link.tombstone
            .then(|| truth("messaging.kafka.message.tombstone", true)),
    );
    otlp::span::Link {
        trace_id: link.trace_id.to_vec(),
        span_id: link.span_id.to_vec(),
        attributes,
        flags: SAMPLED,
        ..otlp::span::Link::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::otlp::tests::span;

    #[test]
    fn a_poll_by_a_task_is_a_hand_over_and_work_has_no_broker() {
        for (kind, task, basis) in [
            (SpanKind::Poll, None, Some("fetch_response")),
            (SpanKind::Poll, Some(Task::Goroutine(9)), Some("poll")),
            (SpanKind::Process, Some(Task::Goroutine(9)), None),
            (SpanKind::Process, None, None),
        ] {
            let by_commit = (kind, task) == (SpanKind::Process, None);
            let mut span = span(7, kind);
            (span.task, span.server) = (task, None);
            let encoded = message(span, 0);
            let value = |name: &str| {
                let found = encoded.attributes.iter().find(|it| it.key == name);
                found.cloned()
            };
            let expected = basis.map(|basis| text("obi.kafka.receive.basis", basis));
            assert_eq!(value("obi.kafka.receive.basis"), expected);
            let expected = by_commit.then(|| text("obi.kafka.processing.basis", "commit"));
            assert_eq!(value("obi.kafka.processing.basis"), expected);
            assert_eq!(value("goroutine.id"), task.map(|_| int("goroutine.id", 9)));
            assert_eq!(value("server.address"), None);
        }
    }

    #[test]
    fn a_transaction_has_its_own_name_and_no_destination() {
        let mut transaction = span(7, SpanKind::Transaction);
        (transaction.topic, transaction.partition) = ("".into(), -1);
        transaction.transactional_id = "tx".into();
        transaction.address = "none".to_owned();
        let encoded = message(transaction, 0);
        assert_eq!(encoded.name, "transaction tx");
        let key = |name: &str| encoded.attributes.iter().any(|it| it.key == name);
        assert!(key("obi.kafka.transactional_id"));
        for absent in [
            "messaging.destination.name",
            "messaging.destination.partition.id",
            "obi.kafka.codec",
            "obi.kafka.address",
        ] {
            assert!(!key(absent), "{absent}");
        }
    }
}
