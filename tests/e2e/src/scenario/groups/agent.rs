//! The agent against the truth about groups: metrics and `obi kafka groups`. In: the broker's offsets and the members. Out: every
//! difference as a line. Names are those of the agreed interface; where nothing is committed, a series must be absent, not 0.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Described, GroupOffset, Kind};
use obi_lab::metrics::Scrape;
use serde::Deserialize;

use super::golden::{good_commits, rebalances};
use super::member::Member;
use super::stage::Stage;
use crate::check;
use crate::truth::Place;

pub const LAG: &str = "kafka_consumer_lag";
pub const COMMITTED: &str = "kafka_consumer_committed_offset";
pub const HIGH_WATERMARK: &str = "kafka_partition_high_watermark";
pub const COMMITS: &str = "kafka_offset_commits_total";
pub const REBALANCES: &str = "kafka_consumer_rebalances_total";
pub const MEMBERS: &str = "kafka_consumer_group_members";
pub const ASSIGNMENTS: &str = "kafka_consumer_partition_assignments";

/// A group at rest: all that is agreed on about it.
pub fn compare(
    stage: &Stage,
    cluster: &Cluster,
    group: &str,
    members: &[Member],
    offsets: &[GroupOffset],
) -> Result<String> {
    check::settle(stage.world.agent()?, |scrape| {
        let mut lines = offset_lines(scrape, group, offsets);
        lines.extend(member_lines(scrape, group, members));
        lines
    })?;
    let shown = shown(stage, group)?;
    let mut lines = shown_offsets(&shown, offsets);
    lines.extend(shown_members(&shown, cluster, group)?);
    if !lines.is_empty() {
        bail!("obi kafka groups: {}", lines.join("\n"));
    }
    Ok(", equal in metrics and on the command line".to_owned())
}

/// A group of any kind at rest: its members, their partitions and its state as the broker says, in metrics and on the command line.
pub fn compare_described(
    stage: &Stage,
    cluster: &Cluster,
    kind: Kind,
    group: &str,
) -> Result<String> {
    let truth = cluster.admin.described(kind, group)?;
    check::settle(stage.world.agent()?, |scrape| {
        let mut lines = described_lines(scrape, group, &truth);
        match shown(stage, group) {
            Ok(shown) => lines.extend(shown_described(&shown, kind, &truth)),
            Err(error) => lines.push(format!("{error:#}")),
        }
        lines
    })?;
    Ok(", members and partitions as the broker says".to_owned())
}

fn described_lines(scrape: &Scrape, group: &str, truth: &Described) -> Vec<String> {
    let mut lines = Vec::new();
    let mut expect = |metric: &str, labels: &[(&str, &str)], want: Option<f64>| {
        let have = scrape.sum(metric, labels);
        if have != want {
            lines.push(format!(
                "{metric} {labels:?}: agent {have:?}, truth {want:?}"
            ));
        }
    };
    let members = truth.members.len() as f64;
    expect(MEMBERS, &[("group", group)], Some(members));
    // What members of other types are assigned are no partitions.
    let type_ = truth.protocol_type.as_deref();
    let reads = type_.is_none_or(|type_| type_ == "consumer");
    for member in &truth.members {
        let labels = [("group", group), ("client_id", member.client_id.as_str())];
        let partitions = member.assignment.len() as f64;
        expect(ASSIGNMENTS, &labels, Some(partitions).filter(|_| reads));
    }
    lines
}

fn shown_described(shown: &ShownGroup, kind: Kind, truth: &Described) -> Vec<String> {
    let mut lines = Vec::new();
    let said = (shown.protocol.as_deref(), shown.state.as_deref());
    if said != (Some(kind.word()), Some(truth.state.as_str())) {
        lines.push(format!("{said:?}, truth {} {}", kind.word(), truth.state));
    }
    if shown.epoch != truth.epoch && truth.epoch.is_some() {
        lines.push(format!("epoch {:?}, truth {:?}", shown.epoch, truth.epoch));
    }
    if truth.protocol_type.is_some() && shown.protocol_type != truth.protocol_type {
        let have = &shown.protocol_type;
        lines.push(format!("type {have:?}, truth {:?}", truth.protocol_type));
    }
    let have = shown_rows(shown);
    let want: BTreeSet<Row> = truth
        .members
        .iter()
        .map(|one| {
            let places = one.assignment.iter().cloned().collect();
            (one.member_id.clone(), one.client_id.clone(), places)
        })
        .collect();
    if have != want {
        lines.push(format!("members: agent {have:?}, truth {want:?}"));
    }
    lines
}

/// Differences of the gauges of each partition.
pub fn offset_lines(scrape: &Scrape, group: &str, offsets: &[GroupOffset]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in offsets {
        let partition = row.partition.to_string();
        let place = [("topic", row.topic.as_str()), ("partition", &partition)];
        let of_group = [place[0], place[1], ("group", group)];
        let mut expect = |metric: &str, labels: &[(&str, &str)], want: Option<f64>| {
            let have = scrape.sum(metric, labels);
            if have != want {
                let at = format!("{metric} {}/{partition}", row.topic);
                lines.push(format!("{at}: agent {have:?}, truth {want:?}"));
            }
        };
        expect(HIGH_WATERMARK, &place, Some(row.end as f64));
        expect(COMMITTED, &of_group, row.committed.map(|at| at as f64));
        expect(LAG, &of_group, row.lag.map(|lag| lag as f64));
    }
    lines
}

