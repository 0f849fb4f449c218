//! Kafka Streams: a word count with a repartition topic and a changelog, two threads, so two members. In: 600 records. Out: counts, offsets,
//! transactions and members as the broker and Streams' own clients have them; then the same application without its state, which it restores.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use obi_lab::agent::Agent;
use obi_lab::kafka::{Cluster, Jars, Kind, Version};
use obi_lab::metrics::Scrape;
use obi_lab::step;
use serde::Deserialize;

use super::super::agent::{REBALANCES, compare_described, offset_lines};
use super::super::stage::{PATIENCE, Stage};
use super::super::transactions::TRANSACTIONS;
use super::program::Program;
use crate::check::{self, CONSUMED, PRODUCED};
use crate::truth::Counts;

const RECORDS: u64 = 600;

/// What the application says of itself; counts by topic.
#[derive(Debug, Deserialize)]
struct Told {
    state: String,
    sent: BTreeMap<String, u64>,
    consumed: BTreeMap<String, u64>,
    rebalances: u64,
}

/// An application and its topics.
struct Application<'a> {
    cluster: &'a Cluster,
    kind: Kind,
    guarantee: &'static str,
    id: String,
    input: String,
    output: String,
}

/// The classic protocol, in transactions (KIP-447), on the last broker before 4.0.
pub fn classic(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V3_9_1)?;
    run(stage, cluster, Kind::Classic, "exactly_once_v2")
}

/// KIP-1071.
pub fn streams(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    run(stage, cluster, Kind::Streams, "at_least_once")
}

/// KIP-1071 and transactions of KIP-890.
pub fn streams_exactly_once(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    run(stage, cluster, Kind::Streams, "exactly_once_v2")
}

/// The same on a broker of any kind.
pub fn run(
    stage: &Stage,
    cluster: &Cluster,
    kind: Kind,
    guarantee: &'static str,
) -> Result<String> {
    stage.meet_plaintext(cluster)?;
    let app = Application {
        cluster,
        kind,
        guarantee,
        id: stage.world.fresh("word-count"),
        input: stage.topic(cluster, "lines")?,
        output: stage.topic(cluster, "words")?,
    };
    let before = stage.losses()?;
    let mut program = start(stage, &app, &app.id)?;
    stage.wait_described(cluster, kind, &app.id, "two members at rest", |told| {
        let given = |n: usize| {
            told.members
                .get(n)
                .is_some_and(|m| !m.assignment.is_empty())
        };
        told.state == "Stable" && told.members.len() == 2 && given(0) && given(1)
    })?;
    stage.produce(cluster, &app.input, RECORDS as usize)?;
    let told = counted(&app, &mut program)?;
    let mut seen = format!("{} rebalances", told.rebalances);
    if let Some(agent) = &stage.world.agent {
        seen += &compare(stage, agent, &app, &told)?;
    }
    program.close()?;
    let restored = restore(stage, &app)?;
    if let Some(agent) = &stage.world.agent {
        check::nothing_lost(&before, &agent.scrape()?)?;
    }
    Ok(format!("{seen}; {restored} records restored"))
}

fn start(stage: &Stage, app: &Application, name: &str) -> Result<Program> {
    let jars = Jars::fetch_ecosystem(&stage.world.layout)?;
    let protocol = app.kind.word();
    let plan = serde_json::json!({
        "brokers": app.cluster.bootstrap(false), "client_id": name, "group": app.id, "protocol": protocol, "guarantee": app.guarantee,
        "input": app.input, "output": app.output, "state": stage.folder()?.join(format!("{name}.state")),
    });
    Program::start(stage, &jars, "Streams", name, &plan)
}

/// Waits until every record came out at the end and all offsets are committed.
fn counted(app: &Application, program: &mut Program) -> Result<Told> {
    step::wait(
        &format!("{} counts every record", app.id),
        PATIENCE,
        Duration::from_millis(500),
        || {
            let told: Told = program.ask("state")?;
            let out = told.sent.get(&app.output).copied().unwrap_or(0);
            if told.state == "ERROR" || out > RECORDS {
                bail!("{told:?}");
            }
            let offsets = app.cluster.admin.commits(&app.id)?;
            let committed: u64 = offsets
                .iter()
                .filter(|row| row.topic == app.input)
                .filter_map(|row| row.committed)
                .sum();
            Ok((out == RECORDS && committed == RECORDS).then_some(told))
        },
    )
}

