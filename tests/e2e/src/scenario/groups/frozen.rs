//! A member is frozen (SIGSTOP) until the group goes on without it, and commits as soon as it is awake: the broker refuses, and such
//! a commit is counted as a failure. In: libraries. Out: Kafka's name of the error, from the member and from the agent.

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Version;
use obi_lab::process::Signal;

use super::event;
use super::library::Library;
use super::stage::{PARTITIONS, Stage};
use super::{agent, golden};
use crate::check;

const LIBRARIES: [Library; 4] = [
    Library::Aiokafka,
    Library::Franz,
    Library::Segmentio,
    Library::ConfluentPython,
];
const TRIES: u32 = 8;
/// What the broker says to one that it no longer knows.
const REFUSALS: [&str; 3] = [
    "UNKNOWN_MEMBER_ID",
    "ILLEGAL_GENERATION",
    "REBALANCE_IN_PROGRESS",
];

pub fn run(stage: &Stage) -> Result<String> {
    let mut seen = Vec::new();
    for library in LIBRARIES {
        let error = refused(stage, library).with_context(|| library.name())?;
        seen.push(format!("{}: {error}", library.name()));
    }
    Ok(seen.join(", "))
}

fn refused(stage: &Stage, library: Library) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "frozen")?;
    stage.produce(cluster, &topic, 600)?;
    let plan = stage.plan(library, &topic);
    let group = plan.group.clone();
    let mut members = stage.members(cluster, &plan, 2)?;
    let (first, rest) = members.split_first_mut().context("two members")?;
    let second = rest.first_mut().context("two members")?;
    let mut refused: Vec<String> = Vec::new();
    // A library whose heartbeat is answered first knows already that it is out, and commits nothing.
    for _ in 0..TRIES {
        second.consume(50)?;
        if let Err(error) = second.commit()? {
            bail!("a commit before it was frozen: {error}");
        }
        second.consume(20)?;
        second.process.signal(Signal::STOP)?;
        let left = first.wait_held(PARTITIONS);
        // It lies ready when the member wakes up.
        second.tell("commit")?;
        second.process.signal(Signal::CONT)?;
        left?;
        second.answer("commit")?;
        first.wait_held(PARTITIONS / 2)?;
        second.wait_held(PARTITIONS / 2)?;
        let told = event::commits(&second.events()).1;
        // A library that learns it from its heartbeat closes the connection under its own commit: that is no answer of the broker.
        refused = told
            .into_iter()
            .filter(|error| REFUSALS.contains(&error.as_str()))
            .collect();
        if !refused.is_empty() {
            break;
        }
    }
    let error = refused.last().cloned().with_context(|| {
        let told = event::commits(&second.events()).1;
        format!("the broker refused no commit; the member was told {told:?}")
    })?;
    if let Some(agent) = &stage.world.agent {
        let good = golden::good_commits(&members) as f64;
        let bad = refused.len() as f64;
        check::settle(agent, |scrape| {
            let count = |labels: &[(&str, &str)]| scrape.sum(agent::COMMITS, labels);
            let ok = count(&[("group", &group), ("result", "ok")]);
            let failed = count(&[
                ("group", &group),
                ("result", "error"),
                ("error_type", &error),
            ]);
            let have = (ok, failed);
            let want = (Some(good), Some(bad));
            let line = format!("{} {group}: agent {have:?}, truth {want:?}", agent::COMMITS);
            if have == want { vec![] } else { vec![line] }
        })?;
    }
    for member in &mut members {
        member.close()?;
    }
    Ok(error)
}
