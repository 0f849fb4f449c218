//! Waist 2: what a message says, owned and small. In: nothing; out: the closed set of facts that stream threads hand to the model.
//!
//! Topics are as on the wire (a name or an id), labels such as the cluster are not in here: the model knows them. A fact may carry
//! compressed batches that were chosen for opening; [`Fact::open`] is pure and may run on any thread before the merge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_wire::Uuid;
use kafka_wire::record_batch::BatchHeader;

use crate::capture::{ClientCall, GapReason, Nanos, Pid, Task, Window};
use crate::observation::{Batches, Origin};

mod app;
pub mod detail;
pub mod group;

pub use app::{Begun, Queried, Served};
pub use detail::Detail;

#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Event time at which it could be told: the sort key of the merge, with connection and offset. Facts that one connection makes at
    /// one place keep their order. Later than `origin.time` for what had to wait.
    pub known: Nanos,
    pub origin: Origin,
    pub pid: Pid,
    pub says: Says,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    Exchange(Box<Exchange>),
    /// Something of a client connection became known, changed, or it closed.
    Client(Client),
    /// From a Metadata answer.
    Topics(Vec<(Uuid, Arc<str>)>),
    /// From a Metadata answer: how many partitions a topic has.
    PartitionCounts {
        client_id: Arc<str>,
        server: Option<SocketAddr>,
        topics: Vec<(Arc<str>, u32)>,
    },
    /// From a Metadata, ApiVersions or DescribeCluster answer: these addresses belong to this cluster, and so does this client.
    Cluster {
        id: Arc<str>,
        client_id: Arc<str>,
        server: Option<SocketAddr>,
        brokers: Vec<SocketAddr>,
    },
    AuthenticationFailed(Box<AuthenticationFailure>),
    /// A client library was called, or gave something back.
    Call(Box<ClientCall>),
    /// Hooks that run for each message come or go.
    Window(Window),
    /// The process ended. Each shard says so: the second time it is no news.
    Exited,
    /// A request of another protocol came in; it was answered; the database was asked.
    Begun(Box<Begun>),
    Served(Box<Served>),
    Queried(Box<Queried>),
    Unsupported {
        api_key: i16,
        api_version: i16,
        reason: &'static str,
    },
    Gap {
        reason: GapReason,
        bytes: u64,
    },
}

/// A topic as a message names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    Name(Arc<str>),
    Id(Uuid),
}

impl From<Arc<str>> for Topic {
    fn from(name: Arc<str>) -> Topic {
        Topic::Name(name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    pub client_id: Arc<str>,
    pub software: Option<(String, String)>,
    pub mechanism: Option<String>,
    pub server: Option<SocketAddr>,
    pub source: &'static str,
    pub closed: bool,
}

/// A client was refused before it could ask for anything; nothing of a token is in here.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthenticationFailure {
    pub client_id: Arc<str>,
    /// SASL mechanism, as the client named it, cut at 64 bytes.
    pub mechanism: Option<Arc<str>>,
    /// None: the connection was closed instead of an answer to a token without a header (SaslHandshake v0).
    pub error: Option<&'static str>,
    /// The client's end.
    pub local: Option<SocketAddr>,
    pub server: Option<SocketAddr>,
}

/// A request and its answer; times and sizes as in [`crate::observation::Exchange`].
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    pub client_id: Arc<str>,
    /// Who wrote the end of the request.
    pub task: Option<Task>,
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub began: u64,
    pub ended: u64,
    pub request_bytes: u64,
    pub response_bytes: Option<u64>,
    pub error: Option<&'static str>,
    pub throttle_ms: Option<u32>,
    pub server: Option<SocketAddr>,
    pub produced: Vec<Partition>,
    pub fetched: Vec<Partition>,
    /// The request came from a follower: nothing was consumed.
    pub replica: bool,
    /// Request and answer were understood to their ends.
    pub decoded: bool,
    /// Produce: `acks` of the request was −1, so an acknowledged record is below the high watermark.
    pub acks_all: bool,
    /// Produce: of the request.
    pub transactional_id: Option<Arc<str>>,
    /// Fetch: only committed records are given to the application.
    pub read_committed: bool,
    /// Fetch: all partitions of the session and their offsets, also those that the request did not repeat.
    pub asked: Option<Arc<HashMap<(Topic, i32), i64>>>,
    /// Of APIs about groups, offsets and transactions.
    pub detail: Option<Box<Detail>>,
}

impl Exchange {
    /// Calls `see` with each topic that it names.
    pub(crate) fn each_topic<'a>(&'a self, see: &mut dyn FnMut(&'a Topic)) {
        let partitions = self.produced.iter().chain(&self.fetched);
        partitions.for_each(|partition| see(&partition.topic));
        if let Some(detail) = &self.detail {
            detail.each_topic(see);
        }
    }
}

/// One partition of a Produce exchange or of a Fetch answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    pub topic: Topic,
    pub index: i32,
    pub error: Option<&'static str>,
    /// Produce: offset of the first record, from the answer.
    pub base_offset: Option<i64>,
    /// Produce: the broker's time, when the topic is of LogAppendTime.
    pub log_append_time: Option<i64>,
    pub fetch_offset: Option<i64>,
    /// Fetch: where the next fetch goes on, if the answer had a batch.
    pub next_offset: Option<i64>,
    /// Fetch: behind the last batch whose records count; below `next_offset` where others follow.
    pub records_end: Option<i64>,
    pub high_watermark: Option<i64>,
    /// Fetch: end of what read_committed may see.
    pub last_stable_offset: Option<i64>,
    pub log_start_offset: Option<i64>,
    /// Producer id, epoch and first sequence of the first batch with an id; Fetch: None.
    pub sequence: Option<Sequence>,
    /// (offset, timestamp in ms) of the first record of batches, in order; Produce: the offset counts from the partition's first record.
    pub marks: Vec<(i64, i64)>,
    /// Records that count (see [`crate::observation::FetchedPartition::records`]; Produce: all).
    pub records: u64,
    /// Share groups: of these, records that were delivered to a member before.
    pub redelivered: u64,
    pub batches: Batches,
    /// Batches whose records were kept for spans, or wait to be opened.
    pub samples: Vec<Sample>,
}

/// Who wrote a batch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub producer: detail::Producer,
    pub base: i32,
    pub transactional: bool,
}

/// A batch that was looked into, or will be.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub header: BatchHeader,
    /// Records of the partition's earlier batches in the same message: base offsets of Produce answers count from the first.
    pub records_before: u64,
    /// Fetch: records below this offset do not count.
    pub from_offset: Option<i64>,
    /// Records of this batch that are in [`Partition::records`] so far.
    pub counted: u64,
    /// Its place in `Partition::batches.records`.
    pub batch: usize,
    /// See `trace::sampling`.
    pub level: u32,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The records that were kept, in order.
    Records(Vec<KeptRecord>),
    /// A compressed body, whole, to be opened.
    Compressed(Vec<u8>),
    /// The body was cut, too large or did not open: only the header is known.
    Unread,
}

/// What is kept of a record; never its value.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRecord {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    pub size: u32,
    pub value_len: Option<u32>,
    pub key: Option<Box<[u8]>>,
    /// Raw header block as on the wire (count first).
    pub headers: Box<[u8]>,
    pub truncated: bool,
}
