//! Groups to metrics: lag, commits, rebalances, members. In: one observation; out: updates of the series tables.
//!
//! A gauge that stopped being true goes: with its group, when the basis or the members change, when a value is not known any more.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use kafka_analyzer::observation::{
    Basis, Commit, CommittedOffset, Group, Lag, LagBasis, LagUnknown, Rebalance,
};
use lru::LruCache;

use super::{Label, Measure, server};
use crate::export::catalogue::{Id, OTEL_SECONDS, SECONDS};
use crate::export::processes::Processes;
use crate::export::registry::Since;

const CAP: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
const BASES: [Basis; 4] = [
    Basis::Local,
    Basis::Describe,
    Basis::Leader,
    Basis::Coordinator,
];
/// Gauges with a series for each partition of a group; their labels begin with cluster and group.
const BY_PARTITION: [Id; 6] = [
    Id::ConsumerLag,
    Id::ConsumerPositionLag,
    Id::ConsumerDeliveredLag,
    Id::ConsumerLagSeconds,
    Id::ConsumerLagObservedAge,
    Id::ConsumerCommittedOffset,
];

type Pair = (Label, Label);

/// The series (service, client id) of `kafka_consumer_partition_assignments` that each (cluster, group) has. Of groups beyond the
/// cap the oldest is forgotten: its series expire.
#[derive(Debug)]
pub struct Assigned(Mutex<LruCache<Pair, Vec<Pair>>>);

impl Default for Assigned {
    fn default() -> Self {
        Assigned(Mutex::new(LruCache::new(CAP)))
    }
}

fn gauge(basis: LagBasis) -> Id {
    match basis {
        LagBasis::Committed => Id::ConsumerLag,
        LagBasis::Position => Id::ConsumerPositionLag,
        LagBasis::Delivered => Id::ConsumerDeliveredLag,
    }
}

impl Measure {
    pub fn lag(&self, lag: &Lag) {
        let id = gauge(lag.basis);
        if !self.filter.both(&lag.group, &lag.topic) {
            return;
        }
        let labels = [
            Label::text(&lag.cluster),
            Label::text(&lag.group),
            Label::text(&lag.topic),
            lag.partition.into(),
        ];
        let now = lag.origin.time;
        self.registry.set(id, &labels, lag.messages as f64, now);
        if id != Id::ConsumerLag {
            return;
        }
        let observed = Since::Event(lag.observed);
        self.registry
            .set_since(Id::ConsumerLagObservedAge, &labels, observed, now);
        match lag.oldest_timestamp_ms {
            _ if lag.messages == 0 => {
                self.registry.set(Id::ConsumerLagSeconds, &labels, 0.0, now);
            }
            Some(at) => {
                self.registry
                    .set_since(Id::ConsumerLagSeconds, &labels, Since::Wall(at), now);
            }
            None => self.registry.remove(Id::ConsumerLagSeconds, &labels),
        }
    }

    pub fn lag_unknown(&self, unknown: &LagUnknown) {
        let labels = [
            Label::text(&unknown.cluster),
            Label::text(&unknown.group),
            Label::text(&unknown.topic),
            unknown.partition.into(),
        ];
        self.registry.remove(gauge(unknown.basis), &labels);
    }

    pub fn committed(&self, committed: &CommittedOffset) {
        if self.filter.both(&committed.group, &committed.topic) {
            let labels = [
                Label::text(&committed.cluster),
                Label::text(&committed.group),
                Label::text(&committed.topic),
                committed.partition.into(),
            ];
            let (offset, now) = (committed.offset as f64, committed.origin.time);
            self.registry
                .set(Id::ConsumerCommittedOffset, &labels, offset, now);
        }
    }

