//! Groups as they are now. In: lag, commits, members; out: [`report::Groups`] when asked.
//!
//! Bounded: of groups and of their partitions beyond the caps the one idle for longest is forgotten and counted. A group that is
//! gone is not shown, nor a partition that was idle for ten minutes.

pub mod report;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use kafka_analyzer::capture::{Nanos, Pid};
use kafka_analyzer::observation::{
    Commit, CommittedOffset, Exchange, FetchedPartition, Group, GroupKind, GroupMember, Lag,
    LagBasis,
};
use lru::LruCache;

use super::flow::Window;
use super::latency::Latency;
use super::{IDLE, Name, entry, wire_bytes};
use crate::export::filter::Filter;
use crate::export::processes::Processes;
use crate::export::registry::{Clocks, Since};
use report::{Assignment, Groups, Member, Offset, SCHEMA};

const GROUPS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
const OFFSETS: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();

/// A lag observation follows a commit within this time.
const LAG_FOLLOWS: Nanos = 5 * 1_000_000_000;

#[derive(Debug, Default)]
struct GroupState {
    seen: Nanos,
    latest: Option<Group>,
    commits: Latency,
}

#[derive(Debug, Default)]
struct OffsetState {
    seen: Nanos,
    committed: Option<Behind>,
    position: Option<Behind>,
    /// Told beside the lag; the newer of the two.
    offset: Option<(Nanos, i64)>,
    /// Who of this node read it last for the group.
    reader: Option<(Pid, Name)>,
    consumed: Option<Box<Window>>,
}

/// Those of one group, by topic and partition.
type OffsetsOf<'a> = BTreeMap<(&'a Name, i32), &'a OffsetState>;

/// What a lag observation said.
#[derive(Clone, Copy, Debug)]
struct Behind {
    at: Nanos,
    offset: i64,
    high_watermark: i64,
    messages: u64,
    oldest_timestamp_ms: Option<i64>,
    observed: Nanos,
}

#[derive(Debug)]
struct State {
    groups: LruCache<(Name, Name), GroupState>,
    offsets: LruCache<(Name, Name, Name, i32), OffsetState>,
    forgotten: u64,
}

#[derive(Debug)]
pub struct Table(Mutex<State>);

impl Default for Table {
    fn default() -> Self {
        Table(Mutex::new(State {
            groups: LruCache::new(GROUPS),
            offsets: LruCache::new(OFFSETS),
            forgotten: 0,
        }))
    }
}

impl State {
    fn group(&mut self, cluster: &Name, group: &Name, now: Nanos) -> &mut GroupState {
        let key = (cluster.clone(), group.clone());
        let state = entry(
            &mut self.groups,
            key,
            &mut self.forgotten,
            GroupState::default,
        );
        state.seen = state.seen.max(now);
        state
    }

    fn offset(
        &mut self,
        [cluster, group, topic]: [&Name; 3],
        partition: i32,
        now: Nanos,
    ) -> &mut OffsetState {
        let key = (cluster.clone(), group.clone(), topic.clone(), partition);
        let state = entry(
            &mut self.offsets,
            key,
            &mut self.forgotten,
            OffsetState::default,
        );
        state.seen = state.seen.max(now);
        state
    }
}

impl Table {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn lag(&self, lag: &Lag) {
        // A consumer without a group is in no group's table.
        if lag.group.is_empty() {
            return;
        }
        let now = lag.origin.time;
        let names = [&lag.cluster, &lag.group, &lag.topic];
        let behind = Some(Behind {
            at: now,
            offset: lag.offset,
            high_watermark: lag.high_watermark,
            messages: lag.messages,
            oldest_timestamp_ms: lag.oldest_timestamp_ms,
            observed: lag.observed,
        });
        let mut state = self.state();
        let offset = state.offset(names, lag.partition, now);
        match lag.basis {
            LagBasis::Committed => offset.committed = behind,
            LagBasis::Position => offset.position = behind,
            LagBasis::Delivered => {}
        }
    }

