//! `cargo xtask demo`: a real Kafka with SASL_SSL, a PostgreSQL, the order service of `examples/05-kafka-streaming`, some load, and the agent
//! beside it; the terminal shows what the agent sees, until Ctrl-C.
//!
//! In: a machine with toolchains. Out: a live table, and nothing left running. With `--seconds` it ends by itself and fails unless
//! the agent's counts equal the broker's end offsets and what both groups read.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use obi_lab::agent::{Agent, Settings};
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::orders::{API, Customer, HANDLER, PROCESSOR, Place, Programs, Services, TOPIC};
use obi_lab::postgres::Postgres;
use obi_lab::prerequisites::{self, Purpose};
use obi_lab::process::is_root;
use obi_lab::step::{StopSignal, say};

const PARTITIONS: u32 = 3;
#[derive(clap::Args)]
pub struct Args {
    /// End after this long, and check that all counts are exact
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// This executable instead of the one that is built
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Orders a second
    #[arg(long, value_name = "N", default_value_t = 50)]
    rate: u32,
}

pub fn run(args: &Args) -> Result<bool> {
    let stop = StopSignal::listen()?;
    println!("=== what the demo needs");
    prerequisites::check(Purpose::Demo)?;
    let layout = Layout::new("demo")?;
    let agent = match &args.agent {
        Some(path) => path.clone(),
        None => build_agent(&layout)?,
    };
    let programs = Programs::build(&layout, false)?;

    println!("=== start");
    let cluster = Cluster::start(&layout, "kafka", 1)?;
    cluster.admin.create(TOPIC, PARTITIONS, 1)?;
    let database = Postgres::start(&layout, &cluster.certificates)?;
    let mut settings = Settings::new(agent, layout.run().join("agent"))?;
    if std::net::TcpListener::bind("127.0.0.1:9464").is_ok() {
        settings.listen = 9464;
    }
    // Also where the kernel takes hooks on all system calls only.
    let app = ("OBI_APP_ENABLED".to_owned(), "true".to_owned());
    settings.environment.push(app);
    let mut agent = settings.start()?;
    say(&format!("obi run: {}", agent.address()));
    let place = Place {
        cluster: &cluster,
        database: &database,
        tls: true,
        folder: layout.run(),
        diaries: false,
    };
    let mut services = Services::start(&programs, place)?;
    let load = Load::start(services.listen, args.rate);

    let outcome = watch(args, &settings, &mut agent, &mut services, &stop);

    let accepted = load.end();
    let outcome = outcome.and_then(|()| show_an_order(&settings));
    println!("=== stop");
    let outcome = outcome.and_then(|()| match args.seconds {
        Some(_) if !stop.came() => check(&agent, &cluster, accepted),
        _ => Ok(()),
    });
    services.stop()?;
    agent.stop()?;
    database.stop()?;
    cluster.stop()?;
    say(&format!(
        "all stopped; logs are in {}",
        layout.run().display()
    ));
    outcome.map(|()| true)
}

/// The agent's executable, built as a user would.
pub fn build_agent(layout: &Layout) -> Result<PathBuf> {
    say("cargo build --release -p obi (the first time this takes some minutes)");
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "obi",
            "--bins",
        ])
        .current_dir(layout.root())
        .status()?;
    if !status.success() {
        bail!("cargo build --release -p obi failed");
    }
    Ok(layout.target().join("release/obi"))
}

/// Customers: a thread that posts orders at a steady rate.
struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Load {
    fn start(port: u16, rate: u32) -> Self {
        let (stop, accepted) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (ended, counted) = (Arc::clone(&stop), Arc::clone(&accepted));
        let thread = std::thread::spawn(move || {
            let customer = Customer::new(port);
            let began = Instant::now();
            for n in 0_u32.. {
                let due = Duration::from_secs(1) * n / rate.max(1);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                if ended.load(Ordering::Acquire) {
                    break;
                }
                if customer.order(n) {
                    counted.fetch_add(1, Ordering::Release);
                }
            }
        });
        Self {
            stop,
            accepted,
            thread,
        }
    }

    /// How many orders were accepted in all.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        // A load thread that panicked has counted what was accepted before.
        let _ = self.thread.join();
        self.accepted.load(Ordering::Acquire)
    }
}

/// An agent that ended is started again this often.
const RESTARTS: u32 = 5;

