//! What producers do, as observed: exact counts, sizes, errors and spans.

mod conversation;

use conversation::messages::{Named, produce_request, produce_response};
use conversation::*;
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
