//! `obi run`: the agent. In: configuration and flags; out: the agent until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::sync::Arc;

use super::exit::{Exit, Failure};
use crate::config::{Config, env_vars};
use crate::export::Sinks;
use crate::telemetry::Telemetry;

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
    state_dir: Option<PathBuf>,
    /// Send spans and metrics by OTLP, for example to http://127.0.0.1:4317
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Only processes whose executable matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exe: Vec<String>,
    /// Only this process; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
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
            config.state_dir = dir;
        }
        if let Some(endpoint) = self.otlp_endpoint {
            config.export.otlp.endpoint = endpoint;
        }
        if let Some(level) = self.log_level {
            config.log_level = level;
        }
        if !self.exe.is_empty() {
            config.discovery.exe = self.exe;
        }
        if !self.pid.is_empty() {
            config.discovery.pid = self.pid;
        }
        Ok(config)
    }
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let config = args.resolve(|name| std::env::var(name).ok())?;
    let telemetry = Arc::new(Telemetry::default());
    let _sinks = Sinks::new(&config, telemetry)?;
    Err(Failure::new(Exit::Unsupported, "this build has no capture side").into())
}