    pub fn committed(&self, committed: &CommittedOffset) {
        let now = committed.origin.time;
        let names = [&committed.cluster, &committed.group, &committed.topic];
        let mut state = self.state();
        let offset = state.offset(names, committed.partition, now);
        offset.offset = Some((now, committed.offset));
    }

    pub fn commit(&self, commit: &Commit) {
        let now = commit.origin.time;
        let mut state = self.state();
        let group = state.group(&commit.cluster, &commit.group, now);
        if commit.answered {
            let took = commit.ended.saturating_sub(commit.began);
            group.commits.add(now, took);
        }
    }

    /// What a client of this node received for a group. None of it is left out by a filter.
    pub fn consumed(&self, x: &Exchange, p: &FetchedPartition) {
        let now = x.origin.time;
        let mut state = self.state();
        let offset = state.offset([&x.cluster, &x.group, &p.topic], p.partition, now);
        let consumed = offset.consumed.get_or_insert_default();
        consumed.add(now, p.records, wire_bytes(&p.batches));
        match &offset.reader {
            Some((pid, client_id)) if *pid == x.pid && *client_id == x.client_id => {}
            _ => offset.reader = Some((x.pid, x.client_id.clone())),
        }
    }

    pub fn group(&self, group: &Group) {
        let mut state = self.state();
        if !group.gone {
            state
                .group(&group.cluster, &group.group, group.origin.time)
                .latest = Some(group.clone());
            return;
        }
        state
            .groups
            .pop(&(group.cluster.clone(), group.group.clone()));
        let of_group = state
            .offsets
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.0 == group.cluster && key.1 == group.group);
        let of_group: Vec<_> = of_group.cloned().collect();
        for key in of_group {
            state.offsets.pop(&key);
        }
    }

    /// `high_watermarks` by (cluster, topic, partition): for partitions of which no lag was told.
    pub fn report(
        &self,
        now: Clocks,
        filter: &Filter,
        processes: &Processes,
        high_watermarks: &HashMap<(Name, Name, i32), i64>,
    ) -> Groups {
        let state = self.state();
        let lately = |seen: Nanos| now.event.saturating_sub(seen) < IDLE;
        let mut partitions: BTreeMap<(&Name, &Name), OffsetsOf<'_>> = BTreeMap::new();
        for ((cluster, group, topic, partition), offset) in &state.offsets {
            if lately(offset.seen) {
                let of_group = partitions.entry((cluster, group)).or_default();
                of_group.insert((topic, *partition), offset);
            }
        }
        // A group that is there says nothing new while it is stable; when it is gone, that is told.
        let there = |group: &GroupState| group.latest.is_some() || lately(group.seen);
        for ((cluster, group), _) in state.groups.iter().filter(|(_, g)| there(g)) {
            partitions.entry((cluster, group)).or_default();
        }
        let mut groups = Vec::new();
        for ((cluster, group), mut offsets) in partitions {
            let known = state.groups.peek(&(cluster.clone(), group.clone()));
            let latest = known.and_then(|known| known.latest.as_ref());
            let mut owners: HashMap<(&Name, i32), &GroupMember> = HashMap::new();
            let members = latest.map_or(&[][..], |latest| &latest.members);
            for member in members {
                for (topic, assigned) in member.assignment.iter().flatten() {
                    owners.extend(assigned.iter().map(|p| ((topic, *p), member)));
                }
            }
            // Assigned, and nothing was heard of it yet.
            let silent = OffsetState::default();
            for (topic, partition) in owners.keys().filter(|(topic, _)| filter.topic(topic)) {
                offsets.entry((*topic, *partition)).or_insert(&silent);
            }
            let commit_p99 = known
                .and_then(|known| known.commits.quantiles(now.event))
                .map(|q| q.p99_ms);
            let rows = offsets.into_iter().map(|((topic, partition), offset)| {
                let end = high_watermarks.get(&(cluster.clone(), topic.clone(), partition));
                let owner = owners.get(&(topic, partition)).copied();
                let mut row = Offset {
                    topic: topic.to_string(),
                    partition,
                    commit_p99,
                    ..row(offset, owner, end.copied(), now)
                };
                // Without a word of the members, who reads is the next best.
                if let (None, Some((pid, client_id))) = (latest, &offset.reader) {
                    row.pid = Some(*pid);
                    row.client_id = Some(client_id.to_string());
                }
                row
            });
            groups.push(report::Group {
                cluster: cluster.to_string(),
                group: group.to_string(),
                offsets: rows.collect(),
                ..describe(latest, filter, processes)
            });
        }
        Groups {
            schema: SCHEMA.to_owned(),
            groups,
            forgotten: state.forgotten,
        }
    }
}

