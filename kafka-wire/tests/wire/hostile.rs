//! Bodies that lie. Nothing panics, nothing grows, the body ends exactly once, and any split still gives the same events.

use kafka_wire::Segment;
use kafka_wire::api;
use kafka_wire::body::{Decoder, Event, Limits, Side};
use kafka_wire::header::{Parse, Plausible, RequestHeader, parse_response, plausible_request};
use kafka_wire::record_batch::{BatchHeader, walk};
use proptest::prelude::*;

use crate::model::{body, v2_header};
use crate::seen::{Seen, cut, push, whole};

/// What may be held beside `keep`: vectors double, and aborted transactions have a cap of their own.
const HELD: usize = 2 * 10_240 + 70 * 1024;

#[derive(Clone, Debug)]
pub enum Lie {
    Byte(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

pub fn lie() -> impl Strategy<Value = Lie> {
    let absurd = prop_oneof![
        Just(u32::MAX),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(0x00ff_ffff),
        0..70_000u32
    ];
    prop_oneof![
        (
            any::<prop::sample::Index>(),
            prop_oneof![Just(0), Just(0xff), Just(0x80), any::<u8>()]
        )
            .prop_map(|(at, byte)| Lie::Byte(at, byte)),
        (any::<prop::sample::Index>(), absurd).prop_map(|(at, word)| Lie::Word(at, word)),
        (any::<prop::sample::Index>(), 1usize..40).prop_map(|(at, n)| Lie::Remove(at, n)),
        (
            any::<prop::sample::Index>(),
            prop::collection::vec(any::<u8>(), 1..20)
        )
            .prop_map(|(at, bytes)| Lie::Insert(at, bytes)),
    ]
}

pub fn apply(bytes: &mut Vec<u8>, lies: Vec<Lie>) {
    for lie in lies {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match lie {
            Lie::Byte(at, byte) => bytes[at.index(len)] = byte,
            Lie::Word(at, word) => bytes
                .iter_mut()
                .skip(at.index(len))
                .zip(word.to_be_bytes())
                .for_each(|(byte, new)| *byte = new),
            Lie::Remove(at, n) => drop(bytes.drain(at.index(len)..(at.index(len) + n).min(len))),
            Lie::Insert(at, new) => drop(bytes.splice(at.index(len)..at.index(len), new)),
        }
    }
}

/// Exactly one end, at the end; at most one `Undecodable`, and only the end after it.
pub fn well_formed(seen: &[Seen]) -> Result<(), TestCaseError> {
    let ends = seen
        .iter()
        .filter(|event| matches!(event, Seen::End(_)))
        .count();
    prop_assert_eq!(ends, 1);
    prop_assert!(matches!(seen.last(), Some(Seen::End(_))));
    if let Some(at) = seen
        .iter()
        .position(|event| matches!(event, Seen::Undecodable(_)))
    {
        prop_assert_eq!(at + 2, seen.len());
        prop_assert_eq!(seen.last(), Some(&Seen::End(false)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn lying_bodies(body in body(), lies in prop::collection::vec(lie(), 1..4), size in 1usize..64) {
        let (mut bytes, _) = body.encode();
        apply(&mut bytes, lies);
        let once = whole(body.side, body.key(), body.version, &bytes);
        well_formed(&once)?;
        let mut decoder = Decoder::new(body.side, body.key(), body.version, bytes.len() as u64, Limits::default());
        let mut seen = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.feed(Segment::Bytes(piece), &mut |event| push(&mut seen, event));
            prop_assert!(decoder.held() < HELD);
        }
        decoder.finish(&mut |event| push(&mut seen, event));
        prop_assert_eq!(seen, once);
    }

    #[test]
    fn noise_in_every_api(
        key in prop_oneof![0i16..95, any::<i16>()],
        version in prop_oneof![8 => -1i16..19, 1 => any::<i16>()],
        request: bool,
        bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(0xff), Just(0x7f), Just(b'a'), any::<u8>()], 0..200),
        cuts in prop::collection::vec(0usize..200, 0..5),
    ) {
        let side = if request { Side::Request } else { Side::Response };
        let once = whole(side, key, version, &bytes);
        well_formed(&once)?;
        if !api::is_known(key, version) {
            prop_assert_eq!(&once, &[Seen::End(true)]);
        }
        prop_assert_eq!(cut(side, key, version, Limits::default(), &bytes, cuts), once);
    }

    #[test]
    fn noise_in_headers(size: u32, key in -1i16..96, version in -1i16..20, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut header = key.to_be_bytes().to_vec();
        header.extend_from_slice(&version.to_be_bytes());
        header.extend_from_slice(&bytes);
        match RequestHeader::parse(size, &header) {
            Parse::Done(_, taken) => prop_assert!(taken <= header.len() && taken <= size as usize),
            Parse::Need(n) => prop_assert!(n > header.len() && n <= size as usize),
            Parse::Bad(_) => {}
        }
        match parse_response(size, &bytes, key, version) {
            Parse::Done(_, taken) => prop_assert!(taken <= bytes.len() && taken <= size as usize),
            Parse::Need(n) => prop_assert!(n > bytes.len() && n <= size as usize),
            Parse::Bad(_) => {}
        }
        plausible_request(&bytes);
    }

    #[test]
    fn noise_in_opened_batches(magic in 0i8..3, count: i32, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let header = BatchHeader { magic, ..v2_header(0, 0, count, bytes.len(), (-1, -1, -1)) };
        let mut records = 0;
        let walked = walk(&header, &bytes, &Limits::default(), |_| records += 1);
        prop_assert_eq!(walked.records, records);
        prop_assert!(records as usize <= bytes.len() / 6);
    }

    #[test]
    fn a_request_is_plausible_from_its_first_bytes(key in 0i16..95, version in 0i16..2, id: i32, client in "[ -~é]{0,30}", cut_at in 0usize..60) {
        let mut frame = key.to_be_bytes().to_vec();
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(&(client.len() as i16).to_be_bytes());
        frame.extend_from_slice(client.as_bytes());
        frame.extend_from_slice(&[0; 20]);
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&frame);
        prop_assert_eq!(plausible_request(&bytes), Plausible::Yes);
        let start = &bytes[..cut_at.min(13 + client.len())];
        prop_assert_eq!(plausible_request(start), Plausible::NeedMore);
    }
}

/// A Produce request v3 with one partition whose record field is `field`; its reason for being undecodable.
fn refused(field: &[u8], claimed: i32) -> Option<&'static str> {
    let mut w = crate::writer::Writer::new(false);
    w.string(None)
        .i16(-1)
        .i32(0)
        .length(Some(1))
        .string(Some("t"))
        .length(Some(1))
        .i32(0)
        .i32(claimed)
        .raw(field);
    whole(Side::Request, api::PRODUCE, 3, &w.out)
        .iter()
        .find_map(|event| {
            if let Seen::Undecodable(reason) = event {
                Some(*reason)
            } else {
                None
            }
        })
}

