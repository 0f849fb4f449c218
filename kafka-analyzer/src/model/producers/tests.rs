//! Partitioners are told from what is sent, and only when it is sure; tables are bounded.

use kafka_wire::partitioner::{crc32, fnv1a, murmur2};
use kafka_wire::record_batch::{BatchHeader, Codec};

use super::*;
use crate::fact::{Content, KeptRecord, Sample, Sequence, Topic};

fn kept(key: Option<&[u8]>) -> KeptRecord {
    KeptRecord {
        offset_delta: 0,
        timestamp_delta: 0,
        size: 10,
        value_len: Some(1),
        key: key.map(Into::into),
        headers: Box::default(),
        truncated: false,
    }
}

fn header() -> BatchHeader {
    BatchHeader {
        magic: 2,
        base_offset: 0,
        wire_len: 100,
        body_len: 39,
        codec: Codec::None,
        attributes: 0,
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 1,
    }
}

/// One batch to a partition, acknowledged at 0.
fn partition(index: i32, keys: &[Option<&[u8]>], records: u64) -> (Arc<str>, Partition) {
    let mut partition = Partition::new(Topic::Name("t".into()), index);
    partition.base_offset = Some(0);
    partition.records = records;
    partition.batches.records = vec![records as u32];
    partition.batches.bytes = vec![("none", 100)];
    if !keys.is_empty() {
        partition.samples = vec![Sample {
            header: header(),
            records_before: 0,
            from_offset: None,
            counted: records,
            batch: 0,
            level: 0,
            content: Content::Records(keys.iter().map(|key| kept(*key)).collect()),
        }];
    }
    ("t".into(), partition)
}

fn exchange(clock: Nanos) -> fact::Exchange {
    fact::Exchange {
        client_id: "app".into(),
        task: None,
        api_key: 0,
        api_version: 9,
        correlation_id: 1,
        began: clock - 500,
        ended: clock,
        request_bytes: 10,
        response_bytes: Some(10),
        error: None,
        throttle_ms: None,
        server: None,
        produced: Vec::new(),
        fetched: Vec::new(),
        replica: false,
        decoded: true,
        acks_all: true,
        transactional_id: None,
        read_committed: false,
        asked: None,
        detail: None,
    }
}

struct Table {
    all: Producers,
    clock: Nanos,
    losses: Losses,
    out: Vec<Observation>,
}

impl Table {
    fn of(count: u32) -> Table {
        let mut all = Producers::default();
        assert_eq!(all.counts(&"c".into(), &[("t".into(), count)]), 0);
        Table {
            all,
            clock: 1000,
            losses: Losses::default(),
            out: Vec::new(),
        }
    }

    fn produce(&mut self, produced: &[(Arc<str>, Partition)]) {
        self.clock += 1_000_000;
        let (labels, exchange) = (Labels::example(self.clock, 1), exchange(self.clock));
        self.all.advance(self.clock, &mut self.out);
        self.all.exchange(
            &labels,
            &exchange,
            produced,
            &mut self.losses,
            &mut self.out,
        );
    }

