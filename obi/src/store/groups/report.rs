//! The answer to `obi kafka groups`: `obi.groups/1`. What is not known is left out. Its JSON Schema is committed in `config/schema/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub const SCHEMA: &str = "obi.groups/1";

/// The consumer groups that clients of this node belong to, or speak of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Groups {
    /// Always `obi.groups/1`.
    pub schema: String,
    /// Sorted by cluster and group.
    pub groups: Vec<Group>,
    /// Groups and partitions forgotten because their table was full.
    pub forgotten: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    pub cluster: String,
    pub group: String,
    /// `classic`, `consumer` (KIP-848), `share` or `streams`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// `consumer`, `connect`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_type: Option<String>,
    /// Kafka's word: `Stable`, `PreparingRebalance`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<String>,
    /// Generation or group epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i32>,
    /// Address of the broker that coordinates the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_count: Option<u64>,
    /// How the count is known: `coordinator`, `leader`, `describe`, or `local` (members of this node only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_basis: Option<String>,
    /// Those known, sorted by member id.
    pub members: Vec<Member>,
    /// Sorted by topic and partition.
    pub offsets: Vec<Offset>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    pub member_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of a member on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Of a member on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i32>,
    pub leader: bool,
    /// Absent: not known; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignments: Option<Vec<Assignment>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// A partition that the group committed in, reads, or is assigned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offset {
    pub topic: String,
    pub partition: i32,
    /// Committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_offset: Option<i64>,
    /// High watermark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_end_offset: Option<i64>,
    /// `log_end_offset` − `current_offset`, both of one moment; never negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Age of the oldest record that is not committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// High watermark − next fetch offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_lag: Option<u64>,
    /// Age of the older of the two observations behind `lag`, else behind `position_lag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_age_seconds: Option<f64>,
    /// The member that the partition is assigned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Records a second that clients of this node received for the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Milliseconds, of the group's commits over the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_p99: Option<f64>,
}
