//! Events made comparable. In: a body and how it is cut; out: what was said, owned, with pieces of compressed bodies joined.

use kafka_wire::body::{Decoder, Event, Limits, Partition, Side};
use kafka_wire::record_batch::{BatchHeader, Record};
use kafka_wire::{Segment, TopicRef, Uuid};

#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// `Debug` form of the message.
    Message(String),
    Produce {
        transactional_id: Option<String>,
        acks: i16,
        timeout_ms: i32,
    },
    Fetch {
        throttle_ms: i32,
        error_code: i16,
        session_id: i32,
    },
    ShareFetch {
        throttle_ms: i32,
        error_code: i16,
        acquisition_lock_timeout_ms: i32,
    },
    Name(String),
    Id(Uuid),
    Partition(SeenPartition),
    Batch(BatchHeader),
    Record(SeenRecord),
    Compressed(Vec<u8>),
    BatchEnd(bool),
    PartitionEnd(bool),
    Acquired(i64, i64, i16),
    Undecodable(&'static str),
    End(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeenPartition {
    pub index: i32,
    pub error_code: i16,
    pub acknowledge_error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub aborted: Vec<(i64, i64)>,
    pub preferred_read_replica: i32,
    pub records_len: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeenRecord {
    pub index: u32,
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    pub size: u32,
    pub key: Option<Vec<u8>>,
    pub key_len: Option<u32>,
    pub value_len: Option<u32>,
    pub headers: Vec<u8>,
    pub truncated: bool,
}

impl From<&Partition<'_>> for SeenPartition {
    fn from(partition: &Partition<'_>) -> Self {
        SeenPartition {
            index: partition.index,
            error_code: partition.error_code,
            acknowledge_error_code: partition.acknowledge_error_code,
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            log_start_offset: partition.log_start_offset,
            aborted: partition.aborted.pairs.to_vec(),
            preferred_read_replica: partition.preferred_read_replica,
            records_len: partition.records_len,
        }
    }
}

impl From<&Record<'_>> for SeenRecord {
    fn from(record: &Record<'_>) -> Self {
        SeenRecord {
            index: record.index,
            offset_delta: record.offset_delta,
            timestamp_delta: record.timestamp_delta,
            size: record.size,
            key: record.key.map(<[u8]>::to_vec),
            key_len: record.key_len,
            value_len: record.value_len,
            headers: record.headers.raw.to_vec(),
            truncated: record.truncated,
        }
    }
}

/// Adds an event; joins it to the last one if both are pieces of a compressed body.
pub fn push(seen: &mut Vec<Seen>, event: Event<'_>) {
    let event = match event {
        Event::Message(message) => Seen::Message(format!("{message:?}")),
        Event::Produce {
            transactional_id,
            acks,
            timeout_ms,
        } => Seen::Produce {
            transactional_id: transactional_id.map(String::from),
            acks,
            timeout_ms,
        },
        Event::Fetch {
            throttle_ms,
            error_code,
            session_id,
        } => Seen::Fetch {
            throttle_ms,
            error_code,
            session_id,
        },
        Event::ShareFetch {
            throttle_ms,
            error_code,
            acquisition_lock_timeout_ms,
        } => Seen::ShareFetch {
            throttle_ms,
            error_code,
            acquisition_lock_timeout_ms,
        },
        Event::Topic(TopicRef::Name(name)) => Seen::Name(name.to_owned()),
        Event::Topic(TopicRef::Id(id)) => Seen::Id(id),
        Event::Partition(partition) => Seen::Partition(SeenPartition::from(&partition)),
        Event::Batch(header) => Seen::Batch(header),
        Event::Record(record) => Seen::Record(SeenRecord::from(&record)),
        Event::Compressed { piece, .. } => {
            if let Some(Seen::Compressed(bytes)) = seen.last_mut() {
                bytes.extend_from_slice(piece);
                return;
            }
            Seen::Compressed(piece.to_vec())
        }
        Event::BatchEnd { complete } => Seen::BatchEnd(complete),
        Event::PartitionEnd { complete } => Seen::PartitionEnd(complete),
        Event::Acquired(it) => Seen::Acquired(it.first_offset, it.last_offset, it.delivery_count),
        Event::Undecodable { reason } => Seen::Undecodable(reason),
        Event::End { complete } => Seen::End(complete),
    };
    seen.push(event);
}

/// Decodes segments of one body and ends it.
pub fn decode(
    side: Side,
    key: i16,
    version: i16,
    len: usize,
    limits: Limits,
    segments: &[Segment<'_>],
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(side, key, version, len as u64, limits);
    for segment in segments {
        decoder.feed(*segment, &mut |event| push(&mut seen, event));
    }
    decoder.finish(&mut |event| push(&mut seen, event));
    seen
}

/// Decodes a body in one piece.
pub fn whole(side: Side, key: i16, version: i16, body: &[u8]) -> Vec<Seen> {
    decode(
        side,
        key,
        version,
        body.len(),
        Limits::default(),
        &[Segment::Bytes(body)],
    )
}

/// Decodes a body cut at these positions (any order, beyond the end ignored).
pub fn cut(
    side: Side,
    key: i16,
    version: i16,
    limits: Limits,
    body: &[u8],
    mut cuts: Vec<usize>,
) -> Vec<Seen> {
    cuts.retain(|cut| *cut <= body.len());
    cuts.sort_unstable();
    cuts.push(body.len());
    let mut start = 0;
    let mut segments = Vec::new();
    for end in cuts {
        segments.push(Segment::Bytes(&body[start..end]));
        start = end;
    }
    decode(side, key, version, body.len(), limits, &segments)
}
