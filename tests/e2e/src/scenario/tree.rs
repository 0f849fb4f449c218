//! The whole trace of an order: HTTP request -> `send` -> `process` of each consumer -> its statements and its commit, message by message, as
//! one agent tells it that sees all services, and as two tell it of which each sees one end (then the record's own context joins two traces).
//!
//! The services are those of `examples/05-kafka-streaming`, with a real broker (SASL_SSL) and a real PostgreSQL (TLS); the truth is what they
//! wrote into their diaries.

mod diary;
mod whole;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use obi_lab::agent::{Agent, Settings};
use obi_lab::orders::{self, Customer, Place, Programs, Services};
use obi_lab::postgres::Postgres;
use obi_lab::process::is_root;
use obi_lab::step;
use serde::Deserialize;

use crate::sink::{Sink, Span};
use crate::world::World;
use diary::Diaries;
use whole::Nodes;

const ORDERS: u32 = 60;
/// A round of orders reaches every partition.
const ROUND: u32 = 8;
/// Those who order at once.
const CUSTOMERS: u32 = 3;
/// Spans are told in batches, and some when nothing more can belong to them.
const TOLD: Duration = Duration::from_secs(20);
const ROUND_TOLD: Duration = Duration::from_secs(3);

/// An agent of its own, and what it tells.
struct Watcher {
    name: &'static str,
    settings: Settings,
    agent: Agent,
    sink: Sink,
}

impl Watcher {
    /// `exe`: all that it follows.
    fn start(world: &World, name: &'static str, exe: &[&str]) -> Result<Self> {
        let sink = Sink::start()?;
        let mut settings = world.settings(name)?.flag(
            "--otlp-endpoint",
            &format!("http://127.0.0.1:{}", sink.port),
        );
        for exe in exe {
            settings = settings.flag("--exe", exe);
        }
        settings.environment.extend(
            [
                ("OBI_KAFKA_CLIENT_HOOKS", "true"),
                ("OBI_APP_ENABLED", "true"),
                // Every order is to be told of.
                ("OBI_KAFKA_SPANS_PER_SECOND", "100000"),
                ("OBI_OVERHEAD_BUDGET", "100"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let agent = settings.start()?;
        Ok(Self {
            name,
            settings,
            agent,
            sink,
        })
    }

    /// Spans of the services, sorted by time.
    fn spans(&self) -> Vec<Span> {
        let mut spans = self.sink.spans();
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// Waits until nothing of these processes is still planned.
    fn hooked(&self, pids: &[u32]) -> Result<()> {
        let what = format!("{}: hooks of {pids:?}", self.name);
        step::wait(
            &what,
            Duration::from_secs(60),
            Duration::from_millis(200),
            || {
                let report = doctor(&self.settings)?;
                let hooked = pids.iter().all(|pid| report.is_hooked(*pid));
                Ok(hooked.then_some(()))
            },
        )
    }
}

pub fn run(world: &World) -> Result<String> {
    let folder = world.layout.run().join("tree");
    std::fs::create_dir_all(&folder)?;
    let programs = Programs::build(&world.layout, true)?;
    let database = Postgres::start(&world.layout, &world.cluster.certificates)?;
    world.cluster.admin.create(orders::TOPIC, 3, 1)?;
    let all = Watcher::start(world, "tree-node", &[])?;
    let first = Watcher::start(world, "tree-first-node", &["*/bin/order-api"])?;
    let consumers = ["*/bin/order-processor", "*/python3*"];
    let second = Watcher::start(world, "tree-second-node", &consumers)?;

    let place = Place {
        cluster: &world.cluster,
        database: &database,
        tls: true,
        folder: &folder,
        diaries: true,
    };
    let mut services = Services::start(&programs, place)?;
    let pids = [&services.api, &services.processor, &services.handler].map(|one| one.pid());
    all.hooked(&pids)?;
    first.hooked(&pids[..1])?;
    second.hooked(&pids[1..])?;

    let mut tried = Trial {
        folder: &folder,
        services: &mut services,
        orders: 0,
    };
    tried.warm_up(&all, &second)?;
    let past = tried.orders;
    let diaries = tried.order(ORDERS)?.since(past);
    let orders = tried.orders;
    let outcome = told(&diaries, &all, &first, &second);
    if outcome.is_err() {
        for watcher in [&all, &first, &second] {
            write(
                &watcher.spans(),
                &folder.join(format!("{}.spans", watcher.name)),
            )?;
        }
    }
    services.stop()?;
    for watcher in [all, first, second] {
        watcher.agent.stop()?;
    }
    let stored = database.ask("SELECT count(*) FROM orders")?;
    database.stop()?;
    world.cluster.admin.delete(orders::TOPIC)?;
    let told = outcome?;
    if stored != [orders.to_string()] {
        bail!("the database holds {stored:?} of {orders} orders");
    }
    Ok(told)
}

/// The services at work.
struct Trial<'a> {
    folder: &'a Path,
    services: &'a mut Services,
    /// That were placed so far.
    orders: u32,
}

impl Trial<'_> {
    /// What a client asked for before its hooks were there cannot be understood: the poll that it waits in, the fetch that waits at the
    /// broker. Rounds of orders turn them over, until both agents tell all of one.
    fn warm_up(&mut self, all: &Watcher, second: &Watcher) -> Result<()> {
        let began = Instant::now();
        loop {
            let past = self.orders;
            let diaries = self.order(ROUND)?.since(past);
            let told = || {
                [all, second]
                    .iter()
                    .all(|watcher| whole::are_processed(&diaries, &watcher.spans()))
            };
            let limit = Instant::now() + ROUND_TOLD;
            while !told() && Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(100));
            }
            if told() {
                return Ok(());
            }
            if began.elapsed() > TOLD {
                write(&all.spans(), &self.folder.join("warm-up.spans"))?;
                bail!("the agents do not tell of all orders: {diaries:?}");
            }
        }
    }

