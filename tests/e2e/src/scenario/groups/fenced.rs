//! Two producers with one transactional id: the second fences the first, whose open transaction is aborted and whose commit fails.
//! In: the libraries with transactions. Out: Kafka's name of the error, and that only the second's records are there to read.

use anyhow::{Context, Result, bail};
use obi_lab::kafka::Version;

use super::library::Library;
use super::stage::Stage;
use super::transactions::{LIBRARIES, ended, producing, read_committed};

/// The last one is librdkafka's own.
const REFUSALS: [&str; 3] = ["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED", "_FENCED"];

pub fn run(stage: &Stage) -> Result<String> {
    let mut seen = Vec::new();
    for library in LIBRARIES {
        let error = fence(stage, library).with_context(|| library.name())?;
        seen.push(format!("{}: {error}", library.name()));
    }
    Ok(seen.join(", "))
}

fn fence(stage: &Stage, library: Library) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "fenced")?;
    let plan = producing(stage, library, &topic);
    let mut first = stage.member(cluster, plan.clone())?;
    first.must("begin")?;
    first.must("produce 10")?;
    let mut plan = plan;
    plan.client_id += "-second";
    let mut second = stage.member(cluster, plan)?;
    second.must("begin")?;
    second.must("produce 5")?;
    second.must("end commit")?;
    let Err(error) = first.transact("end commit")? else {
        bail!("the fenced producer could commit");
    };
    if !REFUSALS.contains(&error.as_str()) {
        bail!("the fenced producer's commit failed with {error}");
    }
    read_committed(stage, cluster, library, &topic, 5)?;
    ended(stage, &first.plan, &[("fenced", 1.0)])?;
    ended(stage, &second.plan, &[("committed", 1.0)])?;
    second.close()?;
    // A fenced producer cannot end in order in every library; its end of input is enough.
    drop(first);
    Ok(error)
}
