//! The program's truth against what the agent says. In: a truth file and a recording. Out: what was seen, or each kind of difference.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cells::{Basis, Cell, Sends};
use super::windows::Windows;
use crate::recording::Recording;

/// Differences shown of a cell.
const SHOWN: usize = 4;

/// A message as its program saw it; times as in the programs' README.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    pub partition: i32,
    pub offset: i64,
    context: String,
    pub goroutine: Option<u64>,
    pub thread: Option<u64>,
    pub asked: u64,
    pub began: u64,
    worked: u64,
    pub ended: u64,
    /// 0: nothing ended the work but the end of its goroutine or process.
    pub settled: u64,
    failed: bool,
    /// The record produced while it was in hand.
    sent: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Processing {
    pid: u32,
    topic: String,
    partition: i32,
    first: i64,
    last: i64,
    count: u32,
    basis: String,
    began: u64,
    ended: u64,
    task: BTreeMap<String, u64>,
    error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Wrong {
    pid: u32,
    topic: String,
    partition: i32,
    offset: i64,
    count: u32,
    signal: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Span {
    span: String,
    pid: u32,
    trace_id: String,
    span_id: String,
    parent: Option<String>,
    links: Vec<Link>,
    began: u64,
    ended: u64,
    topic: String,
    partition: i32,
    offset: Option<i64>,
    task: Option<BTreeMap<String, u64>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Link {
    trace_id: String,
    span_id: String,
    offset: i64,
}

/// (trace id, span id).
type Creation = (String, String);

/// What the agent says of the topic.
struct Said {
    /// By partition and first offset.
    processing: BTreeMap<(i32, i64), Processing>,
    /// Again of messages that were told already.
    again: Vec<Processing>,
    /// Of processing, by partition and time.
    spans: BTreeMap<(i32, u64, u64), Vec<Span>>,
    errors: Vec<Wrong>,
    /// Contexts of records by their `send` spans.
    sent: BTreeMap<(i32, i64), Creation>,
    /// The `send` spans of what the program itself produced.
    results: BTreeMap<Place, Span>,
}

pub fn all(
    cell: &Cell,
    pid: u32,
    topic: &str,
    truth: &Path,
    recording: &Recording,
) -> Result<String> {
    let text = std::fs::read_to_string(truth)?;
    let truth = text
        .lines()
        .map(serde_json::from_str::<Told>)
        .collect::<Result<Vec<_>, _>>()?;
    if truth.len() != cell.records() {
        bail!(
            "the program worked on {} of {} messages",
            truth.len(),
            cell.records()
        );
    }
    let said = read(recording, pid, topic)?;
    let mut wrong = Vec::new();
    let (mut latest, mut tied) = (Vec::new(), (0, 0));
    let mut windows = None;
    if cell.fast.is_some() {
        let open = Windows::of(&recording.windows(pid)?);
        let shown = |own: &Told| said.of(own).is_some();
        windows = Some(open.judge(&truth, shown, &mut wrong));
        once(&truth, &said, &mut wrong, |n| n <= 1);
    } else {
        once(&truth, &said, &mut wrong, |n| n == 1);
    }
    if cell.pattern == "fails" {
        errors(&truth, &said, &mut wrong);
    }
    for own in &truth {
        if let Some(one) = said.of(own) {
            let mut differences = figures(cell, own, one);
            differences.extend(traced(own, one, &said));
            differences.extend(produced(cell, own, one, &said, &mut tied));
            if !differences.is_empty() {
                wrong.push(format!("{}: {own:?} is {one:?}", differences.join(", ")));
            }
            latest.push(own.began.saturating_sub(one.began));
        }
    }
    if !wrong.is_empty() {
        let some: Vec<&str> = wrong.iter().take(SHOWN).map(String::as_str).collect();
        bail!("{} differences:\n  {}", wrong.len(), some.join("\n  "));
    }
    latest.sort_unstable();
    let half = latest.get(latest.len() / 2).copied().unwrap_or(0);
    Ok(format!(
        "{} messages in {} findings{}, each under its context; hand-over {} us before the program's own clock for half of them{}",
        truth.len(),
        said.processing.len(),
        windows.map_or(String::new(), |windows| format!(" of {windows}")),
        half / 1000,
        match tied {
            (_, 0) => String::new(),
            (tied, all) => format!("; {tied} of {all} results under their messages"),
        }
    ))
}

/// When a program is gone nothing of it is open, nothing waits for it, and no message was given up.
pub fn nothing_left(recording: &Recording) -> Result<()> {
    const NOTHING: [&str; 4] = [
        "processing_open",
        "processing_waiting",
        "causes",
        "produce_calls",
    ];
    const LOST: [&str; 7] = [
        "call_fault",
        "call_truncated",
        "call_without_topic",
        "processing_expired",
        "processing_partial",
        "processing_replaced",
        "processing_table_full",
    ];
    let left = recording.left()?;
    for name in NOTHING {
        match left.get(name) {
            Some(0) => {}
            Some(open) => bail!("{open} in {name} when the program was gone"),
            None => bail!("there is no table {name}"),
        }
    }
    for name in LOST {
        let lost = left.get(name).copied().unwrap_or(0);
        if lost > 0 {
            bail!("{lost} lost by {name}");
        }
    }
    Ok(())
}

impl Said {
    fn processing(&mut self, one: Processing, pid: u32, topic: &str) {
        if one.pid != pid || one.topic != topic {
            return;
        }
        match self.processing.entry((one.partition, one.first)) {
            Entry::Vacant(place) => drop(place.insert(one)),
            Entry::Occupied(_) => self.again.push(one),
        }
    }

    fn span(&mut self, span: Span, pid: u32, topic: &str) {
        if let ("send", Some(offset)) = (span.span.as_str(), span.offset) {
            if span.topic == topic {
                let context = (span.trace_id.clone(), span.span_id.clone());
                self.sent.insert((span.partition, offset), context);
            }
            if span.pid == pid {
                let place = Place {
                    topic: span.topic.clone(),
                    partition: span.partition,
                    offset,
                };
                self.results.insert(place, span);
            }
        } else if span.span == "process" && span.pid == pid && span.topic == topic {
            let place = (span.partition, span.began, span.ended);
            self.spans.entry(place).or_default().push(span);
        }
    }

    fn of(&self, own: &Told) -> Option<&Processing> {
        // The last that begins there or before: none of them overlap, or a message is told twice.
        let upto = (own.partition, own.offset);
        let (_, one) = self.processing.range(..=upto).next_back()?;
        (one.partition == own.partition && own.offset <= one.last).then_some(one)
    }

    fn span_of(&self, one: &Processing) -> Option<&Span> {
        let links = |span: &&Span| {
            let mut links = span.links.iter();
            links.all(|link| (one.first..=one.last).contains(&link.offset))
        };
        let same = self.spans.get(&(one.partition, one.began, one.ended))?;
        same.iter().find(links)
    }
}

fn read(recording: &Recording, pid: u32, topic: &str) -> Result<Said> {
    let text = String::from_utf8(recording.replay("json")?)?;
    let mut said = Said {
        processing: BTreeMap::new(),
        again: Vec::new(),
        spans: BTreeMap::new(),
        errors: Vec::new(),
        sent: BTreeMap::new(),
        results: BTreeMap::new(),
    };
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line)?;
        match value.get("kind").and_then(serde_json::Value::as_str) {
            Some("processing") => said.processing(parse(value, line)?, pid, topic),
            Some("span") => said.span(parse(value, line)?, pid, topic),
            Some("processing_error") => said.errors.push(parse(value, line)?),
            _ => {}
        }
    }
    said.errors
        .retain(|error| error.pid == pid && error.topic == topic);
    Ok(said)
}

fn parse<T: DeserializeOwned>(value: serde_json::Value, line: &str) -> Result<T> {
    serde_json::from_value(value).with_context(|| format!("obi replay printed {line}"))
}

/// Each message is told so many times, and no other.
fn once(truth: &[Told], said: &Said, wrong: &mut Vec<String>, right: impl Fn(u32) -> bool) {
    let mut times: BTreeMap<(i32, i64), u32> = BTreeMap::new();
    for one in said.processing.values().chain(&said.again) {
        for offset in one.first..=one.last {
            *times.entry((one.partition, offset)).or_default() += 1;
        }
    }
    for own in truth {
        let n = times.remove(&(own.partition, own.offset)).unwrap_or(0);
        if !right(n) {
            wrong.push(format!("told {n} times: {own:?}"));
        }
    }
    if let Some(place) = times.keys().next() {
        let n = times.len();
        wrong.push(format!("{n} were never handed over, such as {place:?}"));
    }
}

/// Each error that a handler gave back is told of its message, and no other.
fn errors(truth: &[Told], said: &Said, wrong: &mut Vec<String>) {
    let failed = truth.iter().filter(|own| own.failed);
    let mut failed: Vec<_> = failed.map(|own| (own.partition, own.offset, 1)).collect();
    let told = said.errors.iter();
    let told = told.filter(|error| error.signal == "handler_error");
    let mut told: Vec<_> = told
        .map(|error| (error.partition, error.offset, error.count))
        .collect();
    failed.sort_unstable();
    told.sort_unstable();
    if failed.is_empty() || told != failed {
        wrong.push(format!("handlers failed at {failed:?}, told are {told:?}"));
    }
}

/// What differs between a message and its finding.
fn figures(cell: &Cell, own: &Told, one: &Processing) -> Vec<&'static str> {
    let estimated = cell.basis == Basis::Estimated;
    let basis = match cell.basis {
        Basis::Message => one.basis == "message",
        Basis::Estimated => one.basis == "estimated",
        Basis::Batch => {
            one.basis == if one.count == 1 { "message" } else { "batch" } || one.basis == "batch"
        }
    };
    let goroutine = one.task.get("goroutine") == own.goroutine.as_ref()
        && one.task.get("thread") == own.thread.as_ref();
    let mut differences = Vec::new();
    let mut check = |right: bool, what| {
        if !right {
            differences.push(what);
        }
    };
    check(basis, "basis");
    // What offers is none of the program's own.
    check(goroutine != estimated, "goroutine or thread");
    // When the channel gave a message is not seen, only that its worker was not busy any more.
    let latest = if estimated { own.worked } else { own.began };
    check(one.began <= latest, "began after the program");
    check(estimated || own.asked <= one.began, "began before the call");
    check(own.ended <= one.ended, "ended before the program");
    check(
        own.settled == 0 || one.ended <= own.settled,
        "ended after the call",
    );
    check(estimated || one.error.is_some() == own.failed, "error");
    differences
}

