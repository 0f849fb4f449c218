//! The tables as a terminal of 100 columns shows them.

use super::*;
use crate::budget::bill::HookSeconds;
use crate::store::latency::Quantiles;
use crate::store::stats::{Agent, SCHEMA};

fn flow(records: u64, rate: f64) -> Flow {
    Flow {
        records,
        bytes: records * 1100,
        records_per_second: rate,
        bytes_per_second: rate * 1100.0,
    }
}

fn client(service: &str, pid: u32, id: &str, produced: Flow, consumed: Flow) -> ClientStats {
    ClientStats {
        service: service.into(),
        pid,
        client_id: id.into(),
        cluster: "4L6g3nShT-eMCtK--X86sw".into(),
        software: Some("librdkafka 2.11.1".into()),
        source: Some("openssl".into()),
        mechanism: Some("SCRAM-SHA-512".into()),
        servers: vec!["10.0.0.1:9093".into()],
        connections: 2,
        requests: 10,
        produced,
        consumed,
        errors: BTreeMap::new(),
        produce_latency: Some(Quantiles {
            p50_ms: 1.234,
            p99_ms: 18.6,
            count: 10,
        }),
        fetch_latency: None,
    }
}

fn stats(partitions: i32) -> Stats {
    let cluster = "4L6g3nShT-eMCtK--X86sw";
    let zero = Flow::default();
    let mut first = client(
        "order-service-with-a-long-name",
        1234567,
        "sarama",
        flow(1_234_567, 51_234.4),
        zero,
    );
    first.errors.insert("NOT_LEADER_OR_FOLLOWER".into(), 12);
    Stats {
        schema: SCHEMA.into(),
        agent: Agent {
            version: "0.1.0".into(),
            pid: 9,
            uptime_seconds: 3725,
            listen: Some("127.0.0.1:9464".into()),
            ready: true,
            lost: [("ring_full".to_owned(), 3)].into(),
        },
        window_seconds: 10,
        clients: vec![
            first,
            client("mail\u{1b}[31m", 77, "rdkafka", zero, flow(900, 3.25)),
        ],
        topics: vec![TopicStats {
            cluster: cluster.into(),
            topic: "orders".into(),
            partitions: partitions as u64,
            produced: flow(1_234_567, 51_234.4),
            consumed: flow(900, 3.25),
            mean_record_bytes: Some(1034.5),
            errors: [
                ("NOT_LEADER_OR_FOLLOWER".to_owned(), 12),
                ("REQUEST_TIMED_OUT".to_owned(), 1),
            ]
            .into(),
            produce_latency: Some(Quantiles {
                p50_ms: 1.234,
                p99_ms: 18.6,
                count: 10,
            }),
        }],
        partitions: (0..partitions)
            .map(|partition| PartitionStats {
                cluster: cluster.into(),
                topic: "orders".into(),
                partition,
                high_watermark: (partition != 1).then_some(1000 + i64::from(partition)),
                produced: flow(100, f64::from(partition)),
                consumed: zero,
            })
            .collect(),
        hooks: vec![
            ServiceCost {
                service: "mail".into(),
                seconds: HookSeconds {
                    tls: 1.5,
                    batches: 0.25,
                    each_message: 12.0,
                },
                share: Some(0.00481),
                budget: Some(0.005),
                sampled_share: Some(0.083),
                records_share: Some(0.06),
            },
            ServiceCost {
                service: "order-service-with-a-long-name".into(),
                seconds: HookSeconds {
                    tls: 0.001,
                    batches: 0.0,
                    each_message: 0.0,
                },
                share: None,
                budget: None,
                sampled_share: None,
                records_share: None,
            },
        ],
        forgotten: 0,
    }
}

#[test]
fn a_busy_agent() {
    let text = render(&stats(3), 20);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    insta::assert_snapshot!("busy", text);
}

#[test]
fn only_the_busiest_are_shown() {
    let text = render(&stats(50), 2);
    let partitions = text.split("PARTITIONS").nth(1).unwrap();
    assert!(
        partitions.starts_with(" (the busiest 2 of 50; --all shows the rest)\n"),
        "{partitions}"
    );
    let shown: Vec<&str> = partitions
        .lines()
        .skip(2)
        .take_while(|l| !l.is_empty())
        .map(|l| l.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(shown, ["48", "49"]);
}

#[test]
fn an_idle_agent() {
    let mut stats = stats(0);
    stats.clients.clear();
    stats.topics.clear();
    stats.agent.lost.clear();
    stats.agent.ready = false;
    assert_eq!(
        render(&stats, 20),
        "obi 0.1.0, up 1 h 2 min, not attached yet\nmetrics on http://127.0.0.1:9464/metrics\n\nno Kafka client seen yet\n"
    );
}
