//! `cargo xtask test`: the stages of `make test`, one after the other, each with its time.
//!
//! In: [`STAGES`]. Out: the output of each stage as it comes, a table of times, and the last line `N passed, N failed`. A stage
//! that prints `test result: ok. N passed; N failed` (cargo) or `N passed, N failed` counts as that many tests, any other one as a
//! single test. A failing stage does not stop the next ones, but for the ones that cannot do without it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use obi_lab::layout::Layout;
use obi_lab::prerequisites;

/// One line of `make test`.
struct Stage {
    name: &'static str,
    /// Run in the root of the repository; words are separated by spaces, there is no shell.
    command: &'static str,
    /// Replaces `command` under `make test-full`.
    full: &'static str,
    /// Nothing after it makes sense when it fails.
    vital: bool,
    /// Its tests start prometheus and promtool.
    prometheus: bool,
}

const fn stage(name: &'static str, command: &'static str) -> Stage {
    Stage {
        name,
        command,
        full: command,
        vital: false,
        prometheus: false,
    }
}

const CLIPPY: &str = "cargo clippy --quiet --workspace --all-targets -- -D warnings";

const STAGES: &[Stage] = &[
    Stage {
        vital: true,
        ..stage("prerequisites", "cargo xtask prerequisites")
    },
    stage("format", "cargo fmt --all --check"),
    stage("tidy", "cargo xtask tidy"),
    stage("clippy", CLIPPY),
    // The unit tests of symbolizer and tls-hooks read them.
    Stage {
        full: "cargo xtask fixtures --all",
        ..stage("fixtures", "cargo xtask fixtures")
    },
    Stage {
        prometheus: true,
        ..stage("units", "cargo test --quiet --workspace --no-fail-fast")
    },
    stage("load", "go -C tests/bench/load test ./..."),
    stage("kernels", "cargo xtask kernels"),
    stage("fuzz", "cargo xtask fuzz --seconds 30"),
    Stage {
        full: "cargo xtask e2e --full --table docs/e2e-table.md",
        ..stage("e2e", "cargo xtask e2e")
    },
    stage("demo", "cargo xtask demo --seconds 10"),
];

#[derive(clap::Args)]
pub struct Args {
    /// Every cell of the end-to-end table, not the pairwise choice
    #[arg(long)]
    full: bool,
    /// Only these stages
    #[arg(long, value_name = "NAME", value_parser = STAGES.iter().map(|s| s.name).collect::<Vec<_>>())]
    stage: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

struct Outcome {
    name: &'static str,
    took: Duration,
    tally: Tally,
    /// Lines that name what failed, or passed only when tried again.
    bad: Vec<String>,
}

/// Lines of a stage that are kept for the end.
const BAD_MOST: usize = 40;

/// Runs the stages; true when nothing failed.
pub fn run(args: &Args) -> Result<bool> {
    let chosen: Vec<_> = STAGES
        .iter()
        .filter(|s| args.stage.is_empty() || args.stage.iter().any(|name| name == s.name))
        .collect();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (at, stage) in chosen.iter().enumerate() {
        println!("\n=== [{}/{}] {}", at + 1, chosen.len(), stage.name);
        let outcome = run_stage(stage, args.full)?;
        println!("--- {}: {}", stage.name, line(&outcome));
        let stop = stage.vital && outcome.tally.failed > 0;
        outcomes.push(outcome);
        if stop {
            println!("the stages after {} need it and were not run", stage.name);
            break;
        }
    }
    println!();
    for outcome in &outcomes {
        println!("{:<12} {}", outcome.name, line(outcome));
    }
    for outcome in &outcomes {
        for line in &outcome.bad {
            println!("{}: {line}", outcome.name);
        }
    }
    let passed: u64 = outcomes.iter().map(|o| o.tally.passed).sum();
    let failed: u64 = outcomes.iter().map(|o| o.tally.failed).sum();
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn line(outcome: &Outcome) -> String {
    format!(
        "{:>7.1} s  {} passed, {} failed",
        outcome.took.as_secs_f64(),
        outcome.tally.passed,
        outcome.tally.failed
    )
}

/// Debian's package prometheus is unpacked, not installed, because it would start a service.
fn path_with_prometheus() -> Result<OsString> {
    let prometheus = prerequisites::unpacked(&Layout::new("xtask")?, "prometheus", "prometheus")?;
    let own = prometheus.parent().map(Path::to_path_buf);
    let others = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(
        std::env::split_paths(&others).chain(own),
    )?)
}

fn run_stage(stage: &Stage, full: bool) -> Result<Outcome> {
    let mut words = if full { stage.full } else { stage.command }.split_whitespace();
    let program = words
        .next()
        .with_context(|| format!("stage {} has no command", stage.name))?;
    let began = Instant::now();
    let mut command = Command::new(program);
    if stage.prometheus {
        command.env("PATH", path_with_prometheus()?);
    }
    let mut child = command
        .args(words)
        .current_dir(crate::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("stage {}: cannot start {program}", stage.name))?;
    let mut counted = Tally::default();
    let mut bad = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let text = String::from_utf8_lossy(&line);
            writeln!(std::io::stdout(), "{text}")?;
            if names_failure(&text) && bad.len() < BAD_MOST {
                bad.push(text.trim_end().to_owned());
            }
            if let Some(found) = tally_of(&text) {
                counted.passed += found.passed;
                counted.failed += found.failed;
            }
        }
    }
    let ok = child.wait()?.success();
    let mut tally = if counted == Tally::default() {
        Tally {
            passed: u64::from(ok),
            failed: 0,
        }
    } else {
        counted
    };
    if !ok && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(Outcome {
        name: stage.name,
        took: began.elapsed(),
        tally,
        bad,
    })
}

