//! The recording rules over two nodes: one agent follows only the producer's program, the other only the consumer's, and a real Prometheus
//! scrapes both. The consumer is killed, the producer goes on: the joined lag is the broker's, which neither agent knows by itself.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use obi_lab::agent::{Agent, Settings};
use obi_lab::kafka::Version;
use obi_lab::process::Signal;

use super::library::Library;
use super::stage::Stage;
use super::{agent, broker};
use crate::check::PRODUCED;
use crate::prometheus::Prometheus;

const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../config/prometheus/rules.yaml"
);
/// Scrape, evaluation and the agent's own second.
const VISIBLE: Duration = Duration::from_secs(10);

pub fn run(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "two-nodes")?;
    // Of the programs built for this run: the golden producer, and the members of groups.
    let producers = node(stage, "node-of-producers", "*/bin/franz-go")?.start()?;
    let consumers = node(stage, "node-of-consumers", "*/bin/franz-go-member")?.start()?;
    let mut prometheus = Prometheus::start(stage.world, "rules", &config(&producers, &consumers))?;

    let plan = stage.plan(Library::Franz, &topic);
    let group = plan.group.clone();
    let mut members = stage.members(cluster, &plan, 1)?;
    stage.produce(cluster, &topic, 600)?;
    for member in &mut members {
        member.consume(560)?;
        if let Err(error) = member.commit()? {
            bail!("commit: {error}");
        }
    }
    let joined = format!("sum(group_partition:kafka_consumer_lag:joined{{group=\"{group}\"}})");
    let lag = || Ok::<_, anyhow::Error>(broker::lag(&cluster.admin.group_offsets(&group)?) as f64);
    let before = lag()?;
    prometheus.wait(&joined, 2 * VISIBLE, |value| value == before)?;

    for member in &mut members {
        member.process.signal(Signal::KILL)?;
    }
    stage.produce(cluster, &topic, 300)?;
    let after = lag()?;
    if after != before + 300.0 {
        bail!("the broker's lag went from {before} to {after} by 300 records");
    }
    let began = Instant::now();
    prometheus.wait(&joined, VISIBLE, |value| value == after)?;
    let seconds = began.elapsed().as_secs_f64();

    // That they are two nodes: no agent has what it would need to know this by itself.
    let (first, second) = (producers.scrape()?, consumers.scrape()?);
    let known = |scrape: &obi_lab::metrics::Scrape, metric: &str| {
        scrape.sum(metric, &[("topic", &topic)]).unwrap_or(0.0)
    };
    let committed = known(&first, agent::COMMITTED);
    let produced = known(&second, PRODUCED);
    if (committed, produced) != (0.0, 0.0) {
        bail!(
            "the producers' agent saw offsets ({committed}), the consumers' records ({produced})"
        );
    }
    let alone = known(&second, agent::LAG);
    if alone >= after {
        bail!("the consumers' agent alone knows a lag of {alone}");
    }
    prometheus.stop()?;
    producers.stop()?;
    consumers.stop()?;
    Ok(format!(
        "lag {before}, then {after} after {seconds:.1} s; the consumers' node alone says {alone}"
    ))
}

fn node(stage: &Stage, name: &str, exe: &str) -> Result<Settings> {
    Ok(stage.world.settings(name)?.flag("--exe", exe))
}

fn config(producers: &Agent, consumers: &Agent) -> String {
    let target = |agent: &Agent, node: &str| {
        let address = agent.address();
        let host = address
            .trim_start_matches("http://")
            .trim_end_matches("/metrics");
        format!("  - {{targets: ['{host}'], labels: {{node: {node}}}}}\n")
    };
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{RULES}']\nscrape_configs:\n- job_name: obi\n  static_configs:\n{}{}",
        target(producers, "producers"),
        target(consumers, "consumers"),
    )
}
