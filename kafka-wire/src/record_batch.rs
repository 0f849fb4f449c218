//! Record batches v2 and message sets v0/v1: header facts and records.

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

/// Facts of a batch. Message sets (magic 0/1) fill what they have: `records_count` is 1 for a plain message, 0 ("unknown until opened") for a compressed wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub magic: i8,
    pub base_offset: i64,
    /// Bytes on the wire of the whole batch, header included.
    pub wire_len: u32,
    pub codec: Codec,
    pub attributes: i16,
    pub last_offset_delta: i32,
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
}

/// One record; key and headers are kept up to `Limits::keep`.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// 0-based position in the batch.
    pub index: u32,
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    /// Bytes of the record with its length varint left out (Kafka's `length` field).
    pub size: u32,
    /// None = null key. `Some` with `truncated` may be cut.
    pub key: Option<&'a [u8]>,
    /// None = null value (tombstone).
    pub value_len: Option<u32>,
    /// Raw header block (count varint first); iterate with [`Headers`].
    pub headers: Headers<'a>,
    /// Key or headers were cut (by the cap or by a gap).
    pub truncated: bool,
}

/// Iterates (key, value) pairs of a record's headers; stops at the first malformed byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    pub raw: &'a [u8],
}
