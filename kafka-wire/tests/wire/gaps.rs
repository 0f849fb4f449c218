//! Bytes that were not captured: what they cost, and that they never cost more or yield what was not there.

use kafka_wire::Segment;
use kafka_wire::api::FETCH;
use kafka_wire::body::{Limits, Side};
use proptest::prelude::*;

use crate::model::{Batch, Body, Partition, Record, Share, body};
use crate::seen::{Seen, SeenRecord, decode};

/// Decodes with some ranges elided; the ranges are (start, length), any order, clipped.
fn with_gaps(
    side: Side,
    key: i16,
    version: i16,
    bytes: &[u8],
    gaps: &[(usize, usize)],
) -> Vec<Seen> {
    let mut missing = vec![false; bytes.len()];
    for (start, length) in gaps {
        missing
            .iter_mut()
            .skip(*start)
            .take(*length)
            .for_each(|byte| *byte = true);
    }
    let mut segments = Vec::new();
    let mut start = 0;
    for run in missing.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        segments.push(if run[0] {
            Segment::Elided(run.len() as u64)
        } else {
            Segment::Bytes(&bytes[start..end])
        });
        start = end;
    }
    decode(
        side,
        key,
        version,
        bytes.len(),
        Limits::default(),
        &segments,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn gaps_never_add(body in body(), gaps in prop::collection::vec((any::<prop::sample::Index>(), 1usize..80), 0..5)) {
        let (bytes, truth) = body.encode();
        if bytes.is_empty() {
            return Ok(());
        }
        let gaps: Vec<_> = gaps.iter().map(|(start, length)| (start.index(bytes.len()), *length)).collect();
        let seen = with_gaps(body.side, body.key(), body.version, &bytes, &gaps);
        let (Some(Seen::End(complete)), rest) = (seen.last(), &seen[..seen.len() - 1]) else {
            return Err(TestCaseError::fail(format!("{seen:?}")));
        };
        prop_assert!(!rest.iter().any(|event| matches!(event, Seen::End(_))));
        let structure = |events: &[Seen]| events.iter().filter(|event| is_structure(event)).cloned().collect::<Vec<_>>();
        let (true_structure, seen_structure) = (structure(&truth), structure(&seen));
        prop_assert!(is_subsequence(&seen_structure, &true_structure), "{seen_structure:#?}\n{true_structure:#?}");
        if *complete {
            prop_assert_eq!(seen_structure, true_structure);
        }
        let records = |events: &[Seen]| events.iter().filter_map(record).cloned().collect::<Vec<_>>();
        let (true_records, seen_records) = (records(&truth), records(&seen));
        prop_assert!(seen_records.len() <= true_records.len());
        let mut left = true_records.iter();
        for seen in &seen_records {
            prop_assert!(left.any(|truth| comes_from(seen, truth)), "{seen:?} is not of {true_records:?}");
        }
        if gaps.is_empty() {
            prop_assert_eq!(seen, truth);
        }
    }
}

fn is_structure(event: &Seen) -> bool {
    matches!(
        event,
        Seen::Produce { .. }
            | Seen::Fetch { .. }
            | Seen::ShareFetch { .. }
            | Seen::Acquired(..)
            | Seen::Name(_)
            | Seen::Id(_)
            | Seen::Partition(_)
            | Seen::Batch(_)
    )
}

fn record(event: &Seen) -> Option<&SeenRecord> {
    match event {
        Seen::Record(record) => Some(record),
        _ => None,
    }
}

/// Equal, or the same record with less of its key and headers.
fn comes_from(seen: &SeenRecord, truth: &SeenRecord) -> bool {
    let shape = |record: &SeenRecord| {
        (
            record.index,
            record.offset_delta,
            record.size,
            record.key_len,
            record.value_len,
        )
    };
    let starts = |truth: &Option<Vec<u8>>, seen: &Option<Vec<u8>>| match (truth, seen) {
        (Some(truth), Some(seen)) => truth.starts_with(seen),
        (truth, seen) => truth == seen,
    };
    let less = shape(seen) == shape(truth)
        && starts(&truth.key, &seen.key)
        && truth.headers.starts_with(&seen.headers);
    less && (seen.truncated || (seen.key == truth.key && seen.headers == truth.headers))
}

fn is_subsequence(some: &[Seen], all: &[Seen]) -> bool {
    let mut all = all.iter();
    some.iter().all(|event| all.any(|other| other == event))
}

fn plain(key: &str, value_len: usize) -> Record {
    let headers = vec![("h".to_owned(), Some(b"v".to_vec()))];
    Record {
        key: Some(key.as_bytes().to_vec()),
        value: Some(vec![b'.'; value_len]),
        headers,
        timestamp_delta: 0,
        offset_delta: 0,
    }
}

