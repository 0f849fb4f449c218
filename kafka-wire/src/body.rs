//! Message bodies of known length, fed piece by piece. In: segments of one body; out: [`Event`]s through a callback.
//!
//! The caller reads the size word and the header (see `header`) and then feeds exactly the rest of the frame. Bodies that are not
//! streamed are gathered up to [`Limits::whole`] or [`Limits::large`] and decoded once. Any split of a body gives the same events (pieces of compressed
//! bodies aside). Not here: what a message means, and opening compressed batches.

use crate::api::Shape;
use crate::reader::{Reader, Stop};
use crate::record_batch::{BatchHeader, Codec, Record};
use crate::{Segment, TopicRef, api};

pub(crate) mod parts;
mod records;
mod stream;

use parts::Parts;
use stream::{Kind, Stream};

/// Memory of a decoded message by the bytes of its body; real ones take twice as much at most.
const ROOM: usize = 8;
const ROOM_LEAST: usize = 64 * 1024;

/// Caps on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of key plus headers kept for one record; what is longer is cut and says so.
    pub keep: usize,
    /// A body that must be decoded whole is gathered up to here, else `Undecodable("too_large")`.
    pub whole: usize,
    /// The same for the bodies that tell of whole groups or commit many offsets: brokers store a group's members, and a commit, as one batch
    /// (`message.max.bytes`, 1 MiB by default).
    pub large: usize,
    /// Walk into uncompressed batches record by record.
    pub records: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            keep: 10_240,
            whole: 256 * 1024,
            large: 4 << 20,
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
    /// A body that was decoded whole; of a larger Metadata answer one for its head, one for each topic, and one for its end.
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
    /// Start of a ShareFetch answer (KIP-932).
    ShareFetch {
        throttle_ms: i32,
        error_code: i16,
        /// How long what is acquired stays so; 0 before v1.
        acquisition_lock_timeout_ms: i32,
    },
    /// Partitions that follow belong to this topic.
    Topic(TopicRef<'a>),
    /// A partition of a Produce request (only `index` and `records_len` are set), or of a Fetch or ShareFetch answer.
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
    /// Offsets that a share consumer was given of the partition before it, one event each run, after its records.
    Acquired(AcquiredRecords),
    /// The rest of this body says nothing; the frame goes on to its end. Sent at most once; only `End` follows.
    Undecodable { reason: &'static str },
    /// The body ended. `complete` = every structural byte was seen: all topics, partitions and batch headers were delivered.
    End { complete: bool },
}

/// See [`Event::Acquired`]. The answer may carry records of other offsets too: they are not for this consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredRecords {
    pub first_offset: i64,
    /// The last one, itself in the run.
    pub last_offset: i64,
    /// 1: never delivered before.
    pub delivery_count: i16,
}

/// See [`Event::Partition`].
#[derive(Clone, Copy, Debug)]
pub struct Partition<'a> {
    pub index: i32,
    pub error_code: i16,
    /// What became of the acknowledgements in the request (ShareFetch); else 0.
    pub acknowledge_error_code: i16,
    /// −1 = unknown, as on the wire; always in a ShareFetch answer, as all that follow but `records_len`.
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

impl Partition<'static> {
    /// What a version does not have.
    pub const UNKNOWN: Partition<'static> = Partition {
        index: -1,
        error_code: 0,
        acknowledge_error_code: 0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted: Aborted {
            pairs: &[],
            truncated: false,
        },
        preferred_read_replica: -1,
        records_len: None,
    };
}

/// What a step did with its window.
enum Step {
    /// These bytes are done with; perhaps none, when only the state changed.
    Took(usize),
    /// Nothing can be done with fewer bytes than this.
    Need(usize),
    /// Nothing more is expected.
    Finished,
}

#[derive(Debug)]
enum State {
    /// To the body's end.
    Skip,
    Whole(api::Decode),
    Parts(Parts),
    Stream(Box<Stream>),
}

