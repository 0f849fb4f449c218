//! What is built on clients: share groups, Kafka Streams, Connect, MirrorMaker 2. In: a stage. Out: one scenario a file. All of them are Java
//! programs over the plaintext listener; truth is the broker's, and the figures that Kafka's own clients keep of themselves.

pub mod connect;
pub mod mirror;
mod program;
pub mod share;
pub mod streams;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use obi_lab::metrics::Scrape;

/// How many APIs a service used; every one of them has a name.
fn apis(scrape: &Scrape, service: &str) -> Result<String> {
    let of_service = [("service", service)];
    let series = scrape.series("kafka_request_duration_seconds_count", &of_service);
    let apis: BTreeSet<&str> = series
        .filter_map(|(labels, _)| labels.get("api").map(String::as_str))
        .collect();
    let is_number = |api: &&str| api.bytes().all(|byte| byte.is_ascii_digit());
    if apis.is_empty() || apis.iter().any(is_number) {
        bail!("{service} used APIs without a name: {apis:?}");
    }
    Ok(format!(", {} APIs", apis.len()))
}
