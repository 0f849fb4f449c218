//! A real Prometheus scrapes the agent: what it stores is what the agent shows, and promtool finds nothing wrong with the format.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::prerequisites::unpacked;

use crate::check::PRODUCED;
use crate::prometheus::Prometheus;
use crate::world::World;

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let lines = promtool(world, &agent.get("/metrics")?)?;

    let target = agent
        .address()
        .replace("http://", "")
        .replace("/metrics", "");
    let mut prometheus = Prometheus::start(
        world,
        "prometheus",
        &format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: obi\n  static_configs: [{{targets: ['{target}']}}]\n"
        ),
    )?;
    let wanted = agent
        .scrape()?
        .sum(PRODUCED, &[])
        .context("nothing was produced yet")?;
    let query = format!("sum({PRODUCED})");
    let stored = prometheus.wait(&query, Duration::from_secs(30), |_| true)?;
    if stored != wanted {
        bail!("Prometheus stored {stored} records, the agent says {wanted}");
    }
    prometheus.stop()?;
    Ok(format!(
        "{stored} records in Prometheus; promtool read {lines} lines"
    ))
}

/// `promtool check metrics` over a scrape; gives its number of lines.
fn promtool(world: &World, body: &str) -> Result<usize> {
    let mut check = Command::new(unpacked(&world.layout, "prometheus", "promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = check.stdin.take().context("promtool has no input")?;
    stdin.write_all(body.as_bytes())?;
    drop(stdin);
    let output = check.wait_with_output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "promtool check metrics: {}\n{}",
            output.status,
            String::from_utf8_lossy(&said)
        );
    }
    Ok(body.lines().count())
}