/// Reads one body. Feed it until `End` came, or call [`Decoder::finish`] when the rest will never come.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    version: i16,
    flexible: bool,
    /// SASL tokens are among the bytes.
    secret: bool,
    whole: usize,
    /// Bytes of the body, and how many of them are done with.
    len: u64,
    pos: u64,
    /// The start of a piece whose rest did not come yet, and the size at which it is looked at again.
    carry: Vec<u8>,
    need: usize,
    complete: bool,
    ended: bool,
}

impl Decoder {
    /// For a body of `body_len` bytes (the frame's size without the header) of this API key and version. Bodies of unknown keys and
    /// versions are stepped over.
    pub fn new(
        side: Side,
        api_key: i16,
        api_version: i16,
        body_len: u64,
        limits: Limits,
    ) -> Decoder {
        let flexible = api::is_flexible(api_key, api_version);
        let stream = |kind| {
            State::Stream(Box::new(Stream::new(
                kind,
                api_version,
                flexible,
                body_len,
                limits,
            )))
        };
        let shape = api::shape(side, api_key, api_version);
        let whole = match shape {
            Shape::Large(_) => limits.large,
            _ => limits.whole,
        };
        let state = match shape {
            Shape::Framed => State::Skip,
            Shape::Whole(decode) | Shape::Large(decode) => State::Whole(decode),
            Shape::Parts(decode, _) if body_len <= limits.whole as u64 => State::Whole(decode),
            Shape::Parts(_, decode) => State::Parts(Parts::new(decode)),
            Shape::ProduceRequest => stream(Kind::ProduceRequest),
            Shape::FetchResponse => stream(Kind::FetchResponse),
            Shape::ShareFetchResponse => stream(Kind::ShareFetchResponse),
        };
        Decoder {
            state,
            version: api_version,
            flexible,
            secret: api_key == api::SASL_AUTHENTICATE,
            whole,
            len: body_len,
            pos: 0,
            carry: Vec::new(),
            need: 0,
            complete: true,
            ended: false,
        }
    }

    /// Bytes of the body that were not fed yet.
    pub fn left(&self) -> u64 {
        self.len - self.pos - self.carry.len() as u64
    }

    /// Bytes of memory held for this body, capacity included. At most a few KiB beyond [`Limits::keep`] (twice it, as vectors grow) and 64 KiB of
    /// aborted transactions; [`Limits::whole`] or [`Limits::large`] for bodies that are gathered.
    pub fn held(&self) -> usize {
        let kept = match &self.state {
            State::Skip | State::Whole(_) | State::Parts(_) => 0,
            State::Stream(stream) => size_of::<Stream>() + stream.held(),
        };
        self.carry.capacity() + kept
    }

