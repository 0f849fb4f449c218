//! Every environment variable that sets a key. In: the environment; out: the configuration with those keys replaced.
//!
//! A value is read by the type that its key has: lists are separated by commas, maps are `name=value,name=value`.
//! The standard `OTEL_EXPORTER_OTLP_*` variables are read before ours, so that ours win.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Config;

/// (variable, key as a JSON pointer). Later lines win.
pub const ENV_VARS: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "/export/otlp/endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "/export/otlp/protocol"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "/export/otlp/headers"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/export/otlp/certificate"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "/export/otlp/timeout_ms"),
    (
        "OTEL_METRIC_EXPORT_INTERVAL",
        "/export/otlp/metrics_interval_ms",
    ),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "/export/otlp/max_queue"),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "/export/otlp/traces/endpoint",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "/export/otlp/traces/protocol",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "/export/otlp/traces/headers",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "/export/otlp/traces/timeout_ms",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "/export/otlp/metrics/endpoint",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        "/export/otlp/metrics/protocol",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        "/export/otlp/metrics/headers",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        "/export/otlp/metrics/timeout_ms",
    ),
    (
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "/export/otlp/logs/endpoint",
    ),
    (
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        "/export/otlp/logs/protocol",
    ),
    (
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        "/export/otlp/logs/headers",
    ),
    (
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        "/export/otlp/logs/timeout_ms",
    ),
    ("OBI_KAFKA_ENABLED", "/instrumentation/kafka/enabled"),
    (
        "OBI_KAFKA_CLIENT_HOOKS",
        "/instrumentation/kafka/client_hooks",
    ),
    (
        "OBI_KAFKA_READ_RECORDS",
        "/instrumentation/kafka/read_records",
    ),
    (
        "OBI_KAFKA_CAPTURE_HEADERS",
        "/instrumentation/kafka/capture_headers",
    ),
    (
        "OBI_KAFKA_CAPTURE_KEY",
        "/instrumentation/kafka/capture_key",
    ),
    ("OBI_KAFKA_HASH_KEYS", "/instrumentation/kafka/hash_keys"),
    (
        "OBI_KAFKA_CAPTURE_VALUE_SIZE",
        "/instrumentation/kafka/capture_value_size",
    ),
    (
        "OBI_KAFKA_MAX_MESSAGE_SIZE",
        "/instrumentation/kafka/max_message_size",
    ),
    ("OBI_KAFKA_TOPICS", "/instrumentation/kafka/topics"),
    (
        "OBI_KAFKA_CONSUMER_GROUPS",
        "/instrumentation/kafka/consumer_groups",
    ),
    (
        "OBI_KAFKA_INTERNAL_TOPICS",
        "/instrumentation/kafka/internal_topics",
    ),
    (
        "OBI_KAFKA_SPANS_PER_SECOND",
        "/instrumentation/kafka/spans_per_second",
    ),
    ("OBI_KAFKA_SPAN_TREE", "/instrumentation/kafka/span_tree"),
    (
        "OBI_KAFKA_PROPAGATION_ENABLED",
        "/instrumentation/kafka/propagation/enabled",
    ),
    (
        "OBI_KAFKA_PROPAGATION_HEADER_FORMAT",
        "/instrumentation/kafka/propagation/header_format",
    ),
    (
        "OBI_KAFKA_SCHEMA_REGISTRY_ENABLED",
        "/instrumentation/kafka/schema_registry/enabled",
    ),
    (
        "OBI_KAFKA_SCHEMA_REGISTRY_URL",
        "/instrumentation/kafka/schema_registry/url",
    ),
    (
        "OBI_KAFKA_SCHEMA_REGISTRY_CACHE_SIZE",
        "/instrumentation/kafka/schema_registry/cache_size",
    ),
    ("OBI_APP_ENABLED", "/instrumentation/app/enabled"),
    ("OBI_OVERHEAD_BUDGET", "/overhead/budget"),
    ("OBI_DISCOVERY_EXE", "/discovery/exe"),
    ("OBI_DISCOVERY_PID", "/discovery/pid"),
    ("OBI_DISCOVERY_PORT", "/discovery/port"),
    ("OBI_DISCOVERY_EXCLUDE_EXE", "/discovery/exclude/exe"),
    ("OBI_DISCOVERY_EXCLUDE_PID", "/discovery/exclude/pid"),
    ("OBI_DISCOVERY_EXCLUDE_PORT", "/discovery/exclude/port"),
    ("OBI_PROMETHEUS_ENABLED", "/export/prometheus/enabled"),
    ("OBI_PROMETHEUS_MAX_SERIES", "/export/prometheus/max_series"),
    (
        "OBI_PROMETHEUS_GAUGE_EXPIRY_SECONDS",
        "/export/prometheus/gauge_expiry_seconds",
    ),
    ("OBI_OTLP_ENDPOINT", "/export/otlp/endpoint"),
    ("OBI_OTLP_PROTOCOL", "/export/otlp/protocol"),
    ("OBI_OTLP_HEADERS", "/export/otlp/headers"),
    ("OBI_OTLP_CERTIFICATE", "/export/otlp/certificate"),
    ("OBI_OTLP_TIMEOUT_MS", "/export/otlp/timeout_ms"),
    (
        "OBI_OTLP_METRICS_INTERVAL_MS",
        "/export/otlp/metrics_interval_ms",
    ),
    ("OBI_OTLP_MAX_QUEUE", "/export/otlp/max_queue"),
    ("OBI_OTLP_TRACES_ENABLED", "/export/otlp/traces/enabled"),
    ("OBI_OTLP_TRACES_ENDPOINT", "/export/otlp/traces/endpoint"),
    ("OBI_OTLP_TRACES_PROTOCOL", "/export/otlp/traces/protocol"),
    ("OBI_OTLP_TRACES_HEADERS", "/export/otlp/traces/headers"),
    (
        "OBI_OTLP_TRACES_TIMEOUT_MS",
        "/export/otlp/traces/timeout_ms",
    ),
    ("OBI_OTLP_METRICS_ENABLED", "/export/otlp/metrics/enabled"),
    ("OBI_OTLP_METRICS_ENDPOINT", "/export/otlp/metrics/endpoint"),
    ("OBI_OTLP_METRICS_PROTOCOL", "/export/otlp/metrics/protocol"),
    ("OBI_OTLP_METRICS_HEADERS", "/export/otlp/metrics/headers"),
    (
        "OBI_OTLP_METRICS_TIMEOUT_MS",
        "/export/otlp/metrics/timeout_ms",
    ),
    ("OBI_OTLP_LOGS_ENABLED", "/export/otlp/logs/enabled"),
    ("OBI_OTLP_LOGS_ENDPOINT", "/export/otlp/logs/endpoint"),
    ("OBI_OTLP_LOGS_PROTOCOL", "/export/otlp/logs/protocol"),
    ("OBI_OTLP_LOGS_HEADERS", "/export/otlp/logs/headers"),
    ("OBI_OTLP_LOGS_TIMEOUT_MS", "/export/otlp/logs/timeout_ms"),
    ("OBI_LISTEN", "/listen"),
    ("OBI_SOCKET", "/socket"),
    ("OBI_STATE_DIR", "/state_dir"),
    ("OBI_RING_BYTES", "/ring_bytes"),
    ("OBI_LOG_LEVEL", "/log_level"),
];

