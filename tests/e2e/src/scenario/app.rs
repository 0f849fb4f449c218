//! Requests that a Kafka client serves, statements that it runs and messages that it produces for them, against the client's own truth. In: clients of two
//! kinds ([`go`], [`python`]), asked by another program. Out: one span for each, with its method, path, status, rows and goroutine or thread, on the
//! program's own time; a statement or message is a child of the request that it was made for.

pub mod go;
pub mod python;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use obi_lab::agent::Agent;
use obi_lab::metrics::Scrape;
use obi_lab::postgres::Postgres;
use obi_lab::process::{Launch, Process};
use obi_lab::{ports, step};
use serde::Deserialize;

use crate::sink::{Sink, Span};
use crate::world::World;

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
    #[serde(alias = "goroutine", alias = "thread")]
    task: u64,
    began: u64,
    ended: u64,
}

/// What surrounds the client: a database, an agent, and what that tells.
struct Stage {
    folder: PathBuf,
    topic: String,
    postgres: Postgres,
    sink: Sink,
    agent: Agent,
}

/// A client that serves until its input ends.
struct Serving {
    process: Process,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Stage {
    fn set(world: &World, name: &str, partitions: u32) -> Result<Self> {
        let folder = world.layout.run().join(name);
        std::fs::create_dir_all(&folder)?;
        let postgres = Postgres::start(&world.layout, &world.cluster.certificates)?;
        let sink = Sink::start()?;
        let config = folder.join("obi.yaml");
        let text = "instrumentation:\n  kafka:\n    client_hooks: true\n  app:\n    enabled: true\noverhead:\n  budget: 100\n";
        std::fs::write(&config, text)?;
        let topic = world.fresh(name);
        world.cluster.admin.create(&topic, partitions, 1)?;
        let mut settings = world
            .settings(&format!("{name}-agent"))?
            .flag("--config", &config.display().to_string())
            .flag(
                "--otlp-endpoint",
                &format!("http://127.0.0.1:{}", sink.port),
            );
        settings
            .environment
            .push(("OTEL_EXPORTER_OTLP_PROTOCOL".into(), "http/protobuf".into()));
        let agent = settings.start()?;
        Ok(Self {
            folder,
            topic,
            postgres,
            sink,
            agent,
        })
    }

    fn truth(&self) -> PathBuf {
        self.folder.join("truth.jsonl")
    }

    /// What the programs are told, with `more` of their own; gives its file.
    fn plan(&self, world: &World, more: &serde_json::Value) -> Result<PathBuf> {
        let mut plan = serde_json::json!({
            "brokers": [world.cluster.bootstrap(false)], "topic": self.topic, "http": ports::free()?, "https": ports::free()?, "grpc": ports::free()?,
            "chain": world.cluster.certificates.broker, "databases": [self.postgres.url(false), self.postgres.url(true)], "truth": self.truth(),
        });
        if let (Some(plan), Some(more)) = (plan.as_object_mut(), more.as_object()) {
            plan.extend(more.clone());
        }
        let file = self.folder.join("plan.json");
        std::fs::write(&file, plan.to_string())?;
        Ok(file)
    }

    /// The client begins when the agent has met all of `hooked`.
    fn serve(&self, launch: Launch, hooked: &[PathBuf]) -> Result<Serving> {
        let mut process = launch.env("OTEL_SERVICE_NAME", "app").piped().start()?;
        let (input, output) = process.pipes().context("a program has no pipes")?;
        let output = BufReader::new(output);
        let mut serving = Serving {
            process,
            input,
            output,
        };
        serving.says("here")?;
        for file in hooked {
            self.agent.met(file)?;
        }
        writeln!(serving.input, "go")?;
        serving.says("ready")?;
        Ok(serving)
    }

    /// Waits for `expected` spans of the client; gives what the agent says that it lost, and whether they came.
    fn told(&self, expected: usize) -> Result<(String, Result<()>)> {
        let waited = step::wait(
            "a span for each request and statement",
            Duration::from_secs(20),
            Duration::from_millis(200),
            || Ok((of(&self.sink, "app").len() >= expected).then_some(())),
        );
        Ok((losses(&self.agent.scrape()?), waited))
    }

    fn close(self) -> Result<Sink> {
        self.agent.stop()?;
        self.postgres.stop()?;
        Ok(self.sink)
    }
}

/// Who asks is no client and has no spans; and nothing secret has left.
fn nothing_else(sink: &Sink) -> Result<()> {
    let asked = of(sink, "ask").into_iter();
    let strange: Vec<_> = asked.filter(|span| !is_kafka(span)).collect();
    ensure!(strange.is_empty(), "who asks has spans: {strange:?}");
    for secret in ["4111-secret", "secret-"] {
        ensure!(!sink.holds(secret.as_bytes()), "{secret} was sent");
    }
    Ok(())
}

impl Serving {
    fn says(&mut self, word: &str) -> Result<()> {
        let mut said = String::new();
        self.output.read_line(&mut said)?;
        ensure!(
            said.trim_end() == word,
            "the program says {said:?}\n{}",
            self.process.log_tail(20)
        );
        Ok(())
    }

