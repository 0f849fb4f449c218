//! What the analyzer costs a frame on a recording of real clients: reassembly, decoding, matching, the model, and the exporters' tables.
//!
//! `cargo bench -p obi --bench analyzer -- FILE`; `make bench` makes the recording first. In: a recording with payload, held in memory. Out: a
//! table. The recording is read anew in each round, as bytes come from a ring that was just written; what reading alone takes is measured in
//! turn with the rest and left out. Time is that of this thread's CPU; a figure is the median of its rounds.

use std::hint::black_box;
use std::sync::Arc;

use kafka_analyzer::Settings;
use kafka_analyzer::capture::CaptureEvent;
use kafka_analyzer::observation::Observation;
use obi::capture::recording::Reader;
use obi::config::Config;
use obi::export::Sinks;
use obi::pipeline::{Finding, replay};
use obi::telemetry::Telemetry;
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 15;

fn main() {
    let mut files = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"));
    let Some(file) = files.next() else {
        println!(
            "cargo bench -p obi --bench analyzer -- FILE: a recording of `obi record --payload`"
        );
        return;
    };
    let recording = std::fs::read(&file).expect("a readable file");
    let config = Config::default();
    let plain = config.settings();
    let spans = Settings {
        spans: true,
        ..plain.clone()
    };
    let told = Told::of(&recording, &plain);
    println!(
        "{} requests, {} answers, {} records, {:.1} MB, {} APIs",
        told.requests,
        told.answers,
        told.records,
        told.bytes as f64 / 1e6,
        told.apis
    );
    let exported = || {
        let sinks = Sinks::new(&config, Arc::new(Telemetry::default())).expect("the defaults");
        run(&recording, &plain, |finding| match finding {
            Finding::Observation(observation) => sinks.observe(observation),
            Finding::Process(info) => sinks.process(info),
            Finding::Clock { monotonic, wall } => sinks.clock(monotonic, wall),
        });
    };
    let ignore = |finding: Finding<'_>| {
        black_box(finding);
    };
    let stages: [(&str, &dyn Fn()); 3] = [
        ("analyzer", &|| run(&recording, &plain, &ignore)),
        ("analyzer with spans", &|| run(&recording, &spans, &ignore)),
        ("analyzer and exporters", &exported),
    ];
    let mut rounds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, stage), rounds) in stages.iter().zip(&mut rounds) {
            let reading = cpu(|| {
                read(&recording, |event| {
                    black_box(event);
                })
            });
            rounds.push(cpu(stage) - reading);
        }
    }
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "median of 15 rounds", "ns a frame", "ns a record", "MB/s", "least", "most"
    );
    for ((name, _), mut rounds) in stages.iter().zip(rounds) {
        rounds.sort_by(f64::total_cmp);
        let frame = |nanos: f64| nanos / (told.requests + told.answers) as f64;
        let nanos = rounds[ROUNDS / 2];
        println!(
            "{name:<24} {:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>10.0}",
            frame(nanos),
            nanos / told.records as f64,
            told.bytes as f64 * 1e3 / nanos,
            frame(rounds[0]),
            frame(rounds[ROUNDS - 1])
        );
    }
}

/// What is in the recording.
#[derive(Default)]
struct Told {
    requests: u64,
    answers: u64,
    records: u64,
    bytes: u64,
    apis: usize,
}

impl Told {
    fn of(recording: &[u8], settings: &Settings) -> Told {
        let mut told = Told::default();
        read(recording, |event| {
            if let CaptureEvent::Data { bytes, .. } = event {
                told.bytes += bytes.len() as u64;
            }
        });
        let mut apis = std::collections::BTreeSet::new();
        run(recording, settings, |finding| {
            let Finding::Observation(Observation::Exchange(exchange)) = finding else {
                return;
            };
            apis.insert(exchange.api_key);
            told.requests += 1;
            told.answers += u64::from(exchange.response_bytes.is_some());
            let produced = exchange.produced.iter().flat_map(|p| &p.batches.records);
            told.records += produced.map(|n| u64::from(*n)).sum::<u64>();
            told.records += exchange.fetched.iter().map(|p| p.records).sum::<u64>();
        });
        told.apis = apis.len();
        told
    }
}

fn run(recording: &[u8], settings: &Settings, found: impl FnMut(Finding<'_>)) {
    let reader = Reader::new(recording).expect("a recording");
    let mut left = replay::Left::default();
    replay::replay(reader, settings, 1, &mut left, found).expect("a whole recording");
}

fn read(recording: &[u8], mut on: impl FnMut(&CaptureEvent<'_>)) {
    let mut reader = Reader::new(recording).expect("a recording");
    while reader.next(&mut on).expect("a whole recording") {}
}

/// CPU time of this thread, ns.
fn cpu(run: impl Fn()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let began = now();
    run();
    now() - began
}
