//! The other protocols of a trace: what came in over HTTP, what went out to PostgreSQL. In: both directions of one connection, piece by piece,
//! with the stamp of the call that moved each piece. Out: [`Event`]s. Cannot fail: what is not understood is counted and let go.
//!
//! One parser a protocol: [`http1::Server`] and [`http2::Server`] at the serving end (read = requests), [`postgres::Client`] at the
//! asking end (written = statements); [`classify`] says which of them a connection is for. Only heads are buffered, never more than
//! [`HEAD`] bytes a direction; bodies, rows, parameters and passwords are stepped over by their length. Header values other than the few that
//! an event shows are not kept, not even where HPACK would keep them.
//!
//! Pieces of a direction come in the order of its bytes, and a call's bytes before those of the calls that it caused (a server reads before it
//! answers, a client writes before it is answered).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod buffer;
pub mod call;
pub mod classify;
mod head;
pub mod http1;
pub mod http2;
pub mod postgres;

pub use call::{DbCall, Event, Extent, Fault, Protocol, Request, ServerCall};
pub use classify::{Kind, classify};

/// The longest head (request, response, header block, statement) that is looked at.
pub const HEAD: usize = 16 * 1024;

/// A run of one direction of a connection: bytes, or `n` bytes that passed but were not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Bytes(&'a [u8]),
    Gap(u64),
}

/// The call that moved a piece: when it began and ended (ns of one clock), and who made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub began: u64,
    pub ended: u64,
    pub tid: u32,
    /// The goroutine, or 0.
    pub task: u64,
}

/// What was seen and did not become an event, by reason. A caller adds it up with [`std::mem::take`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// A gap that covered a head, so that what follows it was unknown for a while.
    pub gaps: u64,
    /// A head above [`HEAD`], or more at once than a table holds.
    pub oversized: u64,
    /// Bytes that are not the protocol.
    pub malformed: u64,
    /// An answer whose request was not seen.
    pub unpaired: u64,
    /// A request that was seen and whose answer was lost.
    pub unanswered: u64,
    /// A database call whose statement was prepared before we looked, or is forgotten: its event has no text.
    pub unknown_statements: u64,
}

/// Why nothing more is to be learnt from a connection: the caller may stop feeding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// It goes on in another protocol (`Upgrade`, 101).
    Upgraded,
    /// `CONNECT` was granted.
    Tunnel,
    /// TLS begins here; its plaintext comes from the TLS library's own stream.
    Encrypted,
    /// Header compression depends on bytes that were not seen (RFC 7541, section 2.2).
    CompressionLost,
    /// It is not the protocol that it was taken for.
    Foreign,
    /// The client said goodbye, or it only asked to cancel another connection's statement.
    Finished,
}
