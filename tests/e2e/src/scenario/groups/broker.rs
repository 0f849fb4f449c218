//! The broker's truth about a group against what its members told. In: both. Out: the broker's offsets, or every difference.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use obi_lab::kafka::{Cluster, GroupOffset};

use super::event::{At, Event};
use super::member::Member;
use crate::truth::Place;

/// Members by client id, each with what it holds.
type Assignments = BTreeMap<String, BTreeSet<Place>>;

/// The broker's offsets, once they and its members are found equal to what the members told. `committed` is what was committed last.
pub fn offsets(
    cluster: &Cluster,
    group: &str,
    members: &[Member],
    committed: &[At],
) -> Result<Vec<GroupOffset>> {
    let offsets = cluster.admin.group_offsets(group)?;
    let told: BTreeMap<Place, u64> = committed
        .iter()
        .map(|(topic, partition, offset)| ((topic.clone(), *partition), *offset))
        .collect();
    let stored: BTreeMap<Place, u64> = offsets
        .iter()
        .filter_map(|row| Some(((row.topic.clone(), row.partition), row.committed?)))
        .collect();
    if told != stored {
        bail!("{group}: the members committed {told:?}, the broker stores {stored:?}");
    }
    let held: Assignments = members
        .iter()
        .map(|member| (member.plan.client_id.clone(), member.held()))
        .collect();
    let given: Assignments = cluster
        .admin
        .group_members(group)?
        .into_iter()
        .map(|member| (member.client_id, member.assignment.into_iter().collect()))
        .collect();
    if held != given {
        bail!("{group}: the members hold {held:?}, the broker says {given:?}");
    }
    Ok(offsets)
}

/// What no member may have told: a failure outside of a command.
pub fn no_errors(members: &[Member]) -> Result<()> {
    for member in members {
        for event in member.events() {
            if let Event::Error { error, .. } = event {
                bail!("{} told of an error: {error}", member.plan.client_id);
            }
        }
    }
    Ok(())
}

pub fn lag(offsets: &[GroupOffset]) -> i64 {
    offsets.iter().filter_map(|row| row.lag).sum()
}
