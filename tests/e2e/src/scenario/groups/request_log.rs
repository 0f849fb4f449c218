//! Groups and transactions at a broker that writes its request log, which is the truth here: see [`crate::request_log`]. In: a broker
//! version. Out: each request as the broker read it, and the agent's counts of the members' requests.

use std::path::Path;

use anyhow::{Context, Result};
use obi_lab::kafka::{Admin, Cluster, Version};

use super::golden::{self, RECORDS};
use super::library::Library;
use super::stage::{PARTITIONS, Stage};
use super::transactions;
use crate::check;
use crate::report::Report;
use crate::request_log::{Counts, RequestLog};

/// One of each code base; the others are run too where everything is.
const CHOICE: [Library; 5] = [
    Library::Java,
    Library::Franz,
    Library::Sarama,
    Library::ConfluentPython,
    Library::KafkaPython,
];
/// Answered requests, by service and API.
const REQUESTS: &str = "kafka_request_duration_seconds_count";

fn versions(full: bool) -> Vec<Version> {
    if full {
        return Version::ALL.to_vec();
    }
    vec![Version::V4_4_0]
}

fn name(version: Version) -> String {
    format!("groups/request log/{version}")
}

pub fn names(full: bool) -> Vec<String> {
    versions(full).into_iter().map(name).collect()
}

pub fn run(stage: &Stage, full: bool, report: &mut Report) {
    let libraries: &[Library] = if full { &Library::ALL } else { &CHOICE };
    for version in versions(full) {
        report.test(&name(version), || cell(stage, version, libraries));
    }
}

fn cell(stage: &Stage, version: Version, libraries: &[Library]) -> Result<String> {
    let layout = &stage.world.layout;
    let cluster = Cluster::start_logged(layout, &format!("request-log-{version}"), version)?;
    let settings = stage.world.settings.as_ref().context("there is no agent")?;
    let folder = layout
        .run()
        .join(format!("request-log-{version}-recording"));
    let mut log = RequestLog::start(&settings.program, &folder, &cluster)?;
    // Whom the recorder meets first it does not see from the first byte.
    for library in libraries {
        let topic = stage.topic(&cluster, "met")?;
        stage.produce(&cluster, &topic, 1)?;
        let mut member = stage.member(&cluster, stage.plan(*library, &topic))?;
        member.wait_held(PARTITIONS)?;
        member.close()?;
    }
    log.begin()?;
    for library in libraries {
        clients(stage, &cluster, *library).with_context(|| library.name())?;
    }
    administrator(stage, &cluster, &folder)?;
    let equal = log.finish()?;
    let counted = counted(stage, &equal.answered)?;
    cluster.stop()?;
    Ok(format!("{}; {counted} counted by the agent", equal.text))
}

/// The questions of an administrator, about a group that has left.
fn administrator(stage: &Stage, cluster: &Cluster, folder: &Path) -> Result<()> {
    let topic = stage.topic(cluster, "administered")?;
    stage.produce(cluster, &topic, RECORDS)?;
    let plan = stage.plan(Library::Java, &topic);
    let group = plan.group.clone();
    let mut member = stage.member(cluster, plan)?;
    member.wait_held(PARTITIONS)?;
    member.consume(RECORDS as u64)?;
    member.commit()?.map_err(anyhow::Error::msg)?;
    member.close()?;
    let config = folder.join("administrator.properties");
    let admin = Admin::in_the_clear(&stage.world.layout, &config, cluster)?;
    admin.tour(&topic, &group)?;
    Ok(())
}

fn clients(stage: &Stage, cluster: &Cluster, library: Library) -> Result<()> {
    let topic = stage.topic(cluster, "logged")?;
    stage.produce(cluster, &topic, RECORDS)?;
    let plan = stage.plan(library, &topic);
    if library == Library::KafkaPython {
        // Two of them now and then stay in a rebalance for good.
        let mut member = stage.member(cluster, plan)?;
        member.wait_held(PARTITIONS)?;
        member.consume(RECORDS as u64)?;
        member.commit()?.map_err(anyhow::Error::msg)?;
        return member.close();
    }
    golden::half_read(stage, cluster, plan)?;
    if matches!(library, Library::Java | Library::ConfluentPython) && cluster.version.has_kip_848()
    {
        let mut plan = stage.plan(library, &topic);
        plan.protocol = "consumer";
        golden::half_read(stage, cluster, plan)?;
    }
    if transactions::LIBRARIES.contains(&library) && cluster.version.has_transactions() {
        transactions::cell(stage, cluster, library)?;
    }
    Ok(())
}

/// What the running agent counted of the members, each of which is a service of its own.
fn counted(stage: &Stage, answered: &Counts) -> Result<u64> {
    let mut members = answered.clone();
    members.retain(|(client, _), _| {
        client.starts_with("group-") && !client.starts_with("group-producer")
    });
    check::settle(stage.world.agent()?, |scrape| {
        let mut lines = Vec::new();
        for (key, want) in &members {
            let labels = [("service", key.0.as_str()), ("api", key.1.as_str())];
            let have = scrape.sum(REQUESTS, &labels);
            if have != Some(*want as f64) {
                lines.push(format!("{REQUESTS} {key:?}: agent {have:?}, broker {want}"));
            }
        }
        lines
    })?;
    Ok(members.values().sum())
}
