//! Python programs (`tests/e2e/clients/python/app.py`): one serves HTTP/1.1 by a thread for each connection, in the clear and over TLS, asks PostgreSQL by libpq
//! (psycopg2, psycopg) and produces by librdkafka; another reads what that one sent, and asks for each message. In: the world. Out: what was seen. Each has
//! an OpenSSL of its own in the wheels of both drivers and of confluent-kafka, beside Python's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use obi_lab::process::Launch;
use obi_lab::python;

use super::{Line, PRODUCER, Stage, compare, end, finish, nothing_else, of, read, task};
use crate::sink::Span;
use crate::world::World;

const ROUNDS: usize = 6;
/// Connections of each kind at once.
const CALLERS: usize = 3;
/// Each caller sends one a round, then each kind of connection one a round by itself; and before all one that is no request's.
const MESSAGES: usize = 2 * ROUNDS * (CALLERS + 1) + 1;
const CONSUMER: i32 = 5;

pub fn run(world: &World) -> Result<String> {
    let stage = Stage::set(world, "app-python", 3)?;
    let clients = world.layout.root().join("tests/e2e/clients/python");
    let python = python::environment(&world.layout, &clients.join("requirements-app.txt"))?;
    let worked = stage.folder.join("worked.jsonl");
    let plan = stage.plan(
        world,
        &serde_json::json!({ "requests": ROUNDS, "callers": CALLERS, "messages": MESSAGES, "worked": worked }),
    )?;
    let launch = |word: &str| {
        let log = stage.folder.join(format!("{word}.log"));
        let launch = Launch::new(word, &python, log).arg(clients.join("app.py"));
        launch.arg(word).arg(&plan)
    };
    let serving = stage.serve(launch("serve"), &bundled(&python)?)?;
    let mut working = launch("work").env("OTEL_SERVICE_NAME", "worker").start()?;
    finish(launch("ask"), "ask")?;
    end(&mut working)?;
    let (lines, worked) = (read(&stage.truth())?, read(&worked)?);
    let pid = serving.process.pid();
    let (lost, waited) = stage.told(lines.len())?;
    let sink = stage.close()?;
    serving.kill()?;
    let why = || format!("pid {pid}; lost: {lost}");
    let said = compare(&lines, &of(&sink, "app")).with_context(why)?;
    waited?;
    let done = for_messages(&worked, &sink.spans()).with_context(why)?;
    nothing_else(&sink)?;
    Ok(format!("{said}; {done}"))
}

/// What the wheels hold of librdkafka and OpenSSL.
fn bundled(python: &Path) -> Result<Vec<PathBuf>> {
    let environment = python.parent().and_then(Path::parent);
    let lib = environment.context("python has no folder")?.join("lib");
    let mut found = Vec::new();
    for version in std::fs::read_dir(lib.canonicalize()?)?.flatten() {
        for package in std::fs::read_dir(version.path().join("site-packages"))?.flatten() {
            let name = package.file_name();
            if !name.to_string_lossy().ends_with(".libs") {
                continue;
            }
            let files = std::fs::read_dir(package.path())?.flatten();
            found.extend(files.map(|file| file.path()).filter(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy());
                name.is_some_and(|name| {
                    name.starts_with("librdkafka") || name.starts_with("libssl")
                })
            }));
        }
    }
    ensure!(
        found.len() == 3,
        "one librdkafka and two OpenSSLs are expected: {found:?}"
    );
    Ok(found)
}

/// Each statement once, on its thread, within the work on its message and a child of it; and that a child of its record's `send`, or of the record's own
/// context where the `send` was told late.
fn for_messages(worked: &[Line], spans: &[Span]) -> Result<String> {
    let of_key = |span: &Span| {
        span.attribute("messaging.kafka.message.key")
            .map(str::to_owned)
    };
    let is = |span: &&Span, name: &str| span.attribute("messaging.operation.name") == Some(name);
    let worker = spans.iter().filter(|span| span.service == "worker");
    let works: BTreeMap<_, _> = worker
        .clone()
        .filter(|span| span.kind == CONSUMER && is(span, "process"))
        .filter_map(|span| Some((of_key(span)?, span)))
        .collect();
    ensure!(
        worked.len() == MESSAGES && works.len() == MESSAGES,
        "{} of {MESSAGES} messages were worked on, {} are told",
        worked.len(),
        works.len()
    );
    let asked = |span: &&Span| {
        let text = span.attribute("db.query.text");
        text.is_some_and(|text| text.contains("generate_series"))
    };
    let queries: Vec<_> = worker.clone().filter(asked).collect();
    ensure!(
        queries.len() == MESSAGES,
        "{} statements are told of {MESSAGES}",
        queries.len()
    );
    let mut whole = 0;
    for line in worked {
        let rows = line.rows.to_string();
        let query = queries
            .iter()
            .find(|query| query.attribute("db.response.returned_rows") == Some(&*rows));
        let query = query.with_context(|| format!("no statement of {line:?}"))?;
        let work = works
            .get(&line.key)
            .with_context(|| format!("no work of {line:?}"))?;
        ensure!(
            query.parent.as_ref() == Some(&work.span_id)
                && query.trace_id == work.trace_id
                && work.began <= query.began
                && query.ended <= work.ended
                && line.began <= query.ended
                && query.began <= line.ended
                && task(query) == Some(&line.task.to_string())
                && task(query) == task(work),
            "{line:?} has {query:?} and {work:?}"
        );
        let parent = spans.iter().find(|span| {
            Some(&span.span_id) == work.parent.as_ref() && span.trace_id == work.trace_id
        });
        let parent = parent.with_context(|| format!("no parent of {work:?}"))?;
        ensure!(
            parent.kind == PRODUCER && of_key(parent).as_ref() == Some(&line.key),
            "{work:?} is a child of {parent:?}"
        );
        whole += usize::from(is(&parent, "send") && parent.parent.is_some());
    }
    // Which call made a record is known by order only until the first delivery reports were seen, and where a report comes later than a second: the
    // program asks for them with its next message.
    ensure!(
        whole >= MESSAGES / 2,
        "{whole} of {MESSAGES} messages are in the trace of a request"
    );
    Ok(format!(
        "{MESSAGES} statements for messages, each once and a child of its own; {whole} of them in the trace of a request"
    ))
}
