//! A real Prometheus scrapes the agent: what it stores is what the agent shows, and promtool finds nothing wrong with the format.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::prerequisites::unpacked;
use obi_lab::process::Launch;
use obi_lab::{ports, step};

use crate::check::PRODUCED;
use crate::world::World;

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let lines = promtool(world, &agent.get("/metrics")?)?;

    let folder = world.layout.run().join("prometheus");
    std::fs::create_dir_all(&folder)?;
    let target = agent
        .address()
        .replace("http://", "")
        .replace("/metrics", "");
    let config = folder.join("prometheus.yml");
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: obi\n  static_configs: [{{targets: ['{target}']}}]\n"
        ),
    )?;
    let port = ports::free()?;
    let mut prometheus = Launch::new(
        "prometheus",
        unpacked(&world.layout, "prometheus", "prometheus")?,
        folder.join("log"),
    )
    .arg(format!("--config.file={}", config.display()))
    .arg(format!(
        "--storage.tsdb.path={}",
        folder.join("data").display()
    ))
    .arg(format!("--web.listen-address=127.0.0.1:{port}"))
    .start()?;
    let wanted = agent
        .scrape()?
        .sum(PRODUCED, &[])
        .context("nothing was produced yet")?;
    let query = format!("http://127.0.0.1:{port}/api/v1/query?query=sum({PRODUCED})");
    let stored = step::wait(
        "Prometheus",
        Duration::from_secs(30),
        Duration::from_millis(200),
        || {
            prometheus.check()?;
            let Ok(mut answer) = ureq::get(&query).call() else {
                return Ok(None);
            };
            let answer: serde_json::Value =
                serde_json::from_str(&answer.body_mut().read_to_string()?)?;
            let value = answer
                .pointer("/data/result/0/value/1")
                .and_then(serde_json::Value::as_str);
            Ok(value.map(str::to_owned))
        },
    )?;
    if stored.parse() != Ok(wanted) {
        bail!("Prometheus stored {stored} records, the agent says {wanted}");
    }
    prometheus.stop(Duration::from_secs(20))?;
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
