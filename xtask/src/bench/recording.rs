//! The recording that the bench of the analyzer reads. In: nothing. Out: a file in `target`, made anew by `obi record` of real clients and a
//! real broker: groups of four libraries that rebalance and commit, their transactions, and loads of plain and compressed records.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use obi_lab::layout::Layout;
use obi_lab::process::Launch;
use obi_lab::step;

use super::cargo;

/// Of the loads.
const SECONDS: &str = "15";
/// Tests of `obi-e2e` that are recorded, all with one version of the broker.
const SCENARIOS: [&str; 8] = [
    "groups/java/4.4.0",
    "groups/franz-go/4.4.0",
    "groups/sarama/4.4.0",
    "groups/confluent-kafka-python/4.4.0",
    "groups/transactions/java/4.4.0",
    "groups/transactions/franz-go/4.4.0",
    "groups/transactions/sarama/4.4.0",
    "groups/transactions/confluent-kafka-python/4.4.0",
];

/// None: the clients failed, and said why.
pub fn make(layout: &Layout) -> Result<Option<PathBuf>> {
    let agent = crate::demo::build_agent(layout)?;
    let (file, log) = (
        layout.run().join("clients.rec"),
        layout.run().join("record.log"),
    );
    let mut recorder = Launch::new("obi record", agent, &log)
        .arg("record")
        .arg(&file)
        .arg("--payload")
        .privileged()
        .start()?;
    // Its first line of progress comes ten seconds after the start; all that runs is hooked by then.
    let (limit, pause) = (Duration::from_secs(60), Duration::from_millis(100));
    step::wait("obi record", limit, pause, || {
        recorder.check()?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Ok(said.contains("obi: recorded").then_some(()))
    })?;
    let mut clients = vec!["run", "--quiet", "--package", "obi-e2e", "--"];
    clients.extend(["--without-agent", "--full"]);
    clients.extend(SCENARIOS.iter().flat_map(|name| ["--only", name]));
    let mut loads = vec![
        "run",
        "--quiet",
        "--release",
        "--package",
        "obi-bench",
        "--",
    ];
    loads.extend(["--traffic", SECONDS]);
    let ran = cargo(layout, &clients)? && cargo(layout, &loads)?;
    let ended = recorder.stop(Duration::from_secs(20))?;
    if !ended.success() {
        bail!("obi record ended with {ended}\n{}", recorder.log_tail(20));
    }
    Ok(ran.then_some(file))
}
