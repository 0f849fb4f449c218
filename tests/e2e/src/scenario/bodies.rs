//! Bodies of record batches stay in the watched process: always (`read_records: false`), or for most of the time where hooks on TLS are above the overhead
//! budget. In: real clients, all codecs; out: counts equal to what the broker stored and the clients read, from a recording with payload that is much
//! smaller than what passed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cells::Library;
use crate::clients::{Golden, Plan};
use crate::recording::Recorder;
use crate::world::{MARKER, World};

const RECORDS: u64 = 10_000;
const CLIENTS: [(Library, &str); 5] = [
    (Library::Franz, "none"),
    (Library::Sarama, "zstd"),
    (Library::Segmentio, "gzip"),
    (Library::ConfluentGo, "none"),
    (Library::ConfluentPython, "lz4"),
];
/// Of the bytes that passed, what may be in the recording.
const MOST: f64 = 0.2;

/// Bodies are read for at least half a minute, and then for half a second at each multiple of ten.
const BEFORE: u64 = 25_000_000_000;
const TIME: Duration = Duration::from_secs(75);
/// A batch of this many bytes has a body that is worth a gap.
const LARGE: u64 = 1000;

pub fn run(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("bodies");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("obi.yaml");
    std::fs::write(
        &config,
        "instrumentation:\n  kafka:\n    read_records: false\n",
    )?;
    let flags = ["--payload", "--config", &config.display().to_string()];
    let recorder = Recorder::start(&settings.program, &folder.join("recording"), &flags)?;
    let mut topics = Vec::new();
    for (library, codec) in CLIENTS {
        let topic = world.fresh(&format!("bodies-{}", library.name()));
        world.cluster.admin.create(&topic, 3, 1)?;
        let plan = Plan {
            library,
            client_id: topic.clone(),
            codec,
            tls: true,
            group: String::new(),
            marker: MARKER.to_owned(),
            intervals: false,
        };
        let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
        client.run(&format!("many {RECORDS} {topic}"))?;
        client.run(&format!("consume {RECORDS} {topic}"))?;
        client.close()?;
        topics.push(topic);
    }
    let recording = recorder.stop()?;
    let size = std::fs::metadata(&recording.file)?.len();
    let text = String::from_utf8(recording.replay("json")?)?;
    let lines: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut wrong = Vec::new();
    for topic in &topics {
        let stored: u64 = world.cluster.admin.ends(topic)?.values().sum();
        let partitions = |list: &str| {
            let lists = lines.iter().filter_map(|line| line[list].as_array());
            let all = lists.flatten().filter(|of| of["topic"] == topic.as_str());
            all.cloned().collect::<Vec<_>>()
        };
        let batches = |of: &Value| of["batches"]["records"].as_array().cloned();
        let produced = partitions("produced");
        let produced = produced.iter().filter_map(batches).flatten();
        let fetched = partitions("fetched");
        let seen = [
            produced.filter_map(|count| count.as_u64()).sum::<u64>(),
            fetched.iter().filter_map(|of| of["records"].as_u64()).sum(),
        ];
        if stored != RECORDS || seen != [RECORDS, RECORDS] {
            wrong.push(format!(
                "{topic}: {stored} are stored, {seen:?} were counted"
            ));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    let bytes = |name: &str| {
        lines
            .iter()
            .filter_map(|line| line[name].as_u64())
            .sum::<u64>()
    };
    let passed = bytes("request_bytes") + bytes("response_bytes");
    let share = size as f64 / passed as f64;
    ensure!(
        share < MOST,
        "{size} bytes were recorded of {passed}: bodies were read"
    );
    Ok(format!(
        "{RECORDS} records each of {} clients, {:.1} % of the bytes",
        topics.len(),
        share * 100.0
    ))
}

/// One client over TLS, with next to no budget.
pub fn above_budget(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("bodies-above-budget");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("obi.yaml");
    std::fs::write(&config, "overhead:\n  budget: 0.01\n")?;
    let flags = ["--config", &config.display().to_string()];
    let recorder = Recorder::start(&settings.program, &folder.join("recording"), &flags)?;
    let topic = world.fresh("bodies-above-budget");
    world.cluster.admin.create(&topic, 1, 1)?;
    let plan = Plan {
        library: Library::Franz,
        client_id: topic.clone(),
        codec: "none",
        tls: true,
        group: String::new(),
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    let (began, mut produced) = (Instant::now(), 0);
    while began.elapsed() < TIME {
        client.run(&format!("many 200 {topic}"))?;
        produced += 200;
        std::thread::sleep(Duration::from_millis(100));
    }
    client.run(&format!("consume {produced} {topic}"))?;
    client.close()?;
    let text = String::from_utf8(recorder.stop()?.replay("json")?)?;
    // When a request began, and whether the sizes of its records were seen.
    let (mut counted, mut seen) = (0, Vec::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        let lists = line["produced"].as_array().into_iter().flatten();
        for of in lists.filter(|of| of["topic"] == topic.as_str()) {
            let batches = &of["batches"];
            let count = |sizes: &str| batches[sizes]["count"].as_u64().unwrap_or(0);
            counted += count("exact") + count("average");
            if line["request_bytes"].as_u64() >= Some(LARGE) {
                let began = line["began"].as_u64().context("no begin")?;
                seen.push((began, count("average") == 0));
            }
        }
    }
    ensure!(counted == produced, "{counted} counted of {produced}");
    seen.sort_unstable();
    let first = seen.first().context("no requests")?.0;
    let without = seen.iter().find(|(_, read)| !read);
    let without = without.context("bodies were read all the time")?.0;
    ensure!(
        without - first > BEFORE,
        "bodies were left out after {} ms",
        (without - first) / 1_000_000
    );
    let later: Vec<bool> = seen
        .iter()
        .filter(|(at, _)| *at > without)
        .map(|(_, read)| *read)
        .collect();
    let read = later.iter().filter(|read| **read).count();
    ensure!(
        read > 0 && read * 2 < later.len(),
        "of {} requests after that {read} were read",
        later.len()
    );
    Ok(format!(
        "{produced} records; of {} requests above the budget {read} were read",
        later.len()
    ))
}
