//! What consumers do, as observed: exact counts under sessions, transactions, compaction, cut batches; positions and links.

mod conversation;

use bytes::Bytes;
use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, forget, metadata_response,
};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::SpanTree;
use kafka_analyzer::observation::{LagBasis, Observation, SpanKind};
use kafka_protocol::messages::BrokerId;
use kafka_protocol::records::{Compression, Record};

const ORDERS: Named = Named::Name("orders");

/// One Fetch of partition 0 from `from`, answered with `records`; the observations of it.
fn fetch(from: i64, isolation: i8, answered: Answered) -> Vec<Observation> {
    let mut talk = Talk::new(1);
    talk.greet();
    talk.exchange(
        1,
        12,
        3,
        &fetch_request((0, -1), isolation, &[(ORDERS, &[(0, from)])]),
        &fetch_response(0, &[(ORDERS, &[answered])]),
    );
    run(&talk.events)
}

fn consumed(from: i64, isolation: i8, answered: Answered) -> u64 {
    let observations = fetch(from, isolation, answered);
    fetched(&observations)
        .iter()
        .map(|partition| partition.2)
        .sum()
}

fn answered(records: Bytes) -> Answered {
    Answered {
        high_watermark: 500,
        records: Some(records),
        ..Answered::default()
    }
}

fn joined(parts: &[Bytes]) -> Bytes {
    parts.concat().into()
}

#[test]
fn records_before_the_fetch_offset_do_not_count() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let all = joined(&[
            batch(&records(100, 10), compression),
            batch(&records(110, 5), compression),
        ]);
        for (from, expected) in [(100, 15), (90, 15), (107, 8), (110, 5), (114, 1), (115, 0)] {
            assert_eq!(
                consumed(from, 0, answered(all.clone())),
                expected,
                "{compression:?} from {from}"
            );
        }
    }
}

#[test]
fn compacted_batches_are_counted_by_walking_them() {
    // Offsets 100, 103, 104, 109 are left of a batch.
    let left: Vec<Record> = [100, 103, 104, 109]
        .iter()
        .map(|offset| record(*offset, "k", "v"))
        .collect();
    for compression in [Compression::None, Compression::Lz4] {
        for (from, expected) in [
            (0, 4),
            (100, 4),
            (101, 3),
            (104, 2),
            (105, 1),
            (109, 1),
            (110, 0),
        ] {
            let all = batch(&left, compression);
            assert_eq!(
                consumed(from, 0, answered(all)),
                expected,
                "{compression:?} from {from}"
            );
        }
    }
}

#[test]
fn a_batch_that_the_broker_cut_off_does_not_count() {
    let (first, second) = (
        batch(&records(0, 4), Compression::None),
        batch(&records(4, 4), Compression::None),
    );
    for keep in [1, 16, 17, 61, 62, second.len() - 1] {
        assert_eq!(
            consumed(
                0,
                0,
                answered(joined(&[first.clone(), second.slice(..keep)]))
            ),
            4,
            "{keep} bytes"
        );
    }
    assert_eq!(consumed(0, 0, answered(joined(&[first, second]))), 8);
}

/// Fetches of partition 0, one after another, each from an offset and with what it brought: records of each.
fn consumed_one_after_another(fetches: &[(i64, Bytes)]) -> Vec<u64> {
    let mut talk = Talk::new(1);
    talk.greet();
    for (id, (from, records)) in (3..).zip(fetches) {
        talk.exchange(
            1,
            12,
            id,
            &fetch_request((0, -1), 0, &[(ORDERS, &[(0, *from)])]),
            &fetch_response(0, &[(ORDERS, &[answered(records.clone())])]),
        );
    }
    let observations = run(&talk.events);
    let counted = fetched(&observations);
    counted.iter().map(|partition| partition.2).collect()
}