    pub fn commit(&self, commit: &Commit, processes: &Processes) {
        if !self.filter.group(&commit.group) {
            return;
        }
        let now = commit.origin.time;
        let service = Label::text(&processes.get(commit.pid).service);
        let labels = [
            Label::text(&commit.cluster),
            service.clone(),
            Label::text(&commit.group),
        ];
        let [cluster, service, group] = labels.clone();
        let result = match commit.error {
            Some(_) => "error",
            None if commit.answered => "ok",
            None => "unknown",
        };
        let counted = [
            cluster,
            service.clone(),
            group,
            Label::Word(result),
            commit.error.into(),
        ];
        self.registry.add(Id::OffsetCommits, &counted, 1, now);
        if !commit.answered {
            return;
        }
        let seconds = commit.ended.saturating_sub(commit.began) as f64 / 1e9;
        self.registry
            .observe(Id::OffsetCommitDuration, &labels, now, |b| {
                b.observe(SECONDS, seconds)
            });
        if self.otel {
            let [address, port] = server(commit.server);
            let labels = [
                service,
                Label::Word("commit"),
                Label::Word("settle"),
                Label::Absent,
                Label::known(&commit.group),
                commit.error.into(),
                address,
                port,
            ];
            self.registry
                .observe(Id::OperationDuration, &labels, now, |b| {
                    b.observe(OTEL_SECONDS, seconds)
                });
        }
    }

    pub fn rebalance(&self, rebalance: &Rebalance, processes: &Processes) {
        if !self.filter.group(&rebalance.group) {
            return;
        }
        let now = rebalance.origin.time;
        let cluster = Label::text(&rebalance.cluster);
        let service = Label::text(&processes.get(rebalance.pid).service);
        let group = Label::text(&rebalance.group);
        match rebalance.duration_ns {
            None => {
                let reason = Label::Word(rebalance.reason.as_str());
                let labels = [cluster, service, group, reason];
                self.registry.add(Id::ConsumerRebalances, &labels, 1, now);
            }
            Some(ns) => {
                let labels = [cluster, service, group];
                self.registry
                    .observe(Id::ConsumerRebalanceDuration, &labels, now, |b| {
                        b.observe(SECONDS, ns as f64 / 1e9)
                    });
            }
        }
    }

    pub fn group(&self, group: &Group, processes: &Processes) {
        if !self.filter.group(&group.group) {
            return;
        }
        let key = (Label::text(&group.cluster), Label::text(&group.group));
        let count = group.count.filter(|_| !group.gone);
        for basis in BASES {
            let labels = [key.0.clone(), key.1.clone(), Label::Word(basis.as_str())];
            match count {
                Some((known, n)) if known == basis => {
                    let now = group.origin.time;
                    self.registry
                        .set(Id::ConsumerGroupMembers, &labels, n as f64, now);
                }
                _ => self.registry.remove(Id::ConsumerGroupMembers, &labels),
            }
        }
        self.assignments(group, &key, processes);
        if group.gone {
            for id in BY_PARTITION {
                self.registry.remove_where(id, |labels| {
                    matches!(labels, [cluster, name, ..] if *cluster == key.0 && *name == key.1)
                });
            }
        }
    }

    /// Sums over the members of this node whose assignment is known.
    fn assignments(&self, group: &Group, key: &Pair, processes: &Processes) {
        let mut sums: BTreeMap<Pair, u64> = BTreeMap::new();
        for member in group.members.iter().filter(|_| !group.gone) {
            if let (Some(pid), Some(assignment)) = (member.pid, &member.assignment) {
                let client_id = member.client_id.clone().unwrap_or_default();
                let service = Label::text(&processes.get(pid).service);
                let partitions = assignment
                    .iter()
                    .filter(|(topic, _)| self.filter.topic(topic))
                    .map(|(_, partitions)| partitions.len() as u64);
                *sums.entry((service, Label::text(&client_id))).or_default() +=
                    partitions.sum::<u64>();
            }
        }
        let labels = |(service, client_id): &Pair| {
            [
                key.0.clone(),
                key.1.clone(),
                service.clone(),
                client_id.clone(),
            ]
        };
        for (member, partitions) in &sums {
            self.registry.set(
                Id::ConsumerPartitionAssignments,
                &labels(member),
                *partitions as f64,
                group.origin.time,
            );
        }
        let mut assigned = self
            .assigned
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let earlier = if sums.is_empty() {
            assigned.pop(key)
        } else {
            assigned.put(key.clone(), sums.keys().cloned().collect())
        };
        let gone = earlier.into_iter().flatten();
        for member in gone.filter(|member| !sums.contains_key(member)) {
            self.registry
                .remove(Id::ConsumerPartitionAssignments, &labels(&member));
        }
    }
}

#[cfg(test)]
mod tests;
