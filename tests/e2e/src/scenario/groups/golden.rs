//! One cell: a group of two members reads about half of a topic, commits, rests. In: a library and a broker version. Out: lag,
//! members, commits and rebalances, equal at the broker, at the members and, where there is one, at the agent.

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Cluster;

use super::cells::Cell;
use super::event;
use super::library::Library;
use super::member::{Member, Plan};
use super::stage::{PARTITIONS, Stage};
use super::{agent, broker, cooperative};

pub const RECORDS: usize = 600;
/// Of each of the two members, who have 300 each.
const READ: [u64; 2] = [170, 130];

pub fn run(stage: &Stage, cell: Cell) -> Result<String> {
    let cluster = stage.cluster(cell.version)?;
    let topic = stage.topic(
        cluster,
        &format!("{}-{}", cell.library.name(), cell.version),
    )?;
    stage.produce(cluster, &topic, RECORDS)?;
    let read = half_read(stage, cluster, stage.plan(cell.library, &topic));
    match read {
        // Of two kafka-python members one now and then stays in a rebalance for good, with and without an agent.
        Err(error) if cell.library == Library::KafkaPython && !has_partitions(&error) => {
            half_read(stage, cluster, stage.plan(cell.library, &topic))
        }
        read => read,
    }
}

/// False: a member did not get its partitions in time.
fn has_partitions(error: &anyhow::Error) -> bool {
    !error.to_string().contains("partitions: not within")
}

/// The cell's body, for any plan whose topic holds [`RECORDS`].
pub fn half_read(stage: &Stage, cluster: &Cluster, plan: Plan) -> Result<String> {
    let mut members = stage.members(cluster, &plan, 2)?;
    let group = plan.group.clone();
    let mut committed = Vec::new();
    for (member, n) in members.iter_mut().zip(READ) {
        // Twice: the last commit has all that the member read.
        let mut last = Vec::new();
        for part in [n / 2, n - n / 2] {
            member.consume(part)?;
            match member.commit()? {
                Ok(offsets) => last = offsets,
                Err(error) => bail!("{}: commit: {error}", member.plan.client_id),
            }
        }
        committed.extend(last);
    }
    stage.wait_state(cluster, &group, "two members at rest", |state| {
        state.state == "Stable" && state.members == 2
    })?;
    let offsets = broker::offsets(cluster, &group, &members, &committed)?;
    let ends: u64 = offsets.iter().map(|row| row.end).sum();
    if offsets.len() != PARTITIONS || ends != RECORDS as u64 {
        bail!("the broker knows {offsets:?}");
    }
    broker::no_errors(&members)?;
    if plan.assignor == "cooperative-sticky" || plan.protocol == "consumer" {
        cooperative::kept(members.first().context("two members")?)?;
    }
    let mut seen = format!(
        "lag {}, {} commits, {} rebalances",
        broker::lag(&offsets),
        good_commits(&members),
        rebalances(&members)
    );
    if stage.world.agent.is_some() {
        seen += &agent::compare(stage, cluster, &group, &members, &offsets)?;
    }
    for member in &mut members {
        member.close()?;
    }
    stage.wait_state(cluster, &group, "left by all", |state| {
        state.state == "Empty" && state.members == 0
    })?;
    Ok(seen)
}

pub fn good_commits(members: &[Member]) -> u64 {
    let good = |member: &Member| event::commits(&member.events()).0;
    members.iter().map(good).sum()
}

pub fn rebalances(members: &[Member]) -> usize {
    let of = |member: &Member| match member.plan.protocol {
        "consumer" => event::reconciliations(&member.events()),
        _ => event::rebalances(&member.events()),
    };
    members.iter().map(of).sum()
}
