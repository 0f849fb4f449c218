//! `cargo xtask fuzz`: every target of `tests/fuzz` for a while, two at a time, from its committed corpus.
//!
//! In: the programs of `tests/fuzz`. Out: one line a target and `N passed, N failed`; an input that breaks one is left in `target/fuzz`
//! and its path is said. Built by the stable compiler with coverage but without sanitizers: what is fuzzed holds no unsafe code, so
//! panics, overflows, memory and time are what can go wrong, and all of these are watched.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

const TRIPLE: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};
/// What `cargo fuzz` passes, but for the sanitizer: libFuzzer's coverage, overflow checks, assertions.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";
/// Two cores, two targets.
const AT_ONCE: usize = 2;

#[derive(clap::Args)]
pub struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Only these targets
    targets: Vec<String>,
}

pub fn run(args: &Args) -> Result<bool> {
    let source = crate::root().join("tests/fuzz");
    let targets: VecDeque<String> = targets(&source)?
        .into_iter()
        .filter(|name| args.targets.is_empty() || args.targets.contains(name))
        .collect();
    anyhow::ensure!(!targets.is_empty(), "no such target in tests/fuzz");
    let work = work();
    build(&source, &work)?;
    println!(
        "{} targets, {} s each, {AT_ONCE} at a time",
        targets.len(),
        args.seconds
    );
    let queue = Mutex::new(targets);
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    std::iter::from_fn(next)
                        .map(|name| show(&name, fuzz(&source, &work, &name, args.seconds)))
                        .collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|_| vec![false]))
            .collect()
    });
    let failed = outcomes.iter().filter(|ok| !**ok).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    Ok(failed == 0)
}

fn show(name: &str, outcome: Result<String>) -> bool {
    match &outcome {
        Ok(seen) => println!("ok  fuzz/{name}: {seen}"),
        Err(why) => println!("BAD fuzz/{name}: {why:#}"),
    }
    outcome.is_ok()
}

fn work() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), PathBuf::from)
        .join("fuzz")
}

/// The programs of the crate, as Cargo knows them.
fn targets(source: &Path) -> Result<Vec<String>> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
        ])
        .arg(source.join("Cargo.toml"))
        .output()
        .context("cannot run cargo")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let targets = metadata
        .pointer("/packages/0/targets")
        .and_then(|list| list.as_array())
        .context("no targets")?;
    let programs = targets
        .iter()
        .filter(|target| target.pointer("/kind/0").is_some_and(|kind| kind == "bin"));
    Ok(programs
        .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
        .collect())
}

fn build(source: &Path, work: &Path) -> Result<()> {
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            TRIPLE,
            "--manifest-path",
        ])
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(work)
        .env("RUSTFLAGS", FLAGS)
        .status()
        .context("cannot run cargo")?;
    anyhow::ensure!(status.success(), "the fuzz targets do not build");
    Ok(())
}

/// Runs one target; what it found new is kept below `target`, the committed corpus is only read.
fn fuzz(source: &Path, work: &Path, name: &str, seconds: u32) -> Result<String> {
    let found = work.join("corpus").join(name);
    let broken = work.join("broken").join(name);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&broken)?;
    let mut command = Command::new(work.join(TRIPLE).join("release").join(name));
    command.arg(&found);
    let seeds = source.join("corpus").join(name);
    if seeds.exists() {
        command.arg(seeds);
    }
    let output = command
        .args([
            &format!("-max_total_time={seconds}"),
            "-rss_limit_mb=1024",
            "-timeout=10",
            "-print_final_stats=1",
        ])
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<_> = said.lines().rev().take(30).collect();
        bail!(
            "{}\n{}",
            output.status,
            tail.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    }
    let figure = |name: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .unwrap_or("?")
            .to_owned()
    };
    Ok(format!(
        "{} inputs, slowest {} s, {} MiB",
        figure("stat::number_of_executed_units:"),
        figure("stat::slowest_unit_time_sec:"),
        figure("stat::peak_rss_mb:")
    ))
}
