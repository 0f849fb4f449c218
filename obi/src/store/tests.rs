//! What `obi kafka stats` shows, in exact values, and its caps.

use kafka_analyzer::capture::ProcessInfo;
use kafka_analyzer::observation::Origin;

use super::*;
use crate::export::measure::tests::{batches, exchange, fetched, produced};
use flow::Flow;
use latency::Quantiles;

const SECOND: Nanos = 1_000_000_000;

fn all() -> Filter {
    Filter::default()
}

fn processes() -> Processes {
    let processes = Processes::default();
    processes.learn(&ProcessInfo {
        pid: 7,
        service: "shop".into(),
        ..ProcessInfo::default()
    });
    processes
}

fn client(connection: u64, closed: bool) -> Client {
    Client {
        origin: Origin {
            time: 10 * SECOND,
            connection: ConnectionId(connection),
            offset: 0,
        },
        pid: 7,
        client_id: "id".into(),
        cluster: "c1".into(),
        software: (connection == 1).then(|| ("librdkafka".to_owned(), "2.11.1".to_owned())),
        mechanism: (connection == 1).then(|| "SCRAM-SHA-512".to_owned()),
        server: Some(format!("10.0.0.{connection}:9093").parse().unwrap()),
        source: "openssl",
        closed,
    }
}

#[test]
fn one_client_with_everything() {
    let store = Store::default();
    store.client(&client(1, false));
    store.client(&client(2, false));
    store.client(&client(3, false));
    store.client(&client(3, true));
    for second in 1..=10 {
        let mut x = exchange(0, "Produce");
        x.origin.time = second * SECOND;
        let mut ok = batches(&[3, 4], "lz4", 700);
        ok.exact.add(100, 3);
        ok.average.add(200, 4);
        x.produced = vec![
            produced("orders", 0, None, ok),
            produced(
                "orders",
                1,
                Some("NOT_LEADER_OR_FOLLOWER"),
                batches(&[9], "lz4", 900),
            ),
        ];
        x.error = Some("NOT_LEADER_OR_FOLLOWER");
        store.exchange(&x, &all());
    }
    let mut x = exchange(1, "Fetch");
    x.fetched = vec![fetched("orders", 0, 40, batches(&[50], "none", 4000))];
    store.exchange(&x, &all());
    store.progress(&PartitionProgress {
        origin: x.origin,
        cluster: "c1".into(),
        topic: "orders".into(),
        partition: 0,
        high_watermark: Some(70),
        log_start_offset: None,
    });
    let agent = Agent {
        version: "0".into(),
        ..Agent::default()
    };
    let stats = store.stats(11 * SECOND, agent.clone(), &processes());
    let out = Flow {
        records: 70,
        bytes: 7000,
        records_per_second: 7.0,
        bytes_per_second: 700.0,
    };
    let inward = Flow {
        records: 40,
        bytes: 4000,
        records_per_second: 4.0,
        bytes_per_second: 400.0,
    };
    let four = |count| {
        Some(Quantiles {
            p50_ms: 3.92,
            p99_ms: 3.92,
            count,
        })
    };
    let errors = BTreeMap::from([("NOT_LEADER_OR_FOLLOWER".to_owned(), 10)]);
    let want = Stats {
        schema: "obi.kafka.stats/1".into(),
        agent,
        window_seconds: 10,
        clients: vec![ClientStats {
            service: "shop".into(),
            pid: 7,
            client_id: "id".into(),
            cluster: "c1".into(),
            software: Some("librdkafka 2.11.1".into()),
            source: Some("openssl".into()),
            mechanism: Some("SCRAM-SHA-512".into()),
            servers: vec!["10.0.0.1:9093".into(), "10.0.0.2:9093".into()],
            connections: 2,
            requests: 11,
            produced: out,
            consumed: inward,
            errors: errors.clone(),
            produce_latency: four(10),
            fetch_latency: four(1),
        }],
        topics: vec![TopicStats {
            cluster: "c1".into(),
            topic: "orders".into(),
            partitions: 1,
            produced: out,
            consumed: inward,
            mean_record_bytes: Some(157.1),
            errors,
            produce_latency: four(10),
        }],
        partitions: vec![PartitionStats {
            cluster: "c1".into(),
            topic: "orders".into(),
            partition: 0,
            high_watermark: Some(70),
            produced: out,
            consumed: inward,
        }],
        forgotten: 0,
    };
    assert_eq!(stats, want);
    let schema = serde_json::to_value(stats::schema()).unwrap();
    jsonschema::validate(&schema, &serde_json::to_value(&stats).unwrap()).unwrap();
    // Ten idle minutes later only the open connections are left.
    let later = store.stats(700 * SECOND, Agent::default(), &processes());
    assert_eq!(
        (
            later.clients.len(),
            later.topics.len(),
            later.partitions.len()
        ),
        (1, 0, 0)
    );
}

#[test]
fn hidden_topics_are_not_shown() {
    let store = Store::default();
    let mut x = exchange(0, "Produce");
    x.produced = vec![produced("secret", 0, None, batches(&[3], "none", 70))];
    store.exchange(&x, &crate::export::filter::of(&["orders"], &[]).unwrap());
    let stats = store.stats(11 * SECOND, Agent::default(), &processes());
    assert_eq!((stats.topics.len(), stats.partitions.len()), (0, 0));
    assert_eq!(
        (stats.clients[0].requests, stats.clients[0].produced.records),
        (1, 0)
    );
}

#[test]
fn full_tables_forget_the_oldest_and_say_so() {
    let store = Store::default();
    for n in 0..2_003 {
        let mut x = exchange(0, "Produce");
        x.client_id = format!("client-{n}").into();
        store.exchange(&x, &all());
    }
    let stats = store.stats(11 * SECOND, Agent::default(), &processes());
    assert_eq!((stats.clients.len(), stats.forgotten), (2_000, 3));
    assert!(!stats.clients.iter().any(|c| c.client_id == "client-0"));
}
