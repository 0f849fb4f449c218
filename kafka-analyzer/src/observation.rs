//! Waist 3: all that leaves the core. In: nothing; out: the closed enum that exporters, the store and the command line read.
//!
//! No Kafka byte, no record value is in here. Labels that had to be waited for (topic of an id, cluster) are final when an
//! observation is made: `id:<uuid>` and `unknown` are answers, not placeholders. Times are monotonic nanoseconds
//! (see `CaptureEvent::Clock`); durations are in seconds only in exporters.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::capture::{ConnectionId, GapReason, Nanos, Pid, Task};

mod app;
mod groups;
mod processing;
mod transactions;

pub use app::{Ids, Query, Request};
pub use groups::{
    Basis, Commit, CommittedOffset, Event, EventKind, Group, GroupKind, GroupMember, Lag, LagBasis,
    LagUnknown, Reason, Rebalance,
};
pub use processing::{
    Delivered, Done, PollInterval, Processing, ProcessingBasis, ProcessingError, Signal,
};
pub use transactions::{Producer, Transaction, TransactionState};

/// Upper bounds in bytes of `SizeCounts`, 64 × 4ⁿ to 16 MiB.
pub const SIZE_BOUNDS: [u64; 10] = [
    64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
];

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    Exchange(Exchange),
    Span(Span),
    Request(Request),
    Query(Query),
    Client(Client),
    PartitionProgress(PartitionProgress),
    Lag(Lag),
    LagUnknown(LagUnknown),
    CommittedOffset(CommittedOffset),
    Commit(Commit),
    Rebalance(Rebalance),
    Group(Group),
    Transaction(Transaction),
    Producer(Producer),
    Event(Event),
    Processing(Processing),
    Delivered(Delivered),
    ProcessingError(ProcessingError),
    PollInterval(PollInterval),
    Unsupported(Unsupported),
    CaptureGap(CaptureGap),
}

impl Observation {
    pub fn origin(&self) -> Origin {
        match self {
            Observation::Exchange(x) => x.origin,
            Observation::Span(x) => x.origin,
            Observation::Request(x) => x.origin,
            Observation::Query(x) => x.origin,
            Observation::Client(x) => x.origin,
            Observation::PartitionProgress(x) => x.origin,
            Observation::Lag(x) => x.origin,
            Observation::LagUnknown(x) => x.origin,
            Observation::CommittedOffset(x) => x.origin,
            Observation::Commit(x) => x.origin,
            Observation::Rebalance(x) => x.origin,
            Observation::Group(x) => x.origin,
            Observation::Transaction(x) => x.origin,
            Observation::Producer(x) => x.origin,
            Observation::Event(x) => x.origin,
            Observation::Processing(x) => x.origin,
            Observation::Delivered(x) => x.origin,
            Observation::ProcessingError(x) => x.origin,
            Observation::PollInterval(x) => x.origin,
            Observation::Unsupported(x) => x.origin,
            Observation::CaptureGap(x) => x.origin,
        }
    }
}

/// Where in the capture an observation comes from; the sort key of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// End of the exchange (or time of the finding).
    pub time: Nanos,
    pub connection: ConnectionId,
    /// Offset of the request's first byte in the written stream.
    pub offset: u64,
}

impl Origin {
    /// Of what no single connection showed.
    pub fn at(time: Nanos) -> Origin {
        Origin {
            time,
            connection: ConnectionId(0),
            offset: 0,
        }
    }
}

/// One request and its answer, of any API key, seen at the client end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exchange {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    /// "" when the request has none.
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub api_key: i16,
    /// Kafka's own name, or the number as text.
    pub api: Arc<str>,
    pub api_version: i16,
    pub correlation_id: i32,
    /// First byte written (call entered).
    pub began: Nanos,
    /// Last byte of the answer read (call returned); for acks=0 the end of the write.
    pub ended: Nanos,
    pub request_bytes: u64,
    /// None: no answer (acks=0, closed, timed out).
    pub response_bytes: Option<u64>,
    /// First error met: Kafka's name, `TIMEOUT` or `CONNECTION_CLOSED`.
    pub error: Option<&'static str>,
    /// How long the broker held the client back.
    pub throttle_ms: Option<u32>,
    pub server: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub produced: Vec<ProducedPartition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<FetchedPartition>,
    /// A consumer's Fetch answer that was understood to its end: its records, those of internal topics included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_records: Option<u64>,
}

/// One partition of a Produce exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProducedPartition {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Kafka's error name; None = acknowledged (acks=0: written).
    pub error: Option<&'static str>,
    /// None with acks=0 or an error.
    pub base_offset: Option<i64>,
    pub batches: Batches,
}

/// One partition of a Fetch answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FetchedPartition {
    pub topic: Arc<str>,
    pub partition: i32,
    pub error: Option<&'static str>,
    pub fetch_offset: Option<i64>,
    pub high_watermark: Option<i64>,
    /// Records at or after the fetch offset, without control records and aborted ones (read_committed); of a share group, those acquired.
    pub records: u64,
    /// Share groups: of these, records that were delivered to a member before.
    #[serde(skip_serializing_if = "is_zero")]
    pub redelivered: u64,
    pub batches: Batches,
}

