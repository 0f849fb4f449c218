//! `obi kafka stats`: asks the running agent and prints tables or `obi.kafka.stats/1`.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;

use super::tables;
use crate::cli::exit::{self, Exit};
use crate::cli::{AgentSocket, Output};
use crate::serve::control;
use crate::store::stats::Stats;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    agent: AgentSocket,
    /// Form of the answer; with --watch, json is one line each time
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Ask again every so many seconds, until interrupted
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<u64>,
    /// Show every client, topic and partition, not only the busiest
    #[arg(long)]
    all: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let rows = if args.all { usize::MAX } else { 20 };
    let Some(seconds) = args.watch else {
        let stats = ask(&args)?;
        return exit::print(&match args.output {
            Output::Human => tables::render(&stats, rows),
            Output::Json => format!("{}\n", serde_json::to_string_pretty(&stats)?),
        });
    };
    let clear = if std::io::stdout().is_terminal() {
        "\x1b[2J\x1b[H"
    } else {
        ""
    };
    loop {
        let stats = ask(&args)?;
        let text = match args.output {
            Output::Human => format!("{clear}{}", tables::render(&stats, rows)),
            Output::Json => format!("{}\n", serde_json::to_string(&stats)?),
        };
        if !exit::print_on(&text)? {
            return Ok(Exit::Fine);
        }
        std::thread::sleep(Duration::from_secs(seconds.max(1)));
    }
}

fn ask(args: &Args) -> anyhow::Result<Stats> {
    let value = control::ask(&args.agent.socket, "kafka_stats")?;
    serde_json::from_value(value).context("the agent is of another version")
}
