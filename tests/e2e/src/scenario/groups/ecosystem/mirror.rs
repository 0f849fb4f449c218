//! MirrorMaker 2 from a cluster of Kafka 3.9 to one of 4.4. In: 600 records of a topic, a group that read a part of them. Out: what was read is
//! counted in the one cluster and what was written in the other, and the group's offsets are told of both.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Jars, Version};
use obi_lab::metrics::Scrape;
use obi_lab::step;

use super::super::agent::COMMITTED;
use super::super::library::Library;
use super::super::stage::{PARTITIONS, Stage};
use super::program;
use crate::check::{self, CONSUMED, PRODUCED};

const RECORDS: u64 = 600;
/// MirrorMaker starts three connectors, each after a rebalance of its own.
const PATIENCE: Duration = Duration::from_secs(90);

pub fn run(stage: &Stage) -> Result<String> {
    let from = stage.cluster(Version::V3_9_1)?;
    let to = stage.cluster(Version::V4_4_0)?;
    stage.meet_plaintext(from)?;
    stage.meet_plaintext(to)?;
    let topic = stage.topic(from, "mirrored")?;
    stage.produce(from, &topic, RECORDS as usize)?;
    let before = stage.losses()?;
    let mut reader = stage.member(from, stage.plan(Library::Java, &topic))?;
    let group = reader.plan.group.clone();
    reader.wait_held(PARTITIONS)?;
    reader.consume(RECORDS)?;
    if let Err(error) = reader.commit()? {
        bail!("{group}: commit: {error}");
    }
    reader.close()?;
    let name = stage.world.fresh("mirror");
    let file = stage.folder()?.join(format!("{name}.properties"));
    std::fs::write(&file, properties(from, to, &topic, &group))?;
    let jars = Jars::fetch_ecosystem(&stage.world.layout)?;
    let log = stage.folder()?.join(format!("{name}.log"));
    let mut process = program::launch(&name, &jars.class_path(), &log)
        .arg("org.apache.kafka.connect.mirror.MirrorMaker")
        .arg(&file)
        .start()?;
    let copy = format!("from.{topic}");
    // Offsets are translated where records come in after the copy began.
    let mut more = 0;
    let translated = step::wait(
        &format!("{name} has copied records and offsets"),
        PATIENCE,
        Duration::from_millis(500),
        || {
            process.check()?;
            let copied: u64 = to.admin.ends(&copy).map_or(0, |ends| ends.values().sum());
            if copied < RECORDS + more {
                return Ok(None);
            }
            if more == 0 {
                stage.produce(from, &topic, RECORDS as usize)?;
                more = RECORDS;
                return Ok(None);
            }
            let offsets = to.admin.commits(&group).unwrap_or_default();
            Ok((!offsets.is_empty()).then_some(offsets.len()))
        },
    )
    .with_context(|| process.log_tail(20))?;
    let mut seen = format!("{} records copied", RECORDS + more);
    if let Some(agent) = &stage.world.agent {
        let read = check::ends(&from.admin, std::slice::from_ref(&topic))?;
        let written = check::ends(&to.admin, std::slice::from_ref(&copy))?;
        let all = (RECORDS + more) as f64;
        check::settle(agent, |scrape| {
            let mut lines = check::differences(scrape, PRODUCED, None, &written);
            let of = |cluster: &Cluster, topic: &str, metric: &str, want: Option<f64>| {
                let labels = [
                    ("service", name.as_str()),
                    ("topic", topic),
                    ("cluster", &cluster.id),
                ];
                let have = scrape.sum(metric, &labels);
                (have != want)
                    .then(|| format!("{metric} {labels:?}: agent {have:?}, truth {want:?}"))
            };
            lines.extend(of(from, &topic, CONSUMED, Some(all)));
            lines.extend(of(to, &copy, PRODUCED, Some(all)));
            lines.extend(of(to, &topic, CONSUMED, None));
            lines.extend(of(from, &copy, PRODUCED, None));
            lines.extend(strangers(scrape, &name, [from, to]));
            lines.extend(committed(scrape, from, &group));
            lines.extend(committed(scrape, to, &group));
            lines
        })?;
        let partitions = read.len();
        seen += &format!(" of {partitions} partitions, offsets of {translated} in both clusters");
        seen += &super::apis(&agent.scrape()?, &name)?;
        check::nothing_lost(&before, &agent.scrape()?)?;
    }
    process.stop(Duration::from_secs(30))?;
    Ok(seen)
}

fn properties(from: &Cluster, to: &Cluster, topic: &str, group: &str) -> String {
    let mut text = format!(
        "clusters=from,to\nfrom.bootstrap.servers={}\nto.bootstrap.servers={}\nfrom->to.enabled=true\nto->from.enabled=false\n\
         from->to.topics={topic}\nfrom->to.groups={group}\nsync.group.offsets.enabled=true\nsync.group.offsets.interval.seconds=1\n\
         emit.checkpoints.interval.seconds=1\nrefresh.topics.interval.seconds=2\nrefresh.groups.interval.seconds=2\nreplication.factor=1\n",
        from.bootstrap(false),
        to.bootstrap(false)
    );
    for topic in ["offset-syncs", "heartbeats", "checkpoints"] {
        text += &format!("{topic}.topic.replication.factor=1\n");
    }
    for topic in ["offset", "status", "config"] {
        text += &format!("{topic}.storage.replication.factor=1\n");
    }
    text
}

/// Requests that were not told to belong to one of these clusters.
fn strangers(scrape: &Scrape, service: &str, known: [&Cluster; 2]) -> Vec<String> {
    let of_service = [("service", service)];
    let series = scrape.series("kafka_request_duration_seconds_count", &of_service);
    series
        .filter(|(labels, _)| {
            let id = labels
                .get("cluster")
                .map(String::as_str)
                .unwrap_or_default();
            known.iter().all(|cluster| cluster.id != id)
        })
        .map(|(labels, value)| format!("{value} requests to another cluster: {labels:?}"))
        .collect()
}

/// Differences of the offsets that a group has in one of the clusters.
fn committed(scrape: &Scrape, cluster: &Cluster, group: &str) -> Vec<String> {
    let rows = match cluster.admin.commits(group) {
        Ok(rows) => rows,
        Err(error) => return vec![format!("{error:#}")],
    };
    let mut lines = Vec::new();
    for row in rows {
        let partition = row.partition.to_string();
        let labels = [
            ("cluster", cluster.id.as_str()),
            ("group", group),
            ("topic", &row.topic),
            ("partition", &partition),
        ];
        let (have, want) = (
            scrape.sum(COMMITTED, &labels),
            row.committed.map(|at| at as f64),
        );
        if have != want {
            lines.push(format!(
                "{COMMITTED} {labels:?}: agent {have:?}, truth {want:?}"
            ));
        }
    }
    lines
}
