//! Spans in OpenTelemetry's form. In: spans with their processes; out: one request in which each process is a resource.
//!
//! Names follow the messaging conventions 1.44; what they have no name for is `obi.kafka.*`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_analyzer::capture::{Nanos, ProcessInfo};
use kafka_analyzer::observation::{Link, Span, SpanKind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::Queued;
use super::attributes::{SCHEMA_URL, int, scope, text, texts, truth};
use super::resource;

/// W3C trace flags: sampled.
const SAMPLED: u32 = 1;

/// Spans on their way into one request.
#[derive(Default)]
pub struct Batch {
    processes: Vec<(Arc<ProcessInfo>, Vec<otlp::Span>)>,
    index: HashMap<*const ProcessInfo, usize>,
    bytes: usize,
    spans: usize,
}

impl Batch {
    pub fn add(&mut self, queued: Queued) {
        // Processes are compared by address: the same one is shared until an exec makes it another.
        let key = Arc::as_ptr(&queued.process);
        let at = *self.index.entry(key).or_insert(self.processes.len());
        if at == self.processes.len() {
            self.processes
                .push((Arc::clone(&queued.process), Vec::new()));
        }
        let span = encode(queued.span, queued.wall_offset);
        self.bytes += prost::Message::encoded_len(&span);
        self.spans += 1;
        if let Some((_, spans)) = self.processes.get_mut(at) {
            spans.push(span);
        }
    }

    /// Encoded size, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> u64 {
        self.spans as u64
    }

    pub fn request(self) -> ExportTraceServiceRequest {
        let resource_spans =
            self.processes
                .into_iter()
                .map(|(process, spans)| otlp::ResourceSpans {
                    resource: Some(resource::of_process(&process)),
                    scope_spans: vec![otlp::ScopeSpans {
                        scope: Some(scope()),
                        spans,
                        schema_url: SCHEMA_URL.to_owned(),
                    }],
                    schema_url: SCHEMA_URL.to_owned(),
                });
        ExportTraceServiceRequest {
            resource_spans: resource_spans.collect(),
        }
    }
}

fn encode(span: Span, wall_offset: i64) -> otlp::Span {
    let wall = |time: Nanos| time.wrapping_add_signed(wall_offset);
    let (operation, kind) = match span.span {
        SpanKind::Send => ("send", otlp::span::SpanKind::Producer),
        SpanKind::SendBatch => ("send", otlp::span::SpanKind::Client),
        SpanKind::Create => ("create", otlp::span::SpanKind::Producer),
        SpanKind::Poll => ("poll", otlp::span::SpanKind::Client),
        SpanKind::Commit => ("commit", otlp::span::SpanKind::Client),
        SpanKind::Transaction => ("transaction", otlp::span::SpanKind::Internal),
    };
    let status = span.error.map(|error| otlp::Status {
        message: error.to_owned(),
        code: otlp::status::StatusCode::Error as i32,
    });
    otlp::Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        flags: SAMPLED,
        name: match span.span {
            SpanKind::Transaction => format!("{operation} {}", span.transactional_id),
            _ => format!("{operation} {}", span.topic),
        },
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

fn attributes(span: &Span, operation: &str) -> Vec<KeyValue> {
    let kind = if span.span == SpanKind::Poll {
        "receive"
    } else {
        operation
    };
    let mut out = vec![
        text("messaging.system", "kafka"),
        text("messaging.operation.name", operation),
        text("messaging.operation.type", kind),
    ];
    // A transaction has many destinations.
    if span.span != SpanKind::Transaction {
        out.extend([
            text("messaging.destination.name", span.topic.as_ref()),
            text(
                "messaging.destination.partition.id",
                span.partition.to_string(),
            ),
            text("obi.kafka.codec", span.codec),
        ]);
    }
    let known = |key: &str, value: &str| (!value.is_empty()).then(|| text(key, value));
    out.extend(known("obi.kafka.transactional_id", &span.transactional_id));
    out.extend(known("messaging.client.id", &span.client_id));
    out.extend(known("messaging.consumer.group.name", &span.group));
    out.extend(
        (&*span.cluster != "unknown")
            .then(|| known("messaging.kafka.cluster.id", &span.cluster))
            .flatten(),
    );
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
    out.extend(span.error.map(|error| text("error.type", error)));
    out.extend(
        span.timestamp_ms
            .map(|ms| int("obi.kafka.message.timestamp", ms)),
    );
    if span.span == SpanKind::Poll {
        out.push(text("obi.kafka.receive.basis", "fetch_response"));
    }
    if !span.headers_read {
        out.push(text("obi.kafka.headers", "unread"));
    }
    match span.address.as_str() {
        "" => {}
        "none" if span.span == SpanKind::Transaction => {}
        "none" => out.push(text("obi.kafka.address", "none")),
        address => out.push(text("obi.kafka.message.address", address)),
    }
    out.extend(span.server.map(server).into_iter().flatten());
    headers(&span.headers, &mut out);
    out
}

/// The broker really contacted.
fn server(address: SocketAddr) -> [KeyValue; 4] {
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
    fn a_transaction_has_its_own_name_and_no_destination() {
        let mut transaction = span(7, SpanKind::Transaction);
        (transaction.topic, transaction.partition) = ("".into(), -1);
        transaction.transactional_id = "tx".into();
        transaction.address = "none".to_owned();
        let encoded = encode(transaction, 0);
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
