//! What producers do, as observed: exact counts, sizes, errors and spans.

mod conversation;

use conversation::messages::{Named, produce_request, produce_response};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::observation::SpanKind;
use kafka_protocol::records::Compression;

const ORDERS: Named = Named::Name("orders");

#[test]
fn pipelined_requests_over_topics_and_partitions() {
    let mut talk = Talk::new(1);
    talk.greet();
    let (a, b) = (
        batch(&records(0, 3), Compression::None),
        batch(&records(0, 2), Compression::None),
    );
    let first = produce_request(
        -1,
        &[
            (ORDERS, &[(0, a.clone()), (2, b.clone())]),
            (Named::Name("audit"), &[(1, a.clone())]),
        ],
    );
    let second = produce_request(-1, &[(ORDERS, &[(0, b)])]);
    talk.ask(0, 9, 3, &first);
    talk.ask(0, 9, 4, &second);
    talk.tell(
        9,
        3,
        &produce_response(&[
            (ORDERS, &[(0, 0, 100), (2, 6, -1)]),
            (Named::Name("audit"), &[(1, 0, 7)]),
        ]),
    );
    talk.tell(9, 4, &produce_response(&[(ORDERS, &[(0, 0, 103)])]));
    let observations = run(&talk.events);
    let expected = [
        ("orders".to_owned(), 0, None, 3),
        ("orders".to_owned(), 2, Some("NOT_LEADER_OR_FOLLOWER"), 2),
        ("audit".to_owned(), 1, None, 3),
        ("orders".to_owned(), 0, None, 2),
    ];
    assert_eq!(produced(&observations), expected);
    let exchanges = exchanges(&observations);
    let shape: Vec<_> = exchanges
        .iter()
        .map(|e| (&*e.api, e.began, e.ended, &*e.cluster, e.error))
        .collect();
    assert_eq!(
        shape,
        [
            ("ApiVersions", 2000, 3010, CLUSTER, None),
            ("Metadata", 4000, 5010, CLUSTER, None),
            (
                "Produce",
                6000,
                8010,
                CLUSTER,
                Some("NOT_LEADER_OR_FOLLOWER")
            ),
            ("Produce", 7000, 9010, CLUSTER, None),
        ]
    );
    let bytes = exchanges[3].produced[0].batches.bytes.clone();
    assert_eq!(
        bytes,
        [(
            "none",
            batch(&records(0, 2), Compression::None).len() as u64
        )]
    );
    // Sizes: attributes, two deltas, key, value and headers, each with its length: 1+1+1+(1+2)+(1+7)+1.
    let exact = &exchanges[3].produced[0].batches.exact;
    assert_eq!((exact.count, exact.sum), (2, 2 * 15));
    let sends: Vec<_> = spans(&observations, SpanKind::Send)
        .iter()
        .map(|span| (&*span.topic, span.partition, span.offset, span.error))
        .collect();
    let refused = Some("NOT_LEADER_OR_FOLLOWER");
    assert_eq!(
        sends,
        [
            ("orders", 0, Some(100), None),
            ("orders", 0, Some(101), None),
            ("orders", 0, Some(102), None),
            ("orders", 2, None, refused),
            ("orders", 2, None, refused),
            ("audit", 1, Some(7), None),
            ("audit", 1, Some(8), None),
            ("audit", 1, Some(9), None),
            ("orders", 0, Some(103), None),
            ("orders", 0, Some(104), None),
        ]
    );
}

