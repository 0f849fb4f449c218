//! Spans of the two ends of a record: what joins them, what is never doubled, what is hidden.

mod conversation;

use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, produce_request, produce_response,
};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::observation::{Observation, SpanKind};
use kafka_protocol::records::{Compression, Record};

const ORDERS: Named = Named::Name("orders");

/// A producer's agent sees `sent` (offsets and sequences from 0); acknowledged at `base_offset`.
fn producer(
    settings: &Settings,
    sent: &[Record],
    compression: Compression,
    base_offset: i64,
) -> Vec<Observation> {
    let mut talk = Talk::new(3);
    talk.greet();
    let request = produce_request(-1, &[(ORDERS, &[(4, batch(sent, compression))])]);
    talk.exchange(
        0,
        9,
        3,
        &request,
        &produce_response(&[(ORDERS, &[(4, 0, base_offset)])]),
    );
    run_with(settings, &talk.events, 1).0
}

/// A consumer's agent sees the same records as the broker stored them.
fn consumer(
    settings: &Settings,
    sent: &[Record],
    compression: Compression,
    base_offset: i64,
) -> Vec<Observation> {
    let mut talk = Talk::new(8);
    talk.client_id = Some("reader");
    talk.greet();
    let stored: Vec<Record> = sent
        .iter()
        .map(|record| Record {
            offset: record.offset + base_offset,
            ..record.clone()
        })
        .collect();
    let answered = [Answered {
        index: 4,
        records: Some(batch(&stored, compression)),
        ..Answered::default()
    }];
    talk.exchange(
        1,
        12,
        3,
        &fetch_request((0, -1), 0, &[(ORDERS, &[(4, base_offset)])]),
        &fetch_response(0, &[(ORDERS, &answered)]),
    );
    run_with(settings, &talk.events, 1).0
}

fn sends(observations: &[Observation]) -> Vec<([u8; 16], [u8; 8])> {
    spans(observations, SpanKind::Send)
        .iter()
        .map(|span| (span.trace_id, span.span_id))
        .collect()
}

fn links(observations: &[Observation]) -> Vec<([u8; 16], [u8; 8])> {
    let polls = spans(observations, SpanKind::Poll);
    polls
        .iter()
        .flat_map(|poll| &poll.links)
        .map(|link| (link.trace_id, link.span_id))
        .collect()
}

#[test]
fn two_agents_derive_the_same_ids() {
    let settings = Settings::default();
    let plain = records(0, 20);
    let idempotent: Vec<_> = plain
        .iter()
        .map(|record| by_producer(record.clone(), 4711, record.offset as i32))
        .collect();
    for compression in [Compression::None, Compression::Snappy] {
        for sent in [&plain, &idempotent] {
            let sends = sends(&producer(&settings, sent, compression, 90_000));
            assert_eq!(sends.len(), 20);
            assert_eq!(
                links(&consumer(&settings, sent, compression, 90_000)),
                sends
            );
        }
    }
    let of_offset = producer(&settings, &plain, Compression::None, 90_000);
    let of_sequence = producer(&settings, &idempotent, Compression::None, 90_000);
    let address =
        |observations: &[Observation]| spans(observations, SpanKind::Send)[1].address.clone();
    assert_eq!(address(&of_offset), format!("o:{CLUSTER}/orders/4/90001"));
    assert_eq!(
        address(&of_sequence),
        format!("s:{CLUSTER}/orders/4/4711/0/1")
    );
}

#[test]
fn both_ends_choose_alike_when_there_are_too_many() {
    let settings = Settings {
        spans_per_second: 100,
        ..Settings::default()
    };
    let sent = records(0, 2000);
    let sends = sends(&producer(&settings, &sent, Compression::Lz4, 5_000));
    assert!((10..=200).contains(&sends.len()), "{} of 2000", sends.len());
    assert_eq!(
        links(&consumer(&settings, &sent, Compression::Lz4, 5_000)),
        sends
    );
}

#[test]
fn an_applications_context_is_the_creation_context() {
    let settings = Settings::default();
    let trace_id = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    let span_id = 0xb7ad_6b71_6920_3331_u64.to_be_bytes();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = [
        with_header(
            with_header(record(0, "k", "v"), "traceparent", parent),
            "tracestate",
            "shop=1",
        ),
        with_header(record(1, "k", "v"), "b3", "0"),
        with_header(
            record(2, "k", "v"),
            "b3",
            "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ),
    ];
    let observations = producer(&settings, &sent, Compression::None, 10);
    let sends = spans(&observations, SpanKind::Send);
    assert_eq!(sends.len(), 1, "what is not sampled gets no span");
    assert_eq!(
        (sends[0].trace_id, sends[0].parent),
        (trace_id, Some(span_id))
    );
    assert_ne!(sends[0].span_id, span_id, "its id is never given twice");
    assert_eq!(sends[0].trace_state, "shop=1");
    assert_eq!(
        links(&consumer(&settings, &sent, Compression::None, 10)),
        [(trace_id, span_id)]
    );
}

#[test]
fn keys_and_headers_as_the_settings_say() {
    let sent = [with_header(record(0, "customer-7", "v"), "shop", "north")];
    let shown = |settings: Settings| {
        let observations = producer(&settings, &sent, Compression::None, 0);
        let span = spans(&observations, SpanKind::Send)[0].clone();
        (span.key, span.headers.len(), span.headers_read)
    };
    let all = Settings::default();
    assert_eq!(shown(all.clone()), (Some("customer-7".to_owned()), 1, true));
    assert_eq!(
        shown(Settings {
            capture_key: false,
            ..all.clone()
        }),
        (None, 1, true)
    );
    assert_eq!(
        shown(Settings {
            capture_headers: false,
            ..all.clone()
        })
        .1,
        0
    );
    let (hashed, ..) = shown(Settings {
        hash_keys: true,
        ..all.clone()
    });
    assert!(hashed.is_some_and(|key| key.starts_with("hash:") && key.len() == 21));
    assert_eq!(
        shown(Settings {
            max_message_size: 4,
            ..all.clone()
        }),
        (None, 0, false)
    );
    let mut binary = record(0, "", "v");
    binary.key = Some(bytes::Bytes::from_static(&[0xff, 0xfe]));
    let observations = producer(&all, &[binary], Compression::None, 0);
    assert_eq!(spans(&observations, SpanKind::Send)[0].key, None);
}

#[test]
fn no_spans_when_switched_off() {
    let settings = Settings {
        spans: false,
        ..Settings::default()
    };
    let observations = producer(&settings, &records(0, 20), Compression::Gzip, 0);
    assert!(spans(&observations, SpanKind::Send).is_empty());
    let batches = &exchanges(&observations)[2].produced[0].batches;
    assert_eq!(
        (batches.exact.count, batches.ratios.len()),
        (20, 1),
        "metrics are the same"
    );
}

#[test]
fn no_value_leaves_the_analyzer() {
    let sent: Vec<Record> = (0..5)
        .map(|i| record(i, "key", "TOP-SECRET-VALUE"))
        .collect();
    for compression in [Compression::None, Compression::Zstd] {
        let observations = producer(&Settings::default(), &sent, compression, 0);
        assert!(
            !serde_json::to_string(&observations)
                .unwrap()
                .contains("TOP-SECRET")
        );
    }
}
