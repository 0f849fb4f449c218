//! The answer to `obi kafka topics`: `obi.topics/1`. What is not known is left out. Its JSON Schema is committed in `config/schema/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::flow::Flow;

pub const SCHEMA: &str = "obi.topics/1";

/// The topics that clients of this node write or read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Topics {
    /// Always `obi.topics/1`.
    pub schema: String,
    /// Rates are over so many seconds.
    pub window_seconds: u64,
    /// Sorted by cluster and topic.
    pub topics: Vec<Topic>,
    /// Users of topics forgotten because their table was full.
    pub forgotten: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Topic {
    pub cluster: String,
    pub topic: String,
    pub produced: Flow,
    pub consumed: Flow,
    /// Mean over the compressed batches that were opened: uncompressed size / compressed size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_ratio: Option<f64>,
    /// Partitions with traffic seen, sorted.
    pub partitions: Vec<Partition>,
    /// Sorted by service, pid and client id.
    pub producers: Vec<Producer>,
    /// Sorted by service, pid and client id.
    pub consumers: Vec<Consumer>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    pub partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_watermark: Option<i64>,
    pub produced: Flow,
    pub consumed: Flow,
}

/// A process and client id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    pub service: String,
    pub pid: u32,
    pub client_id: String,
    /// Name of this node.
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// As the client names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Records and bytes of this client and topic.
    pub flow: Flow,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Producer {
    #[serde(flatten)]
    pub user: User,
    /// Absent until it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
}

/// How a client writes to a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Writes {
    /// `murmur2`, `crc32`, `fnv1a` (keyed), `sticky`, `round_robin`, `explicit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitioner: Option<String>,
    /// Largest share of a partition over the mean of all: 1 is even.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew: Option<f64>,
    pub idempotent: bool,
    pub transactional: bool,
    /// −1 (all), 0, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acks: Option<i16>,
    pub batches: u64,
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_batch: Option<f64>,
    /// Mean, as they went over the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_batch: Option<f64>,
    /// Batches sent again with the same sequence.
    pub retries: u64,
    /// Batches that the broker had already.
    pub duplicates: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consumer {
    #[serde(flatten)]
    pub user: User,
    /// Absent: none, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}