    fn told(&mut self) -> Producer {
        self.all.finish(&mut self.out);
        match self.out.last() {
            Some(Observation::Producer(producer)) => producer.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn keyed(count: i32, keys: usize, place: impl Fn(&[u8]) -> i32) -> Option<&'static str> {
    let mut table = Table::of(count as u32);
    for n in 0..keys {
        let key = format!("customer-{n}");
        table.produce(&[partition(place(key.as_bytes()), &[Some(key.as_bytes())], 1)]);
    }
    table.told().partitioner
}

#[test]
fn keys_tell_the_hash() {
    assert_eq!(keyed(6, 40, |key| murmur2(key, 6)), Some("murmur2"));
    assert_eq!(keyed(6, 40, |key| crc32(key, 6)), Some("crc32"));
    assert_eq!(keyed(6, 40, |key| fnv1a(key, 6)), Some("fnv1a"));
    assert_eq!(keyed(6, 40, |key| key.len() as i32 % 6), Some("explicit"));
    assert_eq!(keyed(6, 7, |key| murmur2(key, 6)), None, "too few keys");
    assert_eq!(keyed(1, 40, |_| 0), None, "one partition");
    // The client saw another number of partitions than we.
    assert_eq!(keyed(6, 40, |key| murmur2(key, 5)), Some("explicit"));
}

#[test]
fn the_same_key_again_is_no_evidence() {
    let mut table = Table::of(6);
    for _ in 0..100 {
        table.produce(&[partition(murmur2(b"k", 6), &[Some(b"k")], 1)]);
    }
    assert_eq!(table.told().partitioner, None);
}

#[test]
fn a_new_number_of_partitions_begins_anew() {
    let mut table = Table::of(3);
    for n in 0..20 {
        let key = format!("k{n}");
        table.produce(&[partition(
            murmur2(key.as_bytes(), 3),
            &[Some(key.as_bytes())],
            1,
        )]);
    }
    assert_eq!(table.told().partitioner, Some("murmur2"));
    table.all.counts(&"c".into(), &[("t".into(), 12)]);
    for n in 0..20 {
        let key = format!("k{n}");
        table.produce(&[partition(
            murmur2(key.as_bytes(), 12),
            &[Some(key.as_bytes())],
            1,
        )]);
    }
    assert_eq!(table.told().partitioner, Some("murmur2"));
}

#[test]
fn unkeyed_batches_in_turn_or_one_at_a_time() {
    // Each linger a request with all three.
    let mut table = Table::of(3);
    for n in 0..10 {
        let all: Vec<_> = (0..3)
            .map(|index| partition(index, &[None], 7 + (n + index as u64) % 2))
            .collect();
        table.produce(&all);
    }
    assert_eq!(table.told().partitioner, Some("round_robin"));

    // Whole batches, never the same one twice.
    let mut table = Table::of(6);
    let order = [
        0, 3, 1, 3, 0, 5, 2, 5, 4, 1, 4, 0, 1, 0, 2, 1, 5, 3, 5, 2, 4, 2, 0, 3, 1, 2, 1, 4, 5, 4,
    ];
    for index in order {
        table.produce(&[partition(index, &[None], 100 + index as u64)]);
    }
    assert_eq!(table.told().partitioner, Some("sticky"));

    // Small batches, a partition until its 16 KiB are full.
    let mut table = Table::of(6);
    for n in 0..40 {
        table.produce(&[partition(n / 10, &[None], 1)]);
    }
    assert_eq!(table.told().partitioner, Some("sticky"));

    // One record at a time, anywhere: may be either.
    let mut table = Table::of(6);
    for index in order {
        table.produce(&[partition(index, &[None], 1)]);
    }
    assert_eq!(table.told().partitioner, None);

    // To and fro between two.
    let mut table = Table::of(2);
    for n in 0..40 {
        table.produce(&[partition(n % 2, &[None], 50)]);
    }
    assert_eq!(table.told().partitioner, None);
}

#[test]
fn counts_retries_and_duplicates() {
    let mut table = Table::of(4);
    let sent = |base: i32, error: Option<&'static str>, base_offset: Option<i64>| {
        let (topic, mut partition) = partition(2, &[], 10);
        partition.sequence = Some(Sequence {
            producer: ProducerId { id: 5, epoch: 0 },
            base,
            transactional: true,
        });
        (partition.error, partition.base_offset) = (error, base_offset);
        (topic, partition)
    };
    table.produce(&[sent(0, None, Some(0))]);
    table.produce(&[sent(10, Some("NOT_LEADER_OR_FOLLOWER"), None)]);
    table.produce(&[sent(10, None, Some(10))]);
    table.produce(&[sent(20, Some("CONNECTION_CLOSED"), None)]);
    table.produce(&[sent(20, None, None)]);
    table.produce(&[sent(20, Some("DUPLICATE_SEQUENCE_NUMBER"), None)]);
    table.produce(&[partition(0, &[], 10)]);
    let origin = Labels::example(table.clock, 1).origin;
    let expected = Producer {
        origin,
        pid: 1,
        cluster: "c".into(),
        client_id: "app".into(),
        topic: "t".into(),
        partitioner: None,
        partitions: vec![(0, 10), (2, 30)],
        skew: Some(3.0),
        idempotent: true,
        transactional: true,
        acks: Some(-1),
        batches: 4,
        records: 40,
        bytes: 400,
        retries: 3,
        duplicates: 2,
    };
    assert_eq!(table.told(), expected);
    assert_eq!(table.out.len(), 2, "at once, and at the end");
}

#[test]
fn tables_are_bounded_and_forget() {
    let mut table = Table::of(4);
    for pid in 0..LINES_MOST as u32 + 3 {
        table.clock += 1000;
        let (labels, exchange) = (Labels::example(table.clock, pid), exchange(table.clock));
        let produced = [partition(pid as i32, &[], 1)];
        table.all.exchange(
            &labels,
            &exchange,
            &produced,
            &mut table.losses,
            &mut table.out,
        );
    }
    assert_eq!(table.all.lines.len(), LINES_MOST);
    assert_eq!(table.losses.get("producer_table_full"), 3);
    table.all.advance(table.clock + RETENTION, &mut table.out);
    assert_eq!((table.all.lines.len(), table.all.schedule.len()), (0, 0));
    assert_eq!(table.all.partitions, 0);

    let many: Vec<_> = (0..PARTITIONS_MOST as i32 + 7)
        .map(|index| partition(index, &[], 1))
        .collect();
    table.produce(&many);
    assert_eq!(table.losses.get("producer_partitions_full"), 7);
    assert_eq!(table.told().records, PARTITIONS_MOST as u64 + 7);
}
