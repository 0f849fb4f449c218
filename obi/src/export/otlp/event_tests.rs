//! Events as log records, and the spans of commits and transactions, as receivers get them.

use std::collections::BTreeMap;

use kafka_analyzer::observation::{EventKind, Observation, Reason, SpanKind};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span as Wire;

use super::tests::{Grpc, Received, config, grpc, http, process, runtime, span, texts};
use super::*;
use crate::config::Protocol;
use crate::export::Sinks;
use crate::export::examples::event;

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        self.0.logs.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

#[test]
fn events_are_log_records_by_grpc_and_http() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let (runtime, received) = (runtime(), Arc::new(Received::default()));
        let address = match protocol {
            Protocol::Grpc => grpc(&runtime, &received),
            _ => http(&runtime, &received),
        };
        let config = config(address, protocol);
        let telemetry = Arc::new(Telemetry::default());
        let sinks = Sinks::new(&config, Arc::clone(&telemetry)).unwrap();
        sinks.process(&process(7, "shop"));
        sinks.clock(1_000, 5_000_001_000);
        let mut rebalance = event(EventKind::Rebalance);
        rebalance.reason = Some(Reason::MemberLeft);
        sinks.observe(&Observation::Event(rebalance));
        let mut failure = event(EventKind::CommitFailure);
        failure.error = Some("REBALANCE_IN_PROGRESS");
        failure.span = Some(([1; 16], [2; 8]));
        (failure.group, failure.server) = ("".into(), None);
        (failure.transactional_id, failure.cluster) = ("tx-1".into(), "unknown".into());
        sinks.observe(&Observation::Event(failure));
        sinks.start_otlp(&config.export.otlp).unwrap().finish();

        let requests = received.logs.lock().unwrap();
        let [resource] = requests[0].resource_logs.as_slice() else {
            panic!("one resource")
        };
        let about = texts(&resource.resource.as_ref().unwrap().attributes);
        assert_eq!(about["service.name"], "shop");
        let [info, warn] = resource.scope_logs[0].log_records.as_slice() else {
            panic!("two records")
        };
        let head = |r: &LogRecord| {
            let body = texts(&[KeyValue {
                key: "body".into(),
                value: r.body.clone(),
                ..KeyValue::default()
            }])["body"]
                .clone();
            let severity = (r.severity_number, r.severity_text.clone());
            (r.event_name.clone(), severity, r.time_unix_nano, body)
        };
        let said = |name: &str, number, word: &str| {
            let severity = (number, word.to_owned());
            (
                name.to_owned(),
                severity,
                6_000_000_000,
                "something happened".to_owned(),
            )
        };
        assert_eq!(head(info), said("obi.kafka.rebalance", 9, "INFO"));
        assert_eq!(head(warn), said("obi.kafka.commit_failure", 13, "WARN"));
        assert_eq!((info.trace_id.len(), info.flags), (0, 0));
        assert_eq!(
            (
                warn.trace_id.as_slice(),
                warn.span_id.as_slice(),
                warn.flags
            ),
            (&[1; 16][..], &[2; 8][..], 1)
        );
        let want = [
            ("messaging.client.id", "id"),
            ("messaging.consumer.group.name", "g"),
            ("messaging.kafka.cluster.id", "c1"),
            ("messaging.system", "kafka"),
            ("obi.kafka.rebalance.reason", "member_left"),
            ("server.address", "10.0.0.9"),
            ("server.port", "9093"),
        ];
        let owned = |pairs: &[(&'static str, &str)]| -> BTreeMap<&'static str, String> {
            pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()
        };
        assert_eq!(texts(&info.attributes), owned(&want));
        let want = [
            ("error.type", "REBALANCE_IN_PROGRESS"),
            ("messaging.client.id", "id"),
            ("messaging.system", "kafka"),
            ("obi.kafka.transactional_id", "tx-1"),
        ];
        assert_eq!(texts(&warn.attributes), owned(&want));
        assert_eq!(telemetry.lost_totals(), BTreeMap::new());
    }
}

#[test]
fn commits_and_transactions_are_spans_of_their_own_kind() {
    let wire = |kind, change: &dyn Fn(&mut Span)| {
        let mut span = span(7, kind);
        (span.headers, span.address) = (Vec::new(), "none".into());
        (span.server, span.offset) = (None, None);
        change(&mut span);
        super::spans::encode(Item::Message(Box::new(span)), 0)
    };
    let attributes = |span: &Wire| -> Vec<String> {
        texts(&span.attributes)
            .into_iter()
            .filter(|(key, _)| !key.starts_with("messaging.client") && *key != "messaging.system")
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    };
    let commit = wire(SpanKind::Commit, &|s| {
        s.group = "g".into();
        s.offset = Some(60);
    });
    assert_eq!((commit.name.as_str(), commit.kind), ("commit orders", 3));
    assert_eq!(
        attributes(&commit),
        [
            "messaging.consumer.group.name=g",
            "messaging.destination.name=orders",
            "messaging.destination.partition.id=3",
            "messaging.kafka.cluster.id=c1",
            "messaging.operation.name=commit",
            "messaging.operation.type=settle",
            "obi.kafka.committed_offset=60",
        ]
    );
    let of_many = wire(SpanKind::Commit, &|s| s.topic = "".into());
    assert_eq!(of_many.name, "commit");
    let transaction = wire(SpanKind::Transaction, &|s| {
        (s.topic, s.transactional_id) = ("".into(), "tx-1".into());
        (s.message_count, s.error) = (Some(12), Some("ABORTED"));
    });
    assert_eq!(
        (transaction.name.as_str(), transaction.kind),
        ("transaction tx-1", 1)
    );
    assert_eq!(transaction.status.as_ref().unwrap().code, 2);
    assert_eq!(
        attributes(&transaction),
        [
            "error.type=ABORTED",
            "messaging.kafka.cluster.id=c1",
            "messaging.operation.name=transaction",
            "obi.kafka.transaction.records=12",
            "obi.kafka.transactional_id=tx-1",
        ]
    );
}

#[test]
fn a_topic_filter_keeps_spans_that_name_no_topic() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    let mut config = config(grpc(&runtime, &received), Protocol::Grpc);
    config.instrumentation.kafka.topics = vec!["orders".into()];
    config.instrumentation.kafka.consumer_groups = vec!["g".into()];
    let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).unwrap();
    for (topic, group) in [
        ("", "g"),
        ("", ""),
        ("orders", "g"),
        ("orders", "other"),
        ("hidden", "g"),
    ] {
        let mut span = span(7, SpanKind::Commit);
        (span.topic, span.group) = (topic.into(), group.into());
        sinks.observe(&Observation::Span(span));
    }
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    let requests = received.traces.lock().unwrap();
    let spans = &requests[0].resource_spans[0].scope_spans[0].spans;
    let names: Vec<&str> = spans.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["commit", "commit", "commit orders"]);
}
