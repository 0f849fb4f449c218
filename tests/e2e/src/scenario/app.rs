//! Requests that a Kafka client serves, statements that it runs and messages that it produces for them, against its own truth
//! (`tests/e2e/clients/go/app`). In: a Go program that serves HTTP/1.1, HTTP/2 and gRPC, in the clear and over TLS, several at once on a connection,
//! asks PostgreSQL through lib/pq and pgx, by the simple and the extended protocol, and produces by franz-go. Out: one span for each, with its method,
//! path, status, rows and goroutine, on the program's own time; a statement or message is a child of the request that it was made for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use obi_lab::golang::{self, Symbols};
use obi_lab::metrics::Scrape;
use obi_lab::postgres::Postgres;
use obi_lab::process::Launch;
use obi_lab::{ports, step};
use serde::Deserialize;

use crate::sink::{Sink, Span};
use crate::world::World;

const ROUNDS: usize = 10;
/// Of so many one may be told without its parent, or its handler: calls of libraries that the agent reads late find nothing open (docs/limitations.md). A
/// wrong one never.
const ABSENT: usize = 10;
const SERVER: i32 = 2;
const PRODUCER: i32 = 4;
/// A span may begin before the program knows of it, and end after: the read of the head, the write of the answer. Of several at once each waits for the
/// others on a busy machine.
const SLACK: u64 = 500_000_000;

/// What the program says that it did.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    what: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    key: String,
    status: u32,
    #[serde(default)]
    version: String,
    tls: bool,
    #[serde(default)]
    driver: String,
    rows: u32,
    goroutine: u64,
    began: u64,
    ended: u64,
}

pub fn run(world: &World) -> Result<String> {
    let folder = world.layout.run().join("app");
    std::fs::create_dir_all(&folder)?;
    let program = golang::build(
        &world.layout.root().join("tests/e2e/clients/go/app"),
        ".",
        &folder.join("app"),
        Symbols::Stripped,
        true,
    )?;
    let postgres = Postgres::start(&world.layout, &world.cluster.certificates)?;
    let sink = Sink::start()?;
    let config = folder.join("obi.yaml");
    let text = "instrumentation:\n  kafka:\n    client_hooks: true\n  app:\n    enabled: true\noverhead:\n  budget: 100\n";
    std::fs::write(&config, text)?;
    let topic = world.fresh("app");
    world.cluster.admin.create(&topic, 1, 1)?;
    let mut settings = world
        .settings("app-agent")?
        .flag("--config", &config.display().to_string())
        .flag(
            "--otlp-endpoint",
            &format!("http://127.0.0.1:{}", sink.port),
        );
    settings
        .environment
        .push(("OTEL_EXPORTER_OTLP_PROTOCOL".into(), "http/protobuf".into()));
    let agent = settings.start()?;

    let truth = folder.join("truth.jsonl");
    let plan = serde_json::json!({
        "brokers": [world.cluster.bootstrap(false)], "topic": topic, "http": ports::free()?, "https": ports::free()?, "grpc": ports::free()?,
        "chain": world.cluster.certificates.broker, "databases": [postgres.url(false), postgres.url(true)],
        "truth": truth, "requests": ROUNDS,
    });
    let file = folder.join("plan.json");
    std::fs::write(&file, plan.to_string())?;
    let mut serving = Launch::new("app", &program, folder.join("app.log"))
        .arg("serve")
        .arg(&file)
        .env("OTEL_SERVICE_NAME", "app")
        .piped()
        .start()?;
    // It serves until its input ends.
    let (mut input, output) = serving.pipes().context("a program has no pipes")?;
    let mut output = BufReader::new(output);
    expect(&mut output, "here")?;
    agent.met(&program)?;
    writeln!(input, "go")?;
    expect(&mut output, "ready")?;
    let mut asking = Launch::new("ask", &program, folder.join("ask.log"))
        .arg("ask")
        .arg(&file)
        .env("OTEL_SERVICE_NAME", "ask")
        .start()?;
    let status = asking.wait(Duration::from_secs(60))?;
    ensure!(
        status.is_some_and(|status| status.success()),
        "asking ended with {status:?}\n{}",
        asking.log_tail(20)
    );
    let lines = read(&truth)?;
    let pid = serving.pid();
    let expected = lines.len();
    let waited = step::wait(
        "a span for each request and statement",
        Duration::from_secs(20),
        Duration::from_millis(200),
        || Ok((of(&sink, "app").len() >= expected).then_some(())),
    );
    let lost = agent.scrape()?;
    agent.stop()?;
    serving.signal(obi_lab::process::Signal::KILL)?;
    let spans = of(&sink, "app");
    let said =
        compare(&lines, &spans).with_context(|| format!("pid {pid}; lost: {}", losses(&lost)))?;
    waited?;
    let strange: Vec<_> = of(&sink, "ask")
        .into_iter()
        .filter(|span| !is_kafka(span))
        .collect();
    ensure!(strange.is_empty(), "who asks has spans: {strange:?}");
    for secret in ["4111-secret", "secret-"] {
        ensure!(!sink.holds(secret.as_bytes()), "{secret} was sent");
    }
    postgres.stop()?;
    Ok(said)
}

