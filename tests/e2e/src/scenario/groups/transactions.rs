//! Transactions: committed ones, aborted ones, and one that holds a group's offsets. In: library × version. Out: what the broker
//! stores, what a consumer under read_committed is given, and how many of which end the agent counted.

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Version};

use super::agent::HIGH_WATERMARK;
use super::event::Event;
use super::library::Library;
use super::member::{Member, Plan};
use super::stage::{PARTITIONS, PATIENCE, Stage};
use crate::check;
use crate::report::Report;

pub const LIBRARIES: [Library; 4] = [
    Library::Java,
    Library::Franz,
    Library::Sarama,
    Library::ConfluentPython,
];
/// 2.8's KRaft has no InitProducerId.
const VERSIONS: [Version; 2] = [Version::V4_4_0, Version::V3_9_1];
pub const TRANSACTIONS: &str = "kafka_transactions_total";

fn cells(full: bool) -> Vec<(Library, Version)> {
    if full {
        let of = |library| VERSIONS.map(|version| (library, version));
        return LIBRARIES.into_iter().flat_map(of).collect();
    }
    LIBRARIES
        .into_iter()
        .zip(VERSIONS.into_iter().cycle())
        .collect()
}

fn name(library: Library, version: Version) -> String {
    format!("groups/transactions/{}/{version}", library.name())
}

pub fn names(full: bool) -> Vec<String> {
    let cells = cells(full).into_iter();
    cells
        .map(|(library, version)| name(library, version))
        .collect()
}

pub fn run(stage: &Stage, full: bool, report: &mut Report) {
    for (library, version) in cells(full) {
        report.test(&name(library, version), || {
            cell(stage, stage.cluster(version)?, library)
        });
    }
}

pub fn cell(stage: &Stage, cluster: &Cluster, library: Library) -> Result<String> {
    let (input, output) = (
        stage.topic(cluster, "txn-in")?,
        stage.topic(cluster, "txn-out")?,
    );
    let mut producer = stage.member(cluster, producing(stage, library, &output))?;
    for (n, end) in [(30, "commit"), (20, "abort"), (12, "commit")] {
        producer.must("begin")?;
        producer.must(&format!("produce {n}"))?;
        producer.must(&format!("end {end}"))?;
    }
    // Of each transaction a marker in every partition.
    let told = check::ends(&cluster.admin, std::slice::from_ref(&output))?;
    let ends: u64 = told.values().sum();
    let want = 30 + 20 + 12 + 3 * PARTITIONS as u64;
    if ends != want {
        bail!("the broker stores {ends} records and markers, not {want}");
    }
    // Nobody has read: that the markers are there the agent knows from the broker's own connection, which is plaintext. Of which cluster it is
    // tells its registration, at which the agent was there but for the first broker.
    if let Some(agent) = &stage.world.agent
        && !std::ptr::eq(cluster, &stage.world.cluster)
    {
        check::settle(agent, |scrape| {
            check::differences(scrape, HIGH_WATERMARK, None, &told)
        })?;
    }
    let counted = read_committed(stage, cluster, library, &output, 42)?;
    ended(
        stage,
        &producer.plan,
        &[("committed", 2.0), ("aborted", 1.0)],
    )?;
    producer.close()?;
    stage.produce(cluster, &input, 60)?;
    carried(stage, cluster, library, &input, &output)?;
    Ok(format!(
        "{ends} records and markers, {counted} read under read_committed, offsets in a transaction"
    ))
}

/// A plan that only produces, in transactions.
pub fn producing(stage: &Stage, library: Library, output: &str) -> Plan {
    let mut plan = stage.plan(library, output);
    plan.group.clear();
    plan.transactional_id = plan.client_id.clone();
    plan.out_topic = output.to_owned();
    plan.out_partitions = PARTITIONS as u32;
    plan
}

