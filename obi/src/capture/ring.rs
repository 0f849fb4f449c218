//! A BPF ring buffer read in place, and the wait for it. In: the map's descriptor. Out: records, borrowed from the kernel's pages.
//!
//! libbpf maps the data of a ring twice, and resident memory counts both; here the second mapping is as long as the longest
//! record, which is enough to see a record whole that goes over the end. The wait is edge-triggered: it ends by the kernel
//! side's forced wake-up and not because something is unread. Layout: kernel/bpf/ringbuf.c, bpf_ringbuf(7).

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const PAGE: usize = 4096;
/// Before each record: length with two flags, offset in pages.
const HEADER: u64 = 8;
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// The longest record: a header of the contract and a whole chunk.
const LONGEST: usize = size_of::<obi_abi::RecordHeader>() + obi_abi::CHUNK;
const OVERLAP: usize = (LONGEST + HEADER as usize).next_multiple_of(PAGE);

/// One ring, read by one thread.
pub struct Ring {
    /// The consumer position, on a page of its own.
    consumer: Mapping,
    /// The producer position, on a page of its own, then the data and the beginning of the data once more.
    producer: Mapping,
    size: u64,
}

impl Ring {
    /// Maps the ring; `size` is the map's `max_entries`, in bytes.
    pub fn open(map: BorrowedFd<'_>, size: u32) -> Result<Ring> {
        let size = u64::from(size);
        if !size.is_power_of_two() || size < PAGE as u64 {
            return Err(Error::other(format!("a ring of {size} bytes")));
        }
        let data = size as usize + OVERLAP.min(size as usize);
        Ok(Ring {
            consumer: Mapping::new(map, 0, PAGE, libc::PROT_READ | libc::PROT_WRITE)?,
            producer: Mapping::new(map, PAGE, PAGE + data, libc::PROT_READ)?,
            size,
        })
    }

    /// Gives at most `limit` records to `each`, in order, and frees them; says how many.
    ///
    /// # Errors
    /// The ring holds what no kernel writes.
    pub fn read(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize> {
        let mut at = self.consumer.position().load(Ordering::Relaxed);
        let mut seen = 0;
        while seen < limit && at < self.producer.position().load(Ordering::Acquire) {
            let length = self
                .producer
                .length(at & (self.size - 1))
                .load(Ordering::Acquire);
            if length & BUSY != 0 {
                break;
            }
            let bytes = length & !(BUSY | DISCARDED);
            if length & DISCARDED == 0 {
                each(self.record(at, bytes)?);
                seen += 1;
            }
            at += (u64::from(bytes) + HEADER).next_multiple_of(8);
            self.consumer.position().store(at, Ordering::Release);
        }
        Ok(seen)
    }

    /// Bytes that are not read yet; also those of records still being written.
    pub fn unread(&self) -> u64 {
        // The two loads and the flag in READER, written before, must keep their order.
        std::sync::atomic::fence(Ordering::SeqCst);
        self.end().saturating_sub(self.read_to())
    }

    /// Where what comes next will stand, behind records that are still being written.
    pub fn end(&self) -> u64 {
        self.producer.position().load(Ordering::Acquire)
    }

    /// All that stood before this was read.
    pub fn read_to(&self) -> u64 {
        self.consumer.position().load(Ordering::Relaxed)
    }

    fn record(&self, at: u64, bytes: u32) -> Result<&[u8]> {
        let start = PAGE + (at & (self.size - 1)) as usize + HEADER as usize;
        self.producer
            .bytes(start, bytes as usize)
            .ok_or_else(|| Error::other(format!("a ring record of {bytes} bytes")))
    }
}

/// Waits for forced wake-ups of several rings.
pub struct Alarm {
    epoll: OwnedFd,
}

impl Alarm {
    pub fn new(rings: &[BorrowedFd<'_>]) -> Result<Alarm> {
        // SAFETY: no pointers; a non-negative result is a descriptor that nobody else owns.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        for ring in rings {
            let mut event = libc::epoll_event {
                events: (libc::EPOLLIN | libc::EPOLLET) as u32,
                u64: 0,
            };
            // SAFETY: `event` lives through the call.
            let failed = unsafe {
                libc::epoll_ctl(
                    epoll.as_raw_fd(),
                    libc::EPOLL_CTL_ADD,
                    ring.as_raw_fd(),
                    &mut event,
                )
            };
            if failed != 0 {
                return Err(Error::last_os_error());
            }
        }
        Ok(Alarm { epoll })
    }

    /// Until a wake-up, a signal, or the end of `timeout`; true after a wake-up.
    pub fn wait(&self, timeout: Duration) -> bool {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: `events` has room for as many as it says.
        unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 4, milliseconds) > 0
        }
    }
}

struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the pages belong to the mapping alone, which may be used and dropped on any thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: BorrowedFd<'_>, offset: usize, length: usize, protection: i32) -> Result<Mapping> {
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::other("mapped at zero"))?;
        Ok(Mapping { start, length })
    }

    /// The position in the first word.
    fn position(&self) -> &AtomicU64 {
        // SAFETY: a mapping is at least a page, aligned to one, and others touch the word only by atomic accesses.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().cast()) }
    }

    /// The first word of the record at `at` in the data, which is a multiple of 8 below the ring's size.
    fn length(&self, at: u64) -> &AtomicU32 {
        // SAFETY: the data begins after one page and is as long as the ring; records are aligned to 8 bytes.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(PAGE + at as usize).cast()) }
    }

    fn bytes(&self, start: usize, length: usize) -> Option<&[u8]> {
        if start.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: within the mapping. The kernel does not write a record again before the consumer position has passed
        // it, and `Ring::read` moves that only after the borrow has ended.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(start), length) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
