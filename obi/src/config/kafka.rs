//! `instrumentation.kafka:` what is read of Kafka traffic, kept of a message, and shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Instrumentation {
    pub kafka: Kafka,
    pub app: App,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// False: nothing is attached; the agent only serves its own figures.
    pub enabled: bool,
    /// Hook the functions of Kafka client libraries too: when the application gets a message, and when it is done with it.
    /// `overhead.budget` bounds what hooks that run for each message cost.
    pub client_hooks: bool,
    /// Copy the bodies of record batches (keys, headers, values) out of the watched process. False: only what stands before them is read.
    /// Counts, bytes, offsets and lag are as exact; spans of single messages, keys and record headers are not seen; hooks cost less at
    /// high rates.
    pub read_records: bool,
    /// Put record headers on spans. Values of headers that look like a secret are masked always.
    pub capture_headers: bool,
    /// Put the record key on spans.
    pub capture_key: bool,
    /// Put a keyed hash of the key on spans in place of the key.
    pub hash_keys: bool,
    /// Put the size of the record value on spans. Record values themselves are never kept.
    pub capture_value_size: bool,
    /// Bytes of key and headers kept of one message, 0 to 1048576. Bounds what is kept, never what is counted.
    pub max_message_size: usize,
    /// Topics that are exported: exact names or globs. Empty: all.
    pub topics: Vec<String>,
    /// Consumer groups that are exported: exact names or globs. Empty: all. What belongs to no group is always exported.
    pub consumer_groups: Vec<String>,
    /// Show topics whose names begin with `__`.
    pub internal_topics: bool,
    /// Per-message spans a second for the whole agent; above it, a choice by record address that every agent makes alike. 100 at most
    /// while spans are not sent by OTLP but only kept for `obi kafka traces`; 0: no span is made.
    pub spans_per_second: u32,
    /// How `poll T` hangs under `send T`.
    pub span_tree: SpanTree,
    pub propagation: Propagation,
    pub schema_registry: SchemaRegistry,
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            enabled: true,
            client_hooks: true,
            read_records: true,
            capture_headers: true,
            capture_key: true,
            hash_keys: false,
            capture_value_size: true,
            max_message_size: 10_240,
            topics: Vec::new(),
            consumer_groups: Vec::new(),
            internal_topics: false,
            spans_per_second: 1000,
            span_tree: SpanTree::default(),
            propagation: Propagation::default(),
            schema_registry: SchemaRegistry::default(),
        }
    }
}

/// Parent, link, or both, from `poll T` to the creation context of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpanTree {
    Children,
    /// OpenTelemetry's own way.
    Links,
    #[default]
    Both,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Propagation {
    /// Join the spans of producer and consumer: by the trace headers of a message, else by its address.
    pub enabled: bool,
    /// Format of headers that the agent writes.
    pub header_format: HeaderFormat,
}

impl Default for Propagation {
    fn default() -> Self {
        Propagation {
            enabled: true,
            header_format: HeaderFormat::W3c,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderFormat {
    #[default]
    W3c,
    B3,
    Jaeger,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaRegistry {
    pub enabled: bool,
    /// Base address of the registry.
    pub url: String,
    /// Schemas remembered.
    pub cache_size: u32,
}

impl Default for SchemaRegistry {
    fn default() -> Self {
        SchemaRegistry {
            enabled: false,
            url: String::new(),
            cache_size: 1000,
        }
    }
}
