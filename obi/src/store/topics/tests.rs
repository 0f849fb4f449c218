//! What `obi kafka topics` and `obi kafka clients` are made of, in exact values.

use kafka_analyzer::capture::ProcessInfo;

use super::*;
use crate::export::examples::{SECOND, producer};
use crate::export::measure::tests::{batches, exchange, fetched, produced};
use crate::store::clients;
use crate::store::flow::Flow;

fn processes() -> Processes {
    let processes = Processes::default();
    processes.learn(&ProcessInfo {
        pid: 7,
        service: "shop".into(),
        container_id: Some("abc".into()),
        ..ProcessInfo::default()
    });
    processes
}

fn filled() -> Store {
    let store = Store::default();
    let filter = Filter::default();
    let mut out = exchange(0, "Produce");
    let mut packed = batches(&[30, 10], "lz4", 700);
    packed.ratios = vec![("lz4", 2.0), ("lz4", 4.5)];
    out.produced = vec![
        produced("orders", 0, None, packed),
        produced(
            "orders",
            1,
            Some("REQUEST_TIMED_OUT"),
            batches(&[9], "none", 90),
        ),
    ];
    out.error = Some("REQUEST_TIMED_OUT");
    out.throttle_ms = Some(250);
    store.exchange(&out, &filter);
    store.users.producer(&producer("orders"));
    let mut inward = exchange(1, "Fetch");
    inward.fetched = vec![fetched("orders", 0, 20, batches(&[20], "none", 300))];
    store.exchange(&inward, &filter);
    inward.group = "g".into();
    store.exchange(&inward, &filter);
    store
}

fn flow(records: u64, bytes: u64) -> Flow {
    Flow {
        records,
        bytes,
        records_per_second: records as f64 / 10.0,
        bytes_per_second: bytes as f64 / 10.0,
    }
}

fn writes_of_example() -> Writes {
    Writes {
        partitioner: Some("murmur2".into()),
        skew: Some(1.5),
        idempotent: true,
        transactional: false,
        acks: Some(-1),
        batches: 4,
        records_per_batch: Some(10.0),
        bytes_per_batch: Some(2000.0),
        retries: 1,
        duplicates: 0,
    }
}

#[test]
fn who_writes_and_reads_a_topic() {
    let user = |flow: Flow| User {
        service: "shop".into(),
        pid: 7,
        client_id: "id".into(),
        host: HOST.clone(),
        container_id: Some("abc".into()),
        software: None,
        flow,
    };
    let want = Topic {
        cluster: "c1".into(),
        topic: "orders".into(),
        produced: flow(40, 700),
        consumed: flow(40, 600),
        compression_ratio: Some(3.25),
        partitions: vec![Partition {
            partition: 0,
            high_watermark: None,
            produced: flow(40, 700),
            consumed: flow(40, 600),
        }],
        producers: vec![report::Producer {
            user: user(flow(40, 700)),
            writes: Some(writes_of_example()),
        }],
        // One client, though its group was learnt late.
        consumers: vec![Consumer {
            user: user(flow(40, 600)),
            group: Some("g".into()),
        }],
    };
    let report = filled().topics(11 * SECOND, &processes());
    assert_eq!(report.topics, [want]);
    assert_eq!(filled().topics(700 * SECOND, &processes()).topics, []);
}

#[test]
fn how_a_client_behaves() {
    let report = filled().clients(11 * SECOND, &processes());
    let [client] = report.clients.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((client.requests, client.errors), (3, 1));
    assert_eq!(client.throttled_seconds, 0.25);
    assert_eq!(client.groups, ["g"]);
    let timed_out = clients::Failures {
        count: 1,
        retriable: Some(true),
    };
    let errors = BTreeMap::from([("REQUEST_TIMED_OUT".to_owned(), timed_out)]);
    let api = |requests, errors, throttled_seconds| clients::Api {
        requests,
        errors,
        throttled_seconds,
    };
    assert_eq!(
        client.apis,
        BTreeMap::from([
            ("Fetch".to_owned(), api(2, BTreeMap::new(), 0.0)),
            ("Produce".to_owned(), api(1, errors, 0.25)),
        ])
    );
    assert_eq!(
        client.writes,
        BTreeMap::from([("orders".to_owned(), writes_of_example())])
    );
}
