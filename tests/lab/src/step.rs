//! What the user sees while something takes long, and the stop signal. In: a name and a command. Out: lines on the terminal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Says what happens now.
pub fn say(what: &str) {
    println!("    {what}");
}

/// Runs a command to its end, showing at most one line of its output a second; all of it when it fails.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: cannot start {}", command.get_program().display()))?;
    let errors = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .collect::<Vec<_>>()
        })
    });
    let mut lines = Vec::new();
    let mut shown = Instant::now();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if shown.elapsed() > Duration::from_secs(1) {
                shown = Instant::now();
                println!(
                    "      {:>3} s  {}",
                    began.elapsed().as_secs(),
                    cut(&line, 100)
                );
            }
            lines.push(line);
        }
    }
    let status = child.wait()?;
    lines.extend(
        errors
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default(),
    );
    if !status.success() {
        bail!(
            "{what}: {} ended with {status}\n{}",
            command.get_program().display(),
            lines.join("\n")
        );
    }
    Ok(())
}

fn cut(line: &str, width: usize) -> String {
    line.trim().chars().take(width).collect()
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of recordings.
pub fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// Calls `probe` every `every` until it yields a value or `limit` has passed.
pub fn wait<T>(
    what: &str,
    limit: Duration,
    every: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if began.elapsed() > limit {
            bail!("{what}: nothing within {} s", limit.as_secs());
        }
        std::thread::sleep(every);
    }
}

/// True once SIGINT, SIGTERM or SIGHUP has come. Children are not signalled: they live in process groups of their own.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    pub fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            // A second signal ends the program at once; the children die with it.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub fn came(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
