//! Transfers whose bytes are in pieces: arrays of iovec, msghdr, arrays of mmsghdr.
//!
//! Sizes are those of the 64-bit ABI. A vector that cannot be read ends the copy; the rest of the call is one gap.

use obi_abi::{direction, gap, stat};

use crate::payload::Work;
use crate::stat::add;
use crate::{read, stream};

/// Where the bytes of a transfer are.
pub mod form {
    /// One buffer.
    pub const BUFFER: u8 = 0;
    /// An array of iovec in user memory.
    pub const IOVECS: u8 = 1;
    /// A msghdr in user memory.
    pub const MESSAGE: u8 = 2;
    /// An array of mmsghdr in user memory.
    pub const MESSAGES: u8 = 3;
    /// Never in user memory (sendfile, splice).
    pub const UNSEEN: u8 = 4;
    /// An array of iovec that the kernel has copied in.
    pub const KERNEL_IOVECS: u8 = 5;
}

/// UIO_MAXIOV: the kernel takes no more, neither iovecs nor messages.
const MOST: u64 = 1024;
const IOVEC: u64 = 16;
const MSG_IOV: u64 = 16;
const MSG_IOVLEN: u64 = 24;
const MMSGHDR: u64 = 64;
const MSG_LEN: u64 = 56;

/// The rest of the call becomes a gap.
#[inline(always)]
pub fn unseen(work: &mut Work) {
    work.rest.budget = 0;
    work.rest.reason = gap::SENDFILE as u64;
}

#[inline(always)]
pub fn iovecs(work: &mut Work, at: u64, number: u64, skip: u64, form: u8) {
    work.rest.vector = at;
    work.rest.skip = skip;
    let number = if number < MOST { number } else { MOST };
    if form == form::KERNEL_IOVECS {
        read::repeat(number as u32, kernel_iovec, work);
    } else {
        read::repeat(number as u32, user_iovec, work);
    }
}

#[inline(always)]
pub fn message(work: &mut Work, at: u64) {
    let vector: u64 = read::user(at + MSG_IOV).unwrap_or(0);
    let number: u64 = read::user(at + MSG_IOVLEN).unwrap_or(0);
    work.rest.reason = if vector == 0 {
        gap::IOVECS as u64
    } else {
        work.rest.reason
    };
    iovecs(work, vector, number, 0, form::IOVECS);
}

/// `number` messages were moved; each says how many bytes.
#[inline(always)]
pub fn messages(work: &mut Work, at: u64, number: u64, way: u8) {
    work.rest.messages = at;
    let number = if number < MOST { number } else { MOST };
    if way == direction::READ {
        read::repeat(number as u32, message_read, work);
    } else {
        read::repeat(number as u32, message_written, work);
    }
}

extern "C" fn message_read(index: u32, work: *mut Work) -> i64 {
    one_message(index, work, direction::READ)
}

extern "C" fn message_written(index: u32, work: *mut Work) -> i64 {
    one_message(index, work, direction::WRITE)
}

#[inline(always)]
fn one_message(index: u32, work: *mut Work, way: u8) -> i64 {
    let Some(work) = read::state(work) else {
        return 1;
    };
    let at = work.rest.messages + index as u64 * MMSGHDR;
    let length: u32 = read::user(at + MSG_LEN).unwrap_or(0);
    let id = work.header.conn;
    if length == 0 {
        return 0;
    }
    let Some(conn) = stream::conn(id) else {
        return 1;
    };
    add(stat::BYTES_SOCKET, length as u64);
    if stream::advance(id, conn, way, length as u64, work) {
        message(work, at);
        work.finish();
    }
    0
}

extern "C" fn user_iovec(index: u32, work: *mut Work) -> i64 {
    let Some(work) = read::state(work) else {
        return 1;
    };
    let at = work.rest.vector + index as u64 * IOVEC;
    let (Some(base), Some(length)) = (read::user::<u64>(at), read::user::<u64>(at + 8)) else {
        return unreadable(work);
    };
    one_range(work, index, base, length)
}

extern "C" fn kernel_iovec(index: u32, work: *mut Work) -> i64 {
    let Some(work) = read::state(work) else {
        return 1;
    };
    let at = work.rest.vector + index as u64 * IOVEC;
    let (Some(base), Some(length)) = (read::kernel::<u64>(at), read::kernel::<u64>(at + 8)) else {
        return unreadable(work);
    };
    one_range(work, index, base, length)
}

#[inline(always)]
fn unreadable(work: &mut Work) -> i64 {
    work.rest.reason = gap::IOVECS as u64;
    1
}

/// Sends one piece; 1 when there is nothing more to send.
#[inline(always)]
fn one_range(work: &mut Work, index: u32, base: u64, length: u64) -> i64 {
    let skip = if index == 0 { work.rest.skip } else { 0 };
    let length = length.saturating_sub(skip);
    let remaining = work.rest.remaining;
    let length = if length < remaining {
        length
    } else {
        remaining
    };
    if length > 0 {
        work.range(base + skip, length);
    }
    if work.rest.remaining == 0 || work.rest.budget == 0 {
        1
    } else {
        0
    }
}
