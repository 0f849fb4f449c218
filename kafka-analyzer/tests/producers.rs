//! How clients write to topics, from whole conversations.

mod conversation;

use conversation::messages::{
    Named, metadata_request, metadata_response, produce_request, produce_response,
};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::observation::{Observation, Producer};
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::records::Compression;
use kafka_wire::partitioner::murmur2;

const SECOND: u64 = 1_000_000_000;
const ORDERS: Named = Named::Name("orders");

fn producers(observations: &[Observation]) -> Vec<&Producer> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Producer(producer) => Some(producer),
            _ => None,
        });
    found.collect()
}

/// `orders` has this many partitions.
fn learn(talk: &mut Talk, partitions: usize) {
    let mut answer = metadata_response(&[("orders", 7)]);
    answer.topics[0].partitions = vec![MetadataResponsePartition::default(); partitions];
    talk.exchange(3, 12, 3, &metadata_request(), &answer);
}

/// 30 records with keys, each in a request of its own, placed as Java does.
fn conversation(compression: Compression) -> Talk {
    let mut talk = Talk::new(1);
    talk.exchange(
        18,
        3,
        1,
        &messages::api_versions_request(),
        &messages::api_versions_response(),
    );
    learn(&mut talk, 6);
    for n in 0..30 {
        let record = by_producer(record(0, &format!("customer-{n}"), "v"), 77, n);
        let index = murmur2(format!("customer-{n}").as_bytes(), 6);
        let body = batch(&[record], compression);
        let request = produce_request(-1, &[(ORDERS, &[(index, body)])]);
        let answer = produce_response(&[(ORDERS, &[(index, 0, i64::from(n))])]);
        talk.exchange(0, 9, 10 + n, &request, &answer);
        talk.clock += SECOND;
    }
    talk
}

#[test]
fn a_client_is_told_at_once_and_then_every_ten_seconds() {
    let talk = conversation(Compression::None);
    let observations = run(&talk.events);
    let all = producers(&observations);
    let records: Vec<_> = all.iter().map(|it| it.records).collect();
    assert_eq!(records, [1, 10, 20, 30]);
    assert_eq!(all[0].partitioner, None);
    let last = all[3];
    let total: u64 = last.partitions.iter().map(|(_, records)| records).sum();
    let most = last.partitions.iter().map(|(_, records)| *records).max();
    assert_eq!((total, last.partitions.len()), (30, 6));
    let expected = Producer {
        origin: last.origin,
        pid: 100,
        cluster: CLUSTER.into(),
        client_id: "app".into(),
        topic: "orders".into(),
        partitioner: Some("murmur2"),
        partitions: last.partitions.clone(),
        skew: most.map(|most| most as f64 / 5.0),
        idempotent: true,
        transactional: false,
        acks: Some(-1),
        batches: 30,
        records: 30,
        bytes: last.bytes,
        retries: 0,
        duplicates: 0,
    };
    assert_eq!(*last, expected);
}

#[test]
fn compressed_batches_show_their_keys_too() {
    let talk = conversation(Compression::Gzip);
    let observations = run(&talk.events);
    let last = producers(&observations).last().copied().cloned();
    assert_eq!(last.and_then(|it| it.partitioner), Some("murmur2"));
}

#[test]
fn without_spans_no_key_is_kept_and_nothing_is_said() {
    let settings = Settings {
        spans: false,
        ..Settings::default()
    };
    let talk = conversation(Compression::None);
    let (observations, _) = run_with(&settings, &talk.events, 1);
    let last = producers(&observations).last().copied().cloned();
    assert_eq!(
        last.map(|it| (it.partitioner, it.records)),
        Some((None, 30))
    );
}

#[test]
fn acks_are_told_and_an_unknown_number_of_partitions_has_no_skew() {
    for (acks, told) in [(-1, -1), (1, 1), (0, 0)] {
        let mut talk = Talk::new(1);
        talk.greet();
        let body = batch(&records(0, 3), Compression::None);
        let request = produce_request(acks, &[(ORDERS, &[(0, body)])]);
        talk.ask(0, 9, 5, &request);
        if acks != 0 {
            talk.tell(9, 5, &produce_response(&[(ORDERS, &[(0, 0, 0)])]));
        }
        let observations = run(&talk.events);
        let all = producers(&observations);
        assert_eq!(all.len(), 1);
        let only = all[0];
        assert_eq!((only.acks, only.skew, only.records), (Some(told), None, 3));
        assert_eq!((only.idempotent, only.duplicates), (false, 0));
    }
}
