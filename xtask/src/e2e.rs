//! `cargo xtask e2e`: builds the agent and the end-to-end tests and runs them. In: which tests. Out: their last line,
//! `N passed, N failed`. All that they do is in `tests/e2e`.

use std::process::Command;

use anyhow::{Context, Result};
use obi_lab::layout::Layout;
use obi_lab::prerequisites::{self, Purpose};

#[derive(clap::Args)]
pub struct Args {
    /// Handed on: `--full`, `--only TEXT`, `--table FILE`, `--list`, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(args: &Args) -> Result<bool> {
    prerequisites::check(Purpose::Test)?;
    let layout = Layout::new("xtask-e2e")?;
    let agent = crate::demo::build_agent(&layout)?;
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--package", "obi-e2e", "--", "--agent"])
        .arg(agent)
        .args(&args.arguments)
        .current_dir(layout.root())
        .status()
        .context("cannot run cargo")?;
    Ok(status.success())
}
