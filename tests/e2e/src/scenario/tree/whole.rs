//! Is every order one whole tree? In: diaries, the spans of the node that produces and of the one that consumes (the same, or two). Out: how many
//! spans were compared, or the first that is not as it must be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use obi_lab::orders::{API, TOPIC};

use super::diary::{Diaries, Diary, Entry};
use crate::sink::Span;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
/// Clocks: the agent's is monotonic, put on the wall's; a service's own words come a little after what it tells of.
const SLACK: u64 = 2_000_000;

/// Something is not told; what is told is right.
#[derive(Debug)]
struct Absent(&'static str);

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is absent", self.0)
    }
}

impl std::error::Error for Absent {}

/// What a consumer does with an order.
struct Consumer {
    group: &'static str,
    /// What it asks of its database: operation and table.
    statements: &'static [(&'static str, &'static str)],
}

const PROCESSORS: Consumer = Consumer {
    group: "order-processors",
    statements: &[
        ("BEGIN", ""),
        ("INSERT", "orders"),
        ("UPDATE", "stock"),
        ("COMMIT", ""),
    ],
};
const HANDLERS: Consumer = Consumer {
    group: "event-handlers",
    statements: &[("BEGIN", ""), ("INSERT", "customers"), ("COMMIT", "")],
};

fn consumers(diaries: &Diaries) -> [(&Diary, Consumer); 2] {
    [
        (&diaries.processor, PROCESSORS),
        (&diaries.handler, HANDLERS),
    ]
}

/// Does each order have a `process` of each consumer?
pub fn are_processed(diaries: &Diaries, spans: &[Span]) -> bool {
    consumers(diaries).iter().all(|(diary, consumer)| {
        let processes = consumer.processes(spans);
        diary.keys().all(|place| at(&processes, *place).is_ok())
    })
}

/// How many agents tell of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Consumers join the trace of the request.
    One,
    /// They can only know the record's own context, which the other agent tells of.
    Two,
}

pub fn check(
    diaries: &Diaries,
    nodes: Nodes,
    produced: &[Span],
    consumed: &[Span],
) -> Result<String> {
    let mut seen = 0;
    let sends = of_topic(produced, "send", PRODUCER);
    let creates = of_topic(produced, "create", PRODUCER);
    let mut requests = BTreeSet::new();
    let (mut whole, mut absent) = (0, BTreeMap::new());
    for (place, order) in &diaries.api {
        let mut tree = || {
            let send = at(&sends, *place).context("send")?;
            let create = at(&creates, *place).context("create")?;
            linked(send, create)?;
            let origin = match nodes {
                Nodes::One => send,
                Nodes::Two => create,
            };
            for (diary, consumer) in consumers(diaries) {
                let processed = consumer.processed(diary, origin, consumed, *place);
                seen += processed.context(consumer.group)?;
            }
            let request = request(produced, send, order)?;
            ensure!(
                requests.insert(&request.span_id),
                "two orders of {request:?}"
            );
            seen += 3;
            whole += 1;
            Ok(())
        };
        if let Err(error) = tree().with_context(|| format!("order {} at {place:?}", order.order)) {
            let Some(Absent(what)) = error.root_cause().downcast_ref() else {
                return Err(error);
            };
            absent.entry(*what).or_insert_with(Vec::new).push(error);
        }
    }
    let orders = diaries.api.len();
    if !absent.is_empty() {
        let absent = absent.iter();
        let absent =
            absent.map(|(what, orders)| format!("{what} {} times ({:#})", orders.len(), orders[0]));
        let absent: Vec<String> = absent.collect();
        bail!(
            "{whole} trees of {orders} orders are whole; absent: {}",
            absent.join("; ")
        );
    }
    counts(diaries, produced, consumed)?;
    Ok(format!("{whole} whole trees, {seen} spans"))
}

/// There is nothing that the diaries do not know of.
fn counts(diaries: &Diaries, produced: &[Span], consumed: &[Span]) -> Result<()> {
    let orders = diaries.api.len();
    let began = diaries.api.values().map(|entry| entry.began).min();
    let began = began.unwrap_or(0).saturating_sub(SLACK);
    let since = |span: &&Span| span.began >= began;
    let requests = produced
        .iter()
        .filter(|span| span.kind == SERVER && span.service == API);
    let served = requests.filter(since).count();
    ensure!(served == orders, "{served} requests of {orders}");
    for (spans, name, kind, times) in [
        (produced, "send", PRODUCER, 1),
        (consumed, "process", CONSUMER, 2),
        (consumed, "commit", CLIENT, 2),
    ] {
        let told = of_topic(spans, name, kind)
            .into_iter()
            .filter(since)
            .count();
        ensure!(told == orders * times, "{told} x {name} of {orders} orders");
    }
    Ok(())
}

fn of_topic<'a>(spans: &'a [Span], name: &str, kind: i32) -> Vec<&'a Span> {
    let name = format!("{name} {TOPIC}");
    spans
        .iter()
        .filter(|span| span.name == name && span.kind == kind)
        .collect()
}

/// The one span of a message.
fn at<'a>(spans: &[&'a Span], (partition, offset): (i32, i64)) -> Result<&'a Span> {
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let mut found = spans.iter().filter(|span| {
        span.attribute("messaging.destination.partition.id") == Some(&partition)
            && span.attribute("messaging.kafka.offset") == Some(&offset)
    });
    match (found.next(), found.next()) {
        (Some(span), None) => Ok(span),
        (None, _) => Err(Absent("its span").into()),
        (Some(one), Some(other)) => bail!("it has several spans: {one:?} and {other:?}"),
    }
}

