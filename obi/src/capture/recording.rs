//! A capture in a file: waist 1, versioned. In: capture events (redacted, see `redact`); out: the same events, from [`Reader`].
//!
//! Layout, all numbers little-endian: 8 bytes `obi-rec` and the version; 8 bytes of flags (bit 0: payloads are kept); then records:
//! a u32 length of what follows, a tag byte, content. Data and gaps are binary, rare events are JSON. The last record says how many
//! there were, so that a file that was cut is told from a whole one.

mod read;
mod write;

use std::net::SocketAddr;

use kafka_analyzer::capture::{
    CaptureEvent, ClientCall, ConnectionId, Direction, GapReason, Nanos, Pid, ProcessInfo, Source,
    Window,
};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use read::{Problem, Reader};
pub use write::Writer;

const MAGIC: [u8; 7] = *b"obi-rec";
const VERSION: u8 = 3;
/// The same without windows.
const OLDEST: u8 = 2;
const HEADER: usize = 16;
const WITH_PAYLOAD: u64 = 1;
/// A record is a ring record, its runs and a head: a longer one is damage.
const RECORD_LIMIT: u32 = 16 * 1024 * 1024;

mod tag {
    pub const RARE: u8 = 1;
    pub const DATA: u8 = 2;
    pub const GAP: u8 = 3;
    pub const END: u8 = 4;
}

/// Events that come seldom.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rare {
    Clock {
        monotonic: Nanos,
        wall: u64,
    },
    Process(ProcessInfo),
    Exited {
        pid: Pid,
        time: Nanos,
    },
    Opened {
        connection: ConnectionId,
        time: Nanos,
        pid: Pid,
        source: Source,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    },
    Closed {
        connection: ConnectionId,
        time: Nanos,
    },
    Call(ClientCall),
    Window {
        pid: Pid,
        time: Nanos,
        window: Window,
    },
}

impl Rare {
    /// `None` for data, gaps and ticks.
    fn of(event: &CaptureEvent<'_>) -> Option<Rare> {
        Some(match event {
            CaptureEvent::Clock { monotonic, wall } => Rare::Clock {
                monotonic: *monotonic,
                wall: *wall,
            },
            CaptureEvent::Process(info) => Rare::Process(info.clone()),
            CaptureEvent::Exited { pid, time } => Rare::Exited {
                pid: *pid,
                time: *time,
            },
            CaptureEvent::Opened {
                connection,
                time,
                pid,
                source,
                local,
                peer,
            } => Rare::Opened {
                connection: *connection,
                time: *time,
                pid: *pid,
                source: *source,
                local: *local,
                peer: *peer,
            },
            CaptureEvent::Closed { connection, time } => Rare::Closed {
                connection: *connection,
                time: *time,
            },
            CaptureEvent::Call(call) => Rare::Call(call.clone()),
            CaptureEvent::Window { pid, time, window } => Rare::Window {
                pid: *pid,
                time: *time,
                window: *window,
            },
            CaptureEvent::Data { .. } | CaptureEvent::Gap { .. } | CaptureEvent::Tick { .. } => {
                return None;
            }
        })
    }

    fn event(self) -> CaptureEvent<'static> {
        match self {
            Rare::Clock { monotonic, wall } => CaptureEvent::Clock { monotonic, wall },
            Rare::Process(info) => CaptureEvent::Process(info),
            Rare::Exited { pid, time } => CaptureEvent::Exited { pid, time },
            Rare::Opened {
                connection,
                time,
                pid,
                source,
                local,
                peer,
            } => CaptureEvent::Opened {
                connection,
                time,
                pid,
                source,
                local,
                peer,
            },
            Rare::Closed { connection, time } => CaptureEvent::Closed { connection, time },
            Rare::Call(call) => CaptureEvent::Call(call),
            Rare::Window { pid, time, window } => CaptureEvent::Window { pid, time, window },
        }
    }
}

/// Head of a data or gap record. Data: then `runs` times (u32: length, upper two bits the fate), then the bytes that were kept.
/// Gap: then a u64, its length.
#[repr(C, packed)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
struct Head {
    connection: u64,
    offset: u64,
    began: u64,
    ended: u64,
    /// Go: id of the goroutine; 0 = not known.
    goroutine: u64,
    pid: u32,
    tid: u32,
    runs: u32,
    direction: u8,
    source: u8,
    reason: u8,
    reserved: u8,
}

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];
/// Recordings hold their positions: a new one goes to the end.
const REASONS: [GapReason; 8] = [
    GapReason::CallLimit,
    GapReason::PageFault,
    GapReason::Verdict,
    GapReason::Sendfile,
    GapReason::Iovecs,
    GapReason::RingFull,
    GapReason::Redacted,
    GapReason::Records,
];

/// Position in a table as a byte; the tables are shorter than 256.
fn number<T: PartialEq>(table: &[T], value: &T) -> u8 {
    table
        .iter()
        .position(|known| known == value)
        .and_then(|at| u8::try_from(at).ok())
        .unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
