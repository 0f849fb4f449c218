//! A real Prometheus (2.42 on Debian 12) scrapes `/metrics` over HTTP and is asked for the exact values.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_analyzer::capture::{ConnectionId, ProcessInfo};
use kafka_analyzer::observation::{
    Batches, Exchange, Observation, Origin, ProducedPartition, Span, SpanKind,
};
use obi::config::Config;
use obi::export::Sinks;
use obi::serve::http;
use obi::stop::Stop;
use obi::telemetry::Telemetry;
use serde_json::{Value, json};

struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(target: &str) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(
            &config,
            format!("scrape_configs:\n- job_name: obi\n  scrape_interval: 1s\n  static_configs: [{{targets: ['{target}']}}]\n"),
        )
        .unwrap();
        let address = free_address();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is missing: apt-get install prometheus");
        Prometheus {
            process,
            address,
            _folder: folder,
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let body = ureq::get(format!("http://{}{path}", self.address))
            .call()
            .ok()?
            .into_body()
            .read_to_string()
            .ok()?;
        serde_json::from_str(&body).ok()
    }

    /// The one value of a query; waits until there is one.
    fn value(&self, query: &str) -> String {
        let encoded = encoded(query);
        wait(query, || {
            let answer = self.get(&format!("/api/v1/query?query={encoded}"))?;
            let result = answer["data"]["result"].as_array()?;
            assert!(result.len() <= 1, "{query}: {answer}");
            result.first()?["value"][1].as_str().map(str::to_owned)
        })
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what}: no answer within 60 s"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn exchange() -> Exchange {
    let batches = Batches {
        records: vec![3, 4],
        bytes: vec![("zstd", 700)],
        ..Batches::default()
    };
    Exchange {
        origin: Origin {
            time: 1,
            connection: ConnectionId(1),
            offset: 0,
        },
        pid: 7,
        cluster: "c1".into(),
        client_id: "quote\" back\\slash".into(),
        group: "".into(),
        api_key: 0,
        api: "Produce".into(),
        api_version: 13,
        correlation_id: 1,
        began: 0,
        ended: 4_000_000,
        request_bytes: 800,
        response_bytes: Some(60),
        error: None,
        throttle_ms: None,
        server: None,
        produced: vec![ProducedPartition {
            topic: "orders".into(),
            partition: 0,
            error: None,
            base_offset: Some(0),
            batches,
        }],
        fetched: Vec::new(),
        fetched_records: None,
    }
}

/// The `send orders` of one of its records.
fn span(exchange: &Exchange) -> Span {
    Span {
        origin: exchange.origin,
        span: SpanKind::Send,
        pid: exchange.pid,
        trace_id: [0xab; 16],
        span_id: [0xcd; 8],
        parent: None,
        trace_state: String::new(),
        links: Vec::new(),
        links_dropped: 0,
        began: exchange.began,
        ended: exchange.ended,
        error: None,
        topic: "orders".into(),
        partition: 0,
        offset: Some(0),
        key: None,
        tombstone: false,
        body_size: Some(90),
        envelope_size: Some(100),
        message_count: None,
        codec: "zstd",
        timestamp_ms: None,
        client_id: exchange.client_id.clone(),
        group: "".into(),
        transactional_id: "".into(),
        cluster: exchange.cluster.clone(),
        server: None,
        headers: Vec::new(),
        headers_read: true,
        address: "none".into(),
        task: None,
    }
}

