//! Against real receivers in this process: tonic's server for gRPC, axum for HTTP. Values are compared, not existence.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use kafka_analyzer::capture::ConnectionId;
use kafka_analyzer::observation::{Link, Origin, SpanKind};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsServiceServer;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use prost::Message;

use super::*;
use crate::config::{Config, Protocol};
use crate::export::Sinks;
use kafka_analyzer::observation::{Observation, PartitionProgress, Unsupported};

/// What a receiver got, and how it answers the first requests.
#[derive(Default)]
pub(super) struct Received {
    pub(super) traces: Mutex<Vec<ExportTraceServiceRequest>>,
    metrics: Mutex<Vec<ExportMetricsServiceRequest>>,
    pub(super) logs: Mutex<Vec<ExportLogsServiceRequest>>,
    headers: Mutex<Vec<String>>,
    /// Requests still to be refused.
    refuse: AtomicUsize,
    reject_spans: AtomicUsize,
}

pub(super) struct Grpc(pub(super) Arc<Received>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        if self
            .0
            .refuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(tonic::Status::unavailable("not now"));
        }
        let tenant = request
            .metadata()
            .get("tenant")
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
            .to_owned();
        self.0.headers.lock().unwrap().push(tenant);
        self.0.traces.lock().unwrap().push(request.into_inner());
        let rejected = self.0.reject_spans.load(Ordering::SeqCst) as i64;
        let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected,
            error_message: "too old".into(),
        });
        Ok(tonic::Response::new(ExportTraceServiceResponse {
            partial_success,
        }))
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

pub(super) fn grpc(runtime: &tokio::runtime::Runtime, received: &Arc<Received>) -> SocketAddr {
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let service = TraceServiceServer::new(Grpc(Arc::clone(received)));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .add_service(LogsServiceServer::new(Grpc(Arc::clone(received))))
            .serve_with_incoming(incoming),
    );
    address
}

pub(super) fn http(runtime: &tokio::runtime::Runtime, received: &Arc<Received>) -> SocketAddr {
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (traces, metrics) = (Arc::clone(received), Arc::clone(received));
    let logs = Arc::clone(received);
    let take = |received: Arc<Received>, headers: HeaderMap, body: Bytes| {
        if received
            .refuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let tenant = headers
            .get("tenant")
            .map(|v| v.to_str().unwrap().to_owned())
            .unwrap_or_default();
        received.headers.lock().unwrap().push(tenant);
        Ok((received, body))
    };
    let router = axum::Router::new()
        .route(
            "/v1/traces",
            axum::routing::post(move |headers, body| async move {
                let (received, body) = take(traces, headers, body)?;
                received
                    .traces
                    .lock()
                    .unwrap()
                    .push(ExportTraceServiceRequest::decode(body).unwrap());
                Ok::<_, StatusCode>(())
            }),
        )
        .route(
            "/v1/metrics",
            axum::routing::post(move |headers, body| async move {
                let (received, body) = take(metrics, headers, body)?;
                received
                    .metrics
                    .lock()
                    .unwrap()
                    .push(ExportMetricsServiceRequest::decode(body).unwrap());
                Ok::<_, StatusCode>(())
            }),
        )
        .route(
            "/v1/logs",
            axum::routing::post(move |headers, body| async move {
                let (received, body) = take(logs, headers, body)?;
                let request = ExportLogsServiceRequest::decode(body).unwrap();
                received.logs.lock().unwrap().push(request);
                Ok::<_, StatusCode>(())
            }),
        );
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

fn origin() -> Origin {
    Origin {
        time: 2_000,
        connection: ConnectionId(1),
        offset: 0,
    }
}

pub(crate) fn span(pid: u32, kind: SpanKind) -> Span {
    Span {
        origin: origin(),
        span: kind,
        pid,
        trace_id: [1; 16],
        span_id: [2; 8],
        parent: None,
        trace_state: "obi=s:1".into(),
        links: Vec::new(),
        links_dropped: 0,
        began: 1_000,
        ended: 2_000,
        error: None,
        topic: "orders".into(),
        partition: 3,
        offset: Some(42),
        key: Some("k1".into()),
        tombstone: false,
        body_size: Some(100),
        envelope_size: Some(130),
        message_count: None,
        codec: "lz4",
        timestamp_ms: Some(1_700_000_000_000),
        client_id: "id".into(),
        group: "".into(),
        transactional_id: "".into(),
        cluster: "c1".into(),
        server: Some("[::ffff:10.0.0.9]:9093".parse().unwrap()),
        headers: vec![
            ("h".into(), "1".into()),
            ("x".into(), "y".into()),
            ("h".into(), "2".into()),
        ],
        headers_read: true,
        address: "s:c1/orders/3/1/0/5".into(),
        task: None,
    }
}

pub(super) fn process(pid: u32, service: &str) -> ProcessInfo {
    ProcessInfo {
        pid,
        exe: format!("/usr/bin/{service}"),
        service: service.into(),
        attributes: vec![("deployment.environment.name".into(), "test".into())],
        container_id: (pid == 7).then(|| "abc".into()),
        goroutines: false,
    }
}

pub(super) fn config(address: SocketAddr, protocol: Protocol) -> Config {
    let mut config = Config::default();
    config.export.otlp.endpoint = format!("http://{address}");
    config.export.otlp.protocol = protocol;
    config.export.otlp.headers = [("tenant".to_owned(), "blue".to_owned())].into();
    config.export.otlp.metrics.enabled = false;
    config
}

/// All attributes as text.
pub(super) fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    fn text(value: &AnyValue) -> String {
        match value.value.as_ref().unwrap() {
            Any::StringValue(s) => s.clone(),
            Any::IntValue(n) => n.to_string(),
            Any::BoolValue(b) => b.to_string(),
            Any::ArrayValue(a) => format!(
                "[{}]",
                a.values.iter().map(text).collect::<Vec<_>>().join(", ")
            ),
            other => format!("{other:?}"),
        }
    }
    attributes
        .iter()
        .map(|a| (a.key.as_str(), text(a.value.as_ref().unwrap())))
        .collect()
}

