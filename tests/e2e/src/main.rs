//! End-to-end tests: real Apache Kafka, real client libraries, a real agent, exact counts.
//!
//! In: which tests, the agent's executable. Out: one line a test, why a test failed, and `N passed, N failed` at the end. The truth
//! is never the agent's own: it is the broker's end offsets and what the clients themselves wrote down. A test that cannot run fails.

#![forbid(unsafe_code)]

mod cells;
mod check;
mod clients;
mod kcat;
mod prometheus;
mod recording;
mod report;
mod request_log;
mod scenario;
mod sink;
mod truth;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use obi_lab::step::StopSignal;

use crate::report::{AGAIN, Report};

#[derive(Parser)]
#[command(name = "obi-e2e")]
struct Args {
    /// Every cell of the table, not the pairwise choice
    #[arg(long)]
    full: bool,
    /// Only tests whose name contains this; many may be given
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// The agent's executable
    #[arg(long, value_name = "FILE", default_value = "target/release/obi")]
    agent: PathBuf,
    /// Try the clients and the broker alone, without an agent
    #[arg(long)]
    without_agent: bool,
    /// Write the table of cells to this file
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Name the tests and end
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let stop = StopSignal::listen()?;
    let mut report = Report::new(args.only.clone(), stop);
    if args.list {
        let mut names = scenario::names(args.full);
        names.extend(scenario::own_names(args.full));
        for name in names {
            println!("{name}");
        }
        return Ok(true);
    }
    scenario::run(args, "e2e", &mut report)?;
    let mut tries = Vec::new();
    for number in 1..=AGAIN {
        if let Some(mut again) = report.again() {
            println!("\n=== what failed, try {number} of {AGAIN}");
            scenario::run(args, &format!("e2e-again-{number}"), &mut again)?;
            tries.push(again);
        }
    }
    if tries.len() == AGAIN {
        report.passed_again(&tries);
    }
    if let Some(path) = &args.table {
        std::fs::write(path, report.table())?;
    }
    Ok(report.end())
}