    /// Places orders and waits until all who read them have written them down.
    fn order(&mut self, more: u32) -> Result<Diaries> {
        let listen = self.services.listen;
        let (first, end) = (self.orders, self.orders + more);
        let customers = (0..CUSTOMERS).map(|customer| {
            std::thread::spawn(move || {
                let own = Customer::new(listen);
                (first + customer..end)
                    .step_by(CUSTOMERS as usize)
                    .all(|n| own.order(n))
            })
        });
        let customers: Vec<_> = customers.collect();
        for customer in customers {
            if !customer.join().unwrap_or(false) {
                bail!("an order was refused");
            }
        }
        self.orders = end;
        step::wait(
            "the orders",
            Duration::from_secs(60),
            Duration::from_millis(50),
            || {
                self.services.check()?;
                let diaries = Diaries::read(self.folder)?;
                Ok(diaries.are_complete(end as usize).then_some(diaries))
            },
        )
    }
}

/// Waits until both tell all that they should, or says what is wrong with what they told last.
fn told(diaries: &Diaries, all: &Watcher, first: &Watcher, second: &Watcher) -> Result<String> {
    let began = Instant::now();
    loop {
        let spans = all.spans();
        let one = whole::check(diaries, Nodes::One, &spans, &spans).context("one agent");
        let (near, far) = (first.spans(), second.spans());
        let two = whole::check(diaries, Nodes::Two, &near, &far).context("two agents");
        match (one, two) {
            (Ok(one), Ok(two)) => return Ok(format!("one agent: {one}; two agents: {two}")),
            (one, two) if began.elapsed() > TOLD => {
                let errors = [one.err(), two.err()];
                let errors = errors.iter().flatten().map(|error| format!("{error:#}"));
                bail!("{}", errors.collect::<Vec<_>>().join("\n    "));
            }
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

fn write(spans: &[Span], path: &Path) -> Result<()> {
    let text: String = spans.iter().map(|span| format!("{span:?}\n")).collect();
    Ok(std::fs::write(path, text)?)
}

#[derive(Deserialize)]
struct Report {
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    pid: u32,
    libraries: Vec<Library>,
}

#[derive(Deserialize)]
struct Library {
    hooks: Vec<Hook>,
}

#[derive(Deserialize)]
struct Hook {
    state: String,
}

impl Report {
    fn is_hooked(&self, pid: u32) -> bool {
        let process = self.processes.iter().find(|process| process.pid == pid);
        let mut hooks = process
            .into_iter()
            .flat_map(|process| &process.libraries)
            .flat_map(|library| &library.hooks)
            .peekable();
        hooks.peek().is_some() && hooks.all(|hook| hook.state != "planned")
    }
}

/// Its exit code says only whether there is something to look at.
fn doctor(settings: &Settings) -> Result<Report> {
    let mut command = if is_root() {
        Command::new(&settings.program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(&settings.program);
        sudo
    };
    let output = command
        .args(["doctor", "--output", "json", "--socket"])
        .arg(settings.socket())
        .output()?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "obi doctor: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}