fn compare(stage: &Stage, agent: &Agent, app: &Application, told: &Told) -> Result<String> {
    let admin = &app.cluster.admin;
    let [repartition, changelog] = app.internal();
    // What the last commits hold back comes within a commit interval.
    std::thread::sleep(Duration::from_secs(2));
    let mut produced = Counts::new();
    for topic in [&app.output, &changelog] {
        let of = admin.records(topic)?.into_iter();
        produced.extend(of.map(|(partition, n)| ((topic.clone(), partition), n)));
    }
    let offsets = admin.commits(&app.id)?;
    let (committed, aborted) = admin.ended(&app.id)?;
    let rebalances = match app.kind {
        // Each member is given its tasks once. Java counts that it was given none before, too.
        Kind::Streams => 2,
        _ => told.rebalances,
    };
    check::settle(agent, |scrape| {
        let mut lines = check::differences(scrape, PRODUCED, None, &produced);
        // Of the repartition topic the broker has deleted what was read.
        let mut expect = |metric: &str, labels: &[(&str, &str)], want: u64| {
            let have = scrape.sum(metric, labels).unwrap_or_default();
            if have != want as f64 {
                lines.push(format!("{metric} {labels:?}: agent {have}, truth {want}"));
            }
        };
        expect(PRODUCED, &[("topic", &repartition)], RECORDS);
        for topic in [&app.input, &repartition] {
            let told = told.consumed.get(topic).copied().unwrap_or(0);
            expect(CONSUMED, &[("topic", topic), ("group", &app.id)], told);
            expect(CONSUMED, &[("topic", topic)], RECORDS);
        }
        let of_app = [("service", app.id.as_str())];
        expect(
            TRANSACTIONS,
            &[of_app[0], ("result", "committed")],
            committed,
        );
        expect(TRANSACTIONS, &of_app, committed + aborted);
        expect(REBALANCES, &[("group", &app.id)], rebalances);
        lines.extend(offset_lines(scrape, &app.id, &offsets));
        lines
    })?;
    let members = compare_described(stage, app.cluster, app.kind, &app.id)?;
    if (app.guarantee == "exactly_once_v2") != (committed > 0) {
        bail!("{committed} transactions were committed");
    }
    let partitions = offsets.len();
    let apis = super::apis(&agent.scrape()?, &app.id)?;
    Ok(format!(
        ", {committed} transactions, {partitions} partitions of offsets{members}{apis}"
    ))
}

/// The application once more, under another name and without its state: it reads its changelog.
fn restore(stage: &Stage, app: &Application) -> Result<u64> {
    let name = format!("{}-again", app.id);
    let [_, changelog] = app.internal();
    let want: u64 = app.cluster.admin.records(&changelog)?.values().sum();
    let mut program = start(stage, app, &name)?;
    step::wait(
        &format!("{name} has its state again"),
        PATIENCE,
        Duration::from_millis(300),
        || {
            Ok(Some(program.ask::<Told>("state")?).filter(|told| {
                told.state == "RUNNING" && told.consumed.get(&changelog) == Some(&want)
            }))
        },
    )?;
    if let Some(agent) = &stage.world.agent {
        check::settle(agent, |scrape| restored(scrape, &name, &changelog, want))?;
    }
    program.close()?;
    Ok(want)
}

/// A restore consumer is in no group.
fn restored(scrape: &Scrape, service: &str, changelog: &str, want: u64) -> Vec<String> {
    let labels = [("service", service), ("topic", changelog), ("group", "")];
    let have = scrape.sum(CONSUMED, &labels);
    if have == Some(want as f64) {
        return Vec::new();
    }
    vec![format!(
        "{CONSUMED} {labels:?}: agent {have:?}, truth {want}"
    )]
}

impl Application<'_> {
    /// The repartition topic and the changelog.
    fn internal(&self) -> [String; 2] {
        [
            format!("{}-words-repartition", self.id),
            format!("{}-counts-changelog", self.id),
        ]
    }
}