#[test]
fn spans_of_two_services_by_grpc_after_a_refusal() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    received.refuse.store(1, Ordering::SeqCst);
    let config = config(grpc(&runtime, &received), Protocol::Grpc);
    let telemetry = Arc::new(Telemetry::default());
    let sinks = Sinks::new(&config, Arc::clone(&telemetry)).unwrap();
    sinks.process(&process(7, "shop"));
    sinks.process(&process(8, "mail"));
    sinks.clock(1_000, 5_000_000_000);
    sinks.observe(&Observation::Span(span(7, SpanKind::Send)));
    let mut poll = span(8, SpanKind::Poll);
    poll.links = vec![Link {
        trace_id: [1; 16],
        span_id: [2; 8],
        offset: 42,
        key: Some("k1".into()),
        tombstone: true,
    }];
    poll.links_dropped = 3;
    (poll.message_count, poll.offset, poll.key) = (Some(4), Some(40), None);
    (poll.error, poll.headers_read, poll.address) =
        (Some("OFFSET_OUT_OF_RANGE"), false, String::new());
    (poll.parent, poll.cluster, poll.group, poll.server) =
        (Some([9; 8]), "unknown".into(), "g".into(), None);
    (poll.body_size, poll.envelope_size, poll.timestamp_ms) = (None, None, None);
    poll.headers.clear();
    sinks.observe(&Observation::Span(poll));
    sinks.start_otlp(&config.export.otlp).unwrap().finish();

    let requests = received.traces.lock().unwrap();
    assert_eq!(
        (requests.len(), received.headers.lock().unwrap().as_slice()),
        (1, &["blue".to_owned()][..])
    );
    let [shop, mail] = requests[0].resource_spans.as_slice() else {
        panic!("two resources")
    };
    let resource = texts(&shop.resource.as_ref().unwrap().attributes);
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let want = [
        ("container.id", "abc".to_owned()),
        ("deployment.environment.name", "test".into()),
        ("host.name", host.clone()),
        ("process.executable.path", "/usr/bin/shop".into()),
        ("process.pid", "7".into()),
        ("service.instance.id", format!("{host}:7")),
        ("service.name", "shop".into()),
        ("telemetry.sdk.name", "obi".into()),
        ("telemetry.sdk.version", version),
    ];
    assert_eq!(resource, BTreeMap::from(want));
    assert_eq!(
        texts(&mail.resource.as_ref().unwrap().attributes)["service.name"],
        "mail"
    );

    let sent = &shop.scope_spans[0].spans[0];
    assert_eq!(
        (
            sent.name.as_str(),
            sent.kind,
            sent.flags,
            sent.trace_state.as_str()
        ),
        ("send orders", 4, 1, "obi=s:1")
    );
    assert_eq!(
        (
            sent.trace_id.as_slice(),
            sent.span_id.as_slice(),
            sent.parent_span_id.len()
        ),
        (&[1; 16][..], &[2; 8][..], 0)
    );
    assert_eq!(
        (sent.start_time_unix_nano, sent.end_time_unix_nano),
        (5_000_000_000, 5_000_001_000)
    );
    assert_eq!(sent.status.as_ref().unwrap().code, 0);
    let want = [
        ("messaging.client.id", "id"),
        ("messaging.destination.name", "orders"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.kafka.cluster.id", "c1"),
        ("messaging.kafka.message.key", "k1"),
        ("messaging.kafka.offset", "42"),
        ("messaging.message.body.size", "100"),
        ("messaging.message.envelope.size", "130"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.system", "kafka"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "9093"),
        ("obi.kafka.codec", "lz4"),
        ("obi.kafka.header.h", "[1, 2]"),
        ("obi.kafka.header.x", "y"),
        ("obi.kafka.message.address", "s:c1/orders/3/1/0/5"),
        ("obi.kafka.message.timestamp", "1700000000000"),
        ("server.address", "10.0.0.9"),
        ("server.port", "9093"),
    ];
    assert_eq!(
        texts(&sent.attributes),
        want.map(|(k, v)| (k, v.to_owned())).into()
    );

    let poll = &mail.scope_spans[0].spans[0];
    assert_eq!(
        (poll.name.as_str(), poll.kind, poll.dropped_links_count),
        ("poll orders", 3, 3)
    );
    assert_eq!(poll.parent_span_id, [9; 8]);
    assert_eq!(
        poll.status.as_ref().map(|s| (s.code, s.message.as_str())),
        Some((2, "OFFSET_OUT_OF_RANGE"))
    );
    let want = [
        ("error.type", "OFFSET_OUT_OF_RANGE"),
        ("messaging.batch.message_count", "4"),
        ("messaging.client.id", "id"),
        ("messaging.consumer.group.name", "g"),
        ("messaging.destination.name", "orders"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.operation.name", "poll"),
        ("messaging.operation.type", "receive"),
        ("messaging.system", "kafka"),
        ("obi.kafka.batch.first_offset", "40"),
        ("obi.kafka.codec", "lz4"),
        ("obi.kafka.headers", "unread"),
        ("obi.kafka.receive.basis", "fetch_response"),
    ];
    assert_eq!(
        texts(&poll.attributes),
        want.map(|(k, v)| (k, v.to_owned())).into()
    );
    let link = &poll.links[0];
    assert_eq!(
        (link.trace_id.as_slice(), link.span_id.as_slice()),
        (&[1; 16][..], &[2; 8][..])
    );
    let want = [
        ("messaging.kafka.message.key", "k1"),
        ("messaging.kafka.message.tombstone", "true"),
        ("messaging.kafka.offset", "42"),
    ];
    assert_eq!(
        texts(&link.attributes),
        want.map(|(k, v)| (k, v.to_owned())).into()
    );
    assert_eq!(telemetry.lost_totals(), BTreeMap::new());
}

#[test]
fn spans_by_http_after_a_refusal_in_bounded_requests() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    received.refuse.store(1, Ordering::SeqCst);
    let config = config(http(&runtime, &received), Protocol::HttpProtobuf);
    let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).unwrap();
    let mut big = span(7, SpanKind::Send);
    big.headers = vec![("blob".into(), "x".repeat(200_000))];
    for _ in 0..12 {
        sinks.observe(&Observation::Span(big.clone()));
    }
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    let requests = received.traces.lock().unwrap();
    let counts: Vec<usize> = requests
        .iter()
        .map(|r| r.resource_spans[0].scope_spans[0].spans.len())
        .collect();
    assert_eq!(counts, [6, 6]);
    assert_eq!(
        received.headers.lock().unwrap().as_slice(),
        ["blue", "blue"]
    );
    assert_eq!(
        texts(
            &requests[0].resource_spans[0]
                .resource
                .as_ref()
                .unwrap()
                .attributes
        )["service.name"],
        "unknown"
    );
}

