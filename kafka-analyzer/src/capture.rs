//! Waist 1: what the capture side says. In: nothing; out: the closed set of events that the stream thread eats.
//!
//! Data is borrowed (it lives in the ring buffer or in the replay buffer). All times are nanoseconds of the monotonic clock of
//! the machine that captured; [`CaptureEvent::Clock`] ties them to the wall clock, so that a replay gives the same times.

use std::net::SocketAddr;
use std::sync::Arc;

mod call;

pub use call::{ClientCall, Means, Task};

/// Nanoseconds of the capturing machine's monotonic clock.
pub type Nanos = u64;
/// Process id (thread group id) in the agent's pid namespace.
pub type Pid = u32;

/// Identity of one connection for the life of a capture.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ConnectionId(pub u64);

/// Direction as the watched process sees it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Read,
    Write,
}

/// Where plaintext was taken.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Socket,
    Openssl,
    GoTls,
}

impl Source {
    pub const ALL: [Source; 3] = [Source::Socket, Source::Openssl, Source::GoTls];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Socket => "socket",
            Source::Openssl => "openssl",
            Source::GoTls => "go_tls",
        }
    }
}

/// Why bytes of a stream are missing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    CallLimit,
    PageFault,
    Verdict,
    Sendfile,
    Iovecs,
    RingFull,
    /// `obi record` left record bodies out.
    Redacted,
    /// Bodies of record batches, which are not read on this connection.
    Records,
}

impl GapReason {
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::CallLimit => "call_limit",
            GapReason::PageFault => "page_fault",
            GapReason::Verdict => "verdict",
            GapReason::Sendfile => "sendfile",
            GapReason::Iovecs => "iovecs",
            GapReason::RingFull => "ring_full",
            GapReason::Redacted => "redacted",
            GapReason::Records => "records",
        }
    }
}

/// Hooks that run for each message of a process: its overhead budget sends them away and brings them back. Hooks that come once a batch stay.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// All are there.
    Open,
    /// None is there.
    Shut,
    /// They come or go: nobody knows which are there.
    Changing,
}

/// What is known of a watched process. Written into recordings, so that a replay has the same labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessInfo {
    pub pid: Pid,
    /// Path of the executable inside the process's own mount namespace.
    pub exe: String,
    /// `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else the executable's (script's) name.
    pub service: Arc<str>,
    /// The other pairs of `OTEL_RESOURCE_ATTRIBUTES`, in order.
    pub attributes: Vec<(String, String)>,
    pub container_id: Option<String>,
    /// It is a Go program: its threads say nothing of who works.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goroutines: bool,
}

/// One event of a capture. Within one connection and direction, offsets never go back.
#[derive(Clone, Debug)]
pub enum CaptureEvent<'a> {
    /// `wall` nanoseconds since the epoch were shown when the monotonic clock showed `monotonic`.
    Clock {
        monotonic: Nanos,
        wall: u64,
    },
    Process(ProcessInfo),
    Exited {
        pid: Pid,
        time: Nanos,
    },
    /// Seen for the first time, or (a second time) its peer became known.
    Opened {
        connection: ConnectionId,
        time: Nanos,
        pid: Pid,
        source: Source,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    },
    Data {
        connection: ConnectionId,
        direction: Direction,
        /// Position of `bytes[0]` in this direction.
        offset: u64,
        /// The call that moved the bytes was entered.
        began: Nanos,
        /// It returned.
        ended: Nanos,
        pid: Pid,
        tid: u32,
        /// Go: `runtime.g.goid` of the caller, where it is known.
        goroutine: Option<u64>,
        source: Source,
        bytes: &'a [u8],
    },
    /// A client library was called, or gave something back.
    Call(ClientCall),
    /// Before the first of a process's hooks goes or comes, and after the last one did.
    Window {
        pid: Pid,
        time: Nanos,
        window: Window,
    },
    Gap {
        connection: ConnectionId,
        direction: Direction,
        offset: u64,
        length: u64,
        began: Nanos,
        ended: Nanos,
        pid: Pid,
        source: Source,
        reason: GapReason,
    },
    Closed {
        connection: ConnectionId,
        time: Nanos,
    },
    /// Nothing happened up to this time: lets waiting answers and timeouts go on.
    Tick {
        time: Nanos,
    },
}

/// The one arrow back to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub connection: ConnectionId,
    pub protocol: Protocol,
    pub copy: Copy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Kafka,
    /// Not Kafka, but read for the trace: HTTP that is served, or PostgreSQL that is asked.
    App,
    Tls,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    Whole,
    /// All but the bodies of record batches.
    Batches,
    /// The first bytes of each call, in which a head stands.
    Heads,
    None,
}
