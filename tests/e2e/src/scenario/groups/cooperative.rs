//! Rebalances that take away only what moves: cooperative-sticky and KIP-848; and static membership, where a restart moves nothing.
//! In: the libraries that can. Out: the cell of `golden`, and that the member which was there first kept half of what it had.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Version;
use obi_lab::process::Signal;

use super::event::{self, Event};
use super::library::Library;
use super::member::{Member, Plan};
use super::stage::{PARTITIONS, Stage};
use super::{broker, golden};
use crate::truth::Place;

/// Sarama, kafka-go, kafkajs and the pure Python libraries have neither.
const CAN: [Library; 4] = [
    Library::ConfluentPython,
    Library::ConfluentGo,
    Library::Franz,
    Library::Java,
];
const STATIC: [Library; 5] = [
    Library::ConfluentPython,
    Library::Franz,
    Library::Java,
    Library::Sarama,
    Library::Aiokafka,
];

pub fn classic(stage: &Stage) -> Result<String> {
    each(stage, "cooperative", |plan| {
        plan.assignor = "cooperative-sticky";
    })
}

pub fn kip_848(stage: &Stage) -> Result<String> {
    each(stage, "kip-848", |plan| plan.protocol = "consumer")
}

fn each(stage: &Stage, stem: &str, alter: fn(&mut Plan)) -> Result<String> {
    let mut seen = Vec::new();
    for library in CAN {
        let cluster = stage.cluster(Version::V4_4_0)?;
        let topic = stage.topic(cluster, stem)?;
        stage.produce(cluster, &topic, golden::RECORDS)?;
        let mut plan = stage.plan(library, &topic);
        alter(&mut plan);
        let found = golden::half_read(stage, cluster, plan).with_context(|| library.name())?;
        seen.push(format!("{}: {found}", library.name()));
    }
    Ok(seen.join("; "))
}

/// Half of the partitions were taken from the first member, and none of the other half, not even for a moment.
pub fn kept(first: &Member) -> Result<()> {
    let mut taken: BTreeSet<Place> = BTreeSet::new();
    for event in first.events() {
        match event {
            Event::Revoked { partitions } => taken.extend(partitions),
            Event::Lost { partitions } if !partitions.is_empty() => {
                bail!("{} lost {partitions:?}", first.plan.client_id)
            }
            _ => {}
        }
    }
    if taken.len() != PARTITIONS / 2 {
        bail!("{} gave up {taken:?}", first.plan.client_id);
    }
    Ok(())
}

pub fn fixed(stage: &Stage) -> Result<String> {
    for library in STATIC {
        restart(stage, library).with_context(|| library.name())?;
    }
    Ok(format!(
        "{} libraries keep their partitions over a restart",
        STATIC.len()
    ))
}

/// A member is killed and started again under the same instance id: the other one never hears of it.
fn restart(stage: &Stage, library: Library) -> Result<()> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "static")?;
    let mut plan = stage.plan(library, &topic);
    plan.instance_id = plan.client_id.clone();
    // Long enough for the restart.
    plan.session_timeout = std::time::Duration::from_secs(20);
    let mut members = stage.members(cluster, &plan, 2)?;
    let before = cluster.admin.group_members(&plan.group)?;
    let mut second = members.pop().context("two members")?;
    let first = members.first().context("two members")?;
    let told = event::rebalances(&first.events());
    let held = second.held();
    second.process.signal(Signal::KILL)?;
    second.process.wait(std::time::Duration::from_secs(10))?;
    // Under the same client id: the broker goes on showing the old one, as long as nobody rebalances.
    let mut again = stage.member(cluster, second.plan.clone())?;
    let now = again.wait_held(PARTITIONS / 2)?;
    if now != held {
        bail!("it held {held:?}, and holds {now:?} after the restart");
    }
    let known = event::rebalances(&first.events());
    if known != told {
        bail!("the other member told of {known} assignments, {told} before the restart");
    }
    members.push(again);
    broker::offsets(cluster, &plan.group, &members, &[])?;
    let after = cluster.admin.group_members(&plan.group)?;
    let ids = |of: &[obi_lab::kafka::GroupMember]| -> BTreeSet<Option<String>> {
        of.iter().map(|one| one.instance_id.clone()).collect()
    };
    if ids(&before) != ids(&after) || before == after {
        bail!("members before the restart {before:?}, after it {after:?}");
    }
    for member in &mut members {
        member.close()?;
    }
    Ok(())
}
