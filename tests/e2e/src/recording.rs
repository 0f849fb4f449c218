//! `obi record` and `obi replay` as an operator uses them. In: a folder. Out: the recording, and what replays of it say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::agent::has_met;
use obi_lab::metrics::Scrape;
use obi_lab::process::{Launch, Process};
use obi_lab::step;
use serde::Deserialize;

/// Where it logs. What an earlier try of the test left there goes: nobody but us may overwrite a recording.
fn afresh(file: &Path) -> Result<PathBuf> {
    let log = file.with_extension("log");
    for old in [file, &log] {
        if old.exists() {
            fs::remove_file(old)?;
        }
    }
    Ok(log)
}

/// A running `obi record`.
pub struct Recorder {
    process: Process,
    pub file: PathBuf,
    program: PathBuf,
}

impl Recorder {
    pub fn start(program: &Path, file: &Path, flags: &[&str]) -> Result<Self> {
        let log = afresh(file)?;
        let mut process = Launch::new("obi record", program, &log)
            .arg("record")
            .arg(file)
            .args(flags)
            .privileged()
            .start()?;
        // Its first line of progress comes ten seconds after the start; all that runs is hooked by then.
        step::wait(
            "obi record",
            Duration::from_secs(60),
            Duration::from_millis(100),
            || {
                process.check()?;
                let said = fs::read_to_string(&log).unwrap_or_default();
                Ok(said.contains("obi: recorded").then_some(()))
            },
        )?;
        Ok(Self {
            process,
            file: file.to_owned(),
            program: program.to_owned(),
        })
    }

    /// Does not wait for anything: its log says when a program is hooked.
    pub fn start_at_once(program: &Path, file: &Path, flags: &[&str]) -> Result<Self> {
        let process = Launch::new("obi record", program, afresh(file)?)
            .arg("record")
            .arg(file)
            .args(["--log-level", "info"])
            .args(flags)
            .privileged()
            .start()?;
        Ok(Self {
            process,
            file: file.to_owned(),
            program: program.to_owned(),
        })
    }

    /// Waits until its log has this text.
    pub fn says(&mut self, text: &str) -> Result<()> {
        let (limit, pause) = (Duration::from_secs(30), Duration::from_millis(20));
        step::wait(&format!("obi record: {text}"), limit, pause, || {
            self.process.check()?;
            let said = fs::read_to_string(self.process.log()).unwrap_or_default();
            Ok(said.contains(text).then_some(()))
        })
        .with_context(|| self.process.log_tail(20))
    }

    /// Waits until this program is hooked.
    pub fn met(&mut self, program: &Path) -> Result<()> {
        let what = format!("obi record: hooks in {}", program.display());
        let (limit, pause) = (Duration::from_secs(30), Duration::from_millis(20));
        step::wait(&what, limit, pause, || {
            self.process.check()?;
            Ok(has_met(self.process.log(), program)?.then_some(()))
        })
        .with_context(|| self.process.log_tail(20))
    }

    /// The most resident memory so far, in KiB.
    pub fn peak_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.context("no VmHWM")?.parse()?)
    }

    /// Ends it as an operator does and checks the file's mode: it may hold keys and headers.
    pub fn stop(mut self) -> Result<Recording> {
        // What the last calls brought is in the ring for a moment still.
        std::thread::sleep(Duration::from_millis(500));
        let status = self.process.stop(Duration::from_secs(20))?;
        if !status.success() {
            bail!(
                "obi record ended with {status}\n{}",
                self.process.log_tail(20)
            );
        }
        let mode = fs::metadata(&self.file)?.permissions().mode() & 0o777;
        if mode != 0o600 {
            bail!("the recording has mode {mode:o}, not 600");
        }
        Ok(Recording {
            file: self.file,
            program: self.program,
            config: None,
        })
    }
}

/// A finished recording.
pub struct Recording {
    pub file: PathBuf,
    program: PathBuf,
    /// Of replays.
    pub config: Option<PathBuf>,
}

