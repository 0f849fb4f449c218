//! Bodies of record batches that nobody wants (`Copy::Batches`): whatever is counted without them is as exact as with them, and nothing counts as lost.

mod conversation;

use bytes::Bytes;
use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, produce_request, produce_response,
};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Copy, Direction};
use kafka_analyzer::observation::{Batches, Observation, SpanKind};
use kafka_protocol::records::Compression;

const ORDERS: Named = Named::Name("orders");
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn of(first: i64, n: i64, codec: Compression) -> Bytes {
    batch(&records(first, n), codec)
}

/// What must not depend on bodies: counts, bytes and offsets of every exchange, lag and log ends.
fn exact(observations: &[Observation]) -> Vec<String> {
    let counts = |batches: &Batches| {
        let sized = batches.exact.count + batches.average.count;
        format!("{:?} {:?} {sized}", batches.records, batches.bytes)
    };
    let mut said = Vec::new();
    for observation in observations {
        match observation {
            Observation::Exchange(exchange) => {
                let bytes = (exchange.request_bytes, exchange.response_bytes);
                said.push(format!("{} {bytes:?} {:?}", exchange.api, exchange.error));
                said.extend(exchange.produced.iter().map(|of| {
                    let offset = of.base_offset;
                    format!("{} {offset:?} {}", of.partition, counts(&of.batches))
                }));
                said.extend(exchange.fetched.iter().map(|of| {
                    let from = (of.partition, of.fetch_offset, of.records);
                    format!("{from:?} {}", counts(&of.batches))
                }));
            }
            Observation::Lag(lag) => said.push(format!("lag {:?} {}", lag.basis, lag.messages)),
            Observation::PartitionProgress(progress) => {
                let ends = (progress.high_watermark, progress.partition);
                said.push(format!("end {} {ends:?}", progress.topic));
            }
            _ => {}
        }
    }
    said
}

/// Runs both, as the agent is configured and as a recording of such an agent is replayed.
fn same_without_bodies(whole: &Talk, without: &Talk, of: &str) {
    let expected = exact(&run(&whole.events));
    for records in [false, true] {
        let settings = Settings {
            records,
            ..Settings::default()
        };
        let (observations, verdicts) = run_with(&settings, &without.events, 1);
        assert_eq!(exact(&observations), expected, "{of}");
        assert_eq!(gaps(&observations), [], "{of}");
        assert_eq!(unsupported(&observations), [], "{of}");
        assert_eq!(lost(&settings, &without.events), (vec![], 0), "{of}");
        for kind in [SpanKind::Send, SpanKind::Poll] {
            assert!(spans(&observations, kind).is_empty(), "{of}");
        }
        let copies: Vec<_> = verdicts.iter().map(|verdict| verdict.copy).collect();
        let copy = if records { Copy::Whole } else { Copy::Batches };
        assert_eq!(copies, [copy], "{of}");
    }
}

#[test]
fn produced_records_are_counted_without_their_bodies() {
    for codec in CODECS {
        let batches = [of(0, 3, codec), of(0, 40, codec), of(0, 5, codec)];
        let two: Bytes = batches[..2].concat().into();
        let request = produce_request(-1, &[(ORDERS, &[(0, two), (1, batches[2].clone())])]);
        let answer = produce_response(&[(ORDERS, &[(0, 0, 100), (1, 0, 7)])]);
        let (mut whole, mut without) = (Talk::new(1), Talk::new(1));
        whole.greet();
        without.greet();
        for id in [3, 4] {
            let frame = request_frame(id, &request);
            without.without_bodies(Direction::Write, &frame, &batches);
            without.tell(9, id, &answer);
            whole.write(frame);
            whole.tell(9, id, &answer);
        }
        same_without_bodies(&whole, &without, &format!("{codec:?}"));
    }
}

fn request_frame(id: i32, message: &kafka_protocol::messages::ProduceRequest) -> Vec<u8> {
    request(0, 9, id, Some("app"), message)
}

#[test]
fn fetched_records_are_counted_without_their_bodies() {
    for codec in CODECS {
        let (first, second, third) = (of(0, 4, codec), of(4, 30, codec), of(34, 2, codec));
        for keep in [1, 17, 60, 61, 62, second.len() - 1, second.len()] {
            let cut = second.slice(..keep);
            // From the middle of a batch, and then from the middle of the one that was cut off.
            let fetches = [
                (2, vec![first.clone(), cut]),
                (7, vec![second.clone(), third.clone()]),
            ];
            let (mut whole, mut without) = (Talk::new(1), Talk::new(1));
            whole.greet();
            without.greet();
            for (id, (from, batches)) in (3..).zip(fetches) {
                let asked = fetch_request((0, -1), 0, &[(ORDERS, &[(0, from), (1, 0)])]);
                let partition = |index, batches: &[Bytes]| Answered {
                    index,
                    high_watermark: 500,
                    records: Some(batches.concat().into()),
                    ..Answered::default()
                };
                let last = of(0, 9, codec);
                let parts = [
                    partition(0, &batches),
                    partition(1, std::slice::from_ref(&last)),
                ];
                let frame = response(12, id, &fetch_response(0, &[(ORDERS, &parts)]));
                let all = [batches, vec![last]].concat();
                without.ask(1, 12, id, &asked);
                without.without_bodies(Direction::Read, &frame, &all);
                whole.ask(1, 12, id, &asked);
                whole.read(frame);
            }
            same_without_bodies(&whole, &without, &format!("{codec:?}, {keep} bytes"));
        }
    }
}

#[test]
fn records_have_spans_again_once_bodies_come_again() {
    for codec in CODECS {
        let batches = [of(0, 3, codec)];
        let request = produce_request(-1, &[(ORDERS, &[(0, batches[0].clone())])]);
        let mut talk = Talk::new(1);
        talk.greet();
        for (id, whole) in (3..).zip([true, false, true, true, false, false]) {
            let frame = request_frame(id, &request);
            match whole {
                true => talk.write(frame),
                false => talk.without_bodies(Direction::Write, &frame, &batches),
            }
            let answer = produce_response(&[(ORDERS, &[(0, 0, 100 * i64::from(id))])]);
            talk.tell(9, id, &answer);
        }
        let observations = run(&talk.events);
        let sent = spans(&observations, SpanKind::Send);
        // The third request shows that bodies are there again; the fourth is looked into.
        assert_eq!(sent.len(), 3 + 3, "{codec:?}");
        assert_eq!(lost(&Settings::default(), &talk.events), (vec![], 0));
    }
}

#[test]
fn what_only_records_tell_counts_as_lost_without_them() {
    // Offsets 100, 103, 104, 109 are left of a batch: from its middle on only they tell how many count. The kernel side copies such a batch whole.
    let left: Vec<_> = [100, 103, 104, 109]
        .map(|offset| record(offset, "k", "v"))
        .into();
    let all = batch(&left, Compression::Zstd);
    let mut talk = Talk::new(1);
    talk.greet();
    let asked = fetch_request((0, -1), 0, &[(ORDERS, &[(0, 104)])]);
    talk.ask(1, 12, 3, &asked);
    let answered = [Answered {
        high_watermark: 500,
        records: Some(all.clone()),
        ..Answered::default()
    }];
    let frame = response(12, 3, &fetch_response(0, &[(ORDERS, &answered)]));
    talk.without_bodies(Direction::Read, &frame, &[all]);
    let settings = Settings {
        records: false,
        ..Settings::default()
    };
    let (losses, kept) = lost(&settings, &talk.events);
    assert!(losses.contains(&("batch_not_counted", 1)), "{losses:?}");
    assert_eq!(kept, 0);
}