fn context(span: &Span) -> (Vec<u8>, Vec<u8>) {
    (span.trace_id.clone(), span.span_id.clone())
}

/// The trace of the request and that of the record's address name each other.
fn linked(send: &Span, create: &Span) -> Result<()> {
    ensure!(
        send.links == [context(create)] && create.links == [context(send)],
        "{send:?} and {create:?} do not link to each other"
    );
    ensure!(create.parent.is_none(), "it has a parent: {create:?}");
    Ok(())
}

fn request<'a>(spans: &'a [Span], send: &Span, order: &Entry) -> Result<&'a Span> {
    let parent = send.parent.as_ref();
    let parent = parent.ok_or(Absent("the parent of its send"))?;
    let request = spans.iter().find(|span| span.span_id == *parent);
    let request = request.context("the parent of its send was not told")?;
    ensure!(
        request.trace_id == send.trace_id,
        "parent and child of two traces: {request:?}, {send:?}"
    );
    ensure!(
        request.kind == SERVER && request.service == API && request.name == "POST",
        "the parent of its send is {request:?}"
    );
    for (key, value) in [
        ("http.request.method", "POST"),
        ("url.path", "/orders"),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
    ] {
        attribute(request, key, value)?;
    }
    task(request, order)?;
    // The head was read before the handler began; the answer is written when it has returned.
    let holds = request.began <= order.began + SLACK && request.ended + SLACK >= send.ended;
    ensure!(holds, "{request:?} does not hold {order:?} and {send:?}");
    Ok(request)
}

impl Consumer {
    fn processes<'a>(&self, spans: &'a [Span]) -> Vec<&'a Span> {
        let mut processes = of_topic(spans, "process", CONSUMER);
        processes
            .retain(|span| span.attribute("messaging.consumer.group.name") == Some(self.group));
        processes
    }

    /// `process` with all below it; gives how many spans those are.
    fn processed(
        &self,
        diary: &Diary,
        origin: &Span,
        spans: &[Span],
        place: (i32, i64),
    ) -> Result<usize> {
        let entry = diary.get(&place).context("it is in no diary")?;
        let process = at(&self.processes(spans), place).context("process")?;
        ensure!(
            process.links == [context(origin)],
            "it does not link to {origin:?}: {process:?}"
        );
        ensure!(
            process.trace_id == origin.trace_id && process.parent.as_ref() == Some(&origin.span_id),
            "it is no child of {origin:?}: {process:?}"
        );
        task(process, entry)?;
        within(process.began, entry.asked, entry.began, "began", entry)?;
        within(process.ended, entry.ended, entry.settled, "ended", entry)?;
        let under = |span: &&Span| span.parent.as_ref() == Some(&process.span_id);
        let children: Vec<&Span> = spans.iter().filter(under).collect();
        for child in &children {
            let inside = process.began <= child.began && child.trace_id == process.trace_id;
            ensure!(inside, "{child:?} is not inside of {process:?}");
        }
        self.queried(&children, entry)?;
        committed(&children, entry)?;
        Ok(1 + children.len())
    }

    fn queried(&self, children: &[&Span], entry: &Entry) -> Result<()> {
        let mut queries = children.to_vec();
        queries.retain(|span| span.attribute("db.system.name") == Some("postgresql"));
        let found: Vec<(&str, &str)> = queries
            .iter()
            .map(|span| {
                let value = |key| span.attribute(key).unwrap_or("");
                (value("db.operation.name"), value("db.collection.name"))
            })
            .collect();
        let wanted = self.statements;
        if found.len() < wanted.len() && found.iter().all(|one| wanted.contains(one)) {
            return Err(Absent("a statement").into());
        }
        ensure!(
            found == wanted,
            "its statements are {found:?}, not {wanted:?}"
        );
        for query in queries {
            ensure!(query.kind == CLIENT, "a statement is {query:?}");
            task(query, entry)?;
            let inside = query.began + SLACK >= entry.began && query.ended <= entry.ended + SLACK;
            ensure!(inside, "{query:?} is not inside of {entry:?}");
        }
        Ok(())
    }
}

fn committed(children: &[&Span], entry: &Entry) -> Result<()> {
    let name = format!("commit {TOPIC}");
    let mut commits = children.iter().filter(|span| span.name == name);
    let (commit, None) = (commits.next().ok_or(Absent("its commit"))?, commits.next()) else {
        bail!("it has several commits: {children:?}");
    };
    let next = (entry.offset + 1).to_string();
    attribute(commit, "obi.kafka.committed_offset", &next)?;
    within(commit.began, entry.ended, entry.settled, "committed", entry)
}

fn task(span: &Span, entry: &Entry) -> Result<()> {
    let (key, id) = match (entry.goroutine, entry.thread) {
        (Some(id), _) => ("goroutine.id", id),
        (None, id) => ("thread.id", id.context("a diary names no thread")?),
    };
    attribute(span, key, &id.to_string())
}

fn attribute(span: &Span, key: &str, wanted: &str) -> Result<()> {
    let value = span.attribute(key);
    ensure!(
        value == Some(wanted),
        "{key} is {value:?}, not `{wanted}`, of {span:?}"
    );
    Ok(())
}

fn within(time: u64, first: u64, last: u64, what: &str, entry: &Entry) -> Result<()> {
    let inside = first <= time + SLACK && time <= last + SLACK;
    ensure!(inside, "it {what} at {time}, but {entry:?}");
    Ok(())
}
