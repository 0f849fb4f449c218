//! A fast client under a small overhead budget: hooks on each message come in windows. What is told of a message is exact, and counts are those of
//! the broker's offsets, because they do not come from hooks that are away for most of the time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use obi_lab::process::Launch;
use serde_json::Value;

use crate::recording::{Recorder, Recording};
use crate::world::World;

/// Records of one batch, and how many batches: longer than two windows are apart. Small ones: the producer shares the library, and would else use a window
/// up before the consumer has a message.
const BATCH: usize = 2000;
const BATCHES: usize = 450;
const PAUSE: Duration = Duration::from_millis(100);
/// Hand-overs that are further apart are of two windows; one that begins so long after the first call was opened anew.
const APART: u64 = 3_000_000_000;

pub fn run(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("windows");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("obi.yaml");
    std::fs::write(
        &config,
        "instrumentation:\n  kafka:\n    client_hooks: true\noverhead:\n  budget: 0.3\n",
    )?;
    let flags = ["--config", &config.display().to_string()];
    let recorder = Recorder::start(&settings.program, &folder.join("recording"), &flags)?;
    let topic = world.fresh("windows");
    world.cluster.admin.create(&topic, 1, 1)?;
    let mut kcat = Launch::new("kcat", "kcat", folder.join("kcat.log"))
        .args(["-b", &world.cluster.bootstrap(false)])
        .args(["-X", "auto.offset.reset=earliest", "-q"])
        .args(["-G", &topic, &topic])
        .start()?;
    let mut producer = producer(world, &topic)?;
    let fed = feed(&mut producer);
    // Its input ends: it sends the rest.
    drop(producer.stdin.take());
    let status = producer.wait()?;
    fed?;
    if !status.success() {
        bail!("kcat ended with {status}");
    }
    // The consumer commits each 5 s.
    std::thread::sleep(Duration::from_secs(6));
    let pid = kcat.pid();
    kcat.stop(Duration::from_secs(20))?;
    let recording = recorder.stop()?;
    check(&recording, pid, &topic, &world.cluster.admin.ends(&topic)?)
}

/// One process for all: those that come and go would keep the hooks on their shared library from the consumer.
fn producer(world: &World, topic: &str) -> Result<Child> {
    Command::new("kcat")
        .args(["-b", &world.cluster.bootstrap(false), "-P", "-q", "-p", "0"])
        .args(["-X", "linger.ms=50", "-t", topic])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("kcat is not there\n  hint: apt-get install kcat")
}

fn feed(producer: &mut Child) -> Result<()> {
    let input = producer.stdin.as_mut().context("no pipe")?;
    for batch in 0..BATCHES {
        let began = Instant::now();
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let records: String = numbers.map(|n| format!("order {n}\n")).collect();
        input.write_all(records.as_bytes())?;
        input.flush()?;
        std::thread::sleep(PAUSE.saturating_sub(began.elapsed()));
    }
    Ok(())
}

fn number(line: &Value, name: &str) -> Result<u64> {
    let value = line.get(name).and_then(Value::as_u64);
    value.with_context(|| format!("no {name} in {line}"))
}

fn lines(recording: &Recording, form: &str, pid: u32) -> Result<Vec<Value>> {
    let text = String::from_utf8(recording.replay(form)?)?;
    let mut lines = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)?;
        if value.get("pid").and_then(Value::as_u64) == Some(u64::from(pid)) {
            lines.push(value);
        }
    }
    Ok(lines)
}

fn check(
    recording: &Recording,
    pid: u32,
    topic: &str,
    ends: &BTreeMap<i32, u64>,
) -> Result<String> {
    let is =
        |line: &Value, name: &str, text: &str| line.get(name).and_then(Value::as_str) == Some(text);
    let (mut handed, mut times) = (HashMap::new(), BTreeSet::new());
    let (mut windows, mut again, mut last) = (0, 0, 0);
    for call in lines(recording, "calls", pid)? {
        if is(&call, "schema", "obi.window/1") {
            continue;
        }
        let time = number(&call, "time")?;
        times.insert(time);
        if is(&call, "means", "hands_over") && number(&call, "count")? > 0 {
            handed.insert(number(&call, "first")?, time);
            if windows == 0 || time.saturating_sub(last) > APART {
                windows += 1;
                again += u32::from(
                    times
                        .first()
                        .is_some_and(|first| time.saturating_sub(*first) > APART),
                );
            }
            last = time;
        }
    }
    let (mut told, mut delivered) = (BTreeSet::new(), 0);
    for line in lines(recording, "json", pid)? {
        if is(&line, "kind", "delivered") && is(&line, "topic", topic) {
            delivered += number(&line, "count")?;
        }
        if !is(&line, "kind", "processing") {
            continue;
        }
        let offset = number(&line, "first")?;
        let (began, ended) = (number(&line, "began")?, number(&line, "ended")?);
        if number(&line, "count")? != 1 || !told.insert(offset) {
            bail!("told twice, or not by itself: {line}");
        }
        if handed.get(&offset) != Some(&began) || !times.contains(&ended) || ended < began {
            bail!("not from its hand-over to a call: {line}");
        }
    }
    let all = (BATCH * BATCHES) as u64;
    let wire = recording.metrics()?;
    let of = [("topic", topic)];
    let sum = |name| wire.sum(name, &of).map_or(0, |sum| sum as u64);
    let consumed = sum("kafka_messages_consumed_total");
    let produced = sum("kafka_messages_produced_total");
    if *ends != BTreeMap::from([(0, all)]) || (produced, consumed) != (all, all) {
        bail!("{produced} produced, {consumed} consumed of {all}; the log ends: {ends:?}");
    }
    if again == 0 || handed.len() as u64 >= all / 2 || told.is_empty() {
        bail!(
            "{windows} windows, {again} opened anew, {} hand-overs seen, {} told",
            handed.len(),
            told.len()
        );
    }
    if delivered > consumed || delivered <= handed.len() as u64 {
        bail!(
            "{delivered} delivered of {consumed}, {} of them seen",
            handed.len()
        );
    }
    Ok(format!(
        "{all} records, {} hand-overs seen in {windows} windows, {} of them told of, {delivered} known to be delivered",
        handed.len(),
        told.len()
    ))
}