#[test]
fn value_size_and_topics_follow_the_configuration() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    let mut config = config(http(&runtime, &received), Protocol::HttpProtobuf);
    config.instrumentation.kafka.capture_value_size = false;
    config.instrumentation.kafka.topics = vec!["or*".into()];
    let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).unwrap();
    let mut hidden = span(7, SpanKind::Send);
    hidden.topic = "secret".into();
    sinks.observe(&Observation::Span(hidden));
    sinks.observe(&Observation::Span(span(7, SpanKind::Create)));
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    let requests = received.traces.lock().unwrap();
    let spans = &requests[0].resource_spans[0].scope_spans[0].spans;
    assert_eq!(
        spans
            .iter()
            .map(|s| (s.name.as_str(), s.kind))
            .collect::<Vec<_>>(),
        [("create orders", 4)]
    );
    assert_eq!(
        texts(&spans[0].attributes).get("messaging.message.body.size"),
        None
    );
}

#[test]
fn what_is_dropped_or_rejected_is_counted() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    received.reject_spans.store(2, Ordering::SeqCst);
    let mut config = config(grpc(&runtime, &received), Protocol::Grpc);
    config.export.otlp.max_queue = 5;
    let telemetry = Arc::new(Telemetry::default());
    let sinks = Sinks::new(&config, Arc::clone(&telemetry)).unwrap();
    for _ in 0..8 {
        sinks.observe(&Observation::Span(span(7, SpanKind::Send)));
    }
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    assert_eq!(
        telemetry.lost_totals(),
        [("otlp_queue_full", 3), ("otlp_rejected", 2)].into()
    );
    sinks.observe(&Observation::Span(span(7, SpanKind::Send)));
    assert_eq!(telemetry.lost_totals()["otlp_stopped"], 1);
}

