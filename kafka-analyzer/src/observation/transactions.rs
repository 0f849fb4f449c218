//! What is said of producers and their transactions.

use std::sync::Arc;

use serde::Serialize;

use super::Origin;
use crate::capture::{Nanos, Pid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    Ongoing,
    /// Open for longer than its timeout.
    Hanging,
    Committed,
    Aborted,
    /// A newer producer took the transactional id.
    Fenced,
    /// The coordinator aborted it (`transaction.timeout.ms`).
    TimedOut,
}

impl TransactionState {
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionState::Ongoing => "ongoing",
            TransactionState::Hanging => "hanging",
            TransactionState::Committed => "committed",
            TransactionState::Aborted => "aborted",
            TransactionState::Fenced => "fenced",
            TransactionState::TimedOut => "timed_out",
        }
    }

    pub fn is_ended(self) -> bool {
        !matches!(self, TransactionState::Ongoing | TransactionState::Hanging)
    }
}

/// A transaction; sent when it changes, at most once a second of event time, when it ends, and once a minute while it hangs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transaction {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub transactional_id: Arc<str>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub state: TransactionState,
    /// `transaction.timeout.ms`, where InitProducerId was seen.
    pub timeout_ms: Option<u32>,
    /// None: it began before the agent looked.
    pub began: Option<Nanos>,
    pub ended: Option<Nanos>,
    /// Sorted; at most 1,024 are named.
    pub partitions: Vec<(Arc<str>, i32)>,
    /// Groups whose offsets are part of it.
    pub groups: Vec<Arc<str>>,
    pub records: u64,
    pub error: Option<&'static str>,
}

/// How a client writes to a topic; sent when it changes, at most once in ten seconds of event time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Producer {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub topic: Arc<str>,
    /// `murmur2`, `crc32`, `fnv1a` (keyed), `sticky`, `round_robin`, `explicit`; None: not told yet.
    pub partitioner: Option<&'static str>,
    /// Records by partition since it was first seen, sorted; at most 1,024 partitions.
    pub partitions: Vec<(i32, u64)>,
    /// Largest share of a partition divided by the mean over the topic's partitions: 1 is even. None: their number is not known.
    pub skew: Option<f64>,
    pub idempotent: bool,
    pub transactional: bool,
    /// −1, 0, 1.
    pub acks: Option<i16>,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    /// Batches sent again with the same sequence.
    pub retries: u64,
    /// Batches that the broker had already (`DUPLICATE_SEQUENCE_NUMBER`, or an acknowledgement without an offset).
    pub duplicates: u64,
}
