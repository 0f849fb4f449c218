//! The command line: one file a subcommand. In: arguments; out: an exit code.
//!
//! Exit codes: 0 fine, 1 finding or failure, 2 wrong usage or configuration, 3 not permitted, 4 not supported here.

pub mod config;
pub mod docs;
pub mod doctor;
pub mod exit;
pub mod kafka;
pub mod logging;
pub mod record;
pub mod replay;
pub mod run;
pub mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use exit::Exit;

/// See every Kafka client on this node, also over TLS, with no line of application code changed.
#[derive(Debug, Parser)]
#[command(name = "obi", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent: find Kafka clients, serve metrics, send OTLP
    Run(run::Args),
    /// Store what is captured in a file, for `obi replay`
    Record(record::Args),
    /// Run the pipeline on a recording, without privileges
    Replay(replay::Args),
    /// What this kernel allows, and what is hooked in each Kafka client
    Doctor(doctor::Args),
    /// Ask the running agent about Kafka
    Kafka(kafka::Args),
    /// Check a configuration file, or print its schema
    Config(config::Args),
    /// Print shell completions
    Completions { shell: clap_complete::Shell },
    /// Print a file of the repository that is generated from the code
    #[command(hide = true)]
    Docs(docs::Args),
}

/// Form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Human,
    Json,
}

/// Where the running agent listens.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentSocket {
    /// Control socket of the running agent
    #[arg(
        long,
        env = "OBI_SOCKET",
        default_value = "/run/obi/obi.sock",
        value_name = "PATH"
    )]
    pub socket: PathBuf,
}

/// Entry of both binaries.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Record(args) => record::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Config(args) => config::run(args),
        Command::Kafka(args) => kafka::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Completions { shell } => completions(shell),
    }
    .unwrap_or_else(exit::report)
    .into()
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "obi", &mut text);
    exit::print(&String::from_utf8_lossy(&text))
}
