//! What exchanges about groups say: members, assignments, heartbeats. In: nothing; out: the owned parts of [`super::Detail`].
//!
//! One shape for the classic protocol and for those of KIP-848, KIP-932 and KIP-1071, so that the model need not know which API spoke.

use std::sync::Arc;

use super::Topic;

/// Which rules a group follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
}

/// Who speaks, as the request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub group: Arc<str>,
    /// "" before the coordinator gave one.
    pub member_id: Arc<str>,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<Arc<str>>,
    /// Generation or member epoch; −1: none.
    pub epoch: i32,
}

/// Topics and their partitions.
pub type Assignment = Vec<(Topic, Vec<i32>)>;

/// JoinGroup.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub member: Member,
    /// The request had no member id.
    pub is_new: bool,
    /// `consumer`, `connect`, `sr`, ...
    pub protocol_type: Arc<str>,
    /// Names of the assignors offered, in order.
    pub protocols: Vec<Arc<str>>,
    /// Topics subscribed to; None: not of the protocol type `consumer`, or unreadable.
    pub topics: Option<Vec<Arc<str>>>,
    pub session_timeout_ms: i32,
    /// −1 in v0; in Java and librdkafka it is `max.poll.interval.ms`.
    pub rebalance_timeout_ms: i32,
    /// v8 and later; as the client wrote it, cut at 255 bytes.
    pub reason: Option<Arc<str>>,
    /// None: refused or not answered.
    pub joined: Option<Joined>,
}

/// What the coordinator said to a JoinGroup.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    pub generation: i32,
    pub member_id: Arc<str>,
    pub leader: Arc<str>,
    /// The assignor chosen.
    pub protocol: Option<Arc<str>>,
    /// All members; empty unless this is the leader.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
}

/// SyncGroup.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    pub member: Member,
    /// From v5 on.
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    /// The leader's: the assignment of every member; empty for others.
    pub assignments: Vec<(Arc<str>, Assignment)>,
    /// None: refused, not answered, or not of the protocol type `consumer`.
    pub own: Option<Assignment>,
}

/// A member that leaves (LeaveGroup); older versions name one.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaver {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    /// v5 and later, cut at 255 bytes.
    pub reason: Option<Arc<str>>,
    pub error: Option<&'static str>,
}

/// ConsumerGroupHeartbeat, ShareGroupHeartbeat and StreamsGroupHeartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupHeartbeat {
    pub kind: GroupKind,
    /// Its epoch: 0 joins, −1 leaves, −2 leaves for a while (static).
    pub member: Member,
    /// −1: unchanged.
    pub rebalance_timeout_ms: i32,
    /// None: unchanged.
    pub topics: Option<Vec<Arc<str>>>,
    /// `subscribedTopicRegex`; None: unchanged or none.
    pub pattern: Option<Arc<str>>,
    /// The server's assignor asked for; None: unchanged.
    pub assignor: Option<Arc<str>>,
    /// Streams, when it joins: topics that the tasks of each subtopology read.
    pub topology: Option<Vec<Subtopology>>,
    /// None: refused or not answered.
    pub answer: Option<HeartbeatAnswer>,
}

/// A part of a Streams topology: its name, and the topics that it reads, those of repartitioning included.
pub type Subtopology = (Arc<str>, Vec<Arc<str>>);

/// Tasks of Streams: a subtopology, and partitions of all that it reads.
pub type Tasks = Vec<(Arc<str>, Vec<i32>)>;

#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatAnswer {
    /// None: as in the request.
    pub member_id: Option<Arc<str>>,
    pub epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// None: unchanged; always of Streams.
    pub assignment: Option<Assignment>,
    /// Streams: its active tasks; None: unchanged.
    pub tasks: Option<Tasks>,
    /// Streams: topics are missing, or their partitions do not fit: nothing is assigned.
    pub not_ready: bool,
}

impl HeartbeatAnswer {
    /// The member is told what it has from now on.
    pub fn assigns(&self) -> bool {
        self.assignment.is_some() || self.tasks.is_some()
    }
}

/// A group as an administrator's tool was told (DescribeGroups, ConsumerGroupDescribe, ShareGroupDescribe, StreamsGroupDescribe).
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub kind: GroupKind,
    pub group: Arc<str>,
    pub state: Arc<str>,
    pub protocol_type: Arc<str>,
    pub assignor: Arc<str>,
    /// −1: not told.
    pub epoch: i32,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub host: Arc<str>,
    pub assignment: Option<Assignment>,
}
