//! Bodies of record batches stay in the watched process (`read_records: false`). In: real clients, all codecs; out: counts equal to what the broker
//! stored and the clients read, from a recording with payload that is much smaller than what passed.

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
