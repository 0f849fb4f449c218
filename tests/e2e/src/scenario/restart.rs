//! The agent comes late, or is killed in the middle of traffic and started again. The clients never notice: they keep their
//! connections. From then on every count is exact.
//!
//! An answer to a request that was written before the agent came cannot be understood, so the clients are quiet for longer than a
//! fetch waits at the broker before the exact part begins.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use obi_lab::agent::Agent;
use obi_lab::metrics::Scrape;

use crate::cells::Library;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::truth::{Counts, Did, Truth};
use crate::world::{MARKER, World};

/// franz-go's fetches wait 5 s at the broker, librdkafka's half a second.
const QUIET: Duration = Duration::from_secs(6);
const LIBRARIES: [Library; 3] = [Library::Franz, Library::ConfluentPython, Library::Sarama];

/// A client that has been at work for a while.
struct Veteran {
    client: Golden,
    topic: String,
    topic_id: String,
    sockets: BTreeSet<String>,
    /// Lines of its truth file that are history.
    past: usize,
}

fn veterans(world: &World, name: &str) -> Result<Vec<Veteran>> {
    LIBRARIES
        .into_iter()
        .map(|library| {
            let topic = world.fresh(&format!("{name}-{}", library.name()));
            let topic_id = world.cluster.admin.create(&topic, 3, 1)?;
            let plan = Plan {
                library,
                client_id: topic.clone(),
                codec: "lz4",
                tls: true,
                group: topic.clone(),
                marker: MARKER.to_owned(),
                intervals: false,
            };
            let folder = world.layout.run().join(name);
            let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
            client.run(&format!("many 1000 {topic}"))?;
            client.run(&format!("consume 1000 {topic}"))?;
            Ok(Veteran {
                client,
                topic,
                topic_id,
                sockets: BTreeSet::new(),
                past: 0,
            })
        })
        .collect()
}

/// Inodes of a process's sockets: a reconnect would show a new one.
fn sockets(pid: u32) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"))?;
    let links = entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok());
    Ok(links
        .map(|link| link.display().to_string())
        .filter(|link| link.starts_with("socket:"))
        .collect())
}

/// What the agent has counted of a topic so far, under its name or, where it has not learnt that, its id.
fn counted(scrape: &Scrape, metric: &str, veteran: &Veteran) -> Counts {
    let names = [veteran.topic.clone(), format!("id:{}", veteran.topic_id)];
    let mut counts = Counts::new();
    for name in &names {
        for (labels, value) in scrape.series(metric, &[("topic", name)]) {
            let partition = labels
                .get("partition")
                .and_then(|text| text.parse().ok())
                .unwrap_or(-1);
            *counts
                .entry((veteran.topic.clone(), partition))
                .or_default() += value as u64;
        }
    }
    counts
}

fn minus(now: &Counts, before: &Counts) -> Counts {
    let left = now.iter().map(|(place, count)| {
        (
            place.clone(),
            count - before.get(place).copied().unwrap_or(0),
        )
    });
    left.filter(|(_, count)| *count > 0).collect()
}

/// Five thousand records each way with the agent there: all of them, and nothing else, is counted.
fn exact_from_now_on(agent: &Agent, veterans: &mut [Veteran]) -> Result<u64> {
    let baseline = agent.scrape()?;
    let mut total = 0;
    for veteran in veterans.iter_mut() {
        let topic = veteran.topic.clone();
        veteran.past = Truth::read(&veteran.client.truth)?.lines.len();
        veteran.client.run(&format!("many 5000 {topic}"))?;
        veteran.client.run(&format!("consume 5000 {topic}"))?;
        let mut truth = Truth::read(&veteran.client.truth)?;
        truth.lines.drain(..veteran.past);
        for (metric, did) in [(PRODUCED, Did::Produced), (CONSUMED, Did::Consumed)] {
            let want = truth.counts(did);
            total += want.values().sum::<u64>();
            let before = counted(&baseline, metric, veteran);
            check::settle(agent, |scrape| {
                let have = minus(&counted(scrape, metric, veteran), &before);
                if have == want {
                    Vec::new()
                } else {
                    vec![format!(
                        "{metric} since then: agent {have:?}, truth {want:?}"
                    )]
                }
            })?;
        }
        let now = sockets(veteran.client.pid())?;
        if !now.is_subset(&veteran.sockets) {
            bail!(
                "{topic}: the client reconnected: sockets {:?}, then {now:?}",
                veteran.sockets
            );
        }
    }
    Ok(total)
}

pub fn late(world: &World) -> Result<String> {
    let mut veterans = veterans(world, "late")?;
    for veteran in &mut veterans {
        veteran.sockets = sockets(veteran.client.pid())?;
    }
    let agent = world.settings("late-agent")?.start()?;
    std::thread::sleep(QUIET);
    let total = exact_from_now_on(&agent, &mut veterans)?;
    close(veterans)?;
    agent.stop()?;
    Ok(format!(
        "{total} records exact on connections older than the agent"
    ))
}

pub fn killed(world: &World) -> Result<String> {
    let settings = world.settings("killed-agent")?;
    let agent = settings.start()?;
    let mut veterans = veterans(world, "killed")?;
    for veteran in &mut veterans {
        veteran.sockets = sockets(veteran.client.pid())?;
        let topic = veteran.topic.clone();
        veteran.client.tell(&format!("pace 600 10 {topic}"))?;
    }
    // Long enough for the agent to have kept what it learnt, short of the end of the traffic.
    std::thread::sleep(Duration::from_secs(5));
    agent.kill()?;
    std::thread::sleep(Duration::from_millis(200));
    let agent = settings.start()?;
    for veteran in &mut veterans {
        veteran.client.answer()?;
        let topic = veteran.topic.clone();
        veteran.client.run(&format!("consume 600 {topic}"))?;
    }
    std::thread::sleep(QUIET);
    let total = exact_from_now_on(&agent, &mut veterans)?;
    // Names were learnt before the kill and kept in the state directory.
    let scrape = agent.scrape()?;
    for veteran in &veterans {
        let unnamed = format!("id:{}", veteran.topic_id);
        if let Some(count) = scrape.sum(PRODUCED, &[("topic", &unnamed)]) {
            bail!(
                "{count} records of {} were counted under {unnamed}",
                veteran.topic
            );
        }
    }
    close(veterans)?;
    agent.stop()?;
    Ok(format!(
        "{total} records exact after SIGKILL and a new start, names kept"
    ))
}

fn close(veterans: Vec<Veteran>) -> Result<()> {
    veterans
        .into_iter()
        .try_for_each(|mut veteran| veteran.client.close())
}
