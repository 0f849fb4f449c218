//! The scenarios, in the order in which they run. In: arguments. Out: entries of the report. Each scenario is one file; what several
//! need to be alive is the [`World`], started once, its agent before any client.

mod app;
mod bodies;
mod client_calls;
mod cut_off;
mod fork;
mod golden;
mod groups;
mod misuse;
mod pipelining;
mod prometheus;
mod reconnects;
mod replay;
mod restart;
mod rules;
mod traces;
mod tree;
mod two_brokers;
mod windows;
mod work;

use anyhow::{Context, Result};
use obi_lab::layout::Layout;

use crate::Args;
use crate::cells::{self, Library};
use crate::clients::Programs;
use crate::report::Report;
use crate::world::World;

type Body = fn(&World) -> Result<String>;

/// Scenarios on the shared world: name and body.
const SHARED: &[(&str, Body)] = &[
    ("reconnects", reconnects::run),
    ("fork with a shared handle", fork::run),
    ("two brokers", two_brokers::run),
    ("pipelined produce", pipelining::run),
    ("answers that are cut off", cut_off::run),
    ("bodies that nobody reads", bodies::run),
    ("recording, replay, secrets", replay::run),
    ("calls of client libraries", client_calls::run),
    ("windows of the overhead budget", windows::run),
    (TREE, tree::run),
    ("requests and statements", app::go::run),
    ("agent started late", restart::late),
    ("agent killed and restarted", restart::killed),
    ("prometheus", prometheus::run),
    ("prometheus rules", rules::run),
    ("recent traces", traces::run),
    ("misuse", misuse::run),
];

/// The same, in the whole table only.
const SHARED_FULL: &[(&str, Body)] = &[
    ("requests and statements of Python", app::python::run),
    ("bodies above the overhead budget", bodies::above_budget),
];

fn shared(full: bool) -> impl Iterator<Item = &'static (&'static str, Body)> {
    let more = if full { SHARED_FULL } else { &[] };
    SHARED.iter().chain(more)
}

/// Names of the tests with programs of their own.
pub fn own_names(full: bool) -> Vec<String> {
    let mut names = work::names(full);
    names.extend(groups::names(full));
    names
}

pub fn names(full: bool) -> Vec<String> {
    let cells = if full {
        cells::all()
    } else {
        cells::pairwise()
    };
    let mut names: Vec<String> = cells.iter().map(ToString::to_string).collect();
    names.extend(shared(full).map(|(name, _)| (*name).to_owned()));
    names
}

/// The one that has services of its own.
const TREE: &str = "the whole trace of an order";

/// The golden clients that the tests asked for need: the group tests have members of their own, and one golden producer.
fn golden_clients(full: bool, report: &Report) -> &'static [Library] {
    let names = names(full);
    if names.iter().any(|name| name != TREE && report.wants(name)) {
        &Library::ALL
    } else {
        &[Library::Franz]
    }
}

/// `run` names the folder of logs and data.
pub fn run(args: &Args, run: &str, report: &mut Report) -> Result<()> {
    let layout = Layout::new(run)?;
    let agent = if args.without_agent {
        None
    } else {
        let program = args.agent.canonicalize();
        Some(program.with_context(|| {
            format!(
                "{} is not there\n  hint: cargo build --release -p obi",
                args.agent.display()
            )
        })?)
    };
    let programs = Programs::build(&layout, golden_clients(args.full, report))?;
    let world = World::start(layout, programs, agent)?;
    golden::run(&world, args.full, report);
    work::run(&world, args.full, report);
    for (name, body) in shared(args.full) {
        report.test(name, || body(&world));
    }
    groups::run(&world, args.full, report)?;
    world.cluster.stop()
}
