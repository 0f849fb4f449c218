//! `obi replay FILE`: a recording through the same pipeline, without privileges. In: a recording; out: observations as lines of JSON
//! sorted by (time, connection, stream offset), or metrics in the text format; equal input gives equal bytes.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use kafka_analyzer::capture::{CaptureEvent, ClientCall, Nanos, Pid, Window};

use super::exit::{Exit, Failure};
use crate::capture::recording::Reader;
use crate::config::Config;
use crate::export::Sinks;
use crate::export::jsonl::Lines;
use crate::pipeline::replay::Left;
use crate::pipeline::{Finding, replay};
use crate::telemetry::Telemetry;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recording made by `obi record`
    file: PathBuf,
    /// Observations, what /metrics would have shown, the calls of client libraries as they were captured with the windows of the overhead budget,
    /// or what is open and was lost when the recording ends
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    /// Stream stages; the result does not depend on it
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    shards: u8,
    /// Configuration file (YAML) for what is kept and shown
    #[arg(long, env = "OBI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    #[default]
    Json,
    Metrics,
    Calls,
    Left,
}

/// Lines of the form `calls`.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum CallLine<'a> {
    Call {
        schema: &'static str,
        #[serde(flatten)]
        call: &'a ClientCall,
    },
    Window {
        schema: &'static str,
        pid: Pid,
        time: Nanos,
        window: Window,
    },
}

impl CallLine<'_> {
    fn of<'a>(event: &'a CaptureEvent<'_>) -> Option<CallLine<'a>> {
        match event {
            CaptureEvent::Call(call) => Some(CallLine::Call {
                schema: "obi.call/1",
                call,
            }),
            CaptureEvent::Window { pid, time, window } => Some(CallLine::Window {
                schema: "obi.window/1",
                pid: *pid,
                time: *time,
                window: *window,
            }),
            _ => None,
        }
    }
}

fn lines_of(left: &Left) -> String {
    let tables = left.tables.iter().map(|(table, entries, most)| {
        serde_json::json!({"schema": "obi.left/1", "table": table, "entries": entries, "most": most})
    });
    let losses = left.losses.iter().map(|(reason, total)| {
        serde_json::json!({"schema": "obi.left/1", "lost": reason, "total": total})
    });
    let lines = tables.chain(losses).map(|line| format!("{line}\n"));
    lines.collect()
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let config = match &args.config {
        Some(path) => super::config::read(path)?,
        None => Config::default(),
    };
    let file =
        File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let damaged = |problem: crate::capture::recording::Problem| {
        Failure::new(Exit::Finding, format!("{}: {problem}", args.file.display()))
    };
    let recording = Reader::new(BufReader::with_capacity(1 << 20, file)).map_err(damaged)?;
    let mut settings = config.settings();
    // Spans are shown whether or not anything is sent; without payloads they have neither keys nor headers.
    settings.spans = recording.has_payload();
    settings.told_per_second = settings.spans_per_second;
    let shards = usize::from(args.shards);
    let mut left = Left::default();
    let (ended, text) = match args.output {
        Form::Json => {
            let mut lines = Lines::default();
            let mut failed = None;
            let ended = replay::replay(recording, &settings, shards, &mut left, |finding| {
                if let Finding::Observation(observation) = finding {
                    failed = lines.add(observation).err().or(failed.take());
                }
            });
            if let Some(error) = failed {
                return Err(error).context("an observation cannot be written as JSON");
            }
            let mut text = Vec::new();
            lines.write(&mut text)?;
            (ended, text)
        }
        Form::Calls => {
            let (mut recording, mut text) = (recording, Vec::new());
            let mut failed = None;
            let mut each = |event: &CaptureEvent<'_>| {
                let Some(line) = CallLine::of(event) else {
                    return;
                };
                match serde_json::to_writer(&mut text, &line) {
                    Ok(()) => text.push(b'\n'),
                    Err(error) => failed = Some(error),
                }
            };
            let ended = loop {
                match recording.next(&mut each) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(problem) => break Err(problem),
                }
            };
            if let Some(error) = failed {
                return Err(error).context("a call cannot be written as JSON");
            }
            (ended, text)
        }
        Form::Left => {
            let ended = replay::replay(recording, &settings, shards, &mut left, |_| {});
            (ended, lines_of(&left).into_bytes())
        }
        Form::Metrics => {
            let sinks = Sinks::new(&config, Arc::new(Telemetry::default()))?;
            let ended =
                replay::replay(
                    recording,
                    &settings,
                    shards,
                    &mut left,
                    |finding| match finding {
                        Finding::Observation(observation) => sinks.observe(observation),
                        Finding::Process(info) => sinks.process(info),
                        Finding::Clock { monotonic, wall } => sinks.clock(monotonic, wall),
                    },
                );
            (ended, sinks.openmetrics(false).into_bytes())
        }
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    ended.map_err(damaged)?;
    Ok(Exit::Fine)
}
