//! Records into the ring buffers. A record is reserved with a constant size, filled in place and submitted.
//!
//! Under traffic the reader drains every few milliseconds, and is woken only when a quarter of the ring is unread. When it
//! sleeps it says so in READER, and the next record wakes it. A full ring is counted; the stream's offset has moved on by then, so that the reader sees the hole.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::generated::{
    bpf_ringbuf_discard, bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit,
};
use obi_abi::{RecordHeader, reader, stat};

use crate::maps::{CALLS, EVENTS, READER, RING};
use crate::read::{self, Stamp};
use crate::stat::count;

const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;
const AVAIL_DATA: u64 = 0;
const RING_SIZE: u64 = 1;

/// A header with room for `T` behind it.
#[repr(C)]
pub struct Record<T> {
    pub header: RecordHeader,
    pub payload: T,
}

/// A place in RING that must be given to [`submit`]; `None` when the ring is full.
#[inline(always)]
pub fn reserve<T>() -> Option<&'static mut Record<T>> {
    let record = room(ptr::from_ref(&RING).cast_mut().cast());
    if record.is_none() {
        count(stat::LOST_RING);
    }
    record
}

#[inline(always)]
pub fn submit<T>(record: &'static mut Record<T>) {
    let flags = wake(ptr::from_ref(&RING).cast_mut().cast());
    // SAFETY: `record` came from `reserve` and is not used again.
    unsafe { bpf_ringbuf_submit(ptr::from_mut(record).cast(), flags) };
}

/// As [`reserve`], in CALLS.
#[inline(always)]
pub fn reserve_call<T>() -> Option<&'static mut Record<T>> {
    let record = room(ptr::from_ref(&CALLS).cast_mut().cast());
    if record.is_none() {
        count(stat::LOST_CALLS);
    }
    record
}

#[inline(always)]
pub fn submit_call<T>(record: &'static mut Record<T>) {
    let flags = wake(ptr::from_ref(&CALLS).cast_mut().cast());
    // SAFETY: `record` came from `reserve_call` and is not used again.
    unsafe { bpf_ringbuf_submit(ptr::from_mut(record).cast(), flags) };
}

/// Gives the room back.
#[inline(always)]
pub fn discard<T>(record: &'static mut Record<T>) {
    // SAFETY: `record` came from `reserve` or `reserve_call` and is not used again.
    unsafe { bpf_ringbuf_discard(ptr::from_mut(record).cast(), NO_WAKEUP) };
}

#[inline(always)]
fn room<T>(ring: *mut c_void) -> Option<&'static mut Record<T>> {
    // SAFETY: the helper returns null or room for the size asked for; the verifier sees to it that it is submitted.
    unsafe {
        bpf_ringbuf_reserve(ring, size_of::<Record<T>>() as u64, 0)
            .cast::<Record<T>>()
            .as_mut()
    }
}

/// Reads the flag after the reservation: the reader sets it first and then looks at the producer positions, so that one of
/// the two sees the other. One flag serves both rings.
#[inline(always)]
fn wake(ring: *mut c_void) -> u64 {
    let Some(doing) = read::value(READER.get_ptr_mut(0)) else {
        return NO_WAKEUP;
    };
    match read::volatile(doing) {
        reader::AWAKE => NO_WAKEUP,
        reader::ASLEEP => {
            // Another CPU may do the same: one more wake-up.
            *doing = reader::AWAKE;
            FORCE_WAKEUP
        }
        _ => {
            let (unread, size) = fill(ring);
            if unread > size / 4 {
                FORCE_WAKEUP
            } else {
                NO_WAKEUP
            }
        }
    }
}

/// Bytes of the ring that are not read yet, and its size.
#[inline(always)]
fn fill(ring: *mut c_void) -> (u64, u64) {
    // SAFETY: the helper only reads the ring's positions.
    unsafe {
        (
            bpf_ringbuf_query(ring, AVAIL_DATA),
            bpf_ringbuf_query(ring, RING_SIZE),
        )
    }
}

/// Sends a record without payload into RING.
#[inline(always)]
pub fn send(stamp: Stamp) {
    if let Some(record) = reserve::<[u8; 0]>() {
        read::stamp(&raw mut record.header, stamp);
        submit(record);
    }
}

/// Sends a record without payload into EVENTS and wakes its reader.
#[inline(always)]
pub fn send_event(stamp: Stamp) {
    // SAFETY: as in `reserve` and `submit`.
    unsafe {
        let ring = ptr::from_ref(&EVENTS).cast_mut().cast::<c_void>();
        match bpf_ringbuf_reserve(ring, size_of::<RecordHeader>() as u64, 0)
            .cast::<RecordHeader>()
            .as_mut()
        {
            Some(record) => {
                read::stamp(record, stamp);
                bpf_ringbuf_submit(ptr::from_mut(record).cast(), FORCE_WAKEUP);
            }
            None => count(stat::LOST_RING),
        }
    }
}