#[test]
fn who_goes_on_within_a_batch_that_was_cut_off_used_what_came_of_it() {
    let of = |first, count| batch(&records(first, count), Compression::None);
    let (first, second, third) = (of(0, 4), of(4, 6), of(10, 2));
    let cut = joined(&[first.clone(), second.slice(..second.len() - 20)]);
    let rest = joined(&[second.clone(), third.clone()]);
    let goes_on = |at| consumed_one_after_another(&[(0, cut.clone()), (at, rest.clone())]);
    // Records 4 to 6 came, and were used.
    assert_eq!(goes_on(7), [4, 8]);
    assert_eq!(goes_on(4), [4, 8], "who leaves them reads them again");
    let sought = consumed_one_after_another(&[(0, cut.clone()), (11, third.clone())]);
    assert_eq!(sought, [4, 1], "elsewhere: not what was cut off");
    let whole = consumed_one_after_another(&[(0, first.clone()), (7, rest.clone())]);
    assert_eq!(whole, [4, 5], "nothing was cut off: sought");
    let nothing = consumed_one_after_another(&[(0, cut), (7, Bytes::new()), (7, rest)]);
    assert_eq!(
        nothing,
        [4, 0, 8],
        "an answer without records tells nothing"
    );
    // Cut off twice.
    let long = of(0, 8);
    let twice = [(0, long.slice(..long.len() / 2)), (3, long.clone())];
    assert_eq!(consumed_one_after_another(&twice), [0, 8]);
    let packed = batch(&records(4, 6), Compression::Gzip);
    let compressed = [
        (0, joined(&[first, packed.slice(..packed.len() - 5)])),
        (7, packed),
    ];
    assert_eq!(
        consumed_one_after_another(&compressed),
        [4, 3],
        "nobody opens a part"
    );
}

#[test]
fn aborted_and_control_records_are_left_out() {
    let transactional = |first: i64, n: i64, producer: i64| -> Bytes {
        let of = |offset: i64| Record {
            transactional: true,
            ..by_producer(record(offset, "k", "v"), producer, offset as i32)
        };
        batch(
            &(first..first + n).map(of).collect::<Vec<_>>(),
            Compression::None,
        )
    };
    // Key: version 0, type 0 abort or 1 commit.
    let marker = |offset: i64, producer: i64, kind: u8| -> Bytes {
        let mut record = by_producer(record(offset, "", ""), producer, -1);
        (record.transactional, record.control) = (true, true);
        record.key = Some(Bytes::copy_from_slice(&[0, 0, 0, kind]));
        batch(&[record], Compression::None)
    };
    let all = joined(&[
        transactional(0, 3, 7), // aborted
        transactional(3, 2, 8), // committed
        marker(5, 7, 0),
        transactional(6, 4, 7), // committed
        marker(10, 8, 1),
        marker(11, 7, 1),
        transactional(12, 5, 7), // aborted
        batch(&records(17, 1), Compression::None),
        marker(18, 7, 0),
    ]);
    let committed = Answered {
        aborted: vec![(7, 12), (7, 0)],
        ..answered(all.clone())
    };
    assert_eq!(consumed(0, 1, committed.clone()), 2 + 4 + 1);
    assert_eq!(
        consumed(0, 0, committed),
        3 + 2 + 4 + 5 + 1,
        "read uncommitted sees all but markers"
    );
    assert_eq!(
        consumed(0, 1, answered(all)),
        3 + 2 + 4 + 5 + 1,
        "nothing was aborted"
    );
}