    fn kill(mut self) -> Result<()> {
        self.process.signal(obi_lab::process::Signal::KILL)
    }
}

/// A program that ends by itself.
fn finish(launch: Launch, service: &str) -> Result<()> {
    let mut process = launch.env("OTEL_SERVICE_NAME", service).start()?;
    end(&mut process)
}

fn end(process: &mut Process) -> Result<()> {
    let status = process.wait(Duration::from_secs(60))?;
    ensure!(
        status.is_some_and(|status| status.success()),
        "a program ended with {status:?}\n{}",
        process.log_tail(20)
    );
    Ok(())
}

/// What the agent says that it lost, for whoever reads of a failure.
fn losses(scrape: &Scrape) -> String {
    let all = scrape.series("obi_events_lost_total", &[]);
    let told = all.filter(|(_, value)| *value > 0.0);
    let told = told.map(|(labels, value)| format!("{:?} {value}", labels.get("reason")));
    told.collect::<Vec<_>>().join(", ")
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

fn task(span: &Span) -> Option<&str> {
    let goroutine = span.attribute("goroutine.id");
    goroutine.or_else(|| span.attribute("thread.id"))
}

/// What must be equal of both.
fn key(span: &Span) -> String {
    let word = |key: &str| span.attribute(key).unwrap_or("-").to_owned();
    let task = task(span).unwrap_or("-").to_owned();
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
        Some(_) => Some(task(parent) == Some(&line.task.to_string())),
        None => Some(parent.attribute("url.path") == Some(&line.path)),
    }
}

/// An HTTP/2 request that is told by the goroutine that read it.
fn is_by_reader(span: &Span, lines: &[Line]) -> bool {
    let task = task(span);
    let multiplexed = span.attribute("rpc.method").is_some()
        || span.attribute("network.protocol.version") == Some("2");
    let is_handler = |line: &Line| Some(&*line.task.to_string()) == task;
    span.kind == SERVER && multiplexed && !lines.iter().any(is_handler)
}

fn told(line: &Line) -> Result<String> {
    let Line {
        method,
        path,
        status,
        version,
        task,
        rows,
        ..
    } = line;
    Ok(match line.what.as_str() {
        "query" => format!("query SELECT rows {rows} on {task}"),
        "send" => format!("send {}", line.key),
        "rpc" => format!(
            "rpc {} {} on {task}",
            path.trim_start_matches('/'),
            if *status == 0 { "OK" } else { "NOT_FOUND" }
        ),
        "request" => {
            let scheme = if line.tls { "https" } else { "http" };
            format!("request {method} {path} {status} over {scheme} {version} on {task}")
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
            // Who does not wait for a message's acknowledgement has gone on when it is written.
            let by = line.ended + if is_send(span) { SLACK } else { 0 };
            span.began < span.ended && span.began <= by && span.ended + SLACK >= line.began
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
        "{} requests, {} calls of gRPC, {} statements, {} messages, each once, on its goroutine or thread, and a child of its request but for {absent}",
        of_kind("request"),
        of_kind("rpc"),
        of_kind("query"),
        of_kind("send")
    ))
}