/// Differences of what is counted of the members.
pub fn member_lines(scrape: &Scrape, group: &str, members: &[Member]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut expect = |metric: &str, labels: &[(&str, &str)], want: f64| {
        let have = scrape.sum(metric, labels);
        if have != Some(want) {
            lines.push(format!("{metric} {labels:?}: agent {have:?}, truth {want}"));
        }
    };
    let of_group = [("group", group)];
    let good = [("group", group), ("result", "ok")];
    expect(COMMITS, &good, good_commits(members) as f64);
    expect(REBALANCES, &of_group, rebalances(members) as f64);
    expect(MEMBERS, &of_group, members.len() as f64);
    for member in members {
        let id = member.plan.client_id.as_str();
        let labels = [("group", group), ("client_id", id)];
        expect(ASSIGNMENTS, &labels, member.held().len() as f64);
    }
    lines
}

/// Rebalances by reason.
pub fn reasons(scrape: &Scrape, group: &str) -> BTreeMap<String, f64> {
    let mut reasons = BTreeMap::new();
    for (labels, value) in scrape.series(REBALANCES, &[("group", group)]) {
        let reason = labels.get("reason").cloned().unwrap_or_default();
        *reasons.entry(reason).or_default() += value;
    }
    reasons
}

/// Waits until rebalances of these reasons are counted, and all reasons sum up to what the members told.
pub fn expect_reasons(
    stage: &Stage,
    group: &str,
    members: &[Member],
    wanted: &[&str],
) -> Result<()> {
    let told = rebalances(members) as f64;
    check::settle(stage.world.agent()?, |scrape| {
        let have = reasons(scrape, group);
        let mut lines: Vec<String> = wanted
            .iter()
            .filter(|reason| !have.contains_key(**reason))
            .map(|reason| format!("{REBALANCES} {group}: no reason {reason}: {have:?}"))
            .collect();
        if have.values().sum::<f64>() != told {
            lines.push(format!("{REBALANCES} {group}: {have:?}, truth {told}"));
        }
        lines
    })
}

/// A part of `obi kafka groups --output json`.
#[derive(Debug, Deserialize)]
struct Shown {
    schema: String,
    groups: Vec<ShownGroup>,
}

#[derive(Debug, Deserialize)]
struct ShownGroup {
    group: String,
    protocol: Option<String>,
    protocol_type: Option<String>,
    state: Option<String>,
    epoch: Option<i32>,
    members: Vec<ShownMember>,
    offsets: Vec<ShownOffset>,
}

#[derive(Debug, Deserialize)]
struct ShownMember {
    member_id: String,
    client_id: String,
    /// Absent: not known, as of a member that has only just joined.
    #[serde(default)]
    assignments: Vec<ShownAssignment>,
}

#[derive(Debug, Deserialize)]
struct ShownAssignment {
    topic: String,
    partitions: Vec<i32>,
}

#[derive(Debug, Deserialize)]
struct ShownOffset {
    topic: String,
    partition: i32,
    current_offset: Option<u64>,
    log_end_offset: Option<u64>,
    lag: Option<i64>,
}

fn shown(stage: &Stage, group: &str) -> Result<ShownGroup> {
    let settings = stage.world.settings.as_ref().context("there is no agent")?;
    let output = Command::new(&settings.program)
        .args(["kafka", "groups", "--output", "json", "--socket"])
        .arg(settings.socket())
        .output()?;
    if !output.status.success() {
        bail!(
            "obi kafka groups: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let shown: Shown = serde_json::from_slice(&output.stdout)?;
    if shown.schema != "obi.groups/1" {
        bail!("obi kafka groups: schema {}", shown.schema);
    }
    let found = shown.groups.into_iter().find(|one| one.group == group);
    found.with_context(|| format!("obi kafka groups does not know {group}"))
}

fn shown_offsets(shown: &ShownGroup, offsets: &[GroupOffset]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in offsets {
        let found = shown
            .offsets
            .iter()
            .find(|one| one.topic == row.topic && one.partition == row.partition);
        let have = found.map(|one| (one.current_offset, one.log_end_offset, one.lag));
        let want = (row.committed, Some(row.end), row.lag);
        if have != Some(want) {
            let at = format!("{}/{}", row.topic, row.partition);
            lines.push(format!("{at}: agent {have:?}, truth {want:?}"));
        }
    }
    lines
}

/// Member id, client id, what it was given.
type Row = (String, String, BTreeSet<Place>);

fn shown_rows(shown: &ShownGroup) -> BTreeSet<Row> {
    shown
        .members
        .iter()
        .map(|member| {
            let places = member.assignments.iter().flat_map(|one| {
                let at = |partition: &i32| (one.topic.clone(), *partition);
                one.partitions.iter().map(at)
            });
            let ids = (member.member_id.clone(), member.client_id.clone());
            (ids.0, ids.1, places.collect())
        })
        .collect()
}

fn shown_members(shown: &ShownGroup, cluster: &Cluster, group: &str) -> Result<Vec<String>> {
    let have = shown_rows(shown);
    let want: BTreeSet<Row> = cluster
        .admin
        .group_members(group)?
        .into_iter()
        .map(|one| {
            let places = one.assignment.into_iter().collect();
            (one.member_id, one.client_id, places)
        })
        .collect();
    if have == want {
        return Ok(Vec::new());
    }
    Ok(vec![format!("members: agent {have:?}, truth {want:?}")])
}
