//! The answer to `obi kafka stats`: `obi.kafka.stats/1`. Its JSON Schema is committed in `config/schema/`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flow::Flow;
use super::latency::Quantiles;
use crate::budget::bill::ServiceCost;

pub const SCHEMA: &str = "obi.kafka.stats/1";

/// What the running agent saw of Kafka lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Always `obi.kafka.stats/1`.
    pub schema: String,
    pub agent: Agent,
    /// Rates are over so many seconds.
    pub window_seconds: u64,
    /// Sorted by service, pid and client id.
    pub clients: Vec<ClientStats>,
    /// Sorted by cluster and topic.
    pub topics: Vec<TopicStats>,
    /// Sorted by cluster, topic and partition.
    pub partitions: Vec<PartitionStats>,
    /// What hooks cost each service, sorted by its name.
    #[serde(default)]
    pub hooks: Vec<ServiceCost>,
    /// Clients, topics and partitions forgotten because their table was full.
    pub forgotten: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    /// Address of `/metrics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// The first scan is attached.
    pub ready: bool,
    /// By reason, without zeros: all counts are exact while this is empty.
    pub lost: BTreeMap<String, u64>,
}

/// A client: one process and client id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientStats {
    pub service: String,
    pub pid: u32,
    pub client_id: String,
    pub cluster: String,
    /// As the client names itself, for example `librdkafka 2.11.1`; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Where plaintext was taken: `socket`, `openssl`, `go_tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SASL mechanism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// Brokers of the open connections.
    pub servers: Vec<String>,
    /// Open connections.
    pub connections: u64,
    /// Requests since the agent began to watch.
    pub requests: u64,
    pub produced: Flow,
    pub consumed: Flow,
    /// Failed requests by Kafka's error name.
    pub errors: BTreeMap<String, u64>,
    /// Of Produce requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub produce_latency: Option<Quantiles>,
    /// Of Fetch requests, the broker's wait for data included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch_latency: Option<Quantiles>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopicStats {
    pub cluster: String,
    pub topic: String,
    /// Partitions with traffic seen.
    pub partitions: u64,
    pub produced: Flow,
    pub consumed: Flow,
    /// Mean uncompressed size of a record in bytes, of all produced and consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_record_bytes: Option<f64>,
    /// Refused partitions by Kafka's error name.
    pub errors: BTreeMap<String, u64>,
    /// Of Produce requests with this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub produce_latency: Option<Quantiles>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionStats {
    pub cluster: String,
    pub topic: String,
    pub partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_watermark: Option<i64>,
    pub produced: Flow,
    pub consumed: Flow,
}

/// The JSON Schema of [`Stats`].
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Stats)
}
