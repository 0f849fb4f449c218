//! `obi kafka stats`: asks the running agent and prints tables or `obi.kafka.stats/1`.

use super::tables;
use super::view::View;
use crate::cli::exit::Exit;
use crate::store::stats::Stats;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    /// Show every client, topic and partition, not only the busiest
    #[arg(long)]
    all: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let rows = if args.all { usize::MAX } else { 20 };
    args.view.show(
        "kafka_stats",
        |_: &mut Stats| {},
        |stats| Ok(tables::render(stats, rows)),
    )
}
