//! A share group (KIP-932): two members take what they are given; some records are released and come again, some are rejected. In: 600
//! records. Out: as many deliveries, releases and rejections at the agent as at the members, the members and their partitions as the broker says.

use std::time::Duration;

use anyhow::{Result, bail};
use obi_lab::kafka::{Cluster, Jars, Kind, Version};
use obi_lab::step;
use serde::Deserialize;

use super::super::agent::compare_described;
use super::super::stage::{PATIENCE, Stage};
use super::program::{Places, Program};
use crate::check;
use crate::truth::Counts;

const RECORDS: usize = 600;

/// What a member says of itself.
#[derive(Debug, Deserialize)]
struct Told {
    records: Places,
    redelivered: u64,
    released: u64,
    rejected: u64,
    accepted: u64,
}

pub fn run(stage: &Stage) -> Result<String> {
    on(stage, stage.cluster(Version::V4_4_0)?)
}

pub fn on(stage: &Stage, cluster: &Cluster) -> Result<String> {
    stage.meet_plaintext(cluster)?;
    let topic = stage.topic(cluster, "shared")?;
    let group = stage.world.fresh("share-group");
    cluster.admin.from_the_start(&group)?;
    stage.produce(cluster, &topic, RECORDS)?;
    let before = stage.losses()?;
    let jars = Jars::fetch(&stage.world.layout, Version::V4_4_0)?;
    let mut members = Vec::new();
    for number in 1..=2 {
        let name = format!("{group}-{number}");
        let plan = serde_json::json!({
            "brokers": cluster.bootstrap(false), "client_id": name, "group": group, "topic": topic,
        });
        members.push(Program::start(stage, &jars, "Share", &name, &plan)?);
    }
    stage.wait_described(
        cluster,
        Kind::Share,
        &group,
        "two members at rest",
        |told| told.state == "Stable" && told.members.len() == 2,
    )?;
    // More for both: the first member may have taken all that was there.
    stage.produce(cluster, &topic, RECORDS)?;
    let told = step::wait(
        "every record is accepted or rejected",
        PATIENCE,
        Duration::from_millis(200),
        || {
            let mut told = Vec::new();
            for member in &mut members {
                told.push(member.ask::<Told>("counts")?);
            }
            let done: u64 = told.iter().map(|it| it.accepted + it.rejected).sum();
            Ok((done >= 2 * RECORDS as u64).then_some(told))
        },
    )?;
    let (mut all, mut redelivered, mut released, mut rejected) = (0, 0, 0, 0);
    for it in &told {
        all += it.records.0.values().sum::<u64>();
        redelivered += it.redelivered;
        released += it.released;
        rejected += it.rejected;
    }
    if all != 2 * RECORDS as u64 + redelivered || released == 0 || redelivered < released {
        bail!("{all} deliveries, {redelivered} of them again, {released} released: {told:?}");
    }
    let mut seen =
        format!("{all} deliveries, {redelivered} of them again, {rejected} records rejected");
    if let Some(agent) = &stage.world.agent {
        for (member, it) in members.iter().zip(&told) {
            let want: &Counts = &it.records.0;
            check::settle(agent, |scrape| {
                let mut lines = check::consumed_by(scrape, &member.name, want);
                let of_group = [("client_id", member.name.as_str()), ("group", &group)];
                let have = scrape.sum(check::CONSUMED, &of_group).unwrap_or_default();
                if have != want.values().sum::<u64>() as f64 {
                    lines.push(format!("{} of the group: {have}", check::CONSUMED));
                }
                lines
            })?;
        }
        // Also of the last ones, which go out with the poll after.
        check::settle(agent, |scrape| {
            let mut lines = Vec::new();
            for (signal, want) in [("release", released), ("reject", rejected)] {
                let labels = [("group", group.as_str()), ("signal", signal)];
                let have = scrape.sum(check::ERRORS, &labels).unwrap_or_default();
                if have != want as f64 {
                    lines.push(format!("{} {signal}: {have}, not {want}", check::ERRORS));
                }
            }
            lines
        })?;
        seen += &compare_described(stage, cluster, Kind::Share, &group)?;
        seen += &super::apis(&agent.scrape()?, &format!("{group}-1"))?;
        check::nothing_lost(&before, &agent.scrape()?)?;
    }
    for member in members {
        member.close()?;
    }
    if let Some(agent) = &stage.world.agent {
        check::settle(agent, |scrape| {
            let have = scrape.sum(super::super::agent::MEMBERS, &[("group", &group)]);
            match have {
                None | Some(0.0) => Vec::new(),
                have => vec![format!("members after all left: {have:?}")],
            }
        })?;
    }
    Ok(seen)
}