#[test]
fn sessions_remember_offsets_and_forget_partitions() {
    let mut talk = Talk::new(1);
    talk.greet();
    let both = |index: i32, records: Bytes| Answered {
        index,
        ..answered(records)
    };
    let ten = batch(&records(0, 10), Compression::None);
    // A full request opens the session.
    talk.exchange(
        1,
        12,
        3,
        &fetch_request((0, 0), 0, &[(ORDERS, &[(0, 4), (1, 6)])]),
        &fetch_response(77, &[(ORDERS, &[both(0, ten.clone())])]),
    );
    // Partition 1 is not listed and keeps its offset 6; partition 0 goes on.
    talk.exchange(
        1,
        12,
        4,
        &fetch_request((77, 1), 0, &[(ORDERS, &[(0, 10)])]),
        &fetch_response(77, &[(ORDERS, &[both(1, ten.clone())])]),
    );
    // Partition 1 leaves the session: should it come all the same, nothing is known of its offset.
    talk.exchange(
        1,
        12,
        5,
        &forget(fetch_request((77, 2), 0, &[]), ORDERS, &[1]),
        &fetch_response(77, &[(ORDERS, &[both(1, ten)])]),
    );
    let observations = run(&talk.events);
    let seen: Vec<_> = exchanges(&observations)
        .iter()
        .flat_map(|exchange| &exchange.fetched)
        .map(|partition| {
            (
                partition.partition,
                partition.fetch_offset,
                partition.records,
            )
        })
        .collect();
    assert_eq!(seen, [(0, Some(4), 6), (1, Some(6), 4), (1, None, 10)]);
}

#[test]
fn answers_without_records_errors_and_lag() {
    let observations = fetch(
        120,
        0,
        Answered {
            high_watermark: 500,
            ..Answered::default()
        },
    );
    assert_eq!(fetched(&observations), [("orders".to_owned(), 0, 0)]);
    let lag = |observations: &[Observation]| -> Vec<(LagBasis, u64)> {
        let lags = observations
            .iter()
            .filter_map(|observation| match observation {
                Observation::Lag(lag) => Some((lag.basis, lag.messages)),
                _ => None,
            });
        lags.collect()
    };
    assert_eq!(lag(&observations), [(LagBasis::Position, 380)]);
    let ten = answered(batch(&records(100, 10), Compression::None));
    assert_eq!(
        lag(&fetch(100, 0, ten.clone())),
        [(LagBasis::Position, 390)]
    );
    assert_eq!(
        lag(&fetch(
            100,
            0,
            Answered {
                high_watermark: 50,
                ..ten
            }
        )),
        [(LagBasis::Position, 0)],
        "never negative"
    );
    let refused = Answered {
        error: 1,
        high_watermark: -1,
        ..Answered::default()
    };
    let observations = fetch(100, 0, refused);
    assert_eq!(lag(&observations), []);
    let exchange = exchanges(&observations)[2];
    assert_eq!(
        (exchange.error, exchange.fetched[0].error),
        (Some("OFFSET_OUT_OF_RANGE"), Some("OFFSET_OUT_OF_RANGE"))
    );
}

#[test]
fn followers_consume_nothing_but_show_high_watermarks() {
    let mut talk = Talk::new(1);
    talk.greet();
    let mut request = fetch_request((0, -1), 0, &[(ORDERS, &[(0, 0)])]);
    request.replica_id = BrokerId(2);
    let answer = fetch_response(
        0,
        &[(
            ORDERS,
            &[answered(batch(&records(0, 10), Compression::None))],
        )],
    );
    talk.exchange(1, 12, 3, &request, &answer);
    let observations = run(&talk.events);
    assert_eq!(fetched(&observations), []);
    assert!(spans(&observations, SpanKind::Poll).is_empty());
    let progress: Vec<_> = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::PartitionProgress(progress) => {
                Some((&*progress.topic, progress.high_watermark))
            }
            Observation::Lag(_) => panic!("a follower has no lag"),
            _ => None,
        })
        .collect();
    assert_eq!(progress, [("orders", Some(500))]);
}

#[test]
fn names_and_ids_alternate() {
    // librdkafka falls back to v12 while it does not know the ids.
    let mut talk = Talk::new(1);
    talk.exchange(
        3,
        12,
        1,
        &conversation::messages::metadata_request(),
        &metadata_response(&[("orders", 5)]),
    );
    let two = answered(batch(&records(0, 2), Compression::None));
    for (id, version, named) in [
        (2, 16, Named::Id(5)),
        (3, 12, ORDERS),
        (4, 16, Named::Id(5)),
    ] {
        talk.exchange(
            1,
            version,
            id,
            &fetch_request((0, -1), 0, &[(named, &[(0, 0)])]),
            &fetch_response(0, &[(named, std::slice::from_ref(&two))]),
        );
    }
    assert_eq!(
        fetched(&run(&talk.events)),
        vec![("orders".to_owned(), 0, 2); 3]
    );
}

