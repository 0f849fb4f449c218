//! Produce requests, Fetch and ShareFetch answers as models. In: proptest; out: a model, its bytes in any version, and the events it must give.

use kafka_wire::Uuid;
use kafka_wire::api::{FETCH, PRODUCE, SHARE_FETCH, is_flexible};
use kafka_wire::body::Side;
use kafka_wire::record_batch::{BatchHeader, Codec};
use proptest::prelude::*;

use crate::seen::{Seen, SeenPartition, SeenRecord};
use crate::writer::Writer;

mod share;

pub use share::{Share, share_body};

#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_delta: i64,
    pub offset_delta: i32,
}

#[derive(Clone, Debug)]
pub enum Batch {
    V2 {
        base_offset: i64,
        attributes: i16,
        records: Vec<Record>,
        producer: (i64, i16, i32),
    },
    /// Compressed, with a body of chance: it is not opened here.
    Sealed {
        base_offset: i64,
        codec: i16,
        count: i32,
        body: Vec<u8>,
    },
    /// Magic 0 or 1.
    Message {
        magic: i8,
        offset: i64,
        timestamp: i64,
        codec: i8,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    },
}

#[derive(Clone, Debug)]
pub struct Partition {
    pub index: i32,
    pub error_code: i16,
    pub offsets: (i64, i64, i64),
    pub aborted: Option<Vec<(i64, i64)>>,
    pub replica: i32,
    /// None: null.
    pub batches: Option<Vec<Batch>>,
    /// Start of a batch that was cut (Fetch only).
    pub cut: Vec<u8>,
    pub tags: Vec<(u32, Vec<u8>)>,
    pub share: Share,
}

#[derive(Clone, Debug)]
pub struct Body {
    pub side: Side,
    pub version: i16,
    pub transactional_id: Option<String>,
    pub head: (i16, i32, i32),
    pub topics: Vec<(String, Uuid, Vec<Partition>)>,
    pub tags: Vec<(u32, Vec<u8>)>,
    /// Of a ShareFetch answer: its node endpoints. Its error message takes the place of the transactional id.
    pub share: Option<Vec<(i32, String)>>,
}

impl Body {
    pub fn key(&self) -> i16 {
        if self.side == Side::Request {
            PRODUCE
        } else if self.share.is_some() {
            SHARE_FETCH
        } else {
            FETCH
        }
    }

    /// The body, and what it must give with default limits.
    pub fn encode(&self) -> (Vec<u8>, Vec<Seen>) {
        let version = self.version;
        let mut w = Writer::new(is_flexible(self.key(), version));
        let mut seen = Vec::new();
        let (short, int, session) = self.head;
        if self.side == Side::Request {
            let transactional_id = self.transactional_id.clone().filter(|_| version >= 3);
            if version >= 3 {
                w.string(transactional_id.as_deref());
            }
            w.i16(short).i32(int);
            seen.push(Seen::Produce {
                transactional_id,
                acks: short,
                timeout_ms: int,
            });
        } else if self.share.is_some() {
            seen.push(share::head(self, &mut w));
        } else {
            if version >= 1 {
                w.i32(int);
            }
            if version >= 7 {
                w.i16(short).i32(session);
            }
            seen.push(Seen::Fetch {
                throttle_ms: if version >= 1 { int } else { 0 },
                error_code: if version >= 7 { short } else { 0 },
                session_id: if version >= 7 { session } else { 0 },
            });
        }
        w.length(Some(self.topics.len()));
        for (name, id, partitions) in &self.topics {
            if version >= 13 || self.share.is_some() {
                w.raw(&id.0);
                seen.push(Seen::Id(*id));
            } else {
                w.string(Some(name));
                seen.push(Seen::Name(name.clone()));
            }
            w.length(Some(partitions.len()));
            for partition in partitions {
                self.partition(partition, &mut w, &mut seen);
            }
            w.tags(&[]);
        }
        if let Some(nodes) = &self.share {
            share::nodes(nodes, &mut w);
        }
        w.tags(&self.tags);
        seen.push(Seen::End(true));
        (w.out, seen)
    }