/// Reads to the end under read_committed; the records must be `want` and no more.
pub fn read_committed(
    stage: &Stage,
    cluster: &Cluster,
    library: Library,
    topic: &str,
    want: u64,
) -> Result<u64> {
    let mut plan = stage.plan(library, topic);
    plan.read_committed = true;
    let mut reader = stage.member(cluster, plan)?;
    reader.wait_held(PARTITIONS)?;
    reader.consume(want)?;
    // One more is asked for, and must not come.
    reader.tell("consume 1")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let Event::Consumed { n, counts, .. } = reader.ask("stop")? else {
        bail!("stop was not answered");
    };
    let all: u64 = counts.iter().map(|(_, _, count)| count).sum();
    if n != 0 || all != want {
        bail!("under read_committed {all} records were handed over, not {want}");
    }
    if let Some(agent) = &stage.world.agent {
        let counts = counts
            .into_iter()
            .map(|(topic, partition, count)| ((topic, partition), count))
            .collect();
        let id = reader.plan.client_id.clone();
        check::settle(agent, |scrape| check::consumed_by(scrape, &id, &counts))?;
    }
    reader.close()?;
    Ok(all)
}

/// What is read goes out in one transaction with the offsets; an aborted one leaves them where they were.
fn carried(
    stage: &Stage,
    cluster: &Cluster,
    library: Library,
    input: &str,
    output: &str,
) -> Result<()> {
    let mut plan = producing(stage, library, output);
    plan.group = plan.client_id.clone();
    plan.topics = vec![input.to_owned()];
    let mut member = stage.member(cluster, plan)?;
    member.wait_held(PARTITIONS)?;
    transact(&mut member, 25, "commit")?;
    let stored = committed(cluster, &member.plan.group)?;
    if stored != 25 {
        bail!("after the commit the group has committed {stored} records, not 25");
    }
    transact(&mut member, 10, "abort")?;
    let stored = committed(cluster, &member.plan.group)?;
    if stored != 25 {
        bail!("after the abort the group has committed {stored} records, not 25");
    }
    ended(stage, &member.plan, &[("committed", 1.0), ("aborted", 1.0)])?;
    let id = member.plan.transactional_id.clone();
    let known = cluster.admin.transactions()?;
    let known = known.into_iter().find(|one| one.transactional_id == id);
    let state = known
        .context("the broker does not list the transaction")?
        .state;
    if state != "CompleteAbort" {
        bail!("the last transaction is {state}");
    }
    member.close()
}

fn transact(member: &mut Member, n: u64, end: &str) -> Result<()> {
    member.must("begin")?;
    member.consume(n)?;
    member.must(&format!("produce {n}"))?;
    member.must("send_offsets")?;
    member.must(&format!("end {end}"))
}

/// Sum of the committed offsets, once no transaction holds any back.
fn committed(cluster: &Cluster, group: &str) -> Result<u64> {
    obi_lab::step::wait(
        "committed offsets",
        PATIENCE,
        std::time::Duration::from_millis(100),
        || {
            let rows = cluster.admin.group_offsets(group)?;
            let sum: u64 = rows.iter().filter_map(|row| row.committed).sum();
            Ok((sum > 0).then_some(sum))
        },
    )
}

/// The agent has counted these ends of this producer, and no others.
pub fn ended(stage: &Stage, plan: &Plan, want: &[(&str, f64)]) -> Result<()> {
    let Some(agent) = &stage.world.agent else {
        return Ok(());
    };
    check::settle(agent, |scrape| {
        let service = [("service", plan.client_id.as_str())];
        let have: std::collections::BTreeMap<_, _> = scrape
            .series(TRANSACTIONS, &service)
            .filter(|(_, value)| *value != 0.0)
            .map(|(labels, value)| (labels.get("result").cloned().unwrap_or_default(), value))
            .collect();
        let wanted = want
            .iter()
            .map(|(result, count)| ((*result).to_owned(), *count))
            .collect();
        if have == wanted {
            return Vec::new();
        }
        let name = &plan.client_id;
        vec![format!(
            "{TRANSACTIONS} {name}: agent {have:?}, truth {wanted:?}"
        )]
    })
}