/// Replaces the keys whose variable is set. `get` is the environment. An error names the variable.
pub fn apply(config: Config, get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
    let mut config = config;
    for (name, pointer) in ENV_VARS {
        let Some(text) = get(name) else { continue };
        // An OTEL variable that is set but empty counts as unset (OpenTelemetry specification).
        if text.is_empty() && name.starts_with("OTEL_") {
            continue;
        }
        config =
            set(&config, pointer, &text).with_context(|| format!("environment variable {name}"))?;
    }
    Ok(config)
}

fn set(config: &Config, pointer: &str, text: &str) -> anyhow::Result<Config> {
    let mut tree = serde_json::to_value(config)?;
    let Some(slot) = tree.pointer_mut(pointer) else {
        bail!("no key {pointer}")
    };
    // Lists hold either strings or numbers; which one shows only when they are read back.
    let as_text = read(slot, text, false)?;
    let as_number = read(slot, text, true)?;
    *slot = as_number;
    if let Ok(config) = serde_json::from_value(tree.clone()) {
        return Ok(config);
    }
    if let Some(slot) = tree.pointer_mut(pointer) {
        *slot = as_text;
    }
    serde_json::from_value(tree).with_context(|| format!("`{text}` does not fit"))
}

fn read(current: &Value, text: &str, numbers: bool) -> anyhow::Result<Value> {
    Ok(match current {
        Value::Bool(_) => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => bail!("`{text}` is neither true nor false"),
        },
        Value::Number(_) => Value::from(
            text.parse::<u64>()
                .with_context(|| format!("`{text}` is not a whole number"))?,
        ),
        Value::Array(_) => list(text)
            .map(|item| match item.parse::<u64>() {
                Ok(n) if numbers => Value::from(n),
                _ => Value::from(item),
            })
            .collect(),
        Value::Object(_) => {
            let mut map = BTreeMap::new();
            for pair in list(text) {
                let Some((name, value)) = pair.split_once('=') else {
                    bail!("`{pair}` is not name=value")
                };
                map.insert(name.trim().to_owned(), percent_decoded(value.trim()));
            }
            serde_json::to_value(map)?
        }
        Value::String(_) | Value::Null => Value::from(text),
    })
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// `OTEL_EXPORTER_OTLP_HEADERS` is in W3C Baggage form: values are percent-encoded.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = match (first, tail.get(..2)) {
            (b'%', Some(hex)) => std::str::from_utf8(hex)
                .ok()
                .and_then(|h| u8::from_str_radix(h, 16).ok()),
            _ => None,
        };
        rest = if byte.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
        out.push(byte.unwrap_or(*first));
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}
