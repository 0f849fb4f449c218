//! `obi config check FILE` and `obi config schema`.

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::{self, Exit, Failure};
use crate::config::{Config, check, file, unbuilt};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a file and show its first mistake with its line
    Check { file: PathBuf },
    /// Print the JSON Schema of the configuration file
    Schema,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Check { file } => {
            let config = read(&file)?;
            sound(&config)?;
            let mut text = String::new();
            for warning in unbuilt::warnings(&config) {
                text.push_str(&format!("warning: {warning}\n"));
            }
            text.push_str(&format!("{}: correct\n", file.display()));
            exit::print(&text)
        }
        Command::Schema => exit::print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&Config::schema())?
        )),
    }
}

/// Reads a file; a wrong one is wrong usage.
pub fn read(path: &std::path::Path) -> anyhow::Result<Config> {
    file::read(path).map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")).into())
}

/// A configuration that cannot work is wrong usage.
pub fn sound(config: &Config) -> anyhow::Result<()> {
    check::check(config).map_err(|mistake| {
        Failure::new(Exit::Usage, mistake.to_string())
            .hint(mistake.hint)
            .into()
    })
}
