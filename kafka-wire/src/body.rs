//! Message bodies of known length, fed piece by piece. In: segments of one body; out: [`Event`]s through a callback.
//!
//! The caller reads the size word and the header (see `header`) and then feeds exactly the rest of the frame. Bodies that are not
//! streamed are gathered up to [`Limits::whole`] and decoded once. Any split of a body gives the same events (pieces of compressed
//! bodies aside). Not here: what a message means, and opening compressed batches.

use crate::record_batch::{BatchHeader, Codec, Record};
use crate::{Segment, TopicRef, api};

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
        Limits {
            keep: 10_240,
            whole: 256 * 1024,
            records: true,
        }
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
    Message(api::Message<'a>),
    /// Start of a Produce request.
    Produce {
        transactional_id: Option<&'a str>,
        acks: i16,
        timeout_ms: i32,
    },
    /// Start of a Fetch answer. Throttle 0 before v1; error and session 0 before v7.
    Fetch {
        throttle_ms: i32,
        error_code: i16,
        session_id: i32,
    },
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
    /// The batch before it ended. `complete` = all its `Record`s or `Compressed` pieces came (a gap inside a record's value costs nothing);
    /// with `Limits::records` off and no compression: no byte of it was elided.
    BatchEnd { complete: bool },
    /// The record field of the partition ended. `complete` = all its batch headers were delivered. Not sent when the records are null.
    PartitionEnd { complete: bool },
    /// The rest of this body says nothing; the frame goes on to its end. Sent at most once; only `End` follows.
    Undecodable { reason: &'static str },
    /// The body ended. `complete` = every structural byte was seen: all topics, partitions and batch headers were delivered.
    End { complete: bool },
}

/// See [`Event::Partition`].
#[derive(Clone, Copy, Debug)]
pub struct Partition<'a> {
    pub index: i32,
    pub error_code: i16,
    /// −1 = unknown, as on the wire.
    pub high_watermark: i64,
    /// −1 before v4.
    pub last_stable_offset: i64,
    /// −1 before v5.
    pub log_start_offset: i64,
    /// (producer id, first offset) of aborted transactions; empty when null.
    pub aborted: Aborted<'a>,
    /// −1 = none (and before v11).
    pub preferred_read_replica: i32,
    /// Bytes of the record field; None = null.
    pub records_len: Option<u32>,
}

/// Aborted transactions of a Fetch answer as (producer id, first offset).
#[derive(Clone, Copy, Debug, Default)]
pub struct Aborted<'a> {
    pub pairs: &'a [(i64, i64)],
    /// There were more than are kept (4,096).
    pub truncated: bool,
}

/// Reads one body. Feed it until `End` came, or call [`Decoder::finish`] when the rest will never come.
#[derive(Debug)]
pub struct Decoder {
    left: u64,
    ended: bool,
}

impl Decoder {
    /// For a body of `body_len` bytes (the frame's size without the header) of this API key and version.
    pub fn new(
        side: Side,
        api_key: i16,
        api_version: i16,
        body_len: u64,
        limits: Limits,
    ) -> Decoder {
        let _ = (side, api_key, api_version, limits);
        Decoder {
            left: body_len,
            ended: false,
        }
    }

    /// Bytes of the body that were not fed yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next run of the body; bytes past its end are ignored. `End` comes with the last byte.
    pub fn feed(&mut self, segment: Segment<'_>, emit: &mut impl FnMut(Event<'_>)) {
        let n = match segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Elided(n) => n,
        };
        self.left = self.left.saturating_sub(n);
        if self.left == 0 && !self.ended {
            self.ended = true;
            emit(Event::End { complete: true });
        }
    }

    /// Ends the body here: what was not fed counts as elided. Gives the `End` of empty bodies; does nothing after `End`.
    pub fn finish(&mut self, emit: &mut impl FnMut(Event<'_>)) {
        if !self.ended {
            self.feed(Segment::Elided(self.left), emit);
        }
    }
}
