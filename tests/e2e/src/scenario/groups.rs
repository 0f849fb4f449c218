//! Consumer groups: lag, commits, rebalances, transactions, against brokers of several versions. In: the world. Out: one test a cell
//! and scenario. Truth is the broker's own (`Admin`, over TLS that the agent cannot read) and what the libraries told of themselves;
//! under `--without-agent` the two are held against each other alone, so that a wrong truth is seen before an agent is blamed.

mod agent;
mod broker;
mod cells;
mod cooperative;
mod ecosystem;
mod event;
mod fenced;
mod frozen;
mod golden;
mod killed;
mod late;
mod leaving;
mod library;
mod member;
mod programs;
mod read_committed;
mod request_log;
mod stage;
mod transactions;
mod two_nodes;

use anyhow::Result;

use crate::report::Report;
use crate::world::World;
use stage::Stage;

type Body = fn(&Stage) -> Result<String>;

/// Beside the cells: name and body.
const SCENARIOS: &[(&str, Body)] = &[
    ("groups/consumer killed", killed::run),
    ("groups/one leaves, one is frozen", leaving::run),
    ("groups/cooperative-sticky", cooperative::classic),
    ("groups/KIP-848", cooperative::kip_848),
    ("groups/static membership", cooperative::fixed),
    ("groups/commits of a frozen member", frozen::run),
    ("groups/fencing", fenced::run),
    ("groups/compaction and aborted data", read_committed::run),
    ("ecosystem/share group", ecosystem::share::run),
    ("ecosystem/Streams, classic", ecosystem::streams::classic),
    ("ecosystem/Streams, KIP-1071", ecosystem::streams::streams),
    (
        "ecosystem/Connect, distributed",
        ecosystem::connect::distributed,
    ),
    ("ecosystem/MirrorMaker 2", ecosystem::mirror::run),
];
/// With `--full` only.
const MORE: &[(&str, Body)] = &[
    (
        "ecosystem/Streams, KIP-1071, exactly once",
        ecosystem::streams::streams_exactly_once,
    ),
    (
        "ecosystem/Connect, standalone",
        ecosystem::connect::standalone,
    ),
];
/// The same, and nothing without an agent.
const LOGGED: &[(&str, Body)] = &[
    ("ecosystem/request log", ecosystem::logged),
    ("ecosystem/work by commits", ecosystem::work::run),
];
/// What says nothing without an agent.
const WITH_AGENT: &[(&str, Body)] = &[
    ("groups/agent started late", late::run),
    ("groups/rules over two nodes", two_nodes::run),
];

pub fn names(full: bool) -> Vec<String> {
    let mut names: Vec<String> = cells::chosen(full)
        .iter()
        .map(ToString::to_string)
        .collect();
    names.extend(transactions::names(full));
    names.extend(SCENARIOS.iter().map(|(name, _)| (*name).to_owned()));
    names.extend(request_log::names(full));
    let logged = LOGGED.iter().filter(|_| full);
    names.extend(logged.map(|(name, _)| (*name).to_owned()));
    names.extend(more(full).iter().map(|(name, _)| (*name).to_owned()));
    names.extend(WITH_AGENT.iter().map(|(name, _)| (*name).to_owned()));
    names
}

fn more(full: bool) -> &'static [(&'static str, Body)] {
    if full { MORE } else { &[] }
}

pub fn wanted(full: bool, report: &Report) -> bool {
    names(full).iter().any(|name| report.wants(name))
}

pub fn run(world: &World, full: bool, report: &mut Report) -> Result<()> {
    if !wanted(full, report) {
        return Ok(());
    }
    let stage = Stage::new(world);
    for cell in cells::chosen(full) {
        report.test(&cell.to_string(), || golden::run(&stage, cell));
    }
    transactions::run(&stage, full, report);
    for (name, body) in SCENARIOS.iter().chain(more(full)) {
        report.test(name, || body(&stage));
    }
    if world.agent.is_some() {
        for (name, body) in LOGGED.iter().filter(|_| full) {
            report.test(name, || body(&stage));
        }
        for (name, body) in WITH_AGENT {
            report.test(name, || body(&stage));
        }
        request_log::run(&stage, full, report);
    }
    stage.stop()
}
