//! A consumer dies by SIGKILL while a producer goes on: for 20 s the lag grows as the broker says, though nobody fetches any more.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use obi_lab::kafka::Version;
use obi_lab::process::Signal;

use super::library::Library;
use super::stage::Stage;
use super::{agent, broker};

/// What is visible at the broker is so at the agent after this.
const VISIBLE: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(20);

pub fn run(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let topic = stage.topic(cluster, "killed")?;
    stage.produce(cluster, &topic, 600)?;
    let plan = stage.plan(Library::ConfluentPython, &topic);
    let group = plan.group.clone();
    let mut members = stage.members(cluster, &plan, 1)?;
    for member in &mut members {
        member.consume(560)?;
        if let Err(error) = member.commit()? {
            bail!("commit: {error}");
        }
        member.process.signal(Signal::KILL)?;
    }
    let mut producer = stage.producer(cluster)?;
    producer.tell(&format!("pace 200 100 {topic}"))?;
    let began = Instant::now();
    let mut lags = vec![broker::lag(&cluster.admin.group_offsets(&group)?)];
    while began.elapsed() < WATCHED {
        std::thread::sleep(VISIBLE);
        let seen = match &stage.world.agent {
            Some(agent) => agent.scrape()?.sum(agent::LAG, &[("group", &group)]),
            None => None,
        };
        let before = lags.last().copied().unwrap_or_default();
        let now = broker::lag(&cluster.admin.group_offsets(&group)?);
        if now <= before {
            bail!("the broker's lag does not grow: {lags:?}, then {now}");
        }
        let right = |lag: f64| lag >= before as f64 && lag <= now as f64;
        if stage.world.agent.is_some() && !seen.is_some_and(right) {
            bail!("lag: agent {seen:?}, truth between {before} and {now}");
        }
        lags.push(now);
    }
    producer.answer()?;
    producer.close()?;
    stage.wait_state(cluster, &group, "without the killed member", |state| {
        state.state == "Empty"
    })?;
    Ok(format!("lag {lags:?}"))
}
