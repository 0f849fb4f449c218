//! What hooks cost a client, as the agent says on its control socket. In: a running agent. Out: seconds by group of hooks.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Seconds that hooks took from the client, by what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks {
    pub tls: f64,
    pub batches: f64,
    pub each_message: f64,
    /// Share of the time in which the hooks on each message were attached, lately.
    pub sampled: Option<f64>,
}

impl Hooks {
    pub fn total(&self) -> f64 {
        self.tls + self.batches + self.each_message
    }

    pub fn since(&self, before: &Hooks) -> Hooks {
        Hooks {
            tls: self.tls - before.tls,
            batches: self.batches - before.batches,
            each_message: self.each_message - before.each_message,
            sampled: self.sampled,
        }
    }
}

/// Of the one service with this name; nothing while no hook of it was hit.
pub fn of(program: &Path, socket: &Path, service: &str) -> Result<Hooks> {
    let asked = Command::new(program)
        .args(["kafka", "stats", "--output", "json", "--socket"])
        .arg(socket)
        .output()
        .context("cannot run obi kafka stats")?;
    ensure!(
        asked.status.success(),
        "obi kafka stats: {}",
        String::from_utf8_lossy(&asked.stderr)
    );
    let stats: Value = serde_json::from_slice(&asked.stdout)?;
    let services = stats["hooks"].as_array().context("no hooks in the stats")?;
    let Some(cost) = services.iter().find(|cost| cost["service"] == service) else {
        return Ok(Hooks::default());
    };
    let seconds = |group: &str| cost["seconds"][group].as_f64().unwrap_or(0.0);
    Ok(Hooks {
        tls: seconds("tls"),
        batches: seconds("batches"),
        each_message: seconds("each_message"),
        sampled: cost["sampled_share"].as_f64(),
    })
}
