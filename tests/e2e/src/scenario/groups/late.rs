//! The agent comes when the group is long at work: after one more commit of each member, and the heartbeats between, it shows what the
//! broker says. In: a group at rest. Out: lag and committed offsets of a second agent.

use anyhow::{Result, bail};
use obi_lab::kafka::Version;

use super::library::Library;
use super::stage::Stage;
use super::{agent, broker};
use crate::check;

/// The second one names topics by id in its commits.
const LIBRARIES: [Library; 3] = [Library::ConfluentPython, Library::Franz, Library::Aiokafka];

pub fn run(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let mut groups = Vec::new();
    for library in LIBRARIES {
        let topic = stage.topic(cluster, "late")?;
        stage.produce(cluster, &topic, 600)?;
        let plan = stage.plan(library, &topic);
        let mut members = stage.members(cluster, &plan, 2)?;
        for member in &mut members {
            // All three partitions: what nobody touches after the agent came, it cannot know.
            member.consume(250)?;
            if let Err(error) = member.commit()? {
                bail!("{}: {error}", member.plan.client_id);
            }
        }
        groups.push((plan.group, topic, members));
    }
    let late = stage.world.settings("late-for-groups")?.start()?;
    for (group, topic, members) in &mut groups {
        // A fetch session does not repeat the end of a partition in which nothing happens.
        stage.produce(cluster, topic, 60)?;
        let mut committed = Vec::new();
        for member in members.iter_mut() {
            member.consume(20)?;
            match member.commit()? {
                Ok(offsets) => committed.extend(offsets),
                Err(error) => bail!("{}: {error}", member.plan.client_id),
            }
        }
        let offsets = broker::offsets(cluster, group, members, &committed)?;
        check::settle(&late, |scrape| agent::offset_lines(scrape, group, &offsets))?;
        for member in members.iter_mut() {
            member.close()?;
        }
    }
    late.stop()?;
    Ok(format!("{} groups right after one commit", groups.len()))
}
