//! Comparing the agent with the truth. In: a scrape, exact counts. Out: every difference as a line. Nothing is rounded, nothing is
//! "about": a counter that is one off is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use obi_lab::agent::Agent;
use obi_lab::kafka::Admin;
use obi_lab::metrics::Scrape;

use crate::sink::{Sink, Span};
use crate::truth::{Counts, Line, Truth};

pub const PRODUCED: &str = "kafka_messages_produced_total";
pub const CONSUMED: &str = "kafka_messages_consumed_total";
pub const ERRORS: &str = "kafka_processing_errors_total";

/// A counter is visible 2 s after the broker's answer; the rest is for a machine that does other work as well.
const PATIENCE: Duration = Duration::from_secs(15);

/// Counters of which every one that is not 0 is a loss.
const LOSSES: [&str; 4] = [
    "obi_events_lost_total",
    "obi_stream_gaps_total",
    "obi_undecodable_frames_total",
    "obi_series_dropped_total",
];

/// End offsets of the topics, as counts: the broker's truth about what was produced.
pub fn ends(admin: &Admin, topics: &[String]) -> Result<Counts> {
    let mut counts = Counts::new();
    for topic in topics {
        for (partition, end) in admin.ends(topic)? {
            if end > 0 {
                counts.insert((topic.clone(), partition), end);
            }
        }
    }
    Ok(counts)
}

/// Differences between two truths, before the agent is asked.
pub fn same(what: &str, left: &Counts, right: &Counts) -> Result<()> {
    if left != right {
        bail!("{what} disagree: {left:?} and {right:?}");
    }
    Ok(())
}

/// Differences between a counter of the agent and the truth about these topics. Each partition is one series, under this client id
/// if one is given: a second series would be records counted under a wrong connection.
pub fn differences(
    scrape: &Scrape,
    metric: &str,
    client_id: Option<&str>,
    want: &Counts,
) -> Vec<String> {
    let mut found: BTreeMap<(String, i32), Vec<(f64, String)>> = BTreeMap::new();
    let topics: BTreeSet<_> = want.keys().map(|(topic, _)| topic.as_str()).collect();
    for (labels, value) in scrape.series(metric, &[]) {
        let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
        if topics.contains(label("topic")) {
            let partition = label("partition").parse().unwrap_or(-1);
            found
                .entry((label("topic").to_owned(), partition))
                .or_default()
                .push((value, label("client_id").to_owned()));
        }
    }
    let mut lines = Vec::new();
    for (place, expected) in want {
        let (topic, partition) = place;
        match found.remove(place).as_deref() {
            None => lines.push(format!(
                "{metric} {topic}/{partition}: absent, truth {expected}"
            )),
            Some([(value, id)]) => {
                if *value != *expected as f64 {
                    lines.push(format!(
                        "{metric} {topic}/{partition}: agent {value}, truth {expected}"
                    ));
                }
                if client_id.is_some_and(|wanted| wanted != id) {
                    lines.push(format!("{metric} {topic}/{partition}: client id `{id}`"));
                }
            }
            Some(many) => lines.push(format!(
                "{metric} {topic}/{partition}: counted under {many:?}, truth {expected}"
            )),
        }
    }
    for ((topic, partition), values) in found {
        if values.iter().any(|(value, _)| *value != 0.0) {
            lines.push(format!(
                "{metric} {topic}/{partition}: agent {values:?}, truth 0"
            ));
        }
    }
    lines
}

/// The same of what one client consumed, whose topic others read too.
pub fn consumed_by(scrape: &Scrape, client_id: &str, want: &Counts) -> Vec<String> {
    let mut have = Counts::new();
    for (labels, value) in scrape.series(CONSUMED, &[("client_id", client_id)]) {
        let partition = labels.get("partition").and_then(|text| text.parse().ok());
        let topic = labels.get("topic").cloned().unwrap_or_default();
        if value != 0.0 {
            have.insert((topic, partition.unwrap_or(-1)), value as u64);
        }
    }
    if have == *want {
        return Vec::new();
    }
    vec![format!(
        "{CONSUMED} {client_id}: agent {have:?}, truth {want:?}"
    )]
}

