//! A backlog that comes in answers which the broker cuts off inside of batches. kafka-go hands on what came of such a batch, and fetches from its
//! middle: what the agent counts is what the client read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cells::Library;
use crate::clients::{Golden, Plan};
use crate::recording::Recorder;
use crate::world::{MARKER, World};

/// Of 100 bytes in batches of 150: several answers of a megabyte.
const RECORDS: usize = 60_000;

pub fn run(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("cut-off");
    std::fs::create_dir_all(&folder)?;
    let id = world.fresh("cut-off");
    world.cluster.admin.create(&id, 3, 1)?;
    fill(world, &id)?;
    let recorder = Recorder::start(&settings.program, &folder.join("recording"), &[])?;
    let plan = Plan {
        library: Library::Segmentio,
        client_id: id.clone(),
        codec: "none",
        tls: true,
        group: String::new(),
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    client.run(&format!("consume {RECORDS} {id}"))?;
    client.close()?;
    let text = String::from_utf8(recorder.stop()?.replay("json")?)?;
    let (mut records, mut answers, mut within) = (0, 0, 0);
    let mut next = None;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        let fetched = line["fetched"].as_array().into_iter().flatten();
        for partition in fetched.filter(|partition| partition["topic"] == id.as_str()) {
            let count = partition["records"].as_u64().context("no records")?;
            if count == 0 {
                continue;
            }
            records += count;
            answers += 1;
            let from = partition["fetch_offset"].as_i64();
            within += u32::from(next.is_some() && from != next);
            next = from
                .zip(i64::try_from(count).ok())
                .map(|(from, count)| from + count);
        }
    }
    if records != RECORDS as u64 || within > 0 {
        bail!(
            "{records} records were counted of {RECORDS}; {within} of {answers} answers did not go on where the one before ended"
        );
    }
    if answers < 4 {
        bail!("{answers} answers: none was cut off");
    }
    Ok(format!("{records} records in {answers} answers"))
}

fn fill(world: &World, topic: &str) -> Result<()> {
    let mut producer = Command::new("kcat")
        .args(["-b", &world.cluster.bootstrap(false), "-P", "-q", "-p", "0"])
        .args(["-X", "batch.num.messages=150", "-t", topic])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("kcat is not there\n  hint: apt-get install kcat")?;
    let records: String = (0..RECORDS).map(|n| format!("order {n:094}\n")).collect();
    let mut input = producer.stdin.take().context("no pipe")?;
    input.write_all(records.as_bytes())?;
    drop(input);
    let status = producer.wait()?;
    if !status.success() {
        bail!("kcat ended with {status}");
    }
    Ok(())
}
