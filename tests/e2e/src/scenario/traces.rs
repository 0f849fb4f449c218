//! `obi kafka traces` of an agent that sends its spans nowhere: each record that a client sent is a trace that begins with its `send`, by partition,
//! offset and key, and what was read of it hangs under that span or links to it. `/metrics` names spans that are there as exemplars.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::agent::{Agent, Settings};
use obi_lab::step;
use serde_json::Value;

use crate::cells::Library;
use crate::clients::{Golden, Plan};
use crate::truth::{Did, Line, Truth};
use crate::world::{MARKER, World};

/// Sent and read within a second, that is 80 records: fewer than get spans.
const RECORDS: usize = 40;

pub fn run(world: &World) -> Result<String> {
    let mut settings = world.settings("traces")?;
    let hooks = ("OBI_KAFKA_CLIENT_HOOKS".to_owned(), "true".to_owned());
    settings.environment.push(hooks);
    let agent = settings.start()?;
    let id = world.fresh("traces");
    world.cluster.admin.create(&id, 3, 1)?;
    let plan = Plan {
        library: Library::Franz,
        client_id: id.clone(),
        codec: "none",
        tls: true,
        group: id.clone(),
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let folder = world.layout.run().join("traces");
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    // What it sends before that has no `send`.
    agent.met(&world.layout.run().join("bin").join(plan.library.name()))?;
    client.run(&format!("many {RECORDS} {id}"))?;
    client.run(&format!("consume {RECORDS} {id}"))?;
    client.close()?;
    let truth = Truth::read(&client.truth)?;
    let sent = truth.lines.iter().filter(|line| line.did == Did::Produced);
    let sent: Vec<&Line> = sent.collect();

    let mut last = None;
    let found = step::wait(
        "all records in `obi kafka traces`",
        Duration::from_secs(30),
        Duration::from_millis(500),
        || {
            let answer: Value = serde_json::from_str(&ask(&settings, &id, &["--output", "json"])?)?;
            match compare(&answer, &sent) {
                Ok(found) => Ok(Some(found)),
                Err(why) => {
                    last = Some(why);
                    Ok(None)
                }
            }
        },
    );
    let (spans, trace) = found.with_context(|| format!("{last:?}"))?;
    drawn(&settings, &id, &trace)?;
    let exemplars = exemplars(&agent, &id, &spans)?;
    agent.stop()?;
    Ok(format!(
        "{RECORDS} records, each a trace with its send and its poll; {exemplars} exemplars name their spans"
    ))
}

fn ask(settings: &Settings, topic: &str, more: &[&str]) -> Result<String> {
    let output = std::process::Command::new(&settings.program)
        .args(["kafka", "traces", "--topic", topic, "--socket"])
        .arg(settings.socket())
        .args(more)
        .env("LC_ALL", "C")
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    if text.contains(MARKER) {
        bail!("a record value is shown: {text}");
    }
    Ok(text)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Gives (trace, span) of all spans, and the id of one trace.
fn compare(answer: &Value, sent: &[&Line]) -> Result<(HashSet<(String, String)>, String)> {
    if answer["schema"] != "obi.traces/1" {
        bail!("the schema is {}", answer["schema"]);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut ids = HashSet::new();
    let mut sends = BTreeMap::new();
    for trace in list(answer, "traces") {
        for span in list(trace, "spans") {
            ids.insert((text(&trace["trace_id"]), text(&span["span_id"])));
            if span["operation"] == "send" {
                let place = (span["partition"].as_i64(), span["offset"].as_i64());
                if sends.insert(place, (trace, span)).is_some() {
                    bail!("{place:?} was sent twice");
                }
            }
        }
    }
    if sent.len() != RECORDS || sends.len() != RECORDS {
        bail!("{} records sent, {} told", sent.len(), sends.len());
    }
    for line in sent {
        let place = (Some(i64::from(line.partition)), Some(line.offset));
        let (trace, span) = sends.get(&place).context("a record has no send")?;
        if span["key"].as_str() != line.key.as_deref() || span["kind"] != "producer" {
            bail!("{line:?} is told as {span}");
        }
        let below = list(trace, "spans")
            .iter()
            .filter(|other| other["parent"] == span["span_id"] && other["parent_seen"] == true);
        let read = |name: &Value| {
            name.as_str()
                .is_some_and(|name| name == format!("poll {}", line.topic))
        };
        let below = below.filter(|other| read(&other["name"])).count();
        let linked = list(span, "linked_from").iter();
        let linked = linked.filter(|other| read(&other["name"])).count();
        // A poll of one message is its child; one of several links to all.
        if below + linked != 1 {
            bail!("{line:?} was read once, and is told as {trace}");
        }
    }
    let one = sends.values().next().context("no trace")?;
    Ok((ids, text(&one.0["trace_id"])))
}

/// The same for people: by the beginning of its id.
fn drawn(settings: &Settings, topic: &str, trace: &str) -> Result<()> {
    let beginning = trace.get(..12).context("a short trace id")?;
    let text = ask(settings, topic, &["--trace", beginning])?;
    for wanted in [trace, &format!("send {topic}"), "1 of ", "#", "span "] {
        if !text.contains(wanted) {
            bail!("`{wanted}` is not drawn:\n{text}");
        }
    }
    if !text.is_ascii() {
        bail!("more than ASCII in the locale C:\n{text}");
    }
    Ok(())
}

/// Those of the producer's histogram; each must be a span that is kept.
fn exemplars(agent: &Agent, topic: &str, spans: &HashSet<(String, String)>) -> Result<usize> {
    let mut answer = ureq::get(agent.address())
        .header("Accept", "application/openmetrics-text")
        .call()?;
    let text = answer.body_mut().read_to_string()?;
    let mut found = 0;
    for line in text.lines() {
        let (Some((series, exemplar)), true) = (
            line.split_once(" # {"),
            line.starts_with("kafka_producer_duration_seconds_bucket"),
        ) else {
            continue;
        };
        let value = |name: &str| {
            let from = exemplar.split_once(&format!("{name}=\""))?.1;
            from.split_once('"').map(|(value, _)| value.to_owned())
        };
        let ids = (value("trace_id"), value("span_id"));
        let (Some(trace), Some(span)) = ids else {
            bail!("no ids: {line}");
        };
        if series.contains(topic) && !spans.contains(&(trace, span)) {
            bail!("not a span of this topic: {line}");
        }
        found += usize::from(series.contains(topic));
    }
    if found == 0 {
        bail!("no exemplar for {topic}");
    }
    Ok(found)
}