/// Scrapes until there is no difference; fails with the differences that stay, and leaves the last scrape beside the agent's log.
pub fn settle(agent: &Agent, differences: impl Fn(&Scrape) -> Vec<String>) -> Result<()> {
    let began = Instant::now();
    loop {
        let text = agent.get("/metrics")?;
        let found = differences(&Scrape::parse(&text)?);
        if found.is_empty() {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let kept = agent.log().with_file_name("metrics-at-failure.txt");
            std::fs::write(&kept, text)?;
            bail!(
                "{}\nthe agent's metrics: {}",
                found.join("\n"),
                kept.display()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Every loss counter that is not 0.
pub fn losses(scrape: &Scrape) -> BTreeMap<String, f64> {
    let series = LOSSES.iter().flat_map(|name| {
        scrape
            .series(name, &[])
            .map(move |(labels, value)| (name, labels, value))
    });
    series
        .filter(|(_, _, value)| *value != 0.0)
        .map(|(name, labels, value)| (format!("{name}{labels:?}"), value))
        .collect()
}

/// What is not told of an application because its functions are called back, because it ends with messages in hand, or because the overhead budget keeps
/// hooks away meanwhile; and spans of large batches beyond what may be opened in a second, which the machine's speed decides. Nothing of the conversation is
/// lost by that.
const BY_DESIGN: [&str; 5] = [
    "call_not_followed",
    "processing_unfinished",
    "processing_window",
    "delivered_unseen",
    "batch_not_opened",
];

/// Calls of one test whose memory was not there in that moment: 9 were seen at most. A read that is wrong faults for each of thousands of messages.
const FAULTS_MOST: f64 = 20.0;

/// Fails if a loss was counted since `before`.
pub fn nothing_lost(before: &BTreeMap<String, f64>, scrape: &Scrape) -> Result<()> {
    let mut now = losses(scrape);
    now.retain(|name, value| {
        let more = *value - before.get(name).copied().unwrap_or(0.0);
        let few = name.contains("call_fault") && more <= FAULTS_MOST;
        more != 0.0 && !few && !BY_DESIGN.iter().any(|reason| name.contains(reason))
    });
    if !now.is_empty() {
        bail!("losses were counted: {now:?} (before: {before:?})");
    }
    Ok(())
}

/// How many spans were compared.
#[derive(Debug)]
pub struct Spans {
    pub sends: usize,
    pub polls: usize,
    /// `send` spans that a `poll` span links to: one message, seen at both ends.
    pub joined: usize,
}

/// Spans of these topics, each compared with the record that it names and its service with the client's.
pub fn spans(sink: &Sink, truth: &Truth, topics: &[String], service: &str) -> Result<Spans> {
    let began = Instant::now();
    let named = |span: &Span| {
        topics
            .iter()
            .any(|topic| span.attribute("messaging.destination.name") == Some(topic))
    };
    loop {
        let ours: Vec<Span> = sink.spans().into_iter().filter(named).collect();
        let of = |operation: &'static str| {
            ours.iter()
                .filter(move |span| span.attribute("messaging.operation.name") == Some(operation))
        };
        let links: BTreeSet<_> = of("poll").flat_map(|span| &span.links).collect();
        let joined = of("send")
            .filter(|span| links.contains(&(span.trace_id.clone(), span.span_id.clone())))
            .count();
        let seen = Spans {
            sends: of("send").count(),
            polls: of("poll").count(),
            joined,
        };
        if seen.joined > 0 {
            let records = truth.records();
            let mut wrong: Vec<String> = ours
                .iter()
                .flat_map(|span| span_differences(span, &records))
                .collect();
            let strangers = ours.iter().filter(|span| span.service != service);
            wrong.extend(
                strangers.map(|span| {
                    format!("{}: service `{}`, not `{service}`", span.name, span.service)
                }),
            );
            wrong.truncate(20);
            if !wrong.is_empty() {
                bail!("spans differ from the records:\n{}", wrong.join("\n"));
            }
            return Ok(seen);
        }
        if began.elapsed() > PATIENCE {
            bail!("of the spans, no `send` is linked to by a `poll`: {seen:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a `send` span says of its record against what the client knows of it.
fn span_differences(span: &Span, records: &BTreeMap<(&str, i32, i64), &Line>) -> Vec<String> {
    let get = |key: &str| span.attribute(key).unwrap_or_default().to_owned();
    let topic = get("messaging.destination.name");
    let mut wrong = Vec::new();
    let mut expect = |what: &str, have: &str, want: &str| {
        if have != want {
            wrong.push(format!("{}: {what} is `{have}`, truth `{want}`", span.name));
        }
    };
    let operation = get("messaging.operation.name");
    // SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER and SPAN_KIND_CLIENT.
    let kind = match operation.as_str() {
        "send" => 4,
        "process" => 5,
        _ => 3,
    };
    expect("name", &span.name, &format!("{operation} {topic}"));
    expect("kind", &span.kind.to_string(), &kind.to_string());
    expect("messaging.system", &get("messaging.system"), "kafka");
    if span.began > span.ended {
        wrong.push(format!("{}: ends before it begins", span.name));
        return wrong;
    }
    if operation != "send" {
        return wrong;
    }
    let partition = get("messaging.destination.partition.id");
    let offset = get("messaging.kafka.offset");
    let found = partition.parse().ok().zip(offset.parse().ok());
    let found =
        found.and_then(|(partition, offset)| records.get(&(topic.as_str(), partition, offset)));
    let Some(record) = found else {
        wrong.push(format!(
            "{}: no record at partition `{partition}` offset `{offset}`",
            span.name
        ));
        return wrong;
    };
    expect(
        "messaging.message.body.size",
        &get("messaging.message.body.size"),
        &record.size.to_string(),
    );
    expect(
        "messaging.kafka.message.key",
        &get("messaging.kafka.message.key"),
        record.key.as_deref().unwrap_or_default(),
    );
    for (key, value) in &record.headers {
        expect(key, &get(&format!("obi.kafka.header.{key}")), value);
    }
    wrong
}
