//! Golden counts: for each client library, codec and security, what the agent counted is what the broker stored and what the client
//! read. In: the cells. Out: one test a cell, and at the end all cells once more, so that a late second count is seen too.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cells::{self, Cell, Library};
use crate::check::{self, CONSUMED, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::kcat::Kcat;
use crate::report::Report;
use crate::truth::{Counts, Did, Truth};
use crate::world::{MARKER, World};

/// Records of random sizes, beside the large ones.
const MANY: usize = 10_000;
/// Records of the commands `wide` and `tall`.
const LARGE: usize = 33 + 56;

/// The truth of all cells so far.
#[derive(Default)]
struct Sums {
    produced: Counts,
    consumed: Counts,
    /// Before the first cell; those of a cell that failed are said there.
    losses: BTreeMap<String, f64>,
}

pub fn run(world: &World, full: bool, report: &mut Report) {
    let mut sums = Sums {
        losses: losses(world).unwrap_or_default(),
        ..Sums::default()
    };
    for cell in if full {
        cells::all()
    } else {
        cells::pairwise()
    } {
        report.test(&cell.to_string(), || {
            let seen = run_cell(world, cell, &mut sums);
            if seen.is_err() {
                sums.losses = losses(world)?;
            }
            seen
        });
    }
    if world.agent.is_some() && !sums.produced.is_empty() {
        report.test("golden/all cells once more", || {
            check::settle(world.agent()?, |scrape| {
                let mut lines = check::differences(scrape, PRODUCED, None, &sums.produced);
                lines.extend(check::differences(scrape, CONSUMED, None, &sums.consumed));
                lines
            })?;
            // Losses become visible each second: those of the last cell too.
            std::thread::sleep(Duration::from_secs(2));
            check::nothing_lost(&sums.losses, &world.agent()?.scrape()?)?;
            Ok(format!(
                "{} records produced, {} consumed",
                total(&sums.produced),
                total(&sums.consumed)
            ))
        });
    }
}

fn losses(world: &World) -> Result<BTreeMap<String, f64>> {
    match &world.agent {
        Some(agent) => Ok(check::losses(&agent.scrape()?)),
        None => Ok(BTreeMap::new()),
    }
}

fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

fn run_cell(world: &World, cell: Cell, sums: &mut Sums) -> Result<String> {
    let id = world.fresh(&cell.id());
    let topics = ["a", "b", "large"].map(|suffix| format!("{id}-{suffix}"));
    for topic in &topics {
        world.cluster.admin.create(topic, 3, 1)?;
    }
    let before = losses(world)?;
    let plan = Plan {
        library: cell.library,
        client_id: id.clone(),
        codec: cell.codec,
        tls: cell.tls,
        // A group is joined in the encrypted half of the cells, partitions are assigned by hand in the other half.
        group: if cell.tls { id.clone() } else { String::new() },
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let truth = if cell.library == Library::Kcat {
        drive_kcat(world, &plan, &topics)?
    } else {
        drive(world, &plan, &topics)?
    };
    let produced = check::ends(&world.cluster.admin, &topics)?;
    let consumed = truth.counts(Did::Consumed);
    check::same(
        "what the client read and the broker's end offsets",
        &consumed,
        &produced,
    )?;
    if cell.library != Library::Kcat {
        check::same(
            "the client's acknowledgements and the broker's end offsets",
            &truth.counts(Did::Produced),
            &produced,
        )?;
    }
    let mut seen = format!("{} records", total(&produced));
    if world.agent.is_some() {
        seen += &compare(
            world, cell, &plan, &topics, &truth, &produced, &consumed, &before,
        )?;
    }
    sums.produced.extend(produced);
    sums.consumed.extend(consumed);
    for topic in &topics {
        world.cluster.admin.delete(topic)?;
    }
    Ok(seen)
}

fn drive(world: &World, plan: &Plan, topics: &[String; 3]) -> Result<Truth> {
    let folder = world.layout.run().join("golden");
    let [a, b, large] = topics;
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, plan)?;
    client.run(&format!("many {MANY} {a},{b}"))?;
    client.run(&format!("wide {large}"))?;
    client.run(&format!("tall {large}"))?;
    client.run(&format!("consume {} {}", MANY + LARGE, topics.join(",")))?;
    client.close()?;
    Truth::read(&client.truth)
}

fn drive_kcat(world: &World, plan: &Plan, topics: &[String; 3]) -> Result<Truth> {
    let folder = world.layout.run().join("golden");
    std::fs::create_dir_all(&folder)?;
    let [a, b, large] = topics;
    let kcat = Kcat {
        cluster: &world.cluster,
        plan,
        folder: &folder,
    };
    kcat.many(MANY, &[a.clone(), b.clone()])?;
    kcat.wide(large)?;
    kcat.tall(large)?;
    kcat.consume(topics)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call; all of it is what one cell knows"
)]
fn compare(
    world: &World,
    cell: Cell,
    plan: &Plan,
    topics: &[String],
    truth: &Truth,
    produced: &Counts,
    consumed: &Counts,
    before: &BTreeMap<String, f64>,
) -> Result<String> {
    let agent = world.agent()?;
    check::settle(agent, |scrape| {
        let mut lines = check::differences(scrape, PRODUCED, Some(&plan.client_id), produced);
        lines.extend(check::differences(
            scrape,
            CONSUMED,
            Some(&plan.client_id),
            consumed,
        ));
        lines
    })?;
    let scrape = agent.scrape()?;
    check::nothing_lost(before, &scrape)?;
    let small = topics.first().context("a cell has topics")?;
    for metric in ["kafka_produced_bytes_total", "kafka_fetched_bytes_total"] {
        let labels = [("topic", small.as_str()), ("codec", cell.codec)];
        scrape
            .sum(metric, &labels)
            .filter(|bytes| *bytes > 0.0)
            .with_context(|| format!("{metric}{labels:?} is absent"))?;
    }
    let spans = check::spans(&world.sink, truth, topics, cell.library.service())?;
    Ok(format!(
        ", {} send and {} poll spans equal to their records, {} joined",
        spans.sends, spans.polls, spans.joined
    ))
}
