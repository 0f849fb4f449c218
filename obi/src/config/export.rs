//! `export:` where findings go. In: YAML keys and the standard `OTEL_EXPORTER_OTLP_*` variables; out: one resolved target per signal.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Export {
    pub prometheus: Prometheus,
    pub otlp: Otlp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// False: `/metrics` answers 404.
    pub enabled: bool,
    /// Series kept at most, over all metrics. Per-partition series are turned away first.
    pub max_series: usize,
    /// Seconds after which a gauge that nothing renewed is no longer shown.
    pub gauge_expiry_seconds: u64,
}

impl Default for Prometheus {
    fn default() -> Self {
        Prometheus {
            enabled: true,
            max_series: 20_000,
            gauge_expiry_seconds: 600,
        }
    }
}

/// OTLP is off while no endpoint is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// For example `http://127.0.0.1:4317`. Empty: off.
    pub endpoint: String,
    /// `auto` is gRPC for port 4317, else HTTP.
    pub protocol: Protocol,
    /// Sent with every request, for example an authorization.
    pub headers: BTreeMap<String, String>,
    /// PEM file with the certificate authorities to trust. Empty: those of the system.
    pub certificate: String,
    /// Milliseconds one request may take.
    pub timeout_ms: u64,
    /// Milliseconds between two exports of all metrics.
    pub metrics_interval_ms: u64,
    /// Spans, and events, that wait at most; more are dropped and counted.
    pub max_queue: usize,
    pub traces: OtlpSignal,
    pub metrics: OtlpSignal,
    /// Events: rebalances, commit failures, fencing, ...
    pub logs: OtlpSignal,
}

impl Default for Otlp {
    fn default() -> Self {
        Otlp {
            endpoint: String::new(),
            protocol: Protocol::Auto,
            headers: BTreeMap::new(),
            certificate: String::new(),
            timeout_ms: 10_000,
            metrics_interval_ms: 15_000,
            max_queue: 8192,
            traces: OtlpSignal::default(),
            metrics: OtlpSignal::default(),
            logs: OtlpSignal::default(),
        }
    }
}

/// What differs for one signal. Empty, `auto` and 0 mean: as for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSignal {
    pub enabled: bool,
    /// Used as it is: with HTTP, no `/v1/traces` is added.
    pub endpoint: String,
    pub protocol: Protocol,
    pub headers: BTreeMap<String, String>,
    pub timeout_ms: u64,
}

impl Default for OtlpSignal {
    fn default() -> Self {
        OtlpSignal {
            enabled: true,
            endpoint: String::new(),
            protocol: Protocol::Auto,
            headers: BTreeMap::new(),
            timeout_ms: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

impl Otlp {
    /// Is the signal sent anywhere?
    pub fn sends(&self, signal: &OtlpSignal) -> bool {
        signal.enabled && !(signal.endpoint.is_empty() && self.endpoint.is_empty())
    }
}
