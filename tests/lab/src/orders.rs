//! The order service of `examples/05-kafka-streaming`, as its owner would start it. In: a cluster, a database. Out: `POST /orders`, and a
//! diary of each service where one is asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::golang::{self, Symbols};
use crate::kafka::Cluster;
use crate::layout::Layout;
use crate::postgres::Postgres;
use crate::process::{Launch, Process};
use crate::{ports, python, step};

pub const TOPIC: &str = "orders";
pub const API: &str = "order-api";
pub const PROCESSOR: &str = "order-processor";
pub const HANDLER: &str = "event-handler";
/// Customers are the keys.
const CUSTOMERS: [&str; 8] = [
    "ada", "grace", "barbara", "radia", "frances", "hedy", "margaret", "annie",
];
const ITEMS: [&str; 3] = ["book", "lamp", "chair"];

/// The services, built.
#[derive(Debug)]
pub struct Programs {
    api: PathBuf,
    processor: PathBuf,
    handler: PathBuf,
    python: PathBuf,
}

impl Programs {
    /// `fresh`: with build ids that no agent has seen.
    pub fn build(layout: &Layout, fresh: bool) -> Result<Self> {
        let source = layout.root().join("examples/05-kafka-streaming");
        let out = layout.run().join("bin");
        let go = |name: &str| {
            let package = format!("./{name}");
            golang::build(&source, &package, &out.join(name), Symbols::Kept, fresh)
        };
        Ok(Self {
            api: go(API)?,
            processor: go(PROCESSOR)?,
            handler: source.join("event-handler/event_handler.py"),
            python: python::environment(layout, &source.join("event-handler/requirements.txt"))?,
        })
    }
}

/// Where the services are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub cluster: &'a Cluster,
    pub database: &'a Postgres,
    /// Services speak TLS with the database.
    pub tls: bool,
    /// Of their logs, and of their diaries if they are to keep one.
    pub folder: &'a Path,
    pub diaries: bool,
}

#[derive(Debug)]
pub struct Services {
    pub listen: u16,
    pub api: Process,
    pub processor: Process,
    pub handler: Process,
}

impl Services {
    /// Starts them, and waits until orders are taken and both databases' clients are ready.
    pub fn start(programs: &Programs, place: Place) -> Result<Self> {
        let listen = ports::free()?;
        let address = format!("127.0.0.1:{listen}");
        let cluster = place.cluster;
        let launch = |name: &str, program: &Path| {
            let launch = Launch::new(name, program, log(place.folder, name))
                .env("KAFKA_BROKERS", cluster.bootstrap(true))
                .env("KAFKA_USERNAME", &cluster.user.name)
                .env("KAFKA_PASSWORD", &cluster.user.password)
                .env("KAFKA_CA_FILE", &cluster.certificates.authority)
                .env("DATABASE_URL", place.database.url(place.tls))
                .env("LISTEN_ADDRESS", &address);
            if place.diaries {
                launch.env("DIARY_FILE", diary(place.folder, name))
            } else {
                launch
            }
        };
        step::say(&format!("{API}: POST http://{address}/orders"));
        let api = launch(API, &programs.api).start()?;
        step::say(&format!("{PROCESSOR}: group order-processors, PostgreSQL"));
        let processor = launch(PROCESSOR, &programs.processor).start()?;
        step::say(&format!("{HANDLER}: group event-handlers, PostgreSQL"));
        let handler = launch(HANDLER, &programs.python)
            .arg(&programs.handler)
            .start()?;
        let mut services = Self {
            listen,
            api,
            processor,
            handler,
        };
        step::wait(
            "the order services",
            Duration::from_secs(20),
            Duration::from_millis(50),
            || {
                services.check()?;
                let taken = std::net::TcpStream::connect(("127.0.0.1", listen)).is_ok();
                let reads = |process: &Process| process.log_tail(5).contains("reads orders");
                let ready = taken && reads(&services.processor) && reads(&services.handler);
                Ok(ready.then_some(()))
            },
        )?;
        Ok(services)
    }

    pub fn check(&mut self) -> Result<()> {
        self.each().into_iter().try_for_each(Process::check)
    }

    pub fn stop(mut self) -> Result<()> {
        for process in self.each() {
            process.stop(Duration::from_secs(15))?;
        }
        Ok(())
    }

    fn each(&mut self) -> [&mut Process; 3] {
        [&mut self.api, &mut self.processor, &mut self.handler]
    }
}

fn log(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.log"))
}

pub fn diary(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.diary.jsonl"))
}

/// A customer who orders over one connection, again and again.
#[derive(Debug)]
pub struct Customer {
    url: String,
    client: ureq::Agent,
}

impl Customer {
    pub fn new(listen: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{listen}/orders"),
            client: ureq::Agent::new_with_defaults(),
        }
    }

    /// Posts the nth order; true if it was accepted.
    pub fn order(&self, n: u32) -> bool {
        let customer = CUSTOMERS[n as usize % CUSTOMERS.len()];
        let item = ITEMS[n as usize % ITEMS.len()];
        let quantity = n % 9 + 1;
        let order =
            format!("{{\"customer\":\"{customer}\",\"item\":\"{item}\",\"quantity\":{quantity}}}");
        let answer = self.client.post(&self.url).send(&order);
        answer.is_ok_and(|answer| answer.status() == 201)
    }
}
