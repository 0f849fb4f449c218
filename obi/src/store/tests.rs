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
        hooks: Vec::new(),
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

/// Validates against the committed schema; `what` is in the answer.
fn fits(name: &str, answer: impl serde::Serialize, what: &str) {
    let path = format!(
        "{}/../config/schema/obi.{name}.1.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let schema = std::fs::read_to_string(path).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&answer)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{answer}");
    assert_eq!(answer["schema"], format!("obi.{name}/1"));
    assert!(answer.to_string().contains(what), "{answer}");
}

#[test]
fn what_is_observed_is_answered_as_the_schemas_say() {
    use crate::config::Config;
    use crate::export::{Sinks, examples};
    use kafka_analyzer::observation::{Basis, EventKind, LagBasis, Observation, TransactionState};
    let sinks = Sinks::new(&Config::default(), Default::default()).unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now.tv_sec as u64 * SECOND;
    sinks.clock(now, 1_795_425_059 * SECOND);
    let mut out = exchange(0, "Produce");
    out.produced = vec![produced("orders", 0, None, batches(&[3], "lz4", 700))];
    out.origin.time = now;
    let (mut lag, mut group) = (
        examples::lag("g", 0, LagBasis::Committed, 12),
        examples::group(
            "g",
            Some((Basis::Local, 1)),
            vec![examples::member("m", 7, &[0])],
        ),
    );
    (lag.origin.time, group.origin.time) = (now, now);
    let mut transaction = examples::transaction(TransactionState::Ongoing);
    transaction.origin.time = now;
    let mut event = examples::event(EventKind::Fencing);
    event.origin.time = now;
    for observation in [
        Observation::Exchange(out),
        Observation::Lag(lag),
        Observation::Commit(examples::commit("g")),
        Observation::CommittedOffset(examples::committed("g", 0, 60)),
        Observation::Group(group),
        Observation::Producer(examples::producer("orders")),
        Observation::Transaction(transaction),
        Observation::Event(event),
    ] {
        sinks.observe(&observation);
    }
    fits("groups", sinks.groups(), "\"lag\":12");
    fits("topics", sinks.topics(), "\"partitioner\":\"murmur2\"");
    fits("clients", sinks.clients(), "\"records_per_batch\":10.0");
    fits("transactions", sinks.transactions(), "[\"orders\",1]");
    fits("events", sinks.events(), "\"time_ms\":1795425059000");
}
