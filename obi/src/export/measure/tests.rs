//! Each metric, with its exact value, from hand-made observations.

use kafka_analyzer::capture::{ConnectionId, GapReason};
use kafka_analyzer::observation::Origin;

use super::*;
use crate::export::registry::Clocks;
use crate::export::{exposition, filter};

const SECOND: u64 = 1_000_000_000;

fn origin() -> Origin {
    Origin {
        time: 10 * SECOND,
        connection: ConnectionId(1),
        offset: 0,
    }
}

pub(crate) fn exchange(api_key: i16, api: &str) -> Exchange {
    Exchange {
        origin: origin(),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: "".into(),
        api_key,
        api: api.into(),
        api_version: 9,
        correlation_id: 1,
        began: 10 * SECOND - 4_000_000,
        ended: 10 * SECOND,
        request_bytes: 500,
        response_bytes: Some(60),
        error: None,
        throttle_ms: None,
        server: Some("10.0.0.9:9093".parse().unwrap()),
        produced: Vec::new(),
        fetched: Vec::new(),
        fetched_records: None,
    }
}

pub(crate) fn batches(records: &[u32], codec: &'static str, bytes: u64) -> Batches {
    Batches {
        records: records.to_vec(),
        bytes: vec![(codec, bytes)],
        ..Batches::default()
    }
}

pub(crate) fn produced(
    topic: &str,
    partition: i32,
    error: Option<&'static str>,
    batches: Batches,
) -> ProducedPartition {
    ProducedPartition {
        topic: topic.into(),
        partition,
        error,
        base_offset: None,
        batches,
    }
}

pub(crate) fn fetched(
    topic: &str,
    partition: i32,
    records: u64,
    batches: Batches,
) -> FetchedPartition {
    FetchedPartition {
        topic: topic.into(),
        partition,
        error: None,
        fetch_offset: Some(5),
        high_watermark: Some(50),
        records,
        redelivered: 0,
        batches,
    }
}

pub(super) fn measure(topics: &[&str], otel: bool) -> Measure {
    filtered(topics, &[], otel)
}

pub(super) fn filtered(topics: &[&str], groups: &[&str], otel: bool) -> Measure {
    Measure {
        registry: Registry::new(1000, SECOND),
        filter: filter::of(topics, groups).unwrap(),
        otel,
        assigned: Default::default(),
        hanging: Default::default(),
        software: Default::default(),
    }
}

/// Sample lines of `/metrics`, without empty buckets.
pub(super) fn samples(measure: &Measure) -> Vec<String> {
    shown_at(measure, Clocks::default())
}

pub(super) fn shown_at(measure: &Measure, now: Clocks) -> Vec<String> {
    let text = exposition::openmetrics(measure.registry.snapshot(now), None);
    text.lines()
        .filter(|l| !l.starts_with('#') && !l.contains("_bucket"))
        .map(str::to_owned)
        .collect()
}

pub(super) fn sum(name: &str, labels: &str, sum: &str, count: u64) -> [String; 2] {
    [
        format!("{name}_sum{{{labels}}} {sum}"),
        format!("{name}_count{{{labels}}} {count}"),
    ]
}

fn info(service: &str, group: &str, topic: &str, role: &str) -> String {
    format!(
        "kafka_client_info{{cluster=\"c1\",service=\"{service}\",client_id=\"id\",group=\"{group}\",topic=\"{topic}\",role=\"{role}\",software=\"\"}} 1.0"
    )
}