/// A Fetch answer v11 of one topic and these partitions; its bytes, its events, and where `needle` lies in it.
fn answer(partitions: Vec<Vec<Batch>>, needle: &[u8]) -> (Vec<u8>, Vec<Seen>, usize) {
    let partitions = partitions
        .into_iter()
        .zip(0..)
        .map(|(batches, index)| Partition {
            index,
            error_code: 0,
            offsets: (9, 9, 0),
            aborted: None,
            replica: -1,
            batches: Some(batches),
            cut: Vec::new(),
            tags: Vec::new(),
            share: Share::default(),
        });
    let body = Body {
        side: Side::Response,
        version: 11,
        transactional_id: None,
        head: (0, 0, 0),
        topics: vec![("t".to_owned(), kafka_wire::Uuid::ZERO, partitions.collect())],
        tags: Vec::new(),
        share: None,
    };
    let (bytes, events) = body.encode();
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .expect("the needle is in it");
    (bytes, events, at)
}

fn v2(records: Vec<Record>) -> Batch {
    Batch::V2 {
        base_offset: 5,
        attributes: 0,
        records,
        producer: (-1, -1, -1),
    }
}

fn keys(seen: &[Seen]) -> Vec<(String, bool)> {
    let text = |record: &SeenRecord| {
        String::from_utf8(record.key.clone().unwrap_or_default()).expect("text")
    };
    seen.iter()
        .filter_map(record)
        .map(|record| (text(record), record.truncated))
        .collect()
}

fn ends(seen: &[Seen]) -> Vec<Seen> {
    let is_end = |event: &&Seen| {
        matches!(
            event,
            Seen::BatchEnd(_) | Seen::PartitionEnd(_) | Seen::Undecodable(_) | Seen::End(_)
        )
    };
    seen.iter().filter(is_end).cloned().collect()
}

#[test]
fn a_gap_inside_a_value_costs_nothing() {
    let (bytes, events, at) = answer(
        vec![vec![v2(vec![plain("first", 500), plain("second", 9)])]],
        &[b'.'; 400],
    );
    assert_eq!(
        with_gaps(Side::Response, FETCH, 11, &bytes, &[(at, 450)]),
        events
    );
}

#[test]
fn a_gap_inside_a_key_cuts_that_key() {
    let records = vec![plain("aaa", 9), plain("bbbBBBbbb", 9), plain("ccc", 9)];
    let (bytes, _, at) = answer(vec![vec![v2(records)]], b"BBB");
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(at, 3)]);
    assert_eq!(
        keys(&seen),
        [
            ("aaa".into(), false),
            ("bbb".into(), true),
            ("ccc".into(), false)
        ]
    );
    assert_eq!(
        ends(&seen),
        [
            Seen::BatchEnd(true),
            Seen::PartitionEnd(true),
            Seen::End(true)
        ]
    );
}

#[test]
fn a_gap_over_a_value_length_costs_that_record() {
    let records = vec![plain("aaa", 9), plain("bbb", 200), plain("ccc", 9)];
    let (bytes, _, at) = answer(vec![vec![v2(records)]], b"bbb");
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(at + 3, 1)]);
    assert_eq!(keys(&seen), [("aaa".into(), false), ("ccc".into(), false)]);
    let indices: Vec<_> = seen
        .iter()
        .filter_map(record)
        .map(|record| record.index)
        .collect();
    assert_eq!(indices, [0, 2]);
    assert_eq!(
        ends(&seen),
        [
            Seen::BatchEnd(false),
            Seen::PartitionEnd(true),
            Seen::End(true)
        ]
    );
}

#[test]
fn a_gap_between_records_costs_the_rest_of_the_batch() {
    let batch = v2(vec![plain("aaa", 9), plain("bbb", 9), plain("ccc", 9)]);
    let next = v2(vec![plain("ddd", 9)]);
    let (bytes, _, at) = answer(vec![vec![batch, next]], b"bbb");
    // From the first record's headers into the second one.
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(at - 8, 9)]);
    assert_eq!(keys(&seen), [("aaa".into(), true), ("ddd".into(), false)]);
    let expected = [
        Seen::BatchEnd(false),
        Seen::BatchEnd(true),
        Seen::PartitionEnd(true),
        Seen::End(true),
    ];
    assert_eq!(ends(&seen), expected);
}