#[test]
fn acks_zero_has_no_answer() {
    let mut talk = Talk::new(1);
    talk.greet();
    let three = batch(&records(0, 3), Compression::None);
    talk.ask(
        0,
        7,
        3,
        &produce_request(0, &[(ORDERS, &[(0, three.clone())])]),
    );
    talk.ask(0, 7, 4, &produce_request(1, &[(ORDERS, &[(1, three)])]));
    talk.tell(7, 4, &produce_response(&[(ORDERS, &[(1, 0, 50)])]));
    let observations = run(&talk.events);
    assert_eq!(
        produced(&observations),
        [
            ("orders".to_owned(), 0, None, 3),
            ("orders".to_owned(), 1, None, 3)
        ]
    );
    let exchanges = exchanges(&observations);
    assert_eq!(
        (
            exchanges[2].began,
            exchanges[2].ended,
            exchanges[2].response_bytes
        ),
        (6000, 6010, None)
    );
    // Nobody can know the offsets, and without a producer id there is no address.
    let sends = spans(&observations, SpanKind::Send);
    let addresses: Vec<_> = sends
        .iter()
        .map(|span| (span.offset, span.address.starts_with("o:")))
        .collect();
    assert_eq!(addresses[..3], [(None, false); 3]);
    assert_eq!(
        addresses[3..],
        [(Some(50), true), (Some(51), true), (Some(52), true)]
    );
}

#[test]
fn outstanding_when_the_connection_closes() {
    let mut talk = Talk::new(1);
    talk.greet();
    let three = batch(&records(0, 3), Compression::None);
    let request = produce_request(-1, &[(ORDERS, &[(0, three)])]);
    talk.ask(0, 9, 3, &request);
    talk.ask(0, 9, 4, &request);
    talk.ask(0, 9, 5, &request);
    talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 9)])]));
    // Half an answer to the second one.
    talk.read(response(9, 4, &produce_response(&[(ORDERS, &[(0, 0, 12)])]))[..20].to_vec());
    talk.close();
    let observations = run(&talk.events);
    let closed = Some("CONNECTION_CLOSED");
    let orders = |error| ("orders".to_owned(), 0, error, 3);
    assert_eq!(
        produced(&observations),
        [orders(None), orders(closed), orders(closed)]
    );
    let errors: Vec<_> = exchanges(&observations)
        .iter()
        .map(|exchange| (exchange.error, exchange.ended))
        .collect();
    assert_eq!(
        errors[2..],
        [(None, 9010), (closed, 11_000), (closed, 11_000)]
    );
}

#[test]
fn unanswered_requests_time_out() {
    let mut talk = Talk::new(1);
    talk.greet();
    let three = batch(&records(0, 3), Compression::None);
    talk.ask(0, 9, 3, &produce_request(-1, &[(ORDERS, &[(0, three)])]));
    let mut events = talk.events;
    events.push(Captured::Tick {
        time: 400_000_000_000,
    });
    let observations = run(&events);
    assert_eq!(
        produced(&observations),
        [("orders".to_owned(), 0, Some("TIMEOUT"), 3)]
    );
    assert_eq!(exchanges(&observations)[2].ended, 300_000_006_010);
}

#[test]
fn compressed_batches_are_counted_by_header_and_opened_for_sizes() {
    for compression in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut talk = Talk::new(1);
        talk.greet();
        let mut sent = records(0, 40);
        sent[3] = with_header(sent[3].clone(), "shop", "north");
        sent[3] = with_header(sent[3].clone(), "Api-Token", "s3cret");
        sent[4].value = None;
        let body = batch(&sent, compression);
        talk.ask(
            0,
            9,
            3,
            &produce_request(1, &[(ORDERS, &[(0, body.clone())])]),
        );
        talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 1000)])]));
        let observations = run(&talk.events);
        let exchange = exchanges(&observations)[2];
        let batches = &exchange.produced[0].batches;
        assert_eq!(batches.records, [40], "{compression:?}");
        assert_eq!(batches.bytes[0].1, body.len() as u64);
        let plain = batch(&sent, Compression::None).len() as f64 - 61.0;
        assert_eq!(
            batches.ratios,
            [(batches.bytes[0].0, plain / (body.len() as f64 - 61.0))]
        );
        assert_eq!((batches.exact.count, batches.average.count), (40, 0));
        let sends = spans(&observations, SpanKind::Send);
        assert_eq!(sends.len(), 40);
        for (i, span) in sends.iter().enumerate() {
            assert_eq!(
                (span.offset, span.key.as_deref()),
                (Some(1000 + i as i64), Some(format!("k{i}").as_str()))
            );
            assert_eq!(
                (span.began, span.ended, span.codec),
                (6000, 7010, batches.bytes[0].0)
            );
            assert_eq!(span.timestamp_ms, Some(1_700_000_000_000 + i as i64));
        }
        let masked = [
            ("shop".to_owned(), "north".to_owned()),
            ("Api-Token".to_owned(), "***".to_owned()),
        ];
        assert_eq!(sends[3].headers, masked);
        assert_eq!((sends[3].body_size, sends[3].tombstone), (Some(7), false));
        assert_eq!((sends[4].body_size, sends[4].tombstone), (None, true));
    }
}

