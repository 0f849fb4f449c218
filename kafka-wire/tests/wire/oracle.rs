//! `kafka-protocol` encodes random messages of every version that it knows; each field must come out as it went in.
//!
//! It is only trusted to encode: its decoder aborts on hostile lengths.

mod cluster;
mod consumer_groups;
mod consumer_protocol;
mod fetch;
mod group_admin;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod share;
mod share_describe;
mod small;
mod telemetry;
mod topics;
mod transaction_states;
mod transactions;

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_wire::api::Message;
use kafka_wire::body::{Decoder, Event, Limits, Side};
use kafka_wire::{Segment, TopicRef, Uuid};

use crate::exact::exact;

/// Messages of each version.
const ROUNDS: u64 = 30;

/// Repeatable random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn bool(&mut self) -> bool {
        self.next() & 1 == 1
    }
    fn i8(&mut self) -> i8 {
        self.next() as i8
    }
    fn i16(&mut self) -> i16 {
        self.next() as i16
    }
    fn i32(&mut self) -> i32 {
        self.next() as i32
    }
    fn i64(&mut self) -> i64 {
        self.next() as i64
    }
    fn text(&mut self) -> StrBytes {
        let length = self.below(20);
        (0..length)
            .map(|_| ['a', 'Z', '.', '_', 'é'][self.below(5) as usize])
            .collect::<String>()
            .into()
    }
    fn maybe(&mut self) -> Option<StrBytes> {
        if self.bool() { Some(self.text()) } else { None }
    }
    fn uuid(&mut self) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(self.next(), self.next())
    }
    fn many<T>(&mut self, most: u64, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }
    /// 0 half the time.
    fn error(&mut self) -> i16 {
        if self.bool() { 0 } else { self.i16() }
    }
    /// Unknown tags, where the version has them.
    fn tags(&mut self, flexible: bool) -> BTreeMap<i32, Bytes> {
        let most = if flexible { 2 } else { 0 };
        let tag = |random: &mut Random| (100 + random.below(9) as i32, random.bytes(5).into());
        self.many(most, tag).into_iter().collect()
    }
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        self.many(most, |random| random.next() as u8)
    }
}

/// Runs `round` for every version, some times.
fn each_version(versions: std::ops::RangeInclusive<i16>, mut round: impl FnMut(i16, &mut Random)) {
    for version in versions {
        for seed in 0..ROUNDS {
            round(version, &mut Random(seed * 1000 + version as u64));
        }
    }
}

/// Encodes with the oracle, decodes with ours, in pieces of some size.
fn decode(
    side: Side,
    key: i16,
    version: i16,
    body: &impl Encodable,
    mut see: impl FnMut(Event<'_>),
) {
    let mut bytes = Vec::new();
    body.encode(&mut bytes, version)
        .expect("the oracle encodes");
    let mut decoder = Decoder::new(side, key, version, bytes.len() as u64, Limits::default());
    for piece in bytes.chunks(97) {
        decoder.feed(Segment::Bytes(piece), &mut see);
    }
    decoder.finish(&mut see);
}

/// Like `decode`, for a body that comes as one message.
fn message(
    side: Side,
    key: i16,
    version: i16,
    body: &impl Encodable,
    check: impl FnOnce(&Message<'_>),
) {
    let mut check = Some(check);
    let mut ended = false;
    decode(side, key, version, body, |event| match event {
        Event::Message(message) => check.take().expect("one message")(&message),
        Event::End { complete: true } => ended = true,
        other => panic!("v{version}: {other:?}"),
    });
    assert!(check.is_none() && ended, "v{version}");
}

/// Encodes with the oracle; ours must make exactly `expected` of it.
fn exactly(side: Side, key: i16, version: i16, body: &impl Encodable, expected: &Message<'_>) {
    let mut bytes = Vec::new();
    body.encode(&mut bytes, version)
        .expect("the oracle encodes");
    exact(side, key, version, &bytes, expected);
}

/// What every answer is asked: how long the client was held back, and the first of these error codes that is one.
fn answers(answer: &Message<'_>, throttle_time_ms: Option<i32>, codes: &[i16]) {
    assert_eq!(answer.throttle_time_ms(), throttle_time_ms);
    assert_eq!(
        answer.first_error(),
        codes.iter().copied().find(|code| *code != 0)
    );
}

fn topic_matches(topic: TopicRef<'_>, name: &str, id: uuid::Uuid, version: i16) {
    if version >= 13 {
        assert_eq!(topic, TopicRef::Id(Uuid(id.into_bytes())));
    } else {
        assert_eq!(topic, TopicRef::Name(name));
    }
}

fn id(id: uuid::Uuid) -> Uuid {
    Uuid(id.into_bytes())
}

fn text(text: &Option<StrBytes>) -> Option<&str> {
    text.as_deref()
}
