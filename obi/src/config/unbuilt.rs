//! Keys that are accepted although this version does not act on them. In: a configuration; out: one sentence each.
//!
//! A key is listed here until its feature is there, so that nobody waits for data that cannot come.

use super::{Config, HeaderFormat};

/// One warning for each key that is set and does nothing yet.
pub fn warnings(config: &Config) -> Vec<String> {
    let kafka = &config.instrumentation.kafka;
    let mut out = Vec::new();
    if kafka.schema_registry.enabled {
        out.push("instrumentation.kafka.schema_registry.enabled: the schema registry is not asked in this version".to_owned());
    }
    if !kafka.propagation.enabled {
        out.push("instrumentation.kafka.propagation.enabled: trace headers in messages are always read in this version".to_owned());
    }
    if kafka.propagation.header_format != HeaderFormat::W3c {
        out.push("instrumentation.kafka.propagation.header_format: trace headers are not written in this version; every format is read".to_owned());
    }
    out
}
