//! What is said of consumer groups: lag, commits, rebalances, members, events.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::Origin;
use crate::capture::{Nanos, Pid};
pub use crate::fact::group::GroupKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LagBasis {
    /// High watermark − committed offset, as kafka-consumer-groups prints it.
    Committed,
    /// High watermark − next fetch offset.
    Position,
    Delivered,
}

/// How far a group is behind in a partition. Sent when it changes, at most once a second of event time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lag {
    pub origin: Origin,
    pub cluster: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub basis: LagBasis,
    /// Committed offset or next fetch offset.
    pub offset: i64,
    pub high_watermark: i64,
    /// `high_watermark` − `offset`, never negative.
    pub messages: u64,
    /// Timestamp in ms of the oldest record at or after `offset`, or of the nearest seen before it; None: not seen, or no lag.
    pub oldest_timestamp_ms: Option<i64>,
    /// The older of the two observations: monotonic, as `origin.time`.
    pub observed: Nanos,
}

/// How far a group is behind by this basis is not known any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LagUnknown {
    pub origin: Origin,
    pub cluster: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub basis: LagBasis,
}

/// The offset a group committed in a partition. Sent when it changes, at most once a second of event time, and each minute again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommittedOffset {
    pub origin: Origin,
    pub cluster: Arc<str>,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

/// An OffsetCommit or TxnOffsetCommit exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Commit {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub server: Option<SocketAddr>,
    pub began: Nanos,
    pub ended: Nanos,
    /// False: there is no duration.
    pub answered: bool,
    /// The first one; None: all partitions were accepted.
    pub error: Option<&'static str>,
    /// The client may simply try again.
    pub retriable: bool,
    pub partitions: u32,
    /// Partitions refused.
    pub refused: u32,
    /// Records between the offsets committed before and now, where both are known.
    pub records: Option<u64>,
    /// It comes at regular intervals from a client that sends none between them; None: cannot be told.
    pub automatic: Option<bool>,
    /// TxnOffsetCommit.
    pub transactional_id: Option<Arc<str>>,
}

/// Why a group rebalanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// This member's own first one.
    FirstJoin,
    MemberJoined,
    MemberLeft,
    SessionTimedOut,
    PollIntervalExceeded,
    /// Topics or partitions of the subscription changed.
    MetadataChanged,
    SubscriptionChanged,
    AssignorChanged,
    /// Cooperative: partitions were given up, the group goes round once more.
    PartitionsRevoked,
    CoordinatorMoved,
    Unknown,
}

impl Reason {
    pub const ALL: [Reason; 11] = [
        Reason::FirstJoin,
        Reason::MemberJoined,
        Reason::MemberLeft,
        Reason::SessionTimedOut,
        Reason::PollIntervalExceeded,
        Reason::MetadataChanged,
        Reason::SubscriptionChanged,
        Reason::AssignorChanged,
        Reason::PartitionsRevoked,
        Reason::CoordinatorMoved,
        Reason::Unknown,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::FirstJoin => "first_join",
            Reason::MemberJoined => "member_joined",
            Reason::MemberLeft => "member_left",
            Reason::SessionTimedOut => "session_timed_out",
            Reason::PollIntervalExceeded => "poll_interval_exceeded",
            Reason::MetadataChanged => "metadata_changed",
            Reason::SubscriptionChanged => "subscription_changed",
            Reason::AssignorChanged => "assignor_changed",
            Reason::PartitionsRevoked => "partitions_revoked",
            Reason::CoordinatorMoved => "coordinator_moved",
            Reason::Unknown => "unknown",
        }
    }
}

/// A member on this node that completed a new generation or epoch (`duration_ns` None: counts one), and later the time that it was without a
/// fetch (`duration_ns` Some: counts none).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rebalance {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub client_id: Arc<str>,
    pub group: Arc<str>,
    pub member_id: Arc<str>,
    pub generation: i32,
    pub reason: Reason,
    /// From losing its partitions, or being asked to join again, to its next fetch.
    pub duration_ns: Option<Nanos>,
}

/// Where a number of members comes from, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Members on this node: a lower bound.
    Local,
    /// An administrator's tool asked.
    Describe,
    /// The group's leader was told all.
    Leader,
    Coordinator,
}

impl Basis {
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Local => "local",
            Basis::Describe => "describe",
            Basis::Leader => "leader",
            Basis::Coordinator => "coordinator",
        }
    }
}

/// A group as it is now; sent whole when something of it changes, at most once a second of event time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    pub origin: Origin,
    pub cluster: Arc<str>,
    pub group: Arc<str>,
    pub protocol: GroupKind,
    /// `consumer`, `connect`, ...; "" unknown.
    pub protocol_type: Arc<str>,
    /// "" unknown.
    pub assignor: Arc<str>,
    /// Kafka's word: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, ...; None: cannot be told.
    pub state: Option<&'static str>,
    /// Generation or group epoch, the highest seen.
    pub epoch: Option<i32>,
    pub coordinator: Option<SocketAddr>,
    /// How many members there are, and how that is known.
    pub count: Option<(Basis, u64)>,
    /// Those known, sorted by member id.
    pub members: Vec<GroupMember>,
    /// Nothing was heard of it for its retention: forget it.
    pub gone: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    /// None: not on this node and not described.
    pub client_id: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    /// None: not on this node.
    pub pid: Option<Pid>,
    pub epoch: Option<i32>,
    pub leader: bool,
    /// None: not known.
    pub assignment: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Rebalance,
    CommitFailure,
    /// A producer or a static member was fenced by a newer one.
    Fencing,
    AuthenticationFailure,
    HangingTransaction,
    ConsumerStopped,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Rebalance => "rebalance",
            EventKind::CommitFailure => "commit_failure",
            EventKind::Fencing => "fencing",
            EventKind::AuthenticationFailure => "authentication_failure",
            EventKind::HangingTransaction => "hanging_transaction",
            EventKind::ConsumerStopped => "consumer_stopped",
        }
    }
}

/// Something that an operator wants to be told of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    pub origin: Origin,
    pub pid: Pid,
    pub cluster: Arc<str>,
    pub event: EventKind,
    pub client_id: Arc<str>,
    /// "" when it is about none.
    pub group: Arc<str>,
    pub transactional_id: Arc<str>,
    pub server: Option<SocketAddr>,
    pub error: Option<&'static str>,
    /// Rebalance only.
    pub reason: Option<Reason>,
    /// A sentence for people.
    pub message: String,
    /// Trace and span id of the span that it belongs to.
    #[serde(skip)]
    pub span: Option<([u8; 16], [u8; 8])>,
}
