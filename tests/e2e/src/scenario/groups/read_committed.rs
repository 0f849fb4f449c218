//! A compacted topic with aborted transactions: offsets have holes, batches have fewer records than offsets, and what was aborted is on
//! the wire all the same. In: libraries under read_committed. Out: all are given the same records, and the agent counts these.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Version};

use super::broker;
use super::event::Event;
use super::library::Library;
use super::stage::{PARTITIONS, Stage};
use super::transactions::producing;
use crate::check;
use crate::truth::Counts;

const LIBRARIES: [Library; 5] = [
    Library::Franz,
    Library::Sarama,
    Library::ConfluentPython,
    Library::Java,
    Library::Aiokafka,
];
/// Committed records before the cleaner came.
const COMMITTED: u64 = 300 + 60;
const TRIES: u32 = 10;

pub fn run(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.world.fresh("compacted");
    let config = [
        "cleanup.policy=compact",
        "segment.ms=500",
        "min.cleanable.dirty.ratio=0.01",
        "max.compaction.lag.ms=500",
    ];
    cluster
        .admin
        .create_with(&topic, PARTITIONS as u32, &config)?;
    let mut producer = stage.member(cluster, producing(stage, Library::Franz, &topic))?;
    for (n, end) in [(300, "commit"), (120, "abort"), (60, "commit")] {
        producer.must("begin")?;
        producer.must(&format!("produce {n}"))?;
        producer.must(&format!("end {end}"))?;
        // The segment is closed by the first record after segment.ms.
        std::thread::sleep(Duration::from_secs(1));
    }
    producer.close()?;
    let want = cleaned(stage, cluster, &topic)?;
    for library in LIBRARIES {
        let (id, have) = read(stage, cluster, library, &topic)?;
        check::same("franz-go and this library", &want, &have).context(library.name())?;
        if let Some(agent) = &stage.world.agent {
            check::settle(agent, |scrape| check::consumed_by(scrape, &id, &want))?;
        }
    }
    let left: u64 = want.values().sum();
    Ok(format!(
        "{left} of {COMMITTED} committed records left by the cleaner, none of 120 aborted ones read"
    ))
}

/// What is there to read once the cleaner has been there.
fn cleaned(stage: &Stage, cluster: &Cluster, topic: &str) -> Result<Counts> {
    let mut before = Counts::new();
    for _ in 0..TRIES {
        let (_, counts) = read(stage, cluster, Library::Franz, topic)?;
        let left: u64 = counts.values().sum();
        // Twice the same: the cleaner is done for now.
        if left < COMMITTED && counts == before {
            return Ok(counts);
        }
        before = counts;
        std::thread::sleep(Duration::from_secs(4));
    }
    bail!("the cleaner did not come: {before:?}")
}

/// Reads until nothing comes any more.
fn read(
    stage: &Stage,
    cluster: &Cluster,
    library: Library,
    topic: &str,
) -> Result<(String, Counts)> {
    let mut plan = stage.plan(library, topic);
    plan.read_committed = true;
    let mut reader = stage.member(cluster, plan)?;
    reader.wait_held(PARTITIONS)?;
    reader.tell("consume 1000000")?;
    std::thread::sleep(Duration::from_secs(4));
    let Event::Consumed { counts, .. } = reader.ask("stop")? else {
        bail!("stop was not answered");
    };
    broker::no_errors(std::slice::from_ref(&reader))?;
    reader.close()?;
    let id = reader.plan.client_id.clone();
    let counts: BTreeMap<_, _> = counts
        .into_iter()
        .map(|(topic, partition, count)| ((topic, partition), count))
        .collect();
    Ok((id, counts))
}
