//! Three members: one leaves, one stops polling for longer than max.poll.interval and comes back. In: librdkafka, which has such an
//! interval. Out: each change of the assignment, and the reasons that the agent gives for it.

use anyhow::{Context, Result};
use obi_lab::kafka::Version;
use std::time::Duration;

use super::library::Library;
use super::stage::{PARTITIONS, PATIENCE, Stage};
use super::{agent, broker, event, golden};

const REASONS: [&str; 4] = [
    "first_join",
    "member_joined",
    "member_left",
    "poll_interval_exceeded",
];

pub fn run(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "leaving")?;
    let mut plan = stage.plan(Library::ConfluentPython, &topic);
    // Not less than the session's, or librdkafka refuses it.
    plan.max_poll_interval = Duration::from_secs(12);
    let mut members = stage.members(cluster, &plan, 3)?;
    let group = plan.group;

    members.last_mut().context("three members")?.close()?;
    let (first, rest) = members.split_first_mut().context("three members")?;
    let second = rest.first_mut().context("three members")?;
    first.wait_held(PARTITIONS / 2)?;
    second.wait_held(PARTITIONS / 2)?;

    second.ask("pause")?;
    first.wait_held(PARTITIONS)?;
    second.ask("poll")?;
    second.wait("partitions lost", PATIENCE, |events| {
        let lost = |event: &event::Event| matches!(event, event::Event::Lost { .. });
        events.iter().any(lost).then_some(())
    })?;
    first.wait_held(PARTITIONS / 2)?;
    second.wait_held(PARTITIONS / 2)?;
    stage.wait_state(cluster, &group, "two members again", |state| {
        state.state == "Stable" && state.members == 2
    })?;
    broker::offsets(cluster, &group, members.get(..2).unwrap_or_default(), &[])?;
    if stage.world.agent.is_some() {
        agent::expect_reasons(stage, &group, &members, &REASONS)?;
    }
    let seen = golden::rebalances(&members);
    members.truncate(2);
    for member in &mut members {
        member.close()?;
    }
    Ok(format!("{seen} rebalances of three members"))
}