#[test]
fn lengths_that_lie_have_a_reason() {
    let batch = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = crate::model::encode_v2(&v2_header(0, 0, 1, 20, (-1, -1, -1)), &[0; 20]);
        edit(&mut bytes);
        refused(&bytes, bytes.len() as i32)
    };
    assert_eq!(refused(&[], -2), Some("length"));
    assert_eq!(refused(&[], 1), Some("records_length"));
    assert_eq!(refused(&[0; 5], i32::MAX), Some("records_length"));
    assert_eq!(
        refused(&[0; 5], 5),
        Some("batch_length"),
        "a request has no cut batches"
    );
    assert_eq!(batch(&|_| {}), None);
    assert_eq!(
        batch(&|bytes| bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes())),
        Some("batch_length")
    );
    assert_eq!(
        batch(&|bytes| bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes())),
        Some("batch_length")
    );
    assert_eq!(
        batch(&|bytes| bytes[8..12].copy_from_slice(&48i32.to_be_bytes())),
        Some("batch_length")
    );
    assert_eq!(batch(&|bytes| bytes[16] = 3), Some("magic"));
    assert_eq!(
        batch(&|bytes| bytes[57..61].copy_from_slice(&(-1i32).to_be_bytes())),
        Some("records_count")
    );
    assert_eq!(
        batch(&|bytes| bytes[57..61].copy_from_slice(&1000i32.to_be_bytes())),
        Some("records_count")
    );
}

#[test]
fn whole_messages_with_absurd_counts_allocate_nothing() {
    // 7f ff ff ff elements are claimed; kafka-protocol reserves 206 GB for this one.
    let mut events = Vec::new();
    let mut decoder = Decoder::new(Side::Response, api::METADATA, 0, 4, Limits::default());
    decoder.feed(
        Segment::Bytes(&[0x7f, 0xff, 0xff, 0xff]),
        &mut |event: Event<'_>| events.push(format!("{event:?}")),
    );
    assert_eq!(
        events,
        [
            "Undecodable { reason: \"truncated\" }",
            "End { complete: false }"
        ]
    );
}