#[test]
fn a_produce_over_two_topics_with_one_refused_partition() {
    let measure = measure(&[], false);
    let mut x = exchange(0, "Produce");
    let mut first = batches(&[3, 4], "lz4", 700);
    first.exact.add(100, 3);
    first.average.add(5000, 4);
    first.ratios = vec![("lz4", 2.5)];
    x.error = Some("NOT_LEADER_OR_FOLLOWER");
    x.produced = vec![
        produced("orders", 0, None, first),
        produced(
            "orders",
            1,
            Some("NOT_LEADER_OR_FOLLOWER"),
            batches(&[9], "lz4", 900),
        ),
        produced("audit", 2, None, batches(&[1], "none", 80)),
        produced("orders", 3, None, batches(&[2], "none", 200)),
    ];
    measure.exchange(&x, &"shop".into());
    let base = "cluster=\"c1\",service=\"shop\"";
    let mut want = vec![
        format!(
            "kafka_messages_produced_total{{{base},client_id=\"id\",topic=\"audit\",partition=\"2\"}} 1"
        ),
        format!(
            "kafka_messages_produced_total{{{base},client_id=\"id\",topic=\"orders\",partition=\"0\"}} 7"
        ),
        format!(
            "kafka_messages_produced_total{{{base},client_id=\"id\",topic=\"orders\",partition=\"3\"}} 2"
        ),
        format!("kafka_produced_bytes_total{{{base},topic=\"audit\",codec=\"none\"}} 80"),
        format!("kafka_produced_bytes_total{{{base},topic=\"orders\",codec=\"lz4\"}} 700"),
        format!("kafka_produced_bytes_total{{{base},topic=\"orders\",codec=\"none\"}} 200"),
    ];
    want.extend(sum(
        "kafka_producer_duration_seconds",
        &format!("{base},client_id=\"id\",topic=\"audit\""),
        "0.004",
        1,
    ));
    want.extend(sum(
        "kafka_producer_duration_seconds",
        &format!("{base},client_id=\"id\",topic=\"orders\""),
        "0.004",
        1,
    ));
    want.push(format!(
        "kafka_producer_errors_total{{{base},client_id=\"id\",topic=\"orders\",error_type=\"NOT_LEADER_OR_FOLLOWER\"}} 9"
    ));
    want.extend(sum(
        "kafka_producer_batch_size",
        &format!("{base},topic=\"audit\""),
        "1.0",
        1,
    ));
    want.extend(sum(
        "kafka_producer_batch_size",
        &format!("{base},topic=\"orders\""),
        "9.0",
        3,
    ));
    want.extend(sum(
        "kafka_message_size_bytes",
        &format!("{base},topic=\"orders\",basis=\"batch_avg\""),
        "20000.0",
        4,
    ));
    want.extend(sum(
        "kafka_message_size_bytes",
        &format!("{base},topic=\"orders\",basis=\"exact\""),
        "300.0",
        3,
    ));
    want.extend(sum(
        "kafka_compression_ratio",
        &format!("{base},topic=\"orders\",codec=\"lz4\""),
        "2.5",
        1,
    ));
    want.push(info("shop", "", "audit", "producer"));
    want.push(info("shop", "", "orders", "producer"));
    want.extend(sum(
        "kafka_request_duration_seconds",
        &format!("{base},api=\"Produce\""),
        "0.004",
        1,
    ));
    want.push(format!("kafka_request_errors_total{{{base},api=\"Produce\",error_type=\"NOT_LEADER_OR_FOLLOWER\"}} 1"));
    assert_eq!(samples(&measure), want);
}

#[test]
fn acks_0_counts_and_has_no_duration() {
    let measure = measure(&[], false);
    let mut x = exchange(0, "Produce");
    x.response_bytes = None;
    x.produced = vec![produced(
        "orders",
        0,
        None,
        Batches {
            records: vec![5],
            ..Batches::default()
        },
    )];
    measure.exchange(&x, &"shop".into());
    let mut want =
        vec!["kafka_messages_produced_total{cluster=\"c1\",service=\"shop\",client_id=\"id\",topic=\"orders\",partition=\"0\"} 5".to_owned()];
    want.extend(sum(
        "kafka_producer_batch_size",
        "cluster=\"c1\",service=\"shop\",topic=\"orders\"",
        "5.0",
        1,
    ));
    want.push(info("shop", "", "orders", "producer"));
    assert_eq!(samples(&measure), want);
}

#[test]
fn fetches_with_and_without_records() {
    let measure = measure(&[], false);
    let mut x = exchange(1, "Fetch");
    x.group = "g".into();
    x.fetched = vec![
        fetched("orders", 0, 40, batches(&[50], "none", 4000)),
        fetched("orders", 1, 2, batches(&[2], "zstd", 30)),
        fetched("idle", 0, 0, Batches::default()),
    ];
    measure.exchange(&x, &"mail".into());
    let mut empty = exchange(1, "Fetch");
    empty.fetched_records = Some(0);
    measure.exchange(&empty, &"mail".into());
    let not_understood = exchange(1, "Fetch");
    measure.exchange(&not_understood, &"mail".into());
    let mut closed = exchange(1, "Fetch");
    closed.response_bytes = None;
    closed.error = Some("CONNECTION_CLOSED");
    measure.exchange(&closed, &"mail".into());
    let base = "cluster=\"c1\",service=\"mail\"";
    let mut want = vec![
        format!(
            "kafka_messages_consumed_total{{{base},client_id=\"id\",group=\"g\",topic=\"orders\",partition=\"0\"}} 40"
        ),
        format!(
            "kafka_messages_consumed_total{{{base},client_id=\"id\",group=\"g\",topic=\"orders\",partition=\"1\"}} 2"
        ),
        format!("kafka_fetched_bytes_total{{{base},topic=\"orders\",codec=\"none\"}} 4000"),
        format!("kafka_fetched_bytes_total{{{base},topic=\"orders\",codec=\"zstd\"}} 30"),
    ];
    want.extend(sum(
        "kafka_fetch_batch_size",
        &format!("{base},group=\"\",topic=\"\""),
        "0.0",
        1,
    ));
    want.extend(sum(
        "kafka_fetch_batch_size",
        &format!("{base},group=\"g\",topic=\"orders\""),
        "42.0",
        1,
    ));
    want.push(info("mail", "g", "idle", "consumer"));
    want.push(info("mail", "g", "orders", "consumer"));
    want.extend(sum(
        "kafka_request_duration_seconds",
        &format!("{base},api=\"Fetch\""),
        "0.012",
        3,
    ));
    want.push(format!(
        "kafka_request_errors_total{{{base},api=\"Fetch\",error_type=\"CONNECTION_CLOSED\"}} 1"
    ));
    assert_eq!(samples(&measure), want);
}