#[test]
fn an_endpoint_that_is_not_there_costs_the_spans_and_no_more() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let lose = |protocol| {
        let config = config(closed, protocol);
        let telemetry = Arc::new(Telemetry::default());
        let sinks = Sinks::new(&config, Arc::clone(&telemetry)).unwrap();
        for _ in 0..4 {
            sinks.observe(&Observation::Span(span(7, SpanKind::Send)));
        }
        sinks.start_otlp(&config.export.otlp).unwrap().finish();
        assert_eq!(
            telemetry.lost_totals(),
            [("otlp_send_failed", 4)].into(),
            "{protocol:?}"
        );
    };
    std::thread::scope(|scope| {
        scope.spawn(|| lose(Protocol::Grpc));
        lose(Protocol::HttpProtobuf);
    });
}

#[test]
fn metrics_are_cumulative_with_a_resource_for_each_service() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    let mut config = config(http(&runtime, &received), Protocol::HttpProtobuf);
    config.export.otlp.traces.enabled = false;
    config.export.otlp.metrics.enabled = true;
    let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).unwrap();
    sinks.process(&process(7, "shop"));
    let now = crate::export::monotonic();
    let origin = Origin {
        time: now,
        ..origin()
    };
    let mut x = crate::export::measure::tests::exchange(0, "Produce");
    x.origin = origin;
    x.produced = vec![crate::export::measure::tests::produced(
        "orders",
        2,
        None,
        crate::export::measure::tests::batches(&[3, 4], "none", 700),
    )];
    sinks.observe(&Observation::Exchange(x));
    sinks.observe(&Observation::PartitionProgress(PartitionProgress {
        origin,
        cluster: "c1".into(),
        topic: "orders".into(),
        partition: 2,
        high_watermark: Some(7),
        log_start_offset: None,
    }));
    sinks.observe(&Observation::Unsupported(Unsupported {
        origin,
        pid: 7,
        api: "Fetch".into(),
        api_version: 99,
        reason: "unknown_version",
    }));
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    let requests = received.metrics.lock().unwrap();
    let [agent, shop] = requests[0].resource_metrics.as_slice() else {
        panic!("two resources")
    };
    assert_eq!(
        texts(&agent.resource.as_ref().unwrap().attributes)["service.name"],
        "obi"
    );
    assert_eq!(
        texts(&shop.resource.as_ref().unwrap().attributes)["service.name"],
        "shop"
    );
    let metric = |of: &opentelemetry_proto::tonic::metrics::v1::ResourceMetrics, name: &str| {
        of.scope_metrics[0]
            .metrics
            .iter()
            .find(|m| m.name == name)
            .unwrap_or_else(|| panic!("{name}"))
            .clone()
    };
    let produced = metric(shop, "kafka_messages_produced_total");
    let Some(Data::Sum(sum)) = produced.data else {
        panic!("sum")
    };
    assert_eq!(
        (
            sum.is_monotonic,
            sum.aggregation_temporality,
            produced.unit.as_str()
        ),
        (true, 2, "1")
    );
    let [point] = sum.data_points.as_slice() else {
        panic!("one point")
    };
    assert_eq!(point.value, Some(Number::AsInt(7)));
    assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano < point.time_unix_nano);
    let want = [
        ("client_id", "id"),
        ("cluster", "c1"),
        ("partition", "2"),
        ("topic", "orders"),
    ];
    assert_eq!(
        texts(&point.attributes),
        want.map(|(k, v)| (k, v.to_owned())).into()
    );
    let Some(Data::Histogram(histogram)) = metric(shop, "messaging.client.operation.duration").data
    else {
        panic!("histogram")
    };
    let [point] = histogram.data_points.as_slice() else {
        panic!("one point")
    };
    assert_eq!((point.count, point.sum), (1, Some(0.004)));
    assert_eq!(
        point.explicit_bounds,
        crate::export::catalogue::OTEL_SECONDS
    );
    assert_eq!(
        point.bucket_counts,
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    let want = [
        ("messaging.destination.name", "orders"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.system", "kafka"),
        ("server.address", "10.0.0.9"),
        ("server.port", "9093"),
    ];
    assert_eq!(
        texts(&point.attributes),
        want.map(|(k, v)| (k, v.to_owned())).into()
    );
    let sent = metric(shop, "messaging.client.sent.messages");
    assert_eq!(sent.unit, "{message}");
    let Some(Data::Sum(sum)) = sent.data else {
        panic!("sum")
    };
    assert_eq!(sum.data_points[0].value, Some(Number::AsInt(7)));
    assert_eq!(
        texts(&sum.data_points[0].attributes)["messaging.destination.partition.id"],
        "2"
    );
    let Some(Data::Gauge(gauge)) = metric(agent, "kafka_partition_high_watermark").data else {
        panic!("gauge")
    };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(7.0)));
    let Some(Data::Sum(sum)) = metric(agent, "obi_undecodable_frames_total").data else {
        panic!("sum")
    };
    assert_eq!(texts(&sum.data_points[0].attributes)["version"], "99");
    metric(agent, "process_cpu_seconds_total");
}