/// What tests read of a replayed exchange.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    pub pid: u32,
    pub client_id: String,
    pub api: String,
    pub api_version: i16,
    pub origin: Origin,
    pub correlation_id: i64,
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub began: u64,
    pub ended: u64,
    pub request_bytes: u64,
    pub response_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Origin {
    /// The connection's number in the recording.
    pub connection: u64,
}

/// A call of a client library: a run of messages in one partition.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    pub pid: u32,
    pub means: String,
    pub message: u64,
    pub topic: String,
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    pub count: u32,
    pub value_len: Option<u64>,
    pub complete: bool,
    pub truncated: bool,
    pub fault: bool,
}

/// Hooks that run for each message of a process come or go.
#[derive(Clone, Debug, Deserialize)]
pub struct Window {
    pub pid: u32,
    pub time: u64,
    pub window: String,
}

/// A line of the calls: either kind.
#[derive(Deserialize)]
#[serde(tag = "schema")]
enum CallLine {
    #[serde(rename = "obi.call/1")]
    Call(Call),
    #[serde(rename = "obi.window/1")]
    Window(Window),
}

/// What a table held when the recording ended, or what was lost for a reason.
#[derive(Clone, Debug, Deserialize)]
struct Left {
    table: Option<String>,
    #[serde(default)]
    entries: u64,
    lost: Option<String>,
    #[serde(default)]
    total: u64,
}

impl Recording {
    /// By name: entries of tables when the recording ended, and totals of losses.
    pub fn left(&self) -> Result<BTreeMap<String, u64>> {
        let text = String::from_utf8(self.replay("left")?)?;
        let mut all = BTreeMap::new();
        for line in text.lines() {
            let left: Left =
                serde_json::from_str(line).with_context(|| format!("obi replay printed {line}"))?;
            let (name, count) = match left.table {
                Some(table) => (Some(table), left.entries),
                None => (left.lost, left.total),
            };
            all.insert(name.context("neither table nor loss")?, count);
        }
        Ok(all)
    }

    fn call_lines(&self) -> Result<Vec<CallLine>> {
        let text = String::from_utf8(self.replay("calls")?)?;
        let read = |line: &str| {
            serde_json::from_str(line).with_context(|| format!("obi replay printed {line}"))
        };
        text.lines().map(read).collect()
    }

    /// The calls of one process, in order.
    pub fn calls(&self, pid: u32) -> Result<Vec<Call>> {
        let call = |line| match line {
            CallLine::Call(call) if call.pid == pid => Some(call),
            _ => None,
        };
        Ok(self.call_lines()?.into_iter().filter_map(call).collect())
    }

    /// Its windows, in order.
    pub fn windows(&self, pid: u32) -> Result<Vec<Window>> {
        let window = |line| match line {
            CallLine::Window(window) if window.pid == pid => Some(window),
            _ => None,
        };
        Ok(self.call_lines()?.into_iter().filter_map(window).collect())
    }

    /// The output of `obi replay FILE --output FORM`, run without privileges where we have any to drop.
    pub fn replay(&self, form: &str) -> Result<Vec<u8>> {
        let output = Command::new(&self.program)
            .arg("replay")
            .arg(&self.file)
            .args(["--output", form])
            .args(
                self.config
                    .iter()
                    .flat_map(|file| ["--config".as_ref(), file.as_os_str()]),
            )
            .output()?;
        if !output.status.success() {
            bail!(
                "obi replay: {}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output.stdout)
    }

    pub fn exchanges(&self) -> Result<Vec<Exchange>> {
        let text = String::from_utf8(self.replay("json")?)?;
        let mut exchanges = Vec::new();
        for line in text.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).with_context(|| format!("obi replay printed {line}"))?;
            if value.get("kind").and_then(serde_json::Value::as_str) == Some("exchange") {
                exchanges.push(serde_json::from_value(value)?);
            }
        }
        Ok(exchanges)
    }

    pub fn metrics(&self) -> Result<Scrape> {
        Scrape::parse(&String::from_utf8(self.replay("metrics")?)?)
    }
}
