//! Calls of client libraries as they are captured, before any model: each record that a client read was handed to it once, by name, and
//! each message that it was given one by one was given back. librdkafka's three ways: batches (confluent-kafka), one by one (kcat in a group), by a function of the
//! application that is called with each (kcat by itself).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::process::{Launch, Process};

use crate::cells::Library;
use crate::clients::{Golden, Plan};
use crate::recording::{Call, Recorder, Recording};
use crate::truth::{Did, Line, Truth};
use crate::world::{MARKER, World};

const RECORDS: usize = 3000;

pub fn run(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("client-calls");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("obi.yaml");
    std::fs::write(
        &config,
        "instrumentation:\n  kafka:\n    client_hooks: true\noverhead:\n  budget: 100\n",
    )?;
    let config = config.display().to_string();
    let flags = ["--config", &config, "--log-level", "info"];
    let mut recorder = Recorder::start(&settings.program, &folder.join("recording"), &flags)?;
    let id = world.fresh("client-calls");
    world.cluster.admin.create(&id, 3, 1)?;
    let plan = Plan {
        library: Library::ConfluentPython,
        client_id: id.clone(),
        codec: "none",
        tls: true,
        group: id.clone(),
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    let python = client.pid();
    client.run(&format!("many {RECORDS} {id}"))?;
    client.run(&format!("consume {RECORDS} {id}"))?;
    client.close()?;
    let group = format!("{id}-kcat");
    let mut in_group = kcat(world, &folder.join("kcat.log"), &["-e", "-G", &group, &id])?;
    let in_group = finish(&mut in_group)?;
    // The first shows which function of its program is called.
    let by_itself = ["-C", "-o", "beginning", "-t", &id];
    let mut first = kcat(world, &folder.join("kcat-first.log"), &by_itself)?;
    recorder.says("called with messages, followed")?;
    first.stop(Duration::from_secs(10))?;
    let whole = [&by_itself[..], &["-e"]].concat();
    let mut called = kcat(world, &folder.join("kcat-called.log"), &whole)?;
    let called = finish(&mut called)?;
    let recording = recorder.stop()?;

    let truth = Truth::read(&client.truth)?;
    let batches = in_batches(&recording.calls(python)?, &truth)?;
    let polls = one_by_one(&recording, in_group, "hands_over", &truth)?;
    let calls = one_by_one(&recording, called, "calls_back", &truth)?;
    let not_followed = recording.calls(called)?;
    if let Some(call) = not_followed.iter().find(|call| call.means == "loses_sight") {
        bail!("a function that is followed is counted as one that is not: {call:?}");
    }
    Ok(format!(
        "confluent-kafka: {batches}; kcat: {polls}, {calls} by a function of its own"
    ))
}

fn kcat(world: &World, log: &Path, words: &[&str]) -> Result<Process> {
    let version = Command::new("kcat").arg("-V").output();
    version.context("kcat is not there\n  hint: apt-get install kcat")?;
    Launch::new("kcat", "kcat", log)
        .args(["-b", &world.cluster.bootstrap(false)])
        .args(["-X", "auto.offset.reset=earliest", "-q"])
        .args(words)
        .start()
}

/// Gives its process id.
fn finish(kcat: &mut Process) -> Result<u32> {
    let pid = kcat.pid();
    let status = kcat.wait(Duration::from_secs(60))?;
    if !status.is_some_and(|status| status.success()) {
        bail!("kcat ended with {status:?}\n{}", kcat.log_tail(20));
    }
    Ok(pid)
}

type Offsets = BTreeMap<(i32, i64), u64>;

fn expected(truth: &Truth) -> BTreeMap<(i32, i64), &Line> {
    let read = truth.lines.iter().filter(|line| line.did == Did::Consumed);
    read.map(|line| ((line.partition, line.offset), line))
        .collect()
}

/// Places of the runs, each with the number of times that it was told.
fn places(calls: &[&Call], topic: &str) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for call in calls {
        if call.fault || call.truncated || call.topic != topic {
            bail!("not whole: {call:?}");
        }
        if call.last - call.first + 1 != i64::from(call.count) {
            bail!("a topic without gaps has a run with one: {call:?}");
        }
        for offset in call.first..=call.last {
            *offsets.entry((call.partition, offset)).or_default() += 1;
        }
    }
    Ok(offsets)
}

fn of<'a>(calls: &'a [Call], means: &str) -> Vec<&'a Call> {
    let of = |call: &&Call| call.means == means && call.count > 0;
    calls.iter().filter(of).collect()
}

fn compare(what: &str, found: &Offsets, truth: &Truth) -> Result<()> {
    let expected = expected(truth);
    if expected.len() != RECORDS {
        bail!("the client read {} records", expected.len());
    }
    let missing = expected.keys().filter(|place| !found.contains_key(place));
    let missing = missing.count();
    let odd: Vec<_> = found
        .iter()
        .filter(|(place, times)| **times != 1 || !expected.contains_key(place))
        .take(5)
        .collect();
    if missing > 0 || !odd.is_empty() {
        bail!("{what}: {missing} records are missing; not once: {odd:?}");
    }
    Ok(())
}

fn in_batches(calls: &[Call], truth: &Truth) -> Result<String> {
    let topic = &truth.lines.first().context("no record was read")?.topic;
    let handed = of(calls, "hands_over");
    compare("handed over in batches", &places(&handed, topic)?, truth)?;
    let lengths = expected(truth);
    for call in &handed {
        let line = lengths.get(&(call.partition, call.first));
        if line.map(|line| line.size) != call.value_len && call.value_len.is_some() {
            bail!("{call:?} is {line:?}");
        }
    }
    let produced = of(calls, "produces");
    if produced.len() != RECORDS || produced.iter().any(|call| call.topic != *topic) {
        bail!(
            "{} of {RECORDS} records were seen to be produced",
            produced.len()
        );
    }
    if !calls.iter().any(|call| call.means == "closes") {
        bail!("the consumer's end was not seen");
    }
    let asked = calls.iter().filter(|call| call.means == "asks").count();
    let answered = calls
        .iter()
        .filter(|call| call.means == "hands_over" && call.complete)
        .count();
    if asked != answered {
        bail!("{asked} polls, {answered} returns");
    }
    Ok(format!(
        "{RECORDS} records produced, handed over in {} runs of {asked} polls",
        handed.len()
    ))
}

fn one_by_one(recording: &Recording, pid: u32, given: &str, truth: &Truth) -> Result<String> {
    let topic = &truth.lines.first().context("no record was read")?.topic;
    let calls = recording.calls(pid)?;
    let handed = of(&calls, given);
    compare("handed over one by one", &places(&handed, topic)?, truth)?;
    let freed = calls.iter().filter(|call| call.means == "frees");
    let mut freed: Vec<_> = freed
        .map(|call| (call.message, call.partition, call.first))
        .collect();
    freed.retain(|(_, _, offset)| *offset >= 0);
    let mut given: Vec<_> = handed
        .iter()
        .map(|call| (call.message, call.partition, call.first))
        .collect();
    given.sort_unstable();
    freed.sort_unstable();
    freed.retain(|place| given.binary_search(place).is_ok());
    if freed != given {
        bail!(
            "{} messages given, {} of them freed",
            given.len(),
            freed.len()
        );
    }
    Ok(format!("{} records handed over and freed", given.len()))
}
