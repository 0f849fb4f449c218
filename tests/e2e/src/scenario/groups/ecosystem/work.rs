//! How long a Java consumer worked, by its fetches and commits alone. In: two members that write down when they worked on what, one commits after each poll, one
//! leaves it to its consumer; both are gone with messages that they did not commit. Out: each committed message is told once, with a time that holds the
//! member's own and ends with its commit; no other message is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::kafka::{Cluster, Jars, Kind, Version};
use serde::Deserialize;
use serde_json::Value;

use super::super::library::Library;
use super::super::stage::{PARTITIONS, Stage};
use super::program::Program;
use crate::recording::{Recorder, Recording};

const RECORDS: usize = 400;
const PAUSE_MS: u64 = 8;
/// An agent that was just started knows by then who spoke to which listener.
const STARTED: Duration = Duration::from_secs(2);

/// A message as its program saw it.
#[derive(Debug, Deserialize)]
struct Told {
    partition: i32,
    offset: i64,
    got: u64,
    worked: u64,
    called: u64,
    settled: u64,
}

#[derive(Debug, Deserialize)]
struct Processing {
    pid: u32,
    group: String,
    client_id: String,
    topic: String,
    partition: i32,
    first: i64,
    last: i64,
    count: u32,
    basis: String,
    done: String,
    began: u64,
    ended: u64,
    task: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    pid: u32,
    api: String,
    began: u64,
    ended: u64,
    #[serde(default)]
    fetched: Vec<Fetched>,
}

#[derive(Debug, Deserialize)]
struct Fetched {
    topic: String,
    partition: i32,
    fetch_offset: Option<i64>,
    records: u64,
}

#[derive(Debug, Deserialize)]
struct Span {
    pid: u32,
    span: String,
    topic: String,
    partition: i32,
    began: u64,
    ended: u64,
    task: Option<Value>,
    links: Vec<Value>,
}

struct Member {
    program: Program,
    pid: u32,
    topic: String,
    truth: PathBuf,
}

/// What a replay says of one process.
#[derive(Default)]
struct Said {
    processing: Vec<Processing>,
    exchanges: Vec<Exchange>,
    spans: Vec<Span>,
    /// Findings that calls would have told.
    others: usize,
}

pub fn run(stage: &Stage) -> Result<String> {
    let settings = stage.world.settings.as_ref().context("there is no agent")?;
    let cluster = stage.cluster(Version::V4_4_0)?;
    let file = stage.folder()?.join("work.recording");
    let recorder = Recorder::start_at_once(&settings.program, &file, &["--payload"])?;
    meet_listener(stage, cluster)?;
    let members = ["sync", "auto"].map(|commit| start(stage, cluster, commit));
    let members = members.into_iter().collect::<Result<Vec<_>>>()?;
    for member in &members {
        let (group, what) = (&member.topic, "a member at rest");
        stage.wait_described(cluster, Kind::Classic, group, what, |told| {
            told.state == "Stable" && told.members.len() == 1
        })?;
    }
    for member in &members {
        stage.produce(cluster, &member.topic, RECORDS)?;
    }
    let mut ended = Vec::new();
    for member in members {
        let (pid, topic, truth) = (member.pid, member.topic, member.truth);
        member.program.ended()?;
        ended.push((pid, topic, truth));
    }
    let recording = recorder.stop()?;
    let mut seen = Vec::new();
    for (pid, topic, truth) in ended {
        let committed = cluster.admin.group_offsets(&topic)?;
        let committed = committed.into_iter();
        let committed = committed.filter_map(|row| Some((row.partition, row.committed? as i64)));
        let said = read(&recording, pid)?;
        let compared = compare(&topic, &truth, &committed.collect(), &said);
        seen.push(compared.with_context(|| topic.clone())?);
    }
    Ok(seen.join("; "))
}

/// Lets the agent meet the listener by a member that stays for a while: what it joins in the middle of a fetch session has offsets later only.
fn meet_listener(stage: &Stage, cluster: &Cluster) -> Result<()> {
    std::thread::sleep(STARTED);
    let topic = stage.topic(cluster, "met")?;
    let mut member = stage.member(cluster, stage.plan(Library::Java, &topic))?;
    member.wait_held(PARTITIONS)?;
    std::thread::sleep(STARTED);
    member.close()
}

/// Topic and group have one name.
fn start(stage: &Stage, cluster: &Cluster, commit: &str) -> Result<Member> {
    let jars = Jars::fetch(&stage.world.layout, Version::V4_4_0)?;
    let topic = stage.topic(cluster, &format!("work-{commit}"))?;
    let truth = stage.folder()?.join(format!("{topic}.jsonl"));
    let plan = serde_json::json!({
        "brokers": cluster.bootstrap(false), "client_id": topic, "group": topic, "topic": topic, "commit": commit, "records": RECORDS,
        "pause_ms": PAUSE_MS, "truth": truth,
    });
    let program = Program::start(stage, &jars, "Work", &topic, &plan)?;
    Ok(Member {
        pid: program.pid(),
        program,
        topic,
        truth,
    })
}