/// What the agent says that it lost, for whoever reads of a failure.
fn losses(scrape: &Scrape) -> String {
    let all = scrape.series("obi_events_lost_total", &[]);
    let told = all.filter(|(_, value)| *value > 0.0);
    let told = told.map(|(labels, value)| format!("{:?} {value}", labels.get("reason")));
    told.collect::<Vec<_>>().join(", ")
}

fn expect(output: &mut impl BufRead, word: &str) -> Result<()> {
    let mut said = String::new();
    output.read_line(&mut said)?;
    ensure!(said.trim_end() == word, "the program says {said:?}");
    Ok(())
}

fn read(truth: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(truth)?;
    let line = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    text.lines().map(line).collect()
}

fn is_kafka(span: &Span) -> bool {
    span.attribute("messaging.system").is_some()
}

/// Spans of a service, without what its drivers ask by themselves; of Kafka those of messages that were sent.
fn of(sink: &Sink, service: &str) -> Vec<Span> {
    let own = |span: &Span| {
        let text = span.attribute("db.query.text");
        span.service == service
            && (!is_kafka(span) || is_send(span))
            && text.is_none_or(|text| text.contains("generate_series"))
    };
    sink.spans().into_iter().filter(own).collect()
}

fn is_send(span: &Span) -> bool {
    let key = span.attribute("messaging.kafka.message.key");
    span.kind == PRODUCER
        && span.attribute("messaging.operation.name") == Some("send")
        && key != Some("first")
}

/// What must be equal of both.
fn key(span: &Span) -> String {
    let word = |key: &str| span.attribute(key).unwrap_or("-").to_owned();
    let task = word("goroutine.id");
    if is_send(span) {
        return format!("send {}", word("messaging.kafka.message.key"));
    }
    if span.kind != SERVER {
        return format!(
            "query {} rows {} on {task}",
            word("db.operation.name"),
            word("db.response.returned_rows")
        );
    }
    match span.attribute("rpc.method") {
        Some(method) => format!(
            "rpc {method} {} on {task}",
            word("rpc.response.status_code")
        ),
        None => format!(
            "request {} {} {} over {} {} on {task}",
            word("http.request.method"),
            word("url.path"),
            word("http.response.status_code"),
            word("url.scheme"),
            word("network.protocol.version"),
        ),
    }
}

/// Is the parent the request of that path; of gRPC, the one on the same goroutine? None: it has none, or that of a request whose handler is not known.
fn is_child(span: &Span, line: &Line, spans: &[Span], readers: &[&Span]) -> Option<bool> {
    let parent = span.parent.as_ref()?;
    let mut servers = spans.iter().filter(|span| span.kind == SERVER);
    let Some(parent) = servers.find(|server| server.span_id == *parent) else {
        return Some(false);
    };
    match parent.attribute("rpc.method") {
        Some(_) if readers.iter().any(|of| of.span_id == parent.span_id) => None,
        Some(_) => Some(parent.attribute("goroutine.id") == Some(&line.goroutine.to_string())),
        None => Some(parent.attribute("url.path") == Some(&line.path)),
    }
}

