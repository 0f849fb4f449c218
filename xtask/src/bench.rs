//! `cargo xtask bench`: what the agent costs under a fixed load, and what `kafka-wire` costs a record. In: flags of `obi-bench`.
//! Out: markdown tables.

use std::process::Command;

use anyhow::{Context, Result};
use obi_lab::layout::Layout;
use obi_lab::prerequisites::{self, Purpose};

#[derive(clap::Args)]
pub struct Args {
    /// Handed on: `--rate N`, `--rounds N`, `--seconds N`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(args: &Args) -> Result<bool> {
    prerequisites::check(Purpose::Demo)?;
    let layout = Layout::new("xtask-bench")?;
    let agent = crate::demo::build_agent(&layout)?;
    let cargo = |words: &[&str]| -> Result<bool> {
        let status = Command::new("cargo")
            .args(words)
            .current_dir(layout.root())
            .status();
        Ok(status.context("cannot run cargo")?.success())
    };
    let agent = agent.display().to_string();
    let mut words = vec![
        "run",
        "--quiet",
        "--release",
        "--package",
        "obi-bench",
        "--",
        "--agent",
        &agent,
    ];
    words.extend(args.arguments.iter().map(String::as_str));
    let measured = cargo(&words)?;
    println!("\n=== kafka-wire, nanoseconds by record size");
    Ok(cargo(&["bench", "--quiet", "--package", "kafka-wire"])? && measured)
}