#[test]
fn many_series_go_in_requests_of_bounded_size() {
    let (runtime, received) = (runtime(), Arc::new(Received::default()));
    let mut config = config(http(&runtime, &received), Protocol::HttpProtobuf);
    config.export.otlp.metrics.enabled = true;
    let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).unwrap();
    for partition in 0..10_000 {
        sinks.observe(&Observation::PartitionProgress(PartitionProgress {
            origin: Origin {
                time: crate::export::monotonic(),
                ..origin()
            },
            cluster: "c1".into(),
            topic: "orders".into(),
            partition,
            high_watermark: Some(partition.into()),
            log_start_offset: None,
        }));
    }
    sinks.start_otlp(&config.export.otlp).unwrap().finish();
    let requests = received.metrics.lock().unwrap();
    assert!(requests.len() > 1 && requests.iter().all(|r| r.encoded_len() < 2 << 20));
    let mut sum = 0.0;
    for metric in requests
        .iter()
        .flat_map(|r| &r.resource_metrics)
        .flat_map(|r| &r.scope_metrics[0].metrics)
    {
        if let (Some(Data::Gauge(gauge)), "kafka_partition_high_watermark") =
            (&metric.data, metric.name.as_str())
        {
            for point in &gauge.data_points {
                let Some(Number::AsDouble(n)) = point.value else {
                    panic!("double")
                };
                sum += n;
            }
        }
    }
    assert_eq!(sum, 49_995_000.0);
}