    fn partition(&self, partition: &Partition, w: &mut Writer, seen: &mut Vec<Seen>) {
        let version = self.version;
        let mut expected = SeenPartition {
            index: partition.index,
            error_code: 0,
            acknowledge_error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted: Vec::new(),
            preferred_read_replica: -1,
            records_len: None,
        };
        w.i32(partition.index);
        if self.share.is_some() {
            w.i16(partition.error_code);
            partition.share.before_records(w);
            expected.error_code = partition.error_code;
            expected.acknowledge_error_code = partition.share.acknowledge_error_code;
        } else if self.side == Side::Response {
            w.i16(partition.error_code).i64(partition.offsets.0);
            expected.error_code = partition.error_code;
            expected.high_watermark = partition.offsets.0;
            if version >= 4 {
                w.i64(partition.offsets.1);
                expected.last_stable_offset = partition.offsets.1;
            }
            if version >= 5 {
                w.i64(partition.offsets.2);
                expected.log_start_offset = partition.offsets.2;
            }
            if version >= 4 {
                w.length(partition.aborted.as_ref().map(Vec::len));
                for (producer_id, first_offset) in partition.aborted.iter().flatten() {
                    w.i64(*producer_id)
                        .i64(*first_offset)
                        .tags(&[(9, vec![1, 2])]);
                    expected.aborted.push((*producer_id, *first_offset));
                }
            }
            if version >= 11 {
                w.i32(partition.replica);
                expected.preferred_read_replica = partition.replica;
            }
        }
        let mut inner = Vec::new();
        let mut field = Vec::new();
        for batch in partition.batches.iter().flatten() {
            batch.encode(&mut field, &mut inner);
        }
        if self.side == Side::Response && partition.batches.is_some() {
            field.extend_from_slice(&partition.cut);
        }
        expected.records_len = partition.batches.as_ref().map(|_| field.len() as u32);
        w.length(expected.records_len.map(|n| n as usize))
            .raw(&field);
        seen.push(Seen::Partition(expected));
        seen.append(&mut inner);
        if partition.batches.is_some() {
            seen.push(Seen::PartitionEnd(true));
        }
        if self.share.is_some() {
            partition.share.after_records(w, seen);
        }
        w.tags(&partition.tags);
    }
}

impl Record {
    /// The record without its length, and its header block.
    fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut headers = Writer::default();
        headers.varint(self.headers.len() as i64);
        for (key, value) in &self.headers {
            headers.varint(key.len() as i64).raw(key.as_bytes());
            headers.varint(value.as_ref().map_or(-1, |value| value.len() as i64));
            headers.raw(value.as_deref().unwrap_or_default());
        }
        let mut w = Writer::default();
        w.i8(0)
            .varint(self.timestamp_delta)
            .varint(i64::from(self.offset_delta));
        for part in [&self.key, &self.value] {
            w.varint(part.as_ref().map_or(-1, |part| part.len() as i64))
                .raw(part.as_deref().unwrap_or_default());
        }
        w.raw(&headers.out);
        (w.out, headers.out)
    }

    fn seen(&self, index: u32) -> SeenRecord {
        let (bytes, headers) = self.encode();
        SeenRecord {
            index,
            offset_delta: self.offset_delta,
            timestamp_delta: self.timestamp_delta,
            size: bytes.len() as u32,
            key: self.key.clone(),
            key_len: self.key.as_ref().map(|key| key.len() as u32),
            value_len: self.value.as_ref().map(|value| value.len() as u32),
            headers,
            truncated: false,
        }
    }
}

/// The records of a v2 batch, uncompressed.
pub fn encode_records(records: &[Record]) -> Vec<u8> {
    let mut body = Writer::default();
    for record in records {
        let (bytes, _) = record.encode();
        body.varint(bytes.len() as i64).raw(&bytes);
    }
    body.out
}

pub fn seen_records(records: &[Record]) -> Vec<SeenRecord> {
    records
        .iter()
        .zip(0..)
        .map(|(record, index)| record.seen(index))
        .collect()
}