#[test]
fn what_is_not_opened_is_an_average() {
    let settings = Settings {
        spans_per_second: 0,
        ..Settings::default()
    };
    let mut talk = Talk::new(1);
    talk.greet();
    let body = batch(&records(0, 40), Compression::Gzip);
    talk.ask(
        0,
        9,
        3,
        &produce_request(1, &[(ORDERS, &[(0, body.clone())])]),
    );
    talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 1000)])]));
    let (observations, _) = run_with(&settings, &talk.events, 1);
    let batches = &exchanges(&observations)[2].produced[0].batches;
    let average = (body.len() as u64 - 61) / 40;
    assert_eq!(
        (
            batches.exact.count,
            batches.average.count,
            batches.average.sum
        ),
        (0, 40, 40 * average)
    );
    assert_eq!(batches.ratios, []);
    assert!(spans(&observations, SpanKind::Send).is_empty());
}

#[test]
fn an_answer_that_cannot_be_read_acknowledges_nothing() {
    let mut talk = Talk::new(1);
    talk.greet();
    talk.ask(
        0,
        9,
        3,
        &produce_request(
            1,
            &[(ORDERS, &[(0, batch(&records(0, 3), Compression::None))])],
        ),
    );
    let mut answer = response(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 1000)])]));
    answer[10] = 0x7f;
    talk.read(answer);
    let observations = run(&talk.events);
    assert_eq!(produced(&observations), []);
    assert_eq!(
        unsupported(&observations),
        [("Produce".to_owned(), 9, "truncated")]
    );
    assert_eq!(exchanges(&observations).len(), 3);
}

#[test]
fn a_gap_in_record_values_costs_nothing_and_one_over_a_batch_header_costs_its_partition() {
    let long = |i: i64| record(i, "key", &"v".repeat(3000));
    let one = batch(&[long(0), long(1)], Compression::None);
    let frame = request(
        0,
        9,
        3,
        Some("app"),
        &produce_request(1, &[(ORDERS, &[(0, one.clone()), (1, one)])]),
    );
    let whole = [
        ("orders".to_owned(), 0, None, 2),
        ("orders".to_owned(), 1, None, 2),
    ];
    // (from, length): inside the first value; over the header of the second partition's batch.
    for (from, length, expected) in [(200, 2500, &whole[..]), (6000, 300, &whole[..1])] {
        let mut talk = Talk::new(1);
        talk.greet();
        talk.write(frame[..from].to_vec());
        talk.gap(
            kafka_analyzer::capture::Direction::Write,
            length as u64,
            kafka_analyzer::capture::GapReason::PageFault,
        );
        talk.write(frame[from + length..].to_vec());
        talk.tell(
            9,
            3,
            &produce_response(&[(ORDERS, &[(0, 0, 9), (1, 0, 9)])]),
        );
        let mut seen = produced(&run(&talk.events));
        seen.retain(|partition| partition.3 > 0);
        assert_eq!(seen, expected, "gap at {from}");
    }
}
