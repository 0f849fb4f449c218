//! Events as OpenTelemetry log records: `obi.kafka.<kind>`. In: events with their processes; out: one request in which each process
//! is a resource.

use kafka_analyzer::observation::{Event, EventKind};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1 as otlp;

use super::attributes::{SCHEMA_URL, int, scope, text};
use super::batch::Batch;
use super::resource;
use super::transport::Request;

pub fn request(batch: Batch<otlp::LogRecord>) -> Request {
    let resource_logs = batch
        .into_processes()
        .map(|(process, log_records)| otlp::ResourceLogs {
            resource: Some(resource::of_process(&process)),
            scope_logs: vec![otlp::ScopeLogs {
                scope: Some(scope()),
                log_records,
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        });
    Request::Logs(ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    })
}

/// `wall_offset`: wall clock minus monotonic clock, ns.
pub fn encode(event: Event, wall_offset: i64) -> otlp::LogRecord {
    let time = event.origin.time.wrapping_add_signed(wall_offset);
    let (severity, word) = match event.event {
        EventKind::Rebalance => (otlp::SeverityNumber::Info, "INFO"),
        EventKind::CommitFailure
        | EventKind::Fencing
        | EventKind::AuthenticationFailure
        | EventKind::HangingTransaction
        | EventKind::ConsumerStopped => (otlp::SeverityNumber::Warn, "WARN"),
    };
    let attributes = attributes(&event);
    otlp::LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity as i32,
        severity_text: word.to_owned(),
        event_name: format!("obi.kafka.{}", event.event.as_str()),
        attributes,
        trace_id: event.span.map(|(id, _)| id.to_vec()).unwrap_or_default(),
        span_id: event.span.map(|(_, id)| id.to_vec()).unwrap_or_default(),
        flags: u32::from(event.span.is_some()),
        body: Some(AnyValue {
            value: Some(Value::StringValue(event.message)),
        }),
        ..otlp::LogRecord::default()
    }
}

fn attributes(event: &Event) -> Vec<KeyValue> {
    let mut out = vec![text("messaging.system", "kafka")];
    let known = |key: &str, value: &str| (!value.is_empty()).then(|| text(key, value));
    out.extend(known("messaging.client.id", &event.client_id));
    out.extend(known("messaging.consumer.group.name", &event.group));
    out.extend(
        (&*event.cluster != "unknown")
            .then(|| known("messaging.kafka.cluster.id", &event.cluster))
            .flatten(),
    );
    out.extend(known("obi.kafka.transactional_id", &event.transactional_id));
    out.extend(event.error.map(|error| text("error.type", error)));
    let reason = event.reason.map(|reason| reason.as_str());
    out.extend(reason.map(|reason| text("obi.kafka.rebalance.reason", reason)));
    if let Some(server) = event.server {
        let ip = server.ip().to_canonical().to_string();
        out.push(text("server.address", ip));
        out.push(int("server.port", server.port().into()));
    }
    out
}