#[test]
fn prometheus_stores_the_exact_values() {
    let telemetry = Arc::new(Telemetry::default());
    telemetry.lost("ring_full", 0);
    let sinks = Sinks::new(&Config::default(), Arc::clone(&telemetry)).unwrap();
    sinks.process(&ProcessInfo {
        pid: 7,
        service: "shop".into(),
        ..ProcessInfo::default()
    });
    for _ in 0..1000 {
        sinks.observe(&Observation::Exchange(exchange()));
    }
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    sinks.clock(0, wall.as_nanos() as u64);
    sinks.observe(&Observation::Span(span(&exchange())));
    let stop = Stop::default();
    let agent = http::start("127.0.0.1:0", true, sinks, telemetry, stop.clone()).unwrap();
    let prometheus = Prometheus::start(&agent.to_string());
    let labels = r#"{cluster="c1",service="shop",client_id="quote\" back\\slash",topic="orders",partition="0"}"#;
    assert_eq!(
        prometheus.value(&format!("kafka_messages_produced_total{labels}")),
        "7000"
    );
    assert_eq!(
        prometheus.value(r#"kafka_produced_bytes_total{codec="zstd"}"#),
        "700000"
    );
    assert_eq!(prometheus.value("kafka_producer_batch_size_sum"), "7000");
    assert_eq!(prometheus.value("kafka_producer_batch_size_count"), "2000");
    assert_eq!(
        prometheus.value(r#"kafka_producer_batch_size_bucket{le="2.0"}"#),
        "0"
    );
    assert_eq!(
        prometheus.value(r#"kafka_producer_batch_size_bucket{le="5.0"}"#),
        "2000"
    );
    assert_eq!(
        prometheus.value(r#"kafka_producer_duration_seconds_bucket{le="0.0025"}"#),
        "0"
    );
    assert_eq!(
        prometheus.value(r#"kafka_producer_duration_seconds_bucket{le="0.005"}"#),
        "1000"
    );
    assert_eq!(
        prometheus.value("histogram_quantile(0.5, kafka_request_duration_seconds_bucket)"),
        "0.00375"
    );
    assert_eq!(
        prometheus.value(r#"obi_events_lost_total{reason="ring_full"}"#),
        "0"
    );
    assert_eq!(prometheus.value("obi_build_info"), "1");
    assert_eq!(prometheus.value("up"), "1");
    let metadata = wait("metadata", || {
        prometheus.get("/api/v1/metadata")?["data"]
            .as_object()
            .cloned()
    });
    let declared = |name: &str| {
        let of = &metadata[name][0];
        (
            of["type"].as_str().unwrap_or("").to_owned(),
            of["unit"].as_str().unwrap_or("").to_owned(),
        )
    };
    // OpenMetrics names a counter without its `_total`.
    assert_eq!(
        declared("kafka_produced_bytes"),
        ("counter".into(), "bytes".into())
    );
    assert_eq!(
        declared("kafka_producer_duration_seconds"),
        ("histogram".into(), "seconds".into())
    );
    let exemplars = |metric: &str| {
        let path = format!(
            "/api/v1/query_exemplars?query={}&start={}&end={}",
            encoded(metric),
            wall.as_secs() - 60,
            wall.as_secs() + 600
        );
        wait(metric, || {
            let answer = prometheus.get(&path)?;
            let series = answer["data"].as_array()?.first()?.clone();
            Some((series["seriesLabels"].clone(), series["exemplars"].clone()))
        })
    };
    for (metric, label, value) in [
        ("kafka_producer_duration_seconds_bucket", "topic", "orders"),
        ("kafka_request_duration_seconds_bucket", "api", "Produce"),
    ] {
        let (labels, found) = exemplars(metric);
        assert_eq!(
            (&labels["le"], &labels[label]),
            (&json!("0.005"), &json!(value))
        );
        let ids = json!({"trace_id": "ab".repeat(16), "span_id": "cd".repeat(8)});
        assert_eq!(found[0]["labels"], ids, "{found}");
        assert_eq!(found[0]["value"], "0.004");
        assert_eq!(
            found.as_array().unwrap().len(),
            1,
            "one, however often it is scraped"
        );
    }
    assert_eq!(
        declared("process_resident_memory_bytes"),
        ("gauge".into(), "bytes".into())
    );
    stop.request();
}

#[test]
fn readiness_health_and_a_taken_port() {
    let telemetry = Arc::new(Telemetry::default());
    let sinks = Sinks::new(&Config::default(), Arc::clone(&telemetry)).unwrap();
    let stop = Stop::default();
    let address = http::start(
        "127.0.0.1:0",
        false,
        sinks.clone(),
        Arc::clone(&telemetry),
        stop.clone(),
    )
    .unwrap()
    .to_string();
    let status = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let answer = agent.get(format!("http://{address}{path}")).call().unwrap();
        (
            answer.status().as_u16(),
            answer.into_body().read_to_string().unwrap(),
        )
    };
    assert_eq!(status("/healthz"), (200, "ok\n".into()));
    assert_eq!(
        status("/readyz"),
        (503, "the first scan is not attached yet\n".into())
    );
    telemetry
        .ready
        .store(1, std::sync::atomic::Ordering::Release);
    assert_eq!(status("/readyz"), (200, "ready\n".into()));
    assert_eq!(
        status("/metrics"),
        (404, "export.prometheus.enabled is false\n".into())
    );
    assert_eq!(status("/").0, 404);
    let taken = http::start(
        &address,
        true,
        sinks.clone(),
        Arc::clone(&telemetry),
        stop.clone(),
    )
    .unwrap_err();
    assert_eq!(
        taken.to_string(),
        format!("another program listens on {address}")
    );
    let wrong = http::start("nowhere", true, sinks, telemetry, stop.clone()).unwrap_err();
    assert!(
        wrong
            .to_string()
            .starts_with("listen: `nowhere` is not an address and port: "),
        "{wrong}"
    );
    stop.request();
}
