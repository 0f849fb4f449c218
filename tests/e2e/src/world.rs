//! What most scenarios share: one broker, the built clients, one agent without target flags that is started before any client, rotel
//! and the sink that its spans end in. In: arguments. Out: handles; all ends when the world is dropped.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use obi_lab::agent::{Agent, Settings};
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::process::{Launch, Process};
use obi_lab::{ports, step};

use crate::clients::Programs;
use crate::sink::Sink;

/// Begins every value, so that a search for it finds any value that leaked.
pub const MARKER: &str = "value-that-nobody-may-see-";

pub struct World {
    pub layout: Layout,
    pub cluster: Cluster,
    pub programs: Programs,
    pub sink: Sink,
    pub agent: Option<Agent>,
    /// None under `--without-agent`.
    pub settings: Option<Settings>,
    _rotel: Option<Process>,
    names: Cell<u32>,
}

impl World {
    pub fn start(layout: Layout, programs: Programs, program: Option<PathBuf>) -> Result<Self> {
        let cluster = Cluster::start(&layout, "kafka", 1)?;
        let sink = Sink::start()?;
        let mut world = Self {
            layout,
            cluster,
            programs,
            sink,
            agent: None,
            settings: None,
            _rotel: None,
            names: Cell::new(0),
        };
        if let Some(program) = program {
            let (rotel, port) = rotel(&world)?;
            let mut settings = Settings::new(program, world.layout.run().join("agent"))?
                .flag("--otlp-endpoint", &format!("http://127.0.0.1:{port}"));
            // Our port is not 4317, by which the agent would know that this is gRPC.
            // One agent sees the topics of all cells, each with names of its own: more series than a node has by default.
            settings.environment.extend(
                [
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OBI_PROMETHEUS_MAX_SERIES", "100000"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            step::say(&format!(
                "obi run: /metrics on 127.0.0.1:{}",
                settings.listen
            ));
            world.agent = Some(settings.start()?);
            world.settings = Some(settings);
            world._rotel = Some(rotel);
        }
        Ok(world)
    }

    /// A name that was not given before: topics and groups of one run never meet.
    pub fn fresh(&self, stem: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{stem}-{}", self.names.get())
    }

    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("there is no agent")
    }

    /// A scenario's own agent settings, apart from the shared one's.
    pub fn settings(&self, name: &str) -> Result<Settings> {
        let shared = self.settings.as_ref().context("there is no agent")?;
        Settings::new(&shared.program, self.layout.run().join(name))
    }
}

/// A real OTLP receiver (gRPC) that hands on to our sink (HTTP).
fn rotel(world: &World) -> Result<(Process, u16)> {
    let (grpc, http) = (ports::free()?, ports::free()?);
    let site = world
        .programs
        .python
        .parent()
        .and_then(|bin| bin.parent())
        .context("no Python environment")?;
    let agent = std::fs::read_dir(site.join("lib"))?
        .flatten()
        .map(|python| python.path().join("site-packages/rotel/rotel-agent"))
        .find(|path| path.exists())
        .context("the package rotel holds no rotel-agent")?;
    let log = world.layout.run().join("rotel.log");
    let process = Launch::new("rotel", agent, &log)
        .args([
            "start",
            "--exporter",
            "otlp",
            "--otlp-exporter-protocol",
            "http",
        ])
        .args([
            "--otlp-exporter-endpoint",
            &format!("http://127.0.0.1:{}", world.sink.port),
        ])
        .args(["--otlp-grpc-max-recv-msg-size-mib", "64"])
        .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
        .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
        .arg("--pid-file")
        .arg(world.layout.run().join("rotel.pid"))
        .start()?;
    let mut process = process;
    step::wait(
        "rotel",
        Duration::from_secs(20),
        Duration::from_millis(50),
        || {
            process.check()?;
            Ok(std::net::TcpStream::connect(("127.0.0.1", grpc))
                .is_ok()
                .then_some(()))
        },
    )?;
    Ok((process, grpc))
}
