//! What the types of the keys do not say: ranges, patterns, addresses. In: a configuration from any source; out: its first mistake,
//! named by its key.

use std::net::ToSocketAddrs;

use globset::Glob;
use tracing_subscriber::EnvFilter;

use super::Config;
use crate::export::otlp;

/// What is wrong, and an example of what is right.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{key}: {why}")]
pub struct Mistake {
    pub key: &'static str,
    pub why: String,
    pub hint: &'static str,
}

/// The first mistake.
pub fn check(config: &Config) -> Result<(), Mistake> {
    let kafka = &config.instrumentation.kafka;
    globs("instrumentation.kafka.topics", &kafka.topics)?;
    globs(
        "instrumentation.kafka.consumer_groups",
        &kafka.consumer_groups,
    )?;
    globs("discovery.exe", &config.discovery.exe)?;
    globs("discovery.exclude.exe", &config.discovery.exclude.exe)?;
    if kafka.max_message_size > 1 << 20 {
        return Err(mistake(
            "instrumentation.kafka.max_message_size",
            format!("{} is more than 1048576", kafka.max_message_size),
            "it bounds the kept key and headers of one message, not the messages that are counted",
        ));
    }
    let budget = config.overhead.budget;
    if !(0.0..=100.0).contains(&budget) {
        return Err(mistake(
            "overhead.budget",
            format!("{budget} is not a percentage from 0 to 100"),
            "0.5 is the default: of one core, for each watched process",
        ));
    }
    if !config.ring_bytes.is_power_of_two() || !(256 << 10..=1 << 30).contains(&config.ring_bytes) {
        let why = format!(
            "{} is not a power of two from 262144 to 1073741824",
            config.ring_bytes
        );
        return Err(mistake("ring_bytes", why, "16777216 is the default"));
    }
    if let Err(error) = config.listen.to_socket_addrs() {
        let why = format!("`{}` is not an address and port: {error}", config.listen);
        return Err(mistake("listen", why, "for example 127.0.0.1:9464"));
    }
    if let Err(error) = EnvFilter::try_new(&config.log_level) {
        let why = format!("`{}` is not a level or filter: {error}", config.log_level);
        let hint = "error, warn, info, debug, trace, or for example info,obi::attach=debug";
        return Err(mistake("log_level", why, hint));
    }
    if let Err(error) = otlp::check(&config.export.otlp) {
        let hint = "for example http://127.0.0.1:4317 (gRPC) or http://127.0.0.1:4318 (HTTP)";
        return Err(mistake("export.otlp", format!("{error:#}"), hint));
    }
    Ok(())
}

fn mistake(key: &'static str, why: String, hint: &'static str) -> Mistake {
    Mistake { key, why, hint }
}

fn globs(key: &'static str, patterns: &[String]) -> Result<(), Mistake> {
    for pattern in patterns {
        if let Err(error) = Glob::new(pattern) {
            return Err(mistake(
                key,
                error.to_string(),
                "`*` stands for any text, `?` for one character, `{a,b}` for one of several",
            ));
        }
    }
    Ok(())
}
