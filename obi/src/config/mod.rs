//! What the user may set. In: defaults < file < environment < flags; out: one checked [`Config`].
//!
//! Every key has a default, a line in `config/obi.yaml` and an environment variable in [`env_vars`]. Unknown keys are refused by
//! [`file`] with their line. Nothing here opens a socket or looks at the machine.

pub mod app;
pub mod check;
pub mod discovery;
pub mod env_vars;
pub mod export;
pub mod file;
pub mod kafka;
pub mod overhead;
pub mod unbuilt;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use app::{App, When};
pub use discovery::{Discovery, Exclude};
pub use export::{Export, Otlp, OtlpSignal, Prometheus, Protocol};
pub use kafka::{HeaderFormat, Instrumentation, Kafka, Propagation, SchemaRegistry, SpanTree};
pub use overhead::Overhead;

/// Messages a second that get spans while these are only kept for `obi kafka traces`: each costs some microseconds.
const TOLD_LOCALLY: u32 = 100;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is read of the watched protocols.
    pub instrumentation: Instrumentation,
    /// Which processes and connections are looked at. Empty: every Kafka client on the node.
    pub discovery: Discovery,
    /// What watching may cost.
    pub overhead: Overhead,
    /// Where the findings go.
    pub export: Export,
    /// Address of `/metrics`, `/healthz` and `/readyz`.
    pub listen: String,
    /// Unix socket on which `obi kafka stats` and `obi doctor` ask the running agent; created with mode 0600.
    pub socket: PathBuf,
    /// Directory in which learnt topic names outlive a restart. Empty: nothing is kept.
    pub state_dir: PathBuf,
    /// Bytes of all kernel ring buffers together; a power of two times the page size, 256 KiB to 1 GiB.
    pub ring_bytes: u32,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter such as `info,obi::attach=debug`.
    pub log_level: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            instrumentation: Instrumentation::default(),
            discovery: Discovery::default(),
            overhead: Overhead::default(),
            export: Export::default(),
            listen: "127.0.0.1:9464".to_owned(),
            socket: PathBuf::from("/run/obi/obi.sock"),
            state_dir: PathBuf::from("/var/lib/obi"),
            ring_bytes: 16 * 1024 * 1024,
            log_level: "info".to_owned(),
        }
    }
}

impl Config {
    /// The state directory, if anything is to be kept.
    pub fn state_dir(&self) -> Option<&Path> {
        (!self.state_dir.as_os_str().is_empty()).then_some(self.state_dir.as_path())
    }

    /// Messages that get spans in a second: as configured where they are sent by OTLP, else enough for `obi kafka traces`.
    pub fn told_per_second(&self) -> u32 {
        let wanted = self.instrumentation.kafka.spans_per_second;
        match self.export.otlp.sends(&self.export.otlp.traces) {
            true => wanted,
            false => wanted.min(TOLD_LOCALLY),
        }
    }

    /// What the analyzer needs.
    pub fn settings(&self) -> kafka_analyzer::Settings {
        let kafka = &self.instrumentation.kafka;
        kafka_analyzer::Settings {
            capture_key: kafka.capture_key,
            capture_headers: kafka.capture_headers,
            records: kafka.read_records,
            hash_keys: kafka.hash_keys,
            max_message_size: kafka.max_message_size,
            internal_topics: kafka.internal_topics,
            spans_per_second: kafka.spans_per_second,
            span_tree: match kafka.span_tree {
                SpanTree::Children => kafka_analyzer::SpanTree::Children,
                SpanTree::Links => kafka_analyzer::SpanTree::Links,
                SpanTree::Both => kafka_analyzer::SpanTree::Both,
            },
            told_per_second: self.told_per_second(),
            spans: kafka.spans_per_second > 0,
            app: self.instrumentation.app.enabled == When::Always,
        }
    }

    /// The JSON Schema of the YAML file.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Config)
    }
}

#[cfg(test)]
mod tests;