    /// Takes the next run of the body; bytes past its end are ignored. `End` comes with the last byte.
    pub fn feed(&mut self, segment: Segment<'_>, emit: &mut impl FnMut(Event<'_>)) {
        if self.ended {
            return;
        }
        match segment {
            Segment::Bytes(bytes) => {
                let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
                self.bytes(bytes.get(..left).unwrap_or(bytes), emit);
            }
            Segment::Elided(n) => self.elided(n.min(self.left()), emit),
        }
        if self.pos == self.len && !self.ended {
            self.ended = true;
            emit(Event::End {
                complete: self.complete && self.is_whole(),
            });
        }
    }

    /// Ends the body here: what was not fed counts as elided. Gives the `End` of empty bodies; does nothing after `End`.
    pub fn finish(&mut self, emit: &mut impl FnMut(Event<'_>)) {
        self.feed(Segment::Elided(self.left()), emit);
    }

    fn is_whole(&self) -> bool {
        match &self.state {
            State::Skip | State::Whole(_) => true,
            State::Parts(parts) => parts.is_complete(),
            State::Stream(stream) => stream.is_complete(),
        }
    }

    fn bytes(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(Event<'_>)) {
        while !self.carry.is_empty() {
            let missing = self.need.saturating_sub(self.carry.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.carry.extend_from_slice(now);
            bytes = later;
            if self.carry.len() < self.need {
                return;
            }
            let mut carry = std::mem::take(&mut self.carry);
            let taken = self.run(&carry, emit);
            if self.secret {
                erase(&mut carry);
            }
            carry.drain(..taken);
            self.carry = carry;
        }
        let taken = self.run(bytes, emit);
        self.carry
            .extend_from_slice(bytes.get(taken..).unwrap_or_default());
    }

    /// Steps until more bytes are needed; returns how many were done with.
    fn run(&mut self, window: &[u8], emit: &mut impl FnMut(Event<'_>)) -> usize {
        let mut at = 0;
        loop {
            let rest = window.get(at..).unwrap_or_default();
            match self.step(rest, emit) {
                Ok(Step::Took(n)) => {
                    at += n;
                    self.pos += n as u64;
                }
                Ok(Step::Need(n)) if n as u64 <= self.len - self.pos => {
                    // To wait for what is there would be to wait for ever.
                    self.need = n.max(rest.len() + 1);
                    return at;
                }
                Ok(Step::Finished) if self.pos == self.len => return at,
                Ok(Step::Finished) => self.give_up("trailing_bytes", emit),
                Ok(Step::Need(_)) => self.give_up("truncated", emit),
                Err(reason) => self.give_up(reason, emit),
            }
        }
    }

    fn step(
        &mut self,
        window: &[u8],
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<Step, &'static str> {
        match &mut self.state {
            State::Skip if window.is_empty() => Ok(if self.pos == self.len {
                Step::Finished
            } else {
                Step::Need(1)
            }),
            State::Skip => Ok(Step::Took(window.len())),
            State::Stream(stream) => stream.step(window, self.pos, emit),
            State::Parts(parts) => {
                let left = self.len - self.pos;
                parts.step(
                    window,
                    (self.version, self.flexible),
                    (left, self.whole),
                    emit,
                )
            }
            State::Whole(decode) => {
                let len = usize::try_from(self.len)
                    .ok()
                    .filter(|len| *len <= self.whole)
                    .ok_or("too_large")?;
                let Some(body) = window.get(..len) else {
                    return Ok(Step::Need(len));
                };
                let room = len.saturating_mul(ROOM).saturating_add(ROOM_LEAST);
                let mut reader = Reader::new(body, self.flexible).with_room(room);
                let message = decode(&mut reader, self.version).map_err(Stop::reason)?;
                if !reader.rest().is_empty() {
                    return Err("trailing_bytes");
                }
                emit(Event::Message(message));
                self.state = State::Skip;
                Ok(Step::Took(len))
            }
        }
    }

    fn give_up(&mut self, reason: &'static str, emit: &mut impl FnMut(Event<'_>)) {
        self.state = State::Skip;
        self.complete = false;
        emit(Event::Undecodable { reason });
    }

    fn elided(&mut self, n: u64, emit: &mut impl FnMut(Event<'_>)) {
        // What was waiting for its rest is lost with it.
        let mut n = n + self.carry.len() as u64;
        if self.secret {
            erase(&mut self.carry);
        }
        self.carry.clear();
        self.run(&[], emit);
        while n > 0 {
            let absorbed = match &mut self.state {
                State::Skip => Ok(n),
                State::Whole(_) | State::Parts(_) => Err("gap"),
                State::Stream(stream) => stream.gap(self.pos, n),
            };
            match absorbed {
                Ok(absorbed) if absorbed > 0 => {
                    self.pos += absorbed;
                    n -= absorbed;
                    self.run(&[], emit);
                }
                _ => self.give_up("gap", emit),
            }
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if self.secret {
            erase(&mut self.carry);
        }
    }
}

/// Overwrites SASL tokens before their memory is used again.
fn erase(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}
