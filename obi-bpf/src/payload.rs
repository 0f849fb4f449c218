//! Bytes of one call into the ring: full chunks of 32 KiB in a loop, then one tail by size class.
//!
//! A constant size makes `bpf_ringbuf_reserve` possible, and the tail stands after the loop because the verifier's work
//! multiplies otherwise (933,000 instructions on 6.12). A chunk whose pages are not resident becomes a gap.

use core::mem::MaybeUninit;
use core::ptr;

use obi_abi::{CHUNK, RecordHeader, gap, kind, stat};

use crate::frames;
use crate::read::{self, Stamp};
use crate::ring::{self, Record};
use crate::stat::{add, count};

/// What is left to send of one call. Lives on the stack of the program and is handed to the loops.
#[repr(C)]
pub struct Work {
    /// `offset` is that of the next byte.
    pub header: RecordHeader,
    pub rest: Rest,
}

#[repr(C)]
pub struct Rest {
    /// The contiguous range under way, and its bytes not sent yet.
    pub user: u64,
    pub left: u64,
    /// Bytes of the whole call not accounted for yet.
    pub remaining: u64,
    /// How many of them may be copied.
    pub budget: u64,
    /// Next iovec or mmsghdr.
    pub vector: u64,
    pub messages: u64,
    /// Bytes of the first iovec to leave out.
    pub skip: u64,
    /// Reason of the gap when the budget is used up.
    pub reason: u64,
    /// Not 0: bodies of record batches are left out.
    pub frames: u64,
}

impl Work {
    #[inline(always)]
    pub fn begin(place: &mut MaybeUninit<Work>, stamp: Stamp) -> &mut Work {
        let to = place.as_mut_ptr();
        // SAFETY: both parts are written in full.
        unsafe {
            read::stamp(&raw mut (*to).header, stamp);
            read::zero(&raw mut (*to).rest);
            &mut *to
        }
    }

    /// Sends `length` bytes at `user`, as far as the budget goes; the caller turns the rest of the call into a gap.
    #[inline(always)]
    pub fn range(&mut self, user: u64, length: u64) {
        let copied = if length < self.rest.budget {
            length
        } else {
            self.rest.budget
        };
        self.rest.remaining = self.rest.remaining.saturating_sub(copied);
        self.rest.budget -= copied;
        self.rest.user = user;
        self.rest.left = copied;
        copy_out(self);
    }

    /// All of a call, whose bytes stand at `user`.
    #[inline(always)]
    pub fn buffer(&mut self, user: u64, length: u64) {
        if self.rest.frames == 0 {
            self.range(user, length);
        } else {
            frames::send_frames(self, user, length);
        }
    }

    /// Turns what is left of the call into one gap.
    #[inline(always)]
    pub fn finish(&mut self) {
        if self.rest.remaining > 0 {
            let reason = self.rest.reason as u8;
            if reason == gap::CALL_LIMIT {
                add(stat::GAP_LIMIT, self.rest.remaining);
            }
            send_gap(&self.header, reason, self.rest.remaining);
        }
    }
}

/// Sends a gap of `length` bytes at the header's offset.
#[inline(never)]
pub fn send_gap(header: &RecordHeader, reason: u8, length: u64) -> u64 {
    if let Some(record) = ring::reserve::<[u8; 0]>() {
        read::copy_header(header, &mut record.header);
        record.header.kind = kind::GAP;
        record.header.reason = reason;
        record.header.gap = length;
        ring::submit(record);
    }
    0
}

/// Sends `work.rest.left` bytes at `work.rest.user`. A global function: the verifier looks at it once for itself and not
/// again at every call; inlined, its paths times those of the callers were too many for it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn copy_out(work: *mut Work) -> u64 {
    let Some(work) = read::state(work) else {
        return 0;
    };
    let total = work.rest.left;
    let chunks = total / CHUNK as u64;
    if chunks > 0 {
        // The loop wants its state on this function's own stack.
        let mut state = Chunks {
            work: ptr::from_mut(work),
        };
        read::repeat(chunks as u32, chunk, &mut state);
    }
    let done = chunks * CHUNK as u64;
    let left = total - done;
    work.rest.user += done;
    work.header.offset += done;
    if left == 0 {
        return 0;
    }
    if left < 256 {
        piece::<256>(work, left);
    } else if left < 1024 {
        piece::<1024>(work, left);
    } else if left < 2048 {
        piece::<2048>(work, left);
    } else if left < 4096 {
        piece::<4096>(work, left);
    } else if left < 8192 {
        piece::<8192>(work, left);
    } else if left < 16384 {
        piece::<16384>(work, left);
    } else if left == 16384 {
        // A full TLS record: it would take twice its room in the ring.
        send::<16384>(work, 16384, left);
    } else {
        piece::<CHUNK>(work, left);
    }
    0
}

/// What the loop over full chunks needs.
#[repr(C)]
struct Chunks {
    work: *mut Work,
}

/// One round of the loop. It changes nothing in its state: the verifier follows rounds until nothing new can come.
extern "C" fn chunk(index: u32, state: *mut Chunks) -> i64 {
    let Some(work) = read::state(state).and_then(|state| read::state(state.work)) else {
        return 1;
    };
    if let Some(record) = ring::reserve::<[u8; CHUNK]>() {
        let done = index as u64 * CHUNK as u64;
        read::copy_header(&work.header, &mut record.header);
        record.header.offset = work.header.offset + done;
        fill(record, CHUNK as u32, CHUNK as u64, work.rest.user + done);
    }
    0
}

/// Sends the last `length` bytes, fewer than `SIZE`, in a record with room for `SIZE`.
#[inline(always)]
fn piece<const SIZE: usize>(work: &mut Work, length: u64) {
    let bounded = (read::opaque(length) & (SIZE as u64 - 1)) as u32;
    send::<SIZE>(work, bounded, length);
}

/// `bounded` is `length`, as the verifier understands it.
#[inline(always)]
fn send<const SIZE: usize>(work: &mut Work, bounded: u32, length: u64) {
    if let Some(record) = ring::reserve::<[u8; SIZE]>() {
        read::copy_header(&work.header, &mut record.header);
        fill(record, bounded, length, work.rest.user);
    }
    work.header.offset += length;
    work.rest.left = 0;
}

#[inline(always)]
fn fill<const SIZE: usize>(
    record: &'static mut Record<[u8; SIZE]>,
    bounded: u32,
    length: u64,
    user: u64,
) {
    if read::user_bytes(record.payload.as_mut_ptr(), bounded, user) {
        record.header.kind = kind::DATA;
        record.header.len = length as u32;
    } else {
        record.header.kind = kind::GAP;
        record.header.reason = gap::FAULT;
        record.header.gap = length;
        count(stat::GAP_FAULT);
    }
    ring::submit(record);
}