/// The record batches of one partition, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Batches {
    /// Records of each batch, in order.
    pub records: Vec<u32>,
    /// Wire bytes by codec name.
    pub bytes: Vec<(&'static str, u64)>,
    /// Uncompressed record sizes known one by one.
    pub exact: SizeCounts,
    /// Records whose size is only the batch's average.
    pub average: SizeCounts,
    /// uncompressed / compressed, for each batch that was opened.
    pub ratios: Vec<(&'static str, f64)>,
}

/// A histogram of record sizes over `SIZE_BOUNDS` (last bucket: above).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SizeCounts {
    pub buckets: [u64; 11],
    pub sum: u64,
    pub count: u64,
}

impl SizeCounts {
    /// Adds `n` records of `size` bytes.
    pub fn add(&mut self, size: u64, n: u64) {
        // The first bound that is not below `size`: once a record, so by its binary digits.
        let digits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let at = (digits.saturating_sub(6).div_ceil(2) as usize).min(SIZE_BOUNDS.len());
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += n;
        }
        self.sum = self.sum.saturating_add(size.saturating_mul(n));
        self.count += n;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// `send T`, one record: PRODUCER.
    Send,
    /// `send T`, a batch with `create T` spans: CLIENT.
    SendBatch,
    /// `create T`: PRODUCER.
    Create,
    /// `poll T`: CLIENT.
    Poll,
    /// `commit T`: CLIENT.
    Commit,
    /// `transaction <transactional.id>`: INTERNAL.
    Transaction,
    /// `process T`: CONSUMER.
    Process,
}

/// A span, ready to be encoded; ids as in the OpenTelemetry trace model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    pub origin: Origin,
    pub span: SpanKind,
    pub pid: Pid,
    #[serde(serialize_with = "hex")]
    pub trace_id: [u8; 16],
    #[serde(serialize_with = "hex")]
    pub span_id: [u8; 8],
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub parent: Option<[u8; 8]>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    pub links: Vec<Link>,
    pub links_dropped: u32,
    pub began: Nanos,
    pub ended: Nanos,
    pub error: Option<&'static str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: Option<i64>,
    /// Text form only (UTF-8); None when null, binary, hidden by configuration or not read.
    pub key: Option<String>,
    pub tombstone: bool,
    /// Bytes of the record value.
    pub body_size: Option<u64>,
    /// Bytes of the whole record, uncompressed.
    pub envelope_size: Option<u64>,
    /// Only for batches.
    pub message_count: Option<u64>,
    pub codec: &'static str,
    /// Record timestamp, ms since the epoch.
    pub timestamp_ms: Option<i64>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    /// "" outside a transaction.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub transactional_id: Arc<str>,
    pub cluster: Arc<str>,
    pub server: Option<SocketAddr>,
    /// Secret-looking names are masked already.
    pub headers: Vec<(String, String)>,
    /// False: compressed or cut, so headers could not be read.
    pub headers_read: bool,
    /// `s:` or `o:` record address, or `none` (acks=0 without a producer id).
    pub address: String,
    /// What worked on it, for spans of client calls: `goroutine.id` or `thread.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    #[serde(serialize_with = "hex")]
    pub trace_id: [u8; 16],
    #[serde(serialize_with = "hex")]
    pub span_id: [u8; 8],
    pub offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub tombstone: bool,
}

/// A client connection and what is known of it; sent when something of it becomes known or changes, and when it closes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    pub origin: Origin,
    pub pid: Pid,
    pub client_id: Arc<str>,
    pub cluster: Arc<str>,
    /// From ApiVersions v3+: for example `librdkafka`, `apache-kafka-java`.
    pub software: Option<(String, String)>,
    /// SASL mechanism, from the handshake.
    pub mechanism: Option<String>,
    pub server: Option<SocketAddr>,
    pub source: &'static str,
    pub closed: bool,
}

/// What the wire showed of a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionProgress {
    pub origin: Origin,
    pub cluster: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub high_watermark: Option<i64>,
    pub log_start_offset: Option<i64>,
}

/// A frame that was timed and counted but not understood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unsupported {
    pub origin: Origin,
    pub pid: Pid,
    pub api: Arc<str>,
    pub api_version: i16,
    /// A bounded word: unknown_api, unknown_version, malformed, too_large, gap, unmatched_response, ...
    pub reason: &'static str,
}

/// A hole in a stream, or oddities met (`count` of them).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaptureGap {
    pub origin: Origin,
    pub pid: Pid,
    pub reason: GapReason,
    pub bytes: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn hex<S: serde::Serializer, const N: usize>(bytes: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(2 * N);
    for b in bytes {
        use std::fmt::Write;
        let _ = write!(text, "{b:02x}");
    }
    s.serialize_str(&text)
}

fn hex_option<S: serde::Serializer>(bytes: &Option<[u8; 8]>, s: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(b) => hex(b, s),
        None => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_into_the_first_bound_that_holds_them() {
        let around = SIZE_BOUNDS
            .iter()
            .flat_map(|bound| [bound - 1, *bound, bound + 1]);
        for size in around.chain([0, 1, u64::MAX]) {
            let mut sizes = SizeCounts::default();
            sizes.add(size, 1);
            let expected = SIZE_BOUNDS.partition_point(|bound| *bound < size);
            assert_eq!(
                sizes.buckets.iter().position(|n| *n == 1),
                Some(expected),
                "{size}"
            );
        }
    }
}
