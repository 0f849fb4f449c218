//! `obi run`: the agent. In: configuration and flags; out: the agent until SIGTERM or SIGINT.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::exit::{Exit, Failure};
use super::{logging, signals};
use crate::config::{Config, env_vars, unbuilt};
use crate::export::Sinks;
use crate::export::otlp::target;
use crate::serve::{control, http};
use crate::stop::Stop;
use crate::store::stats::Agent;
use crate::telemetry::Telemetry;
use crate::{memory, pipeline};

/// Flags win over environment variables, which win over the file.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Configuration file (YAML); see `obi config schema`
    #[arg(long, env = "OBI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of /metrics, /healthz, /readyz [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Control socket [default: /run/obi/obi.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where learnt names outlive a restart; "" keeps nothing [default: /var/lib/obi]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Send spans and metrics by OTLP, for example to http://127.0.0.1:4317
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Only processes whose executable matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exe: Vec<String>,
    /// Only this process; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Percent of one core that hooks may cost each watched process [default: 0.5]
    #[arg(long, value_name = "PERCENT")]
    overhead_budget: Option<f64>,
    /// Count what each hook costs, for the command `cost_by_hook` of the control socket
    #[arg(long, hide = true)]
    cost_by_hook: bool,
    /// error, warn, info, debug, trace, or a filter such as info,obi::attach=debug
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Args {
    /// Defaults, then file, then environment, then flags.
    pub fn resolve(self, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
        let config = match &self.config {
            Some(path) => super::config::read(path)?,
            None => Config::default(),
        };
        let mut config = env_vars::apply(config, env)
            .map_err(|e| Failure::new(Exit::Usage, format!("{e:#}")))?;
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(socket) = self.socket {
            config.socket = socket;
        }
        if let Some(dir) = self.state_dir {
            config.state_dir = dir.into();
        }
        if let Some(endpoint) = self.otlp_endpoint {
            config.export.otlp.endpoint = endpoint;
        }
        if let Some(budget) = self.overhead_budget {
            config.overhead.budget = budget;
        }
        config.overhead.by_hook = self.cost_by_hook;
        if let Some(level) = self.log_level {
            config.log_level = level;
        }
        if !self.exe.is_empty() {
            config.discovery.exe = self.exe;
        }
        if !self.pid.is_empty() {
            config.discovery.pid = self.pid;
        }
        super::config::sound(&config)?;
        Ok(config)
    }
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let config = args.resolve(|name| std::env::var(name).ok())?;
    logging::start(&config.log_level)?;
    memory::give_back_early();
    for warning in unbuilt::warnings(&config) {
        tracing::warn!("{warning}");
    }
    let telemetry = Arc::new(Telemetry::default());
    let stop = Stop::default();
    let sinks = Sinks::new(&config, Arc::clone(&telemetry))?;
    let metrics = config.export.prometheus.enabled;
    let listen = http::start(
        &config.listen,
        metrics,
        sinks.clone(),
        Arc::clone(&telemetry),
        stop.clone(),
    )?;
    let _control = control::start(&config.socket, answers(&sinks, &telemetry, listen))?;
    signals::stop_on(stop.clone())?;
    announce(&config, listen, Arc::clone(&telemetry), stop.clone())?;
    let otlp = sinks.start_otlp(&config.export.otlp)?;
    let ended = pipeline::run(config, sinks, telemetry, stop.clone());
    stop.request();
    otlp.finish();
    ended.map(|()| Exit::Fine)
}

fn answers(
    sinks: &Sinks,
    telemetry: &Arc<Telemetry>,
    listen: SocketAddr,
) -> Vec<(&'static str, control::Answer)> {
    let (sinks, telemetry, started) = (sinks.clone(), Arc::clone(telemetry), Instant::now());
    let agent = Arc::clone(&telemetry);
    let questions = sinks.clone();
    let stats = move || {
        let lost = telemetry.lost_totals().into_iter().filter(|(_, n)| *n > 0);
        let agent = Agent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: started.elapsed().as_secs(),
            listen: Some(listen.to_string()),
            ready: telemetry.is_ready(),
            lost: lost.map(|(reason, n)| (reason.to_owned(), n)).collect(),
        };
        let mut stats = sinks.stats(agent);
        stats.hooks.clone_from(&telemetry.costs().services);
        Ok(serde_json::to_string(&stats)?)
    };
    let costs = Arc::clone(&agent);
    let costs = move || Ok(serde_json::to_string(&*costs.costs())?);
    let each = Arc::clone(&agent);
    let cost_by_hook = move || Ok(serde_json::to_string(&each.cost_by_hook())?);
    let watched = move || Ok(serde_json::to_string(&agent.watched())?);
    fn asked<T: serde::Serialize>(
        sinks: &Sinks,
        report: impl Fn(&Sinks) -> T + Send + Sync + 'static,
    ) -> control::Answer {
        let sinks = sinks.clone();
        Box::new(move || Ok(serde_json::to_string(&report(&sinks))?))
    }
    vec![
        ("kafka_groups", asked(&questions, Sinks::groups)),
        ("kafka_topics", asked(&questions, Sinks::topics)),
        ("kafka_clients", asked(&questions, Sinks::clients)),
        ("kafka_transactions", asked(&questions, Sinks::transactions)),
        ("kafka_events", asked(&questions, Sinks::events)),
        ("kafka_traces", asked(&questions, Sinks::traces)),
        ("kafka_stats", Box::new(stats)),
        ("watched", Box::new(watched)),
        ("costs", Box::new(costs)),
        ("cost_by_hook", Box::new(cost_by_hook)),
    ]
}

/// Says on stderr what was found once the first scan is attached, and tells the service manager.
fn announce(
    config: &Config,
    listen: SocketAddr,
    telemetry: Arc<Telemetry>,
    stop: Stop,
) -> anyhow::Result<()> {
    let otlp = &config.export.otlp;
    let otlp = if otlp.endpoint.is_empty() {
        String::new()
    } else {
        format!(", OTLP to {}", target::shown(&otlp.endpoint))
    };
    let socket = config.socket.display().to_string();
    eprintln!(
        "obi {}: metrics on http://{listen}/metrics{otlp}",
        env!("CARGO_PKG_VERSION")
    );
    let say = move || {
        while !telemetry.is_ready() {
            if stop.wait(Duration::from_millis(20)) {
                return;
            }
        }
        let found: Vec<String> = telemetry
            .processes()
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        let found = if found.is_empty() {
            "no Kafka client yet".to_owned()
        } else {
            format!("processes: {}", found.join(", "))
        };
        eprintln!(
            "obi: watching; {found}; see `obi kafka stats --socket {socket}` and `obi doctor`"
        );
        signals::tell_service_manager("READY=1");
    };
    std::thread::Builder::new()
        .name("obi-announce".to_owned())
        .spawn(say)
        .context("cannot start a thread")?;
    Ok(())
}