/// A whole v2 batch around a body.
pub fn encode_v2(header: &BatchHeader, body: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.i64(header.base_offset)
        .i32(body.len() as i32 + 49)
        .i32(7)
        .i8(2)
        .i32(0x1234)
        .i16(header.attributes);
    w.i32(header.last_offset_delta)
        .i64(header.base_timestamp)
        .i64(header.max_timestamp);
    w.i64(header.producer_id)
        .i16(header.producer_epoch)
        .i32(header.base_sequence)
        .i32(header.records_count)
        .raw(body);
    w.out
}

/// A message of magic 0 or 1.
pub fn encode_message(
    magic: i8,
    offset: i64,
    timestamp: i64,
    codec: i8,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Vec<u8> {
    let mut w = Writer::default();
    w.i32(0x1234).i8(magic).i8(codec);
    if magic == 1 {
        w.i64(timestamp);
    }
    for part in [key, value] {
        w.i32(part.map_or(-1, |part| part.len() as i32))
            .raw(part.unwrap_or_default());
    }
    let mut set = Writer::default();
    set.i64(offset).i32(w.out.len() as i32).raw(&w.out);
    set.out
}

pub fn v2_header(
    base_offset: i64,
    attributes: i16,
    count: i32,
    body_len: usize,
    producer: (i64, i16, i32),
) -> BatchHeader {
    BatchHeader {
        magic: 2,
        base_offset,
        wire_len: body_len as u32 + 61,
        body_len: body_len as u32,
        codec: Codec::from_attributes(attributes),
        attributes,
        last_offset_delta: count - 1,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_999,
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: producer.2,
        records_count: count,
    }
}

impl Batch {
    fn encode(&self, field: &mut Vec<u8>, seen: &mut Vec<Seen>) {
        match self {
            Batch::V2 {
                base_offset,
                attributes,
                records,
                producer,
            } => {
                let body = encode_records(records);
                let header = v2_header(
                    *base_offset,
                    *attributes,
                    records.len() as i32,
                    body.len(),
                    *producer,
                );
                field.extend_from_slice(&encode_v2(&header, &body));
                seen.push(Seen::Batch(header));
                seen.extend(seen_records(records).into_iter().map(Seen::Record));
            }
            Batch::Sealed {
                base_offset,
                codec,
                count,
                body,
            } => {
                let header = v2_header(*base_offset, *codec, *count, body.len(), (-1, -1, -1));
                field.extend_from_slice(&encode_v2(&header, body));
                seen.push(Seen::Batch(header));
                if !body.is_empty() {
                    seen.push(Seen::Compressed(body.clone()));
                }
            }
            Batch::Message {
                magic,
                offset,
                timestamp,
                codec,
                key,
                value,
            } => {
                let bytes = encode_message(
                    *magic,
                    *offset,
                    *timestamp,
                    *codec,
                    key.as_deref(),
                    value.as_deref(),
                );
                let timestamp = if *magic == 1 { *timestamp } else { -1 };
                let header = BatchHeader {
                    magic: *magic,
                    base_offset: *offset,
                    wire_len: bytes.len() as u32,
                    body_len: value.as_ref().map_or(0, |value| value.len() as u32),
                    codec: Codec::from_attributes(i16::from(*codec)),
                    attributes: i16::from(*codec),
                    last_offset_delta: 0,
                    base_timestamp: timestamp,
                    max_timestamp: timestamp,
                    producer_id: -1,
                    producer_epoch: -1,
                    base_sequence: -1,
                    records_count: i32::from(*codec == 0),
                };
                field.extend_from_slice(&bytes);
                seen.push(Seen::Batch(header));
                if *codec == 0 {
                    seen.push(Seen::Record(SeenRecord {
                        index: 0,
                        offset_delta: 0,
                        timestamp_delta: 0,
                        size: bytes.len() as u32 - 12,
                        key: key.clone(),
                        key_len: key.as_ref().map(|key| key.len() as u32),
                        value_len: value.as_ref().map(|value| value.len() as u32),
                        headers: Vec::new(),
                        truncated: false,
                    }));
                } else if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                    seen.push(Seen::Compressed(value.clone()));
                }
            }
        }
        seen.push(Seen::BatchEnd(true));
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

pub fn record() -> impl Strategy<Value = Record> {
    let headers = prop::collection::vec(("[a-z-]{0,8}", prop::option::of(bytes(9))), 0..3);
    let deltas = (any::<i64>(), prop_oneof![0..100, any::<i32>()]);
    (
        prop::option::of(bytes(200)),
        prop::option::of(bytes(300)),
        headers,
        deltas,
    )
        .prop_map(
            |(key, value, headers, (timestamp_delta, offset_delta))| Record {
                key,
                value,
                headers,
                timestamp_delta,
                offset_delta,
            },
        )
}

fn batch() -> impl Strategy<Value = Batch> {
    let producer = (any::<i64>(), any::<i16>(), any::<i32>());
    let attributes = prop_oneof![Just(0i16), Just(0x10), Just(0x20), Just(0x38)];
    let records = prop::collection::vec(record(), 0..5);
    let part = || prop::option::of(bytes(150));
    prop_oneof![
        3 => (any::<i64>(), attributes, records, producer)
            .prop_map(|(base_offset, attributes, records, producer)| Batch::V2 { base_offset, attributes, records, producer }),
        1 => (any::<i64>(), 1i16..8, 0..i32::MAX, bytes(100))
            .prop_map(|(base_offset, codec, count, body)| Batch::Sealed { base_offset, codec, count, body }),
        1 => (0i8..2, any::<i64>(), any::<i64>(), 0i8..4, part(), part())
            .prop_map(|(magic, offset, timestamp, codec, key, value)| Batch::Message { magic, offset, timestamp, codec, key, value }),
    ]
}

/// The start of a batch that ends too early.
fn cut_batch() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec(record(), 1..3),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(records, at, cut)| {
            let body = encode_records(&records);
            let mut batch = encode_v2(
                &v2_header(1, 0, records.len() as i32, body.len(), (-1, -1, -1)),
                &body,
            );
            batch.truncate(if cut { at.index(batch.len()) } else { 0 });
            batch
        })
}

