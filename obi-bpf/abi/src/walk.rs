//! Frames of a connection, walked where the bytes are, so that the bodies of record batches need not be copied. The same code runs in the kernel
//! side and in tests on the host.
//!
//! In: the bytes of one direction, call by call; what messages look like, as [`Layout`]s. Out: which bytes say something and which are the body of a
//! record batch. It knows no API: user space says by key and version which layout a message has. It waits for a frame that begins with a call, and
//! whatever it does not understand it leaves alone: those bytes are copied, as without it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Steps of a layout.
pub const STEPS: usize = 32;
/// Layouts there can be.
pub const LAYOUTS: u32 = 64;
/// Requests of one connection whose answers are awaited; of more, the oldest is forgotten.
pub const ASKED: usize = 8;
/// Set in what is known of a message (`LAYOUT_OF`): the layout is that of the answer.
pub const OF_ANSWER: u32 = 1 << 8;

/// No longer frame is followed (`socket.request.max.bytes` is 100 MiB by default).
const FRAME_MOST: u64 = 1 << 27;
/// API key, version and correlation id; an answer has the latter only.
const REQUEST_LEAST: u64 = 8;
const ANSWER_LEAST: u64 = 4;
const KEY_MOST: u64 = 0x7f;
const VERSION_MOST: u64 = 0x1f;

/// Record batch, magic 2 (KIP-98): base offset 8, length 4, leader epoch 4, magic 1, crc 4, attributes 2, last offset delta 4, two timestamps 16,
/// producer id 8, epoch 2, base sequence 4, count 4; then the body. `length` counts from the leader epoch on.
const BATCH_HEADER: u64 = 61;
const BEFORE_LENGTH: u64 = 8;
const AFTER_LENGTH: u64 = 12;
const LENGTH_TO_MAGIC: u64 = 4;
const MAGIC_TO_DELTA: u64 = 6;
const DELTA_TO_COUNT: u64 = 30;
const MAGIC: u64 = 2;

/// One step of a layout in the low 8 bits, its argument above them.
pub mod step {
    /// Nothing of interest follows in the frame.
    pub const END: u32 = 0;
    /// Bytes, as many as the argument says.
    pub const BYTES: u32 = 1;
    /// A string with an i16 before it.
    pub const STRING: u32 = 2;
    pub const COMPACT_STRING: u32 = 3;
    /// A tag buffer.
    pub const TAGS: u32 = 4;
    /// Count of an array; argument: level of nesting (0 to 2), and shifted left by 8 the step behind its end.
    pub const ARRAY: u32 = 5;
    pub const COMPACT_ARRAY: u32 = 6;
    /// The end of an element; argument: as above, with the element's first step.
    pub const NEXT: u32 = 7;
    /// Record batches, with an i32 before them that says how many bytes.
    pub const RECORDS: u32 = 8;
    pub const COMPACT_RECORDS: u32 = 9;
}

/// Value of the map `LAYOUTS`: the steps of a message from behind its correlation id on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Layout {
    pub steps: [u32; STEPS],
}

/// What the walk asks of its surroundings.
pub trait Around {
    /// A body of fewer bytes is not worth a gap of its own.
    const BODY_LEAST: u64;

    /// The next `n` bytes (1 to 4) as a big-endian number; `None` when they cannot be read.
    fn bytes(&mut self, n: u32) -> Option<u64>;
    fn step(&mut self, layout: u8, at: u8) -> u32;
    /// A request begins. The layout of its rest, if there is something to find in it.
    fn request(&mut self, key_and_version: u32, correlation_id: u32) -> Option<u8>;
    /// An answer begins. The layout of its rest, if there is something to find in it.
    fn answer(&mut self, correlation_id: u32) -> Option<u8>;
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Bytes that say something; may be 0.
    Copy(u64),
    /// Bytes of a batch's body.
    Over(u64),
    /// These are no frames: all of the call is to be copied.
    Lost,
}

mod phase {
    pub const LOST: u8 = 0;
    pub const SIZE: u8 = 1;
    pub const KEY: u8 = 2;
    pub const CORRELATION: u8 = 3;
    pub const STEPS: u8 = 4;
    pub const LENGTH: u8 = 5;
    pub const MAGIC: u8 = 6;
    pub const DELTA: u8 = 7;
    pub const COUNT: u8 = 8;
    /// The next batch of a record field begins, if there is one.
    pub const BATCH: u8 = 9;
    /// The rest of the frame says nothing that is looked for.
    pub const REST: u8 = 10;
    /// Of a tagged field.
    pub const TAG: u8 = 11;
    pub const TAG_SIZE: u8 = 12;
}