/// Shows what the agent sees until the signal or the end of the time.
fn watch(
    args: &Args,
    settings: &Settings,
    agent: &mut Agent,
    services: &mut Services,
    stop: &StopSignal,
) -> Result<()> {
    println!(
        "=== what obi sees (metrics: {}; Ctrl-C ends the demo)",
        agent.address()
    );
    let began = Instant::now();
    let live = args.seconds.is_none() && std::io::stdout().is_terminal();
    let show = || {
        stats(settings, &["--watch"])
            .spawn()
            .context("cannot start obi kafka stats")
    };
    let mut table = live.then(show).transpose()?;
    let mut restarts = 0;
    let outcome = loop {
        std::thread::sleep(Duration::from_millis(100));
        if stop.came()
            || args
                .seconds
                .is_some_and(|n| began.elapsed() > Duration::from_secs(n))
        {
            break Ok(());
        }
        if let Err(error) = services.check() {
            break Err(error);
        }
        if let Err(error) = agent.check() {
            // A node agent may die under the services at any time, and its supervisor starts it again; a measured run ends there.
            let Some(child) = table.as_mut().filter(|_| restarts < RESTARTS) else {
                break Err(error);
            };
            restarts += 1;
            child.kill()?;
            child.wait()?;
            *agent = settings.start()?;
            *child = show()?;
            continue;
        }
        let gone = table
            .as_mut()
            .map(std::process::Child::try_wait)
            .transpose()?
            .flatten();
        if let Some(status) = gone.filter(|_| !stop.came()) {
            break Err(anyhow::anyhow!(
                "obi kafka stats --watch ended with {status}"
            ));
        }
    };
    match table {
        Some(mut child) => {
            // It got the same Ctrl-C from the terminal; where it did not, it is ended here.
            std::thread::sleep(Duration::from_millis(300));
            if child.try_wait()?.is_none() {
                child.kill()?;
                child.wait()?;
            }
            println!();
        }
        None => {
            let status = stats(settings, &[])
                .status()
                .context("cannot start obi kafka stats")?;
            if !status.success() && outcome.is_ok() {
                bail!("obi kafka stats ended with {status}");
            }
        }
    }
    outcome
}

/// The newest order that got spans: without OTLP those are of 100 messages a second, and this load has more. They leave the agent after 1.5 s.
fn show_an_order(settings: &Settings) -> Result<()> {
    std::thread::sleep(Duration::from_secs(3));
    println!("=== one order (obi kafka traces --topic {TOPIC} --service {API} --limit 1)");
    let wanted = ["--topic", TOPIC, "--service", API, "--limit", "1"];
    let status = ask(settings, "traces", &wanted).status();
    let status = status.context("cannot start obi kafka traces")?;
    if !status.success() {
        bail!("obi kafka traces ended with {status}");
    }
    Ok(())
}

fn stats(settings: &Settings, more: &[&str]) -> Command {
    ask(settings, "stats", more)
}

fn ask(settings: &Settings, what: &str, more: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new(&settings.program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(&settings.program);
        sudo
    };
    command
        .args(["kafka", what, "--socket"])
        .arg(settings.socket())
        .args(more);
    command
}

/// Accepted orders, end offsets and the agent's counters are one number.
fn check(agent: &Agent, cluster: &Cluster, accepted: u64) -> Result<()> {
    let stored: u64 = cluster.admin.ends(TOPIC)?.values().sum();
    if stored != accepted {
        bail!("order-api accepted {accepted} orders, the broker holds {stored}");
    }
    let wanted = [
        ("kafka_messages_produced_total", API),
        ("kafka_messages_consumed_total", PROCESSOR),
        ("kafka_messages_consumed_total", HANDLER),
    ];
    let began = Instant::now();
    loop {
        let scrape = agent.scrape()?;
        let wrong: Vec<String> = wanted
            .iter()
            .filter_map(|(metric, client)| {
                let seen = scrape.sum(metric, &[("topic", TOPIC), ("client_id", client)]);
                (seen != Some(stored as f64))
                    .then(|| format!("{metric} of {client}: agent {seen:?}, broker {stored}"))
            })
            .collect();
        if wrong.is_empty() {
            say(&format!(
                "{stored} orders: accepted, stored, produced and consumed twice; every count equal"
            ));
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(15) {
            bail!("{}", wrong.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
