//! `obi kafka ...`: questions to the running agent about Kafka.

pub mod stats;
mod tables;

use clap::Subcommand;

use super::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Clients, topics and partitions with rates, errors, sizes and latencies
    Stats(stats::Args),
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Stats(args) => stats::run(args),
    }
}
