use kafka_analyzer::capture::{ConnectionId, ProcessInfo};
use kafka_analyzer::observation::*;
use obi::{config::Config, export::Sinks, telemetry::Telemetry};
use std::sync::Arc;
fn x(t: &Arc<str>, p: i32) -> Exchange {
    let b = Batches {
        records: vec![100],
        bytes: vec![("none", 100_000)],
        exact: {
            let mut s = SizeCounts::default();
            s.add(1000, 100);
            s
        },
        ..Default::default()
    };
    Exchange {
        origin: Origin {
            time: 1,
            connection: ConnectionId(1),
            offset: 0,
        },
        pid: 7,
        cluster: "4L6g3nShT-eMCtK--X86sw".into(),
        client_id: "order-service-1".into(),
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
        produced: (0..3)
            .map(|i| ProducedPartition {
                topic: t.clone(),
                partition: p + i,
                error: None,
                base_offset: Some(0),
                batches: b.clone(),
            })
            .collect(),
        fetched: vec![],
        fetched_records: None,
    }
}
fn rss() -> u64 {
    std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 4096
}
#[test]
fn speed() {
    let s = Sinks::new(&Config::default(), Arc::new(Telemetry::default())).unwrap();
    s.process(&ProcessInfo {
        pid: 7,
        service: "shop".into(),
        ..Default::default()
    });
    let t: Arc<str> = "orders".into();
    let obs: Vec<Observation> = (0..100).map(|i| Observation::Exchange(x(&t, i))).collect();
    for o in &obs {
        s.observe(o)
    }
    let n = 200_000;
    let b = std::time::Instant::now();
    for i in 0..n {
        s.observe(&obs[i % 100])
    }
    println!(
        "observe: {} ns an exchange of 3 partitions",
        b.elapsed().as_nanos() / n as u128
    );
    let before = rss();
    for i in 0..17_000 {
        s.observe(&Observation::Exchange(x(&t, i)))
    }
    println!("rss of 17000 partitions: {} KiB", (rss() - before) / 1024);
    let b = std::time::Instant::now();
    let text = s.openmetrics(true);
    println!(
        "openmetrics: {} lines {} KiB in {:?}",
        text.lines().count(),
        text.len() / 1024,
        b.elapsed()
    );
    println!("rss after: {} KiB more", (rss() - before) / 1024);
}