#[test]
fn what_a_share_group_acquired_is_consumed() {
    let measure = measure(&[], false);
    let mut x = exchange(78, "ShareFetch");
    x.group = "workers".into();
    x.fetched = vec![fetched("orders", 0, 7, batches(&[7], "none", 700))];
    measure.exchange(&x, &"mail".into());
    let consumed = "kafka_messages_consumed_total{cluster=\"c1\",service=\"mail\",client_id=\"id\",group=\"workers\",topic=\"orders\",partition=\"0\"} 7";
    let all = samples(&measure);
    assert!(all.iter().any(|line| line == consumed), "{all:?}");
}

#[test]
fn the_topic_filter_hides_topics_and_makes_no_empty_answers() {
    let measure = measure(&["or*"], true);
    let mut x = exchange(1, "Fetch");
    x.fetched = vec![fetched("secret", 0, 4, batches(&[4], "none", 40))];
    measure.exchange(&x, &"mail".into());
    let mut x = exchange(0, "Produce");
    x.produced = vec![produced("secret", 0, None, batches(&[4], "none", 40))];
    measure.exchange(&x, &"mail".into());
    measure.progress(&PartitionProgress {
        origin: origin(),
        cluster: "c1".into(),
        topic: "secret".into(),
        partition: 0,
        high_watermark: Some(4),
        log_start_offset: None,
    });
    let named: Vec<&str> = measure
        .registry
        .snapshot(Clocks::default())
        .iter()
        .filter(|s| !s.series.is_empty())
        .map(|s| s.metric.name)
        .collect();
    assert_eq!(named, ["kafka_request_duration_seconds"]);
}

#[test]
fn gauges_gaps_and_frames_not_understood() {
    let measure = measure(&[], false);
    let mut progress = PartitionProgress {
        origin: origin(),
        cluster: "c1".into(),
        topic: "orders".into(),
        partition: 3,
        high_watermark: Some(77),
        log_start_offset: Some(1),
    };
    measure.progress(&progress);
    progress.high_watermark = None;
    measure.progress(&progress);
    for _ in 0..2 {
        measure.gap(&CaptureGap {
            origin: origin(),
            pid: 7,
            reason: GapReason::RingFull,
            bytes: 1000,
        });
    }
    measure.unsupported(&Unsupported {
        origin: origin(),
        pid: 7,
        api: "Fetch".into(),
        api_version: 99,
        reason: "unknown_version",
    });
    assert_eq!(
        samples(&measure),
        [
            "kafka_partition_high_watermark{cluster=\"c1\",topic=\"orders\",partition=\"3\"} 77.0",
            "obi_stream_gaps_total{reason=\"ring_full\"} 2",
            "obi_undecodable_frames_total{api=\"Fetch\",version=\"99\",reason=\"unknown_version\"} 1",
        ]
    );
}

#[test]
fn opentelemetry_metrics_have_their_own_labels() {
    let measure = measure(&[], true);
    let mut x = exchange(0, "Produce");
    x.produced = vec![produced(
        "orders",
        1,
        Some("MESSAGE_TOO_LARGE"),
        batches(&[9], "none", 9),
    )];
    measure.exchange(&x, &"shop".into());
    let mut x = exchange(1, "Fetch");
    x.fetched = vec![fetched("orders", 1, 6, batches(&[6], "none", 9))];
    measure.exchange(&x, &"mail".into());
    let show = |id: Id| -> Vec<(Vec<String>, super::super::registry::Value)> {
        let snapshot = measure
            .registry
            .snapshot(Clocks::default())
            .into_iter()
            .find(|s| s.metric.id == id)
            .unwrap();
        let mut series = snapshot.series;
        series.sort_by(|a, b| a.0.cmp(&b.0));
        series
            .into_iter()
            .map(|(labels, v)| (labels.iter().map(ToString::to_string).collect(), v))
            .collect()
    };
    let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    use super::super::registry::Value::Counter;
    assert_eq!(
        show(Id::SentMessages),
        [(
            words("shop|send|orders|1|MESSAGE_TOO_LARGE|10.0.0.9|9093"),
            Counter(9)
        )]
    );
    assert_eq!(
        show(Id::ConsumedMessages),
        [(words("mail|poll|orders|1||10.0.0.9|9093"), Counter(6))]
    );
    let durations: Vec<_> = show(Id::OperationDuration)
        .into_iter()
        .map(|(labels, _)| labels)
        .collect();
    assert_eq!(
        durations,
        [
            words("mail|poll|receive|orders|||10.0.0.9|9093"),
            words("shop|send|send|orders||MESSAGE_TOO_LARGE|10.0.0.9|9093")
        ]
    );
}
