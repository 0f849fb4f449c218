//! A real Prometheus scrapes the agent: what it stores is what the agent shows, and promtool finds nothing wrong with the format.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::prerequisites::unpacked;

use crate::cells::Library;
use crate::check::{self, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::prometheus::Prometheus;
use crate::world::{MARKER, World};

const RECORDS: f64 = 300.0;

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let topic = world.fresh("prometheus");
    produce(world, &topic)?;
    check::settle(agent, |scrape| {
        match scrape.sum(PRODUCED, &[("topic", &topic)]) {
            Some(seen) if seen == RECORDS => Vec::new(),
            seen => vec![format!(
                "{topic}: the agent counted {seen:?} of {RECORDS} records"
            )],
        }
    })?;
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
    let query = format!("sum({PRODUCED}{{topic='{topic}'}})");
    let stored = prometheus.wait(&query, Duration::from_secs(30), |stored| stored == RECORDS)?;
    prometheus.stop()?;
    Ok(format!(
        "{stored} records in Prometheus; promtool read {lines} lines"
    ))
}

fn produce(world: &World, topic: &str) -> Result<()> {
    world.cluster.admin.create(topic, 3, 1)?;
    let plan = Plan {
        library: Library::Franz,
        client_id: topic.to_owned(),
        codec: "none",
        tls: true,
        group: topic.to_owned(),
        marker: MARKER.to_owned(),
        intervals: false,
    };
    let folder = world.layout.run().join("prometheus-client");
    let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
    client.run(&format!("many {RECORDS} {topic}"))?;
    client.close()
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
