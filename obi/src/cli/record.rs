//! `obi record FILE`: what was captured, for `obi replay`. In: the running kernel; out: a recording of mode 0600 without record values, keys, headers
//! (unless `--payload`) and without SASL tokens; a line of progress on stderr. Ends cleanly on Ctrl-C, after `--duration`, at `--max-size`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use kafka_analyzer::capture::CaptureEvent;

use super::exit::{Exit, Failure};
use super::{logging, signals};
use crate::capture::recording::Writer;
use crate::config::Config;
use crate::export::Sinks;
use crate::pipeline;
use crate::stop::Stop;
use crate::telemetry::Telemetry;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// New file to write; an existing one is never overwritten
    file: PathBuf,
    /// Keep keys, values and headers of records too
    #[arg(long)]
    payload: bool,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// Stop when the file has this many bytes
    #[arg(long, default_value_t = 4 << 30, value_name = "BYTES")]
    max_size: u64,
    /// Only processes whose executable matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exe: Vec<String>,
    /// Only this process; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Configuration file (YAML): the `discovery:` keys
    #[arg(long, env = "OBI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// error, warn, info, debug, trace
    #[arg(long, default_value = "warn", value_name = "LEVEL")]
    log_level: String,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    logging::start(&args.log_level)?;
    let mut config = match &args.config {
        Some(path) => super::config::read(path)?,
        None => Config::default(),
    };
    config.discovery.exe.extend(args.exe.iter().cloned());
    config.discovery.pid.extend(&args.pid);
    // A recording leaves nothing else behind.
    config.state_dir = PathBuf::new();
    // Nobody is shown spans.
    config.instrumentation.kafka.spans_per_second = 0;

    let telemetry = Arc::new(Telemetry::default());
    let sinks = Sinks::new(&config, Arc::clone(&telemetry))
        .map_err(|e| Failure::new(Exit::Usage, format!("{e:#}")))?;
    let stop = Stop::default();
    crate::attach::preconditions().map_err(pipeline::failure)?;
    let mut writer = Writer::create(&args.file, args.payload)
        .with_context(|| format!("cannot make {}", args.file.display()))?;
    signals::stop_on(stop.clone())?;

    let began = Instant::now();
    let mut progress = Progress {
        shown: began,
        terminal: std::io::stderr().is_terminal(),
    };
    let mut failed = None;
    let mut tee = |event: &CaptureEvent<'_>| {
        if failed.is_some() || stop.requested() {
            return;
        }
        if let Err(error) = writer.event(event) {
            failed = Some(error);
            stop.request();
        }
        let (events, bytes) = writer.written();
        let over = args
            .duration
            .is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds));
        if over || bytes >= args.max_size {
            stop.request();
        }
        progress.show(events, bytes, false);
    };
    let ran = pipeline::run_with(&config, &sinks, &telemetry, &stop, Some(&mut tee));
    let (events, bytes) = writer.written();
    if let Some(error) = failed {
        return Err(error).with_context(|| format!("cannot write {}", args.file.display()));
    }
    writer
        .finish()
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    progress.show(events, bytes, true);
    ran?;
    let lost: Vec<String> = telemetry
        .lost_totals()
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if !lost.is_empty() {
        eprintln!("obi: lost while recording: {}", lost.join(", "));
    }
    Ok(Exit::Fine)
}

struct Progress {
    shown: Instant,
    terminal: bool,
}

impl Progress {
    fn show(&mut self, events: u64, bytes: u64, last: bool) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 10 });
        if !last && self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let text = format!(
            "obi: recorded {events} events, {:.1} MiB",
            bytes as f64 / f64::from(1 << 20)
        );
        let end = if self.terminal && !last { "\r" } else { "\n" };
        // Nobody is left to tell when stderr is closed.
        let _ = write!(std::io::stderr(), "{text}{end}");
    }
}