/// A line that names what failed: of the end-to-end tests, the fuzzer, the kernels, cargo.
fn names_failure(line: &str) -> bool {
    let cargo = line.starts_with("---- ") && line.trim_end().ends_with(" stdout ----");
    let starts = ["failed: ", "unsteady: ", "BAD fuzz/", "FAIL "];
    cargo || starts.iter().any(|start| line.starts_with(start))
}

/// What a line says about tests, `test result: ok. 3 passed; 1 failed; ...` or `3 passed, 1 failed`. An indented one is part of a sum that follows.
fn tally_of(line: &str) -> Option<Tally> {
    let line = line.trim_end();
    if line.starts_with(' ') {
        return None;
    }
    let counts = match line.strip_prefix("test result:") {
        Some(rest) => rest.split_once(". ")?.1,
        None => line,
    };
    let mut words = counts
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty());
    let passed = words.next()?.parse().ok()?;
    if words.next()? != "passed" {
        return None;
    }
    let failed = words.next()?.parse().ok()?;
    (words.next()? == "failed").then_some(Tally { passed, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_cargo_and_from_our_own_lines() {
        for (line, want) in [
            (
                "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured",
                Some((12, 0)),
            ),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored",
                Some((3, 2)),
            ),
            ("59 passed, 1 failed", Some((59, 1))),
            ("  33 passed, 0 failed", None),
            ("59 passed", None),
            ("3 failed, 1 passed", None),
            ("running 4 tests", None),
            ("", None),
        ] {
            let want = want.map(|(passed, failed)| Tally { passed, failed });
            assert_eq!(tally_of(line), want, "{line}");
        }
    }

    #[test]
    fn what_failed_is_named() {
        for line in [
            "failed: golden/kcat: 3 records too few",
            "unsteady: reconnects: late",
            "BAD fuzz/http1: a crash",
            "FAIL load: refused",
            "---- model::tests::lag stdout ----",
        ] {
            assert!(names_failure(line), "{line}");
        }
        for line in [
            "failures:",
            "---- a bar",
            "ok  failed: no",
            "BAD reconnects",
        ] {
            assert!(!names_failure(line), "{line}");
        }
    }

    #[test]
    fn a_stage_counts_its_tests_or_itself() {
        let script = std::env::temp_dir().join(format!("obi-stage-{}", std::process::id()));
        let run = |text: &str| {
            std::fs::write(&script, text).unwrap();
            let command: &'static str = format!("sh {}", script.display()).leak();
            run_stage(&stage("s", command), false)
                .map(|o| o.tally)
                .unwrap()
        };
        let tally = |passed, failed| Tally { passed, failed };
        assert_eq!(run("true"), tally(1, 0));
        assert_eq!(run("false"), tally(0, 1));
        assert_eq!(run("echo 3 passed, 2 failed; exit 1"), tally(3, 2));
        // All its tests passed and yet it ended badly: that is a failure too.
        assert_eq!(run("echo 3 passed, 0 failed; exit 1"), tally(3, 1));
        std::fs::remove_file(&script).unwrap();
    }
}