fn tags() -> impl Strategy<Value = Vec<(u32, Vec<u8>)>> {
    prop::collection::vec((0u32..5, bytes(40)), 0..3)
}

fn partition() -> impl Strategy<Value = Partition> {
    let aborted = prop::option::of(prop::collection::vec((any::<i64>(), any::<i64>()), 0..4));
    let batches = prop::option::weighted(0.9, prop::collection::vec(batch(), 0..4));
    let head = (
        any::<i32>(),
        any::<i16>(),
        (any::<i64>(), any::<i64>(), any::<i64>()),
        any::<i32>(),
    );
    (head, aborted, batches, cut_batch(), tags()).prop_map(
        |((index, error_code, offsets, replica), aborted, batches, cut, tags)| Partition {
            index,
            error_code,
            offsets,
            aborted,
            replica,
            batches,
            cut,
            tags,
            share: Share::default(),
        },
    )
}

/// A Produce request of v0–13, a Fetch answer of v0–18 or a ShareFetch answer of v0–2.
pub fn body() -> impl Strategy<Value = Body> {
    prop_oneof![3 => produce_or_fetch(), 1 => share_body()]
}

/// A Produce request of v0–13 or a Fetch answer of v0–18.
pub fn produce_or_fetch() -> impl Strategy<Value = Body> {
    let topics = prop::collection::vec(
        (
            "[a-zA-Z0-9._-]{1,40}",
            any::<[u8; 16]>(),
            prop::collection::vec(partition(), 0..3),
        ),
        0..3,
    );
    let kind = prop_oneof![
        (0i16..=13).prop_map(|version| (Side::Request, version)),
        (0i16..=18).prop_map(|version| (Side::Response, version)),
    ];
    let head = (any::<i16>(), any::<i32>(), any::<i32>());
    (kind, prop::option::of("[a-z-]{0,20}"), head, topics, tags()).prop_map(
        |((side, version), transactional_id, head, topics, tags)| Body {
            side,
            version,
            transactional_id,
            head,
            topics: topics
                .into_iter()
                .map(|(name, id, partitions)| (name, Uuid(id), partitions))
                .collect(),
            tags,
            share: None,
        },
    )
}