#[test]
fn internal_topics_are_left_out_unless_asked_for() {
    let mut talk = Talk::new(1);
    talk.greet();
    let offsets = Named::Name("__consumer_offsets");
    let two = [answered(batch(&records(0, 2), Compression::None))];
    let request = fetch_request((0, -1), 0, &[(offsets, &[(0, 0)]), (ORDERS, &[(0, 0)])]);
    talk.exchange(
        1,
        12,
        3,
        &request,
        &fetch_response(0, &[(offsets, &two), (ORDERS, &two)]),
    );
    assert_eq!(fetched(&run(&talk.events)), [("orders".to_owned(), 0, 2)]);
    let settings = Settings {
        internal_topics: true,
        ..Settings::default()
    };
    assert_eq!(fetched(&run_with(&settings, &talk.events, 1).0).len(), 2);
}

#[test]
fn polls_link_to_creation_contexts() {
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-00";
    let sent = [
        record(10, "a", "1"),
        with_header(record(11, "b", "2"), "traceparent", context),
        with_header(record(12, "c", "3"), "traceparent", unsampled),
        record(13, "d", "4"),
    ];
    let observations = fetch(10, 0, answered(batch(&sent, Compression::None)));
    let polls = spans(&observations, SpanKind::Poll);
    assert_eq!(polls.len(), 1);
    let links: Vec<_> = polls[0]
        .links
        .iter()
        .map(|link| (link.offset, link.key.as_deref()))
        .collect();
    assert_eq!(links, [(10, Some("a")), (11, Some("b")), (13, Some("d"))]);
    assert_eq!(
        polls[0].links[1].span_id,
        [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]
    );
    assert_eq!(
        (
            polls[0].message_count,
            polls[0].parent,
            polls[0].links_dropped
        ),
        (Some(4), None, 0)
    );

    let many = fetch(0, 0, answered(batch(&records(0, 200), Compression::None)));
    let poll = spans(&many, SpanKind::Poll)[0];
    assert_eq!((poll.links.len(), poll.links_dropped), (128, 72));
}

#[test]
fn the_span_tree_says_how_polls_hang() {
    let mut talk = Talk::new(1);
    talk.greet();
    let one = [answered(batch(&records(10, 1), Compression::None))];
    let two = [Answered {
        index: 1,
        ..answered(batch(&records(20, 2), Compression::None))
    }];
    let request = fetch_request((0, -1), 0, &[(ORDERS, &[(0, 10), (1, 20)])]);
    talk.exchange(
        1,
        12,
        3,
        &request,
        &fetch_response(0, &[(ORDERS, &one), (ORDERS, &two)]),
    );
    // (partition, has a parent, links, count) of each poll.
    let shape = |span_tree: SpanTree| -> Vec<(i32, bool, usize, Option<u64>)> {
        let settings = Settings {
            span_tree,
            ..Settings::default()
        };
        let (observations, _) = run_with(&settings, &talk.events, 1);
        let polls = spans(&observations, SpanKind::Poll);
        polls
            .iter()
            .map(|poll| {
                (
                    poll.partition,
                    poll.parent.is_some(),
                    poll.links.len(),
                    poll.message_count,
                )
            })
            .collect()
    };
    assert_eq!(
        shape(SpanTree::Both),
        [(0, true, 1, None), (1, false, 2, Some(2))]
    );
    assert_eq!(
        shape(SpanTree::Links),
        [(0, false, 1, None), (1, false, 2, Some(2))]
    );
    assert_eq!(
        shape(SpanTree::Children),
        [(0, true, 0, None), (1, true, 0, None), (1, true, 0, None)]
    );
}