/// One direction of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Walk {
    /// Offset in the stream at which the next call must begin.
    next: u64,
    /// Bytes left of the frame, behind its size.
    frame: u64,
    /// Bytes to copy before the next field.
    skip: u64,
    /// Bytes to step over after those.
    over: u64,
    /// Bytes left of the record field.
    records: u64,
    /// Length of the batch under way; at the head of a request its API key and version; in a tag buffer the fields left.
    batch: u64,
    /// What came of the field under way.
    value: u64,
    /// Elements left, by level of nesting.
    counts: [u32; 3],
    last_offset_delta: u32,
    /// 1: what came before was a frame; else only an answer that somebody waits for is one.
    sure: u32,
    /// Bytes that came of the field under way.
    have: u8,
    at: u8,
    layout: u8,
    phase: u8,
}

impl Walk {
    pub const NEW: Walk = Walk {
        next: 0,
        frame: 0,
        skip: 0,
        over: 0,
        records: 0,
        batch: 0,
        value: 0,
        counts: [0; 3],
        last_offset_delta: 0,
        sure: 0,
        have: 0,
        at: 0,
        layout: 0,
        phase: phase::LOST,
    };

    /// A call of so many bytes begins at this place of the stream.
    #[inline(always)]
    pub fn begin(&mut self, offset: u64, length: u64) {
        if self.phase == phase::LOST || self.next != offset {
            self.phase = phase::SIZE;
            self.sure = 0;
            self.frame = 0;
            self.skip = 0;
            self.over = 0;
            self.value = 0;
            self.have = 0;
        }
        self.next = offset.wrapping_add(length);
    }

    /// What comes is not understood any more. The next call may begin a frame.
    #[inline(always)]
    pub fn lose(&mut self) -> Took {
        self.phase = phase::LOST;
        Took::Lost
    }

    /// One step, with `left` (at least 1) bytes of the call left. `requests`: this is the direction that asks.
    #[inline(always)]
    pub fn step(&mut self, requests: bool, left: u64, around: &mut impl Around) -> Took {
        if self.phase == phase::LOST {
            return Took::Lost;
        }
        if self.skip > 0 {
            let n = least(self.skip, left);
            self.skip -= n;
            return self.took(n, false);
        }
        if self.over > 0 {
            let n = least(self.over, left);
            self.over -= n;
            return self.took(n, true);
        }
        if self.goes_on() {
            return Took::Copy(0);
        }
        let (mut kind, mut argument) = (step::END, 0);
        if self.phase == phase::STEPS {
            let now = around.step(self.layout, self.at);
            (kind, argument) = (now & 0xff, now >> 8);
            if self.is_done(kind, argument) {
                return Took::Copy(0);
            }
        }
        let varint = match self.phase {
            phase::STEPS => is_varint(kind),
            at => at == phase::TAG || at == phase::TAG_SIZE,
        };
        let size = if varint || self.phase == phase::MAGIC {
            1
        } else if kind == step::STRING {
            2
        } else {
            4
        };
        let wanted = if varint { 1 } else { size - self.have as u64 };
        let n = least(wanted, left);
        let Some(bytes) = around.bytes(n as u32) else {
            return self.lose();
        };
        let more = if varint {
            self.value |= (bytes & 0x7f) << (7 * (self.have as u64 & 7));
            bytes & 0x80 != 0
        } else {
            self.value = self.value << (8 * n) | bytes;
            n < wanted
        };
        self.have += n as u8;
        if more {
            if self.have > 4 {
                return self.lose();
            }
            return if self.phase == phase::SIZE {
                Took::Copy(n)
            } else {
                self.took(n, false)
            };
        }
        let value = self.value;
        self.value = 0;
        self.have = 0;
        if self.phase == phase::SIZE {
            let least = if requests {
                REQUEST_LEAST
            } else {
                ANSWER_LEAST
            };
            if value < least || value > FRAME_MOST {
                return self.lose();
            }
            self.frame = value;
            self.phase = if requests {
                phase::KEY
            } else {
                phase::CORRELATION
            };
            return Took::Copy(n);
        }
        if self.phase == phase::STEPS {
            self.field(kind, argument, value);
        } else if !self.fixed(value, requests, around) {
            return self.lose();
        }
        self.took(n, false)
    }

    /// So many bytes are done with.
    #[inline(always)]
    fn took(&mut self, n: u64, over: bool) -> Took {
        if n > self.frame {
            return self.lose();
        }
        self.frame -= n;
        if self.frame == 0 {
            self.phase = phase::SIZE;
            self.skip = 0;
            self.over = 0;
            self.value = 0;
            self.have = 0;
        }
        if over { Took::Over(n) } else { Took::Copy(n) }
    }

    /// Between two fields.
    #[inline(always)]
    fn goes_on(&mut self) -> bool {
        match self.phase {
            phase::BATCH if self.records >= BATCH_HEADER => {
                self.skip = BEFORE_LENGTH;
                self.phase = phase::LENGTH;
            }
            phase::BATCH => {
                self.skip = self.records;
                self.phase = phase::STEPS;
            }
            phase::REST => self.skip = self.frame,
            _ => return false,
        }
        true
    }