/// An HTTP/2 request that is told by the goroutine that read it.
fn is_by_reader(span: &Span, lines: &[Line]) -> bool {
    let task = span.attribute("goroutine.id");
    let multiplexed = span.attribute("rpc.method").is_some()
        || span.attribute("network.protocol.version") == Some("2");
    let is_handler = |line: &Line| Some(&*line.goroutine.to_string()) == task;
    span.kind == SERVER && multiplexed && !lines.iter().any(is_handler)
}

fn told(line: &Line) -> Result<String> {
    let Line {
        method,
        path,
        status,
        version,
        goroutine,
        rows,
        ..
    } = line;
    Ok(match line.what.as_str() {
        "query" => format!("query SELECT rows {rows} on {goroutine}"),
        "send" => format!("send {}", line.key),
        "rpc" => format!(
            "rpc {} {} on {goroutine}",
            path.trim_start_matches('/'),
            if *status == 0 { "OK" } else { "NOT_FOUND" }
        ),
        "request" => {
            let scheme = if line.tls { "https" } else { "http" };
            format!("request {method} {path} {status} over {scheme} {version} on {goroutine}")
        }
        other => bail!("{other} is not known"),
    })
}

fn compare(lines: &[Line], spans: &[Span]) -> Result<String> {
    let mut missing: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        missing.entry(told(line)?).or_default().push(line);
    }
    let (mut strange, mut late, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    let (readers, handled): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| is_by_reader(span, lines));
    let mut absent = readers.len();
    // Those with a handler choose first.
    for span in handled.into_iter().chain(readers.iter().copied()) {
        let (key, by_reader) = (key(span), is_by_reader(span, lines));
        let kind = |key: &str| key.rsplit_once(" on ").map(|(kind, _)| kind.to_owned());
        let mut keys = missing.iter_mut();
        let of_kind = keys
            .find(|(of, lines)| match by_reader {
                true => kind(of) == kind(&key) && !lines.is_empty(),
                false => **of == key,
            })
            .map(|(_, lines)| lines);
        let fits = |line: &&&Line| {
            span.began < span.ended && span.began <= line.ended && span.ended + SLACK >= line.began
        };
        let at = of_kind.as_ref().and_then(|lines| {
            let within = lines.iter().enumerate().filter(|(_, line)| fits(line));
            within
                .min_by_key(|(_, line)| line.began.abs_diff(span.began))
                .map(|(at, _)| at)
        });
        match (of_kind, at) {
            (Some(lines), Some(at)) => {
                let line = lines.remove(at);
                if span.began.abs_diff(line.began) > SLACK
                    || span.ended.abs_diff(line.ended) > SLACK
                {
                    late.push((key, span.began, line.began, span.ended, line.ended));
                }
                if span.kind != SERVER {
                    match is_child(span, line, spans, &readers) {
                        Some(true) => {}
                        Some(false) => apart.push(format!("{:?} for {}", span, line.path)),
                        None => absent += 1,
                    }
                }
            }
            _ => strange.push(key),
        }
    }
    missing.retain(|_, lines| !lines.is_empty());
    let count: usize = missing.values().map(Vec::len).sum();
    if count > 0
        || !strange.is_empty()
        || !late.is_empty()
        || !apart.is_empty()
        || absent > lines.len() / ABSENT
    {
        let drivers: Vec<_> = missing
            .values()
            .flatten()
            .map(|line| line.driver.as_str())
            .filter(|it| !it.is_empty())
            .collect();
        let missing: Vec<_> = missing.keys().take(12).collect();
        strange.sort();
        bail!(
            "of {} done, {count} have no span: {missing:#?} {drivers:?}; {} spans are of nothing: {:#?}; at other times: {late:?}; {} are children of others: {:#?}; {absent} have no parent or handler",
            lines.len(),
            strange.len(),
            &strange[..strange.len().min(12)],
            apart.len(),
            &apart[..apart.len().min(12)],
        );
    }
    let of_kind = |what: &str| lines.iter().filter(|line| line.what == what).count();
    Ok(format!(
        "{} requests, {} calls of gRPC, {} statements, {} messages, each once, on its goroutine, and a child of its request but for {absent}",
        of_kind("request"),
        of_kind("rpc"),
        of_kind("query"),
        of_kind("send")
    ))
}
