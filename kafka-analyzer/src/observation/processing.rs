//! What is said of messages inside the application: hand-over, work, trouble.

use std::sync::Arc;

use serde::Serialize;

use super::Origin;
use crate::capture::{Nanos, Pid, Task};

/// What one duration stands for: label `basis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessingBasis {
    /// One message, its beginning and its end seen.
    Message,
    /// Messages that were handed over together and cannot be told apart.
    Batch,
    /// The library has no hand-over that can be seen: begun and ended are the bounds within which the work was done.
    Estimated,
    /// No calls are seen: begun is the Fetch answer that brought the messages, ended the commit behind them. An upper bound.
    Commit,
}

impl ProcessingBasis {
    pub fn as_str(self) -> &'static str {
        match self {
            ProcessingBasis::Message => "message",
            ProcessingBasis::Batch => "batch",
            ProcessingBasis::Estimated => "estimated",
            ProcessingBasis::Commit => "commit",
        }
    }
}

/// What ended the work on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Marked, stored or committed by name.
    Settled,
    Freed,
    /// The task that had it asked for the next.
    NextPoll,
    /// The handler of a claim returned, the consumer was closed, the task or the process ended.
    Ended,
    /// An OffsetCommit on the wire covered it.
    Committed,
}

/// Messages that the application worked on, from hand-over to done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Processing {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    /// Offsets of the first and the last message; of basis `commit` those between which they are.
    pub first: i64,
    pub last: i64,
    /// 1 unless `basis` is `batch` or `commit`.
    pub count: u32,
    pub basis: ProcessingBasis,
    pub done: Done,
    pub began: Nanos,
    pub ended: Nanos,
    /// None: `basis` is `commit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The first sign that it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Signal>,
    /// Ids of its `process T` span, if it has one: the exemplar.
    #[serde(skip)]
    pub span: Option<([u8; 16], [u8; 8])>,
}

/// Messages handed to the application: one run of a poll.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivered {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub count: u32,
    /// The next offset to hand over.
    pub next_offset: i64,
}

/// Why a message is held for not processed: label `signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The partition was read again from an offset that was handed over before.
    SeekBack,
    /// Handed over a second time.
    Redelivery,
    /// The consumer was closed, or its process ended, before the message was settled or covered by a commit.
    LeftWithoutCommit,
    Panic,
    /// A record was produced to a dead-letter or retry topic meanwhile, on the same task.
    DeadLetter,
    Retry,
    Release,
    Reject,
    Abort,
    HandlerError,
}

impl Signal {
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::SeekBack => "seek_back",
            Signal::Redelivery => "redelivery",
            Signal::LeftWithoutCommit => "left_without_commit",
            Signal::Panic => "panic",
            Signal::DeadLetter => "dead_letter",
            Signal::Retry => "retry",
            Signal::Release => "release",
            Signal::Reject => "reject",
            Signal::Abort => "abort",
            Signal::HandlerError => "handler_error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessingError {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub count: u32,
    pub signal: Signal,
}

/// From one hand-over to the next request for messages, against max.poll.interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PollInterval {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub nanos: Nanos,
    /// The member's rebalance timeout, as it joined with; None: not seen.
    pub limit_ms: Option<u32>,
}
