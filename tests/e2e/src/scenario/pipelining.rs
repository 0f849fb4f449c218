//! Pipelined produce: many requests are under way at once on one connection, and for each of them the agent's interval [write entered,
//! answer read] lies inside the one that the client measured around its own calls. The same recording shows the large frames: a
//! request of 8 MiB in one write, an answer of more than 50 MiB.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cells::Library;
use crate::clients::{Golden, Plan};
use crate::recording::{Exchange, Recorder};
use crate::world::{MARKER, World};

/// What franz-go's connection saw: before Write to after the Read that ended the answer.
#[derive(Debug, Deserialize)]
struct Interval {
    api_key: i16,
    correlation_id: i64,
    began: u64,
    ended: u64,
}

/// What franz-go's own hook (OnBrokerE2E) measured.
#[derive(Debug, Deserialize)]
struct Hooked {
    hook_api_key: i16,
    nanos: u64,
}

pub fn run(world: &World) -> Result<String> {
    let settings = world.settings.as_ref().context("there is no agent")?;
    let folder = world.layout.run().join("pipelining");
    std::fs::create_dir_all(&folder)?;
    let recorder = Recorder::start(&settings.program, &folder.join("recording"), &[])?;
    let id = world.fresh("pipelining");
    world.cluster.admin.create(&id, 3, 1)?;
    let plan = Plan {
        library: Library::Franz,
        client_id: id.clone(),
        codec: "none",
        tls: true,
        group: String::new(),
        marker: MARKER.to_owned(),
        intervals: true,
    };
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    let pid = client.pid();
    client.run(&format!("many 20000 {id}"))?;
    client.run(&format!("wide {id}"))?;
    client.run(&format!("tall {id}"))?;
    client.run(&format!("consume {} {id}", 20_000 + 33 + 56))?;
    client.close()?;
    let recording = recorder.stop()?;

    let exchanges: Vec<Exchange> = recording
        .exchanges()?
        .into_iter()
        .filter(|e| e.pid == pid && e.client_id == id)
        .collect();
    let (intervals, hooks) = read(&client.intervals)?;
    let compared = compare(&intervals, &hooks, &exchanges)?;
    let depth = depth(&intervals);
    if depth < 2 {
        bail!("the client never had more than {depth} request under way");
    }
    let largest = |bytes: fn(&Exchange) -> u64, api: &str| {
        exchanges
            .iter()
            .filter(|e| e.api == api)
            .map(bytes)
            .max()
            .unwrap_or(0)
    };
    let (request, answer) = (
        largest(|e| e.request_bytes, "Produce"),
        largest(|e| e.response_bytes.unwrap_or(0), "Fetch"),
    );
    if request < 8 << 20 || answer < 50 << 20 {
        bail!("the largest request has {request} bytes, the largest answer {answer}");
    }
    Ok(format!(
        "{compared} requests, up to {depth} at once; a request of {request} and an answer of {answer} bytes"
    ))
}

fn read(path: &Path) -> Result<(Vec<Interval>, Vec<Hooked>)> {
    let (mut intervals, mut hooks) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(path)?.lines() {
        match serde_json::from_str(line) {
            Ok(interval) => intervals.push(interval),
            Err(_) => hooks.push(serde_json::from_str(line).with_context(|| line.to_owned())?),
        }
    }
    Ok((intervals, hooks))
}

/// Every Produce request that the client measured has one exchange that lies inside. Gives how many there were.
fn compare(intervals: &[Interval], hooks: &[Hooked], exchanges: &[Exchange]) -> Result<usize> {
    let mut seen: BTreeMap<i64, Vec<&Exchange>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|e| e.api == "Produce") {
        seen.entry(exchange.correlation_id)
            .or_default()
            .push(exchange);
    }
    let produced: Vec<_> = intervals
        .iter()
        .filter(|interval| interval.api_key == 0)
        .collect();
    for interval in &produced {
        let candidates = seen
            .get(&interval.correlation_id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if !candidates
            .iter()
            .any(|e| interval.began <= e.began && e.began < e.ended && e.ended <= interval.ended)
        {
            bail!("the client measured {interval:?}, the agent {candidates:?}");
        }
    }
    let agents = seen.values().map(Vec::len).sum::<usize>();
    let hooked = hooks.iter().filter(|hook| hook.hook_api_key == 0).count();
    if produced.is_empty() || agents != produced.len() || hooked != produced.len() {
        bail!(
            "{} Produce requests at the client, {hooked} at its hook, {agents} at the agent",
            produced.len()
        );
    }
    // The hook is wider than the calls inside it, so its durations bound the agent's one by one when both are sorted.
    let mut outer: Vec<u64> = hooks
        .iter()
        .filter(|hook| hook.hook_api_key == 0)
        .map(|hook| hook.nanos)
        .collect();
    let mut inner: Vec<u64> = seen.values().flatten().map(|e| e.ended - e.began).collect();
    outer.sort_unstable();
    inner.sort_unstable();
    if let Some((outer, inner)) = outer
        .iter()
        .zip(&inner)
        .find(|(outer, inner)| inner > outer)
    {
        bail!("an exchange of {inner} ns, where the client's hook measured {outer} ns");
    }
    Ok(produced.len())
}

/// The most Produce requests that were under way at one moment.
fn depth(intervals: &[Interval]) -> i64 {
    let produced = intervals.iter().filter(|interval| interval.api_key == 0);
    let mut steps: Vec<(u64, i64)> = produced
        .flat_map(|interval| [(interval.began, 1), (interval.ended, -1)])
        .collect();
    steps.sort_unstable();
    let mut now = 0;
    steps.iter().fold(0, |most, (_, step)| {
        now += step;
        most.max(now)
    })
}
