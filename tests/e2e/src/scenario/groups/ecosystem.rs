//! What is built on clients: share groups, Kafka Streams, Connect, MirrorMaker 2. In: a stage. Out: one scenario a file. All of them are Java
//! programs over the plaintext listener; truth is the broker's, and the figures that Kafka's own clients keep of themselves.

pub mod connect;
pub mod mirror;
mod program;
pub mod share;
pub mod streams;
pub mod work;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Kind, Version};
use obi_lab::metrics::Scrape;

use super::stage::Stage;
use crate::request_log::RequestLog;

/// Share group, Streams by both protocols, and Connect at a broker that writes its request log: every field that was decoded is held against it.
pub fn logged(stage: &Stage) -> Result<String> {
    let layout = &stage.world.layout;
    let cluster = Cluster::start_logged(layout, "ecosystem-log", Version::V4_4_0)?;
    let settings = stage.world.settings.as_ref().context("there is no agent")?;
    let folder = layout.run().join("ecosystem-recording");
    let mut log = RequestLog::start(&settings.program, &folder, &cluster)?;
    stage.meet_plaintext(&cluster)?;
    log.begin()?;
    share::on(stage, &cluster).context("share group")?;
    for kind in [Kind::Classic, Kind::Streams] {
        streams::run(stage, &cluster, kind, "exactly_once_v2").context(kind.word())?;
    }
    connect::distributed_on(stage, &cluster).context("Connect")?;
    let equal = log.finish()?;
    cluster.stop()?;
    Ok(equal.text)
}

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
