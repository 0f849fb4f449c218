//! What the agent costs. In: a rate, a count of rounds. Out: a markdown table with 95 % confidence intervals.
//!
//! One load (tests/bench/load) runs all the time; the agent is started and stopped beside it in turn, off-on, on-off, ..., so that a
//! machine that drifts does so for both. Each round is one pair; an interval is that of the mean difference of pairs. Nothing is judged
//! on one run, and nothing outside this machine can be read from it.

#![forbid(unsafe_code)]

mod by_hook;
mod clients;
mod figures;
mod hooks;
mod library;
mod load;
mod measure;
mod report;
mod statistics;
mod syscalls;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use obi_lab::agent::Settings;
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::step::{StopSignal, say};

use crate::library::Library;
use crate::load::Load;
use crate::measure::{Bench, LEARN, Pair};

const ROUNDS: u32 = 8;
const SECONDS: u64 = 8;
/// The same of libraries, of which there are eighteen times as many to measure.
const LIBRARY_ROUNDS: u32 = 3;
const LIBRARY_SECONDS: u64 = 5;

#[derive(Parser)]
#[command(name = "obi-bench")]
struct Args {
    /// The agent's executable
    #[arg(long, value_name = "FILE", default_value = "target/release/obi")]
    agent: PathBuf,
    /// Messages a second that are offered
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    rate: u32,
    /// Pairs of windows, agent on and off [default: 8, of libraries 3]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Length of a window [default: 8, of libraries 5]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Measure each client library at 1,000, 50,000 and the highest messages/s, with hooks on its calls: 27 minutes
    ///
    /// A pair takes 18 s and two windows; a library three times as many pairs as --rounds, and half a minute besides.
    #[arg(long)]
    clients: bool,
    /// Only this library; may be repeated
    #[arg(long, value_enum, value_name = "NAME", requires = "clients")]
    library: Vec<Library>,
    /// Write the page of the libraries there
    #[arg(long, value_name = "FILE", requires = "clients")]
    write: Option<PathBuf>,
    /// Measure whether a client of 200,000 messages/s stays within its budget
    #[arg(long, conflicts_with = "clients")]
    budget: bool,
    /// Measure what hooks on sockets cost other programs of the node
    #[arg(long, conflicts_with_all = ["clients", "budget"])]
    syscalls: bool,
    /// Measure nothing: loads of several kinds for so many seconds, for whoever records them
    #[arg(long, value_name = "N")]
    traffic: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let stop = StopSignal::listen()?;
    let layout = Layout::new("bench")?;
    if let Some(seconds) = args.traffic {
        return traffic(&layout, Duration::from_secs(seconds));
    }
    let program = args.agent.canonicalize();
    let program = program.with_context(|| {
        format!(
            "{} is not there\n  hint: cargo build --release -p obi",
            args.agent.display()
        )
    })?;
    let cluster = Cluster::start(&layout, "kafka", 1)?;
    if args.clients || args.budget {
        return calls(args, program, &layout, cluster, stop);
    }
    cluster.admin.create("load", 3, 1)?;
    let settings = settings(program, &layout)?;
    if args.syscalls {
        let mut load = Load::start(&layout, &cluster, Library::FranzGo, "load", &["-listens"])?;
        load.rate(10)?;
        let table = syscalls::run(&settings, args.rounds.unwrap_or(3), &stop)?;
        load.end()?;
        cluster.stop()?;
        println!("\n{table}");
        return Ok(());
    }
    let load = Load::start(&layout, &cluster, Library::FranzGo, "load", &[])?;
    let mut bench = Bench {
        load,
        settings,
        window: Duration::from_secs(args.seconds.unwrap_or(SECONDS)),
        learn: LEARN,
        service: "load".to_owned(),
    };
    let count = args.rounds.unwrap_or(ROUNDS);

    let rate = bench.highest_steady_rate(args.rate)?;
    say(&format!(
        "{count} rounds at {rate} messages/s, {} s a window",
        bench.window.as_secs()
    ));
    let steady = rounds(count, &stop, |first_on| {
        bench.pair(i64::from(rate), first_on)
    })?;
    say(&format!("{count} rounds at saturation"));
    let full = rounds(count, &stop, |first_on| bench.pair(0, first_on))?;
    bench.load.end()?;
    cluster.stop()?;
    println!("\n{}", table::render(rate, &steady, &full));
    Ok(())
}

fn settings(program: PathBuf, layout: &Layout) -> Result<Settings> {
    let mut settings = Settings::new(program, layout.run().join("agent"))?;
    // On a real node the broker is elsewhere. Here its plaintext connection to the controller, itself a Kafka client, would keep the
    // hooks on system calls in place for the whole node.
    settings
        .environment
        .push(("OBI_DISCOVERY_EXCLUDE_EXE".into(), "**/java".into()));
    Ok(settings)
}

/// With hooks on calls of client libraries.
fn calls(
    args: &Args,
    program: PathBuf,
    layout: &Layout,
    cluster: Cluster,
    stop: StopSignal,
) -> Result<()> {
    let mut settings = settings(program, layout)?;
    let hooks = ("OBI_KAFKA_CLIENT_HOOKS".into(), "true".into());
    settings.environment.push(hooks);
    let libraries = if args.library.is_empty() {
        Library::ALL.to_vec()
    } else {
        args.library.clone()
    };
    let (rounds, seconds) = if args.clients {
        (LIBRARY_ROUNDS, LIBRARY_SECONDS)
    } else {
        (ROUNDS, SECONDS)
    };
    let plan = clients::Plan {
        libraries,
        rounds: args.rounds.unwrap_or(rounds),
        window: Duration::from_secs(args.seconds.unwrap_or(seconds)),
        stop,
        write: args.write.clone(),
    };
    let table = if args.budget {
        clients::budget(layout, &cluster, &settings, &plan)?
    } else {
        clients::run(layout, &cluster, &settings, &plan)?
    };
    cluster.stop()?;
    println!("\n{table}");
    Ok(())
}

/// Large and small records, plain and compressed, read by groups that commit.
fn traffic(layout: &Layout, time: Duration) -> Result<()> {
    let cluster = Cluster::start(layout, "kafka", 1)?;
    let kinds: [(&str, &[&str], i64); 3] = [
        ("plain", &["-size", "1024", "-group", "plain"], 1000),
        (
            "small",
            &["-size", "200", "-group", "small", "-codec", "zstd"],
            4000,
        ),
        (
            "large",
            &["-size", "8192", "-group", "large", "-codec", "lz4"],
            200,
        ),
    ];
    let start = |(topic, flags, rate)| -> Result<Load> {
        cluster.admin.create(topic, 6, 1)?;
        let mut load = Load::start(layout, &cluster, Library::FranzGo, topic, flags)?;
        load.rate(rate)?;
        Ok(load)
    };
    let loads: Vec<Load> = kinds.into_iter().map(start).collect::<Result<_>>()?;
    std::thread::sleep(time);
    loads.into_iter().try_for_each(Load::end)?;
    cluster.stop()
}

fn rounds(
    count: u32,
    stop: &StopSignal,
    mut pair: impl FnMut(bool) -> Result<Pair>,
) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for round in 0..count {
        anyhow::ensure!(!stop.came(), "stopped by a signal");
        let pair = pair(round % 2 == 1)?;
        say(&format!("{:>2}/{count}  {}", round + 1, pair.line()));
        pairs.push(pair);
    }
    Ok(pairs)
}
