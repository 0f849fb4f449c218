//! `obi kafka ...`: questions to the running agent about Kafka.

mod clients;
mod events;
mod grid;
mod groups;
mod screen;
pub mod stats;
mod tables;
mod topics;
mod traces;
mod transactions;
mod view;
mod words;

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
    /// Consumer groups: offsets and lag, members, state
    Groups(groups::Args),
    /// Topics, and who writes and reads them
    Topics(topics::Args),
    /// How each client behaves: errors, throttling, batches
    Clients(clients::Args),
    /// Transactions, open and lately ended
    Transactions(transactions::Args),
    /// What happened: rebalances, commit failures, fencing, ...
    Events(events::Args),
    /// Recent traces as waterfalls: what became of a message, in which request, how long each part took
    Traces(traces::Args),
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Stats(args) => stats::run(args),
        Command::Groups(args) => groups::run(args),
        Command::Topics(args) => topics::run(args),
        Command::Clients(args) => clients::run(args),
        Command::Transactions(args) => transactions::run(args),
        Command::Events(args) => events::run(args),
        Command::Traces(args) => traces::run(args),
    }
}
