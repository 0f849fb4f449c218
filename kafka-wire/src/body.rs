//! Message bodies of known length, fed piece by piece. In: segments of one body; out: [`Event`]s through a callback.
//!
//! The caller reads the size word and the header (see `header`) and then feeds exactly the rest of the frame. Bodies that are not
//! streamed are gathered up to [`Limits::whole`] and decoded once.

use crate::record_batch::{BatchHeader, Codec, Record};
use crate::{Segment, TopicRef};

/// Caps on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of key plus headers kept for one record; what is longer is cut and says so.
    pub keep: usize,
    /// A body that must be decoded whole is gathered up to here, else `Undecodable("too_large")`.
    pub whole: usize,
    /// Walk into uncompressed batches record by record.
    pub records: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keep: 10_240, whole: 256 * 1024, records: true }
    }
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

/// What a body says, in wire order. Borrowed data lives as long as the call.
#[derive(Debug)]
pub enum Event<'a> {
    /// A body that was decoded whole.
    Message(crate::api::Message<'a>),
    /// Start of a Produce request.
    Produce { transactional_id: Option<&'a str>, acks: i16, timeout_ms: i32 },
    /// Start of a Fetch answer.
    Fetch { throttle_ms: i32, error_code: i16, session_id: i32 },
    /// Partitions that follow belong to this topic.
    Topic(TopicRef<'a>),
    /// A partition of a Produce request (only `index` and `records_len` are set) or of a Fetch answer.
    Partition(Partition<'a>),
    /// A record batch, or a message set of magic 0 or 1 (one event per outer message).
    Batch(BatchHeader),
    /// A record of the batch before it, when `Limits::records` and the batch is not compressed.
    Record(Record<'a>),
    /// A piece of the compressed body of the batch before it, in order.
    Compressed { codec: Codec, piece: &'a [u8] },
    /// The batch before it ended. `complete` = every byte of its body was seen (so all `Record`s or `Compressed` pieces came).
    BatchEnd { complete: bool },
    /// The rest of this body says nothing; the frame goes on to its end. Sent at most once.
    Undecodable { reason: &'static str },
    /// The body ended. `complete` = every structural byte was seen: all topics, partitions and batch headers were delivered.
    End { complete: bool },
}

/// See [`Event::Partition`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Partition<'a> {
    pub index: i32,
    pub error_code: i16,
    /// −1 = unknown, as on the wire.
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// (producer id, first offset) of aborted transactions; empty when null.
    pub aborted: Aborted<'a>,
    /// Bytes of the record field; None = null.
    pub records_len: Option<u32>,
}

/// Aborted transactions of a Fetch answer, decoded lazily: big-endian (i64, i64) pairs, `stride` bytes apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aborted<'a> {
    pub pairs: &'a [(i64, i64)],
}