#[test]
fn a_gap_over_a_batch_header_costs_the_rest_of_the_partition() {
    let first = vec![
        v2(vec![plain("aaa", 300)]),
        v2(vec![plain("bbb", 9)]),
        v2(vec![plain("ccc", 9)]),
    ];
    let second = vec![v2(vec![plain("ddd", 9)])];
    let (bytes, _, at) = answer(vec![first, second], b"bbb");
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(at - 40, 10)]);
    assert_eq!(keys(&seen), [("aaa".into(), false), ("ddd".into(), false)]);
    let expected = [
        Seen::BatchEnd(true),
        Seen::PartitionEnd(false),
        Seen::BatchEnd(true),
        Seen::PartitionEnd(true),
        Seen::End(false),
    ];
    assert_eq!(ends(&seen), expected);
}

#[test]
fn a_gap_in_a_compressed_body_spoils_only_that_batch() {
    let sealed = |fill: u8| Batch::Sealed {
        base_offset: 1,
        codec: 4,
        count: 3,
        body: vec![fill; 100],
    };
    let (bytes, _, at) = answer(vec![vec![sealed(b'x'), sealed(b'y')]], &[b'x'; 100]);
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(at + 50, 10)]);
    let pieces: Vec<_> = seen
        .iter()
        .filter_map(|event| {
            if let Seen::Compressed(piece) = event {
                Some(piece.len())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(pieces, [50, 100]);
    let expected = [
        Seen::BatchEnd(false),
        Seen::BatchEnd(true),
        Seen::PartitionEnd(true),
        Seen::End(true),
    ];
    assert_eq!(ends(&seen), expected);
}

#[test]
fn a_gap_over_structure_ends_what_can_be_said() {
    let (bytes, _, at) = answer(
        vec![
            vec![v2(vec![plain("aaa", 9)])],
            vec![v2(vec![plain("bbb", 9)])],
        ],
        b"bbb",
    );
    // The second partition's index lies before its batch header.
    let partition_at = at - 61 - 40;
    let seen = with_gaps(Side::Response, FETCH, 11, &bytes, &[(partition_at, 4)]);
    assert_eq!(keys(&seen), [("aaa".into(), false)]);
    let expected = [
        Seen::BatchEnd(true),
        Seen::PartitionEnd(true),
        Seen::Undecodable("gap"),
        Seen::End(false),
    ];
    assert_eq!(ends(&seen), expected);
}

#[test]
fn a_body_that_never_comes_is_a_gap() {
    let seen = decode(Side::Response, FETCH, 11, 5000, Limits::default(), &[]);
    assert_eq!(seen, [Seen::Undecodable("gap"), Seen::End(false)]);
    let seen = decode(Side::Response, 4, 7, 5000, Limits::default(), &[]);
    assert_eq!(
        seen,
        [Seen::End(true)],
        "what is only framed has no structure to lose"
    );
}

#[test]
fn without_records_every_gap_in_a_batch_counts() {
    let limits = Limits {
        records: false,
        ..Limits::default()
    };
    let message = Batch::Message {
        magic: 1,
        offset: 1,
        timestamp: 1,
        codec: 0,
        key: None,
        value: Some(vec![b'x'; 90]),
    };
    for batch in [message, v2(vec![plain("k", 90)])] {
        let needle = if matches!(batch, Batch::V2 { .. }) {
            b'.'
        } else {
            b'x'
        };
        let (bytes, _, at) = answer(vec![vec![batch]], &[needle; 90]);
        let (head, tail) = (&bytes[..at + 5], &bytes[at + 15..]);
        let segments = [
            Segment::Bytes(head),
            Segment::Elided(10),
            Segment::Bytes(tail),
        ];
        let seen = decode(Side::Response, FETCH, 11, bytes.len(), limits, &segments);
        assert_eq!(
            ends(&seen),
            [
                Seen::BatchEnd(false),
                Seen::PartitionEnd(true),
                Seen::End(true)
            ]
        );
        assert_eq!(keys(&seen), []);
    }
}

#[test]
fn a_gap_inside_tags_costs_nothing() {
    let mut body = Body {
        side: Side::Response,
        version: 12,
        transactional_id: None,
        head: (0, 0, 0),
        topics: Vec::new(),
        tags: vec![(0, vec![b'#'; 50])],
        share: None,
    };
    body.topics
        .push(("t".to_owned(), kafka_wire::Uuid::ZERO, Vec::new()));
    let (bytes, events) = body.encode();
    let at = bytes
        .iter()
        .position(|byte| *byte == b'#')
        .expect("the tag is in it");
    assert_eq!(
        with_gaps(Side::Response, FETCH, 12, &bytes, &[(at + 1, 40)]),
        events
    );
}

#[test]
fn what_must_be_whole_cannot_have_a_gap() {
    let seen = with_gaps(
        Side::Response,
        kafka_wire::api::METADATA,
        12,
        &[0; 40],
        &[(20, 1)],
    );
    assert_eq!(seen, [Seen::Undecodable("gap"), Seen::End(false)]);
}
