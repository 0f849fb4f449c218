//! Chores of the repository that are more than one line of shell: `cargo xtask <chore>`.
//!
//! In: a chore's name and flags. Out: its exit code, 0 when all went well. A chore is one file beside this one.

mod bench;
mod bpf;
mod demo;
mod e2e;
mod fixtures;
mod fuzz;
mod kernels;
mod layouts;
mod stages;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use obi_lab::prerequisites::{self, Purpose};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "chores of the repository")]
enum Chore {
    /// Run every check and test, stage by stage, with the time of each
    Test(stages::Args),
    /// Check the toolchains and install the Debian packages that the tests need
    Prerequisites,
    /// Start Kafka, an order service and the agent, and show what the agent sees
    Demo(demo::Args),
    /// Measure what the agent costs, on and off in turn
    Bench(bench::Args),
    /// Run the end-to-end tests
    E2e(e2e::Args),
    /// Fuzz every decoder for a while
    Fuzz(fuzz::Args),
    /// Build the ELF files that the tests read
    Fixtures(fixtures::Args),
    /// Build the BPF object
    Bpf(bpf::Args),
    /// Load and hit every BPF program on the running kernel and, under QEMU, on Debian's
    Kernels(kernels::Args),
    /// Read struct layouts and signatures of the Kafka clients for Go from all their releases (network)
    Layouts(layouts::Args),
    /// Check what the compiler does not: file sizes, arrows between crates, unsafe blocks, open ends
    Tidy,
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Test(args) => stages::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::E2e(args) => e2e::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Fixtures(args) => fixtures::run(&args),
        Chore::Bpf(args) => bpf::run(&args),
        Chore::Kernels(args) => kernels::run(&args),
        Chore::Layouts(args) => layouts::run(&args),
        Chore::Prerequisites => prerequisites::check(Purpose::Test).map(|()| true),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}
