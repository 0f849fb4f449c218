//! `cargo xtask bench`: what the agent costs under a fixed load, what the analyzer costs a frame, what the model costs an update, and what
//! `kafka-wire` costs a record. In: which of them, flags of `obi-bench`. Out: markdown tables.

mod recording;

use std::process::Command;

use anyhow::{Context, Result};
use obi_lab::layout::Layout;
use obi_lab::prerequisites::{self, Purpose};

#[derive(clap::Args)]
pub struct Args {
    /// Only this; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Handed on to the bench of the whole agent: `--rate N`, `--rounds N`, `--seconds N`
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The whole agent beside a client
    Agent,
    /// Calls of client libraries, hooked: each library at each rate; writes docs/bench.md
    Clients,
    /// A client of 200,000 messages/s and its budget
    Budget,
    /// System calls of programs that are no Kafka clients
    Syscalls,
    /// A recording of many clients through the analyzer
    Analyzer,
    /// 10,000 partitions x 100 groups in the model
    Model,
    /// `kafka-wire` alone
    Wire,
}

impl Part {
    const ALL: [Part; 7] = [
        Part::Agent,
        Part::Clients,
        Part::Budget,
        Part::Syscalls,
        Part::Analyzer,
        Part::Model,
        Part::Wire,
    ];
}

pub fn run(args: &Args) -> Result<bool> {
    let layout = Layout::new("xtask-bench")?;
    let mut all = true;
    for part in Part::ALL {
        if args.only.is_empty() || args.only.contains(&part) {
            all &= measure(part, args, &layout)?;
        }
    }
    Ok(all)
}

fn measure(part: Part, args: &Args, layout: &Layout) -> Result<bool> {
    match part {
        Part::Agent | Part::Clients | Part::Budget | Part::Syscalls => {
            let needs = match part {
                // librdkafka's headers.
                Part::Clients => Purpose::Test,
                _ => Purpose::Demo,
            };
            prerequisites::check(needs)?;
            let agent = crate::demo::build_agent(layout)?.display().to_string();
            let words = ["run", "--quiet", "--release", "--package", "obi-bench"];
            let mut words = words.to_vec();
            words.extend(["--", "--agent", &agent]);
            let page = layout.root().join("docs/bench.md").display().to_string();
            match part {
                Part::Clients => words.extend(["--clients", "--write", &page]),
                Part::Budget => words.push("--budget"),
                Part::Syscalls => words.push("--syscalls"),
                _ => {}
            }
            words.extend(args.arguments.iter().map(String::as_str));
            cargo(layout, &words)
        }
        Part::Analyzer => {
            prerequisites::check(Purpose::Test)?;
            let Some(file) = recording::make(layout)? else {
                return Ok(false);
            };
            println!("\n=== analyzer, a recording of many clients");
            let file = file.display().to_string();
            let words = ["bench", "--quiet", "--package", "obi", "--bench"];
            cargo(layout, &[&words[..], &["analyzer", "--", &file]].concat())
        }
        Part::Model => {
            println!("\n=== model");
            cargo(layout, &["bench", "--quiet", "--package", "kafka-analyzer"])
        }
        Part::Wire => {
            println!("\n=== kafka-wire, nanoseconds by record size");
            cargo(layout, &["bench", "--quiet", "--package", "kafka-wire"])
        }
    }
}

fn cargo(layout: &Layout, words: &[&str]) -> Result<bool> {
    let status = Command::new("cargo")
        .args(words)
        .current_dir(layout.root())
        .status();
    Ok(status.context("cannot run cargo")?.success())
}
