//! Record batches v2 and message sets v0/v1: header facts, records, headers of records.
//!
//! In: bytes of one batch's records, uncompressed ([`walk`], or [`Walker`] as they come); out: [`Record`]s that borrow from them. Finding batches in a stream is
//! `body`'s work. Checksums are not verified: the broker does it, and the agent must not spend a pass over every byte.

use crate::reader::Reader;

pub(crate) mod fields;
pub(crate) mod partial;
mod passing;
pub(crate) mod prefix;
mod walk;

pub use passing::Walker;
pub use walk::{Walked, walk};

/// Codec ids as in the attributes' bits 0–2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
    /// 5–7: not assigned.
    Unknown(u8),
}

impl Codec {
    pub fn from_attributes(attributes: i16) -> Codec {
        match attributes & 7 {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            other => Codec::Unknown(other as u8),
        }
    }

    /// As in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
            Codec::Unknown(_) => "unknown",
        }
    }
}

/// Facts of a batch. Message sets (magic 0/1) fill what they have: `records_count` is 1 for a plain message, 0 ("unknown until opened") for a
/// compressed wrapper, and offset and timestamps are those of the message; a wrapper's offset is that of its last inner message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub magic: i8,
    pub base_offset: i64,
    /// Bytes on the wire of the whole batch, header included.
    pub wire_len: u32,
    /// Bytes on the wire of the records, compressed as they are (for a wrapper: its value).
    pub body_len: u32,
    pub codec: Codec,
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// Milliseconds since the epoch; −1 = none (magic 0).
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// −1 = not idempotent.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    /// Bit 5: transaction markers and the like, never handed to applications.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
    /// Bit 4.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
    /// Bit 3: `max_timestamp` was set by the broker and holds for all records.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }
    /// Offset of a record of this batch.
    pub fn offset(&self, record: &Record<'_>) -> i64 {
        self.base_offset
            .wrapping_add(i64::from(record.offset_delta))
    }
    /// Timestamp of a record of this batch in milliseconds since the epoch; None where there is none (magic 0).
    pub fn timestamp(&self, record: &Record<'_>) -> Option<i64> {
        let timestamp = if self.is_log_append_time() {
            self.max_timestamp
        } else {
            self.base_timestamp.wrapping_add(record.timestamp_delta)
        };
        Some(timestamp).filter(|timestamp| *timestamp >= 0)
    }
}

/// One record; key and headers are kept up to `Limits::keep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// 0-based position in the batch.
    pub index: u32,
    /// To the batch's `base_offset`; 0 or less inside a compressed wrapper (magic 0/1).
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    /// Bytes of the record with its length varint left out (Kafka's `length` field; for messages v0/v1 their size field).
    pub size: u32,
    /// None = null key. `Some` with `truncated` may be cut.
    pub key: Option<&'a [u8]>,
    /// Bytes of the whole key; None = null.
    pub key_len: Option<u32>,
    /// None = null value (tombstone).
    pub value_len: Option<u32>,
    /// Raw header block (count varint first); iterate with [`Headers`]. Empty in messages v0/v1.
    pub headers: Headers<'a>,
    /// Key or headers were cut (by the cap or by a gap).
    pub truncated: bool,
}

/// Iterates (key, value) pairs of a record's headers; stops at the first malformed byte. A null value is None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    pub raw: &'a [u8],
}

impl<'a> Headers<'a> {
    /// How many headers the record claims; None when malformed or not there.
    pub fn claimed(&self) -> Option<u32> {
        Reader::new(self.raw, false)
            .varint()
            .ok()
            .and_then(|count| u32::try_from(count).ok())
    }

    pub fn iter(&self) -> HeaderIter<'a> {
        let mut reader = Reader::new(self.raw, false);
        let left = reader.varint().unwrap_or(0);
        HeaderIter { reader, left }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);
    type IntoIter = HeaderIter<'a>;
    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// See [`Headers`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    reader: Reader<'a>,
    left: i32,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let pair = self.pair();
        if pair.is_none() {
            self.left = 0;
        }
        pair
    }
}

impl<'a> HeaderIter<'a> {
    fn pair(&mut self) -> Option<(&'a str, Option<&'a [u8]>)> {
        let key_len = self.reader.varint().ok()?;
        let key = self.reader.take(usize::try_from(key_len).ok()?).ok()?;
        let value = match self.reader.varint().ok()? {
            -1 => None,
            n => Some(self.reader.take(usize::try_from(n).ok()?).ok()?),
        };
        Some((std::str::from_utf8(key).ok()?, value))
    }
}