fn read(recording: &Recording, pid: u32) -> Result<Said> {
    let mut said = Said::default();
    for line in String::from_utf8(recording.replay("json")?)?.lines() {
        let value: Value = serde_json::from_str(line)?;
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or("");
        let context = || format!("obi replay printed {line}");
        match kind {
            "processing" => {
                let one: Processing = serde_json::from_value(value).with_context(context)?;
                said.processing.extend((one.pid == pid).then_some(one));
            }
            "exchange" => {
                let one: Exchange = serde_json::from_value(value).with_context(context)?;
                said.exchanges.extend((one.pid == pid).then_some(one));
            }
            "span" => {
                let one: Span = serde_json::from_value(value).with_context(context)?;
                let work = one.pid == pid && one.span == "process";
                said.spans.extend(work.then_some(one));
            }
            "delivered" | "processing_error" | "poll_interval" => {
                let of = value.get("pid").and_then(Value::as_u64);
                said.others += usize::from(of == Some(u64::from(pid)));
            }
            _ => {}
        }
    }
    Ok(said)
}

/// `committed`: of each partition, as the broker has it.
fn compare(
    topic: &str,
    truth: &Path,
    committed: &BTreeMap<i32, i64>,
    said: &Said,
) -> Result<String> {
    let mut by_message = BTreeMap::new();
    for one in &said.processing {
        let right = one.basis == "commit" && one.done == "committed" && one.task.is_none();
        let names = [&one.topic, &one.group, &one.client_id];
        if !right || names.iter().any(|name| *name != topic) || !is_of_wire(one, &said.exchanges) {
            bail!("{one:?}");
        }
        if one.last - one.first + 1 != i64::from(one.count) {
            bail!("a topic without holes has one: {one:?}");
        }
        for offset in one.first..=one.last {
            if let Some(other) = by_message.insert((one.partition, offset), one) {
                bail!("offset {offset} is told twice: {other:?} {one:?}");
            }
        }
    }
    let text = std::fs::read_to_string(truth)?;
    let truth = text.lines().map(serde_json::from_str::<Told>);
    let truth = truth.collect::<Result<Vec<_>, _>>()?;
    let (mut over, mut left) = (Vec::new(), 0);
    for own in &truth {
        let is_committed = committed
            .get(&own.partition)
            .is_some_and(|next| own.offset < *next);
        let one = by_message.remove(&(own.partition, own.offset));
        match (is_committed, one) {
            (false, None) => left += 1,
            (true, Some(one)) => {
                let by_call =
                    own.settled == 0 || own.called <= one.ended && one.ended <= own.settled;
                if one.began > own.got || one.ended < own.worked || !by_call {
                    bail!("{own:?} is {one:?}");
                }
                over.push((one.ended - one.began).saturating_sub(own.worked - own.got));
            }
            (_, one) => bail!("committed {is_committed}: {own:?} is {one:?}"),
        }
    }
    if truth.len() != RECORDS || left == 0 || over.is_empty() || !by_message.is_empty() {
        bail!(
            "{} worked on, {left} not committed, told of others: {by_message:?}",
            truth.len()
        );
    }
    if said.others > 0 {
        bail!("{} findings that need calls", said.others);
    }
    let spans = traced(said)?;
    over.sort_unstable();
    let half = over.get(over.len() / 2).copied().unwrap_or(0);
    Ok(format!(
        "{topic}: {} messages in {} findings, {spans} spans, longer than the work by {} ms for half of them; {left} not committed, none of them told",
        over.len(),
        said.processing.len(),
        half / 1_000_000
    ))
}

/// It began with the Fetch answer that brought its messages, and ended with a commit.
fn is_of_wire(one: &Processing, exchanges: &[Exchange]) -> bool {
    let brought = |fetched: &Fetched| {
        let first = fetched.fetch_offset.unwrap_or(i64::MAX);
        let inside = first <= one.first && one.last < first.saturating_add(fetched.records as i64);
        inside && fetched.topic == one.topic && fetched.partition == one.partition
    };
    let answer = |it: &&Exchange| it.api == "Fetch" && it.ended == one.began;
    let mut answers = exchanges.iter().filter(answer);
    let mut commits = exchanges.iter().filter(|it| it.api == "OffsetCommit");
    answers.any(|it| it.fetched.iter().any(brought)) && commits.any(|it| it.began == one.ended)
}

/// Each span is of a finding, without a task; some messages are chosen at any rate.
fn traced(said: &Said) -> Result<usize> {
    for span in &said.spans {
        let same = |one: &&Processing| {
            (one.partition, one.began, one.ended) == (span.partition, span.began, span.ended)
        };
        let one = said.processing.iter().find(same);
        let fits = one
            .is_some_and(|one| one.topic == span.topic && span.links.len() <= one.count as usize);
        if !fits || span.task.is_some() || span.links.is_empty() {
            bail!("{span:?} of {one:?}");
        }
    }
    if said.spans.is_empty() {
        bail!("no message has a span of its work");
    }
    Ok(said.spans.len())
}