    /// A step that reads nothing.
    #[inline(always)]
    fn is_done(&mut self, kind: u32, argument: u32) -> bool {
        match kind {
            step::BYTES => {
                self.skip = argument as u64;
                self.at += 1;
            }
            step::NEXT => {
                let left = self.count(argument).saturating_sub(1);
                self.set_count(argument, left);
                self.at = if left > 0 {
                    (argument >> 8) as u8
                } else {
                    self.at + 1
                };
            }
            step::END => self.phase = phase::REST,
            _ => return false,
        }
        true
    }

    /// A field of a layout was read.
    #[inline(always)]
    fn field(&mut self, kind: u32, argument: u32, value: u64) {
        self.at += 1;
        match kind {
            // −1: null.
            step::STRING => self.skip = if value & 0x8000 == 0 { value } else { 0 },
            step::COMPACT_STRING => self.skip = value.saturating_sub(1),
            step::TAGS => {
                self.batch = value;
                self.tag();
            }
            step::ARRAY | step::COMPACT_ARRAY => {
                let count = if kind == step::COMPACT_ARRAY {
                    value.saturating_sub(1)
                } else if value & 0x8000_0000 == 0 {
                    value
                } else {
                    0
                };
                self.set_count(argument, count as u32);
                if count == 0 {
                    self.at = (argument >> 8) as u8;
                }
            }
            step::RECORDS | step::COMPACT_RECORDS => {
                let bytes = if kind == step::COMPACT_RECORDS {
                    value.saturating_sub(1)
                } else if value & 0x8000_0000 == 0 {
                    value
                } else {
                    0
                };
                self.records = bytes;
                self.phase = phase::BATCH;
            }
            _ => {}
        }
    }

    /// A field of a frame's or a batch's head was read. False: this is none.
    #[inline(always)]
    fn fixed<A: Around>(&mut self, value: u64, requests: bool, around: &mut A) -> bool {
        match self.phase {
            phase::KEY => {
                self.batch = value;
                self.phase = phase::CORRELATION;
                return value >> 16 <= KEY_MOST && value & 0xffff <= VERSION_MOST;
            }
            phase::CORRELATION => {
                let layout = if requests {
                    around.request(self.batch as u32, value as u32)
                } else {
                    around.answer(value as u32)
                };
                match layout {
                    Some(layout) => {
                        self.sure = 1;
                        self.layout = layout;
                        self.at = 0;
                        self.phase = phase::STEPS;
                    }
                    None if requests || self.sure != 0 => self.phase = phase::REST,
                    None => return false,
                }
            }
            phase::TAG => self.phase = phase::TAG_SIZE,
            phase::TAG_SIZE => {
                self.skip = value;
                self.batch -= 1;
                self.tag();
            }
            phase::LENGTH => {
                self.batch = value.saturating_add(AFTER_LENGTH);
                self.skip = LENGTH_TO_MAGIC;
                self.phase = phase::MAGIC;
            }
            phase::MAGIC if value == MAGIC && self.batch >= BATCH_HEADER => {
                self.skip = MAGIC_TO_DELTA;
                self.phase = phase::DELTA;
            }
            phase::MAGIC => {
                // Messages of an older form.
                self.skip = self.records - (AFTER_LENGTH + LENGTH_TO_MAGIC + 1);
                self.phase = phase::STEPS;
            }
            phase::DELTA => {
                self.last_offset_delta = value as u32;
                self.skip = DELTA_TO_COUNT;
                self.phase = phase::COUNT;
            }
            _ => {
                // The last one of an answer may be cut off.
                let whole = least(self.batch, self.records);
                let body = whole.saturating_sub(BATCH_HEADER);
                self.records -= whole;
                // Where offsets have holes only the records tell which of them count.
                let dense = value == self.last_offset_delta as u64 + 1;
                if dense && body >= A::BODY_LEAST {
                    self.over = body;
                } else {
                    self.skip = body;
                }
                self.phase = phase::BATCH;
            }
        }
        true
    }

    /// The next field of a tag buffer, if there is one.
    #[inline(always)]
    fn tag(&mut self) {
        self.phase = if self.batch > 0 {
            phase::TAG
        } else {
            phase::STEPS
        };
    }

    #[inline(always)]
    fn count(&self, argument: u32) -> u32 {
        let [a, b, c] = self.counts;
        match argument & 0xff {
            0 => a,
            1 => b,
            _ => c,
        }
    }

    #[inline(always)]
    fn set_count(&mut self, argument: u32, count: u32) {
        let [a, b, c] = &mut self.counts;
        match argument & 0xff {
            0 => *a = count,
            1 => *b = count,
            _ => *c = count,
        }
    }
}

#[inline(always)]
fn is_varint(kind: u32) -> bool {
    matches!(
        kind,
        step::COMPACT_STRING | step::TAGS | step::COMPACT_ARRAY | step::COMPACT_RECORDS
    )
}

#[inline(always)]
fn least(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}