/// All but topic, partition and what the whole group shares.
fn row(state: &OffsetState, owner: Option<&GroupMember>, end: Option<i64>, now: Clocks) -> Offset {
    let lag = state.committed;
    // Lag is told at most once a second: only a commit that it does not follow makes it untrue.
    let newer = state
        .offset
        .filter(|(at, _)| lag.is_none_or(|lag| *at > lag.at + LAG_FOLLOWS));
    let newer = newer.map(|(_, offset)| offset);
    let behind = lag.or(state.position);
    let same = lag.filter(|lag| newer.is_none_or(|offset| offset == lag.offset));
    let text = |name: Option<&Name>| name.map(ToString::to_string);
    Offset {
        current_offset: newer.or(lag.map(|lag| lag.offset)),
        log_end_offset: same
            .or(behind)
            .map(|behind| behind.high_watermark)
            .max(end.filter(|_| same.is_none())),
        lag: same.map(|lag| lag.messages),
        lag_seconds: same.and_then(|lag| match lag.messages {
            0 => Some(0.0),
            _ => Since::Wall(lag.oldest_timestamp_ms?).seconds(now),
        }),
        position_lag: state.position.map(|position| position.messages),
        observed_age_seconds: same
            .or(state.position)
            .and_then(|behind| Since::Event(behind.observed).seconds(now)),
        consumer_id: text(owner.map(|m| &m.member_id)),
        host: text(owner.and_then(|m| m.host.as_ref())),
        client_id: text(owner.and_then(|m| m.client_id.as_ref())),
        pid: owner.and_then(|m| m.pid),
        rate: state
            .consumed
            .as_ref()
            .map(|w| w.flow(now.event).records_per_second),
        ..Offset::default()
    }
}

fn describe(latest: Option<&Group>, filter: &Filter, processes: &Processes) -> report::Group {
    let Some(group) = latest else {
        return report::Group::default();
    };
    let known = |name: &Name| (!name.is_empty()).then(|| name.to_string());
    let protocol = match group.protocol {
        GroupKind::Classic => "classic",
        GroupKind::Consumer => "consumer",
        GroupKind::Share => "share",
        GroupKind::Streams => "streams",
    };
    report::Group {
        protocol: Some(protocol.to_owned()),
        protocol_type: known(&group.protocol_type),
        state: group.state.map(str::to_owned),
        assignor: known(&group.assignor),
        epoch: group.epoch,
        coordinator: group.coordinator.map(|address| address.to_string()),
        members_count: group.count.map(|(_, n)| n),
        members_basis: group.count.map(|(basis, _)| basis.as_str().to_owned()),
        members: group
            .members
            .iter()
            .map(|m| member(m, filter, processes))
            .collect(),
        ..report::Group::default()
    }
}

fn member(member: &GroupMember, filter: &Filter, processes: &Processes) -> Member {
    let assignments = member.assignment.as_ref().map(|topics| {
        let topics = topics.iter().filter(|(topic, _)| filter.topic(topic));
        topics
            .map(|(topic, partitions)| Assignment {
                topic: topic.to_string(),
                partitions: partitions.clone(),
            })
            .collect()
    });
    Member {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.as_ref().map(ToString::to_string),
        host: member.host.as_ref().map(ToString::to_string),
        pid: member.pid,
        service: member.pid.map(|pid| processes.get(pid).service.to_string()),
        epoch: member.epoch,
        leader: member.leader,
        assignments,
    }
}

#[cfg(test)]
mod tests;