/// What differs between the record that was produced for a message and its span. `tied`: those that have their parent, of how many.
fn produced(
    cell: &Cell,
    own: &Told,
    one: &Processing,
    said: &Said,
    tied: &mut (u32, u32),
) -> Option<&'static str> {
    let place = own.sent.as_ref()?;
    let (Some(span), Some(work)) = (said.results.get(place), said.span_of(one)) else {
        return Some("no span of what it sent");
    };
    tied.1 += 1;
    if span.parent.is_none() {
        let acknowledged = said.results.values().map(|other| other.ended).min();
        let first = acknowledged.is_none_or(|acknowledged| span.began <= acknowledged);
        return (cell.sends == Sends::Told && !first).then_some("parent of what it sent");
    }
    tied.0 += 1;
    let right = span.trace_id == work.trace_id && span.parent.as_ref() == Some(&work.span_id);
    (!right || cell.sends == Sends::Unseen).then_some("wrong parent of what it sent")
}

/// What differs between a message and the span of its finding.
fn traced(own: &Told, one: &Processing, said: &Said) -> Vec<&'static str> {
    let Some(span) = said.span_of(one) else {
        return vec!["no span"];
    };
    let mut words = own.context.split('-').skip(1).map(str::to_owned);
    let context = match (words.next(), words.next()) {
        (Some(trace), Some(span)) => Some((trace, span)),
        _ => said.sent.get(&(own.partition, own.offset)).cloned(),
    };
    let Some((trace, parent)) = context else {
        return vec!["no span of the record that was sent"];
    };
    let mut differences = Vec::new();
    if span.task.as_ref() != Some(&one.task) {
        differences.push("the span's goroutine");
    }
    let links =
        |link: &Link| link.offset == own.offset && link.trace_id == trace && link.span_id == parent;
    if !span.links.iter().any(links) {
        differences.push("link");
    }
    let child = span.trace_id == trace && span.parent.as_ref() == Some(&parent);
    if child != (one.count == 1) {
        differences.push("parent");
    }
    differences
}
