//! Logs of the agent: structured lines on stderr. In: the configured level or filter; out: the process-wide subscriber.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::exit::{Exit, Failure};

/// A plain level applies to obi; its libraries then speak from `warn` on.
pub fn start(level: &str) -> anyhow::Result<()> {
    let directives = match level {
        "error" | "warn" | "info" | "debug" | "trace" => format!("warn,obi={level}"),
        filter => filter.to_owned(),
    };
    let filter = EnvFilter::try_new(directives).map_err(|e| {
        Failure::new(
            Exit::Usage,
            format!("log_level: `{level}` is not a level or filter: {e}"),
        )
        .hint("error, warn, info, debug, trace, or for example info,obi::attach=debug")
    })?;
    let colour = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    subscriber
        .try_init()
        .map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))
}
