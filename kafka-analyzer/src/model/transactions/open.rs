//! One transaction that goes on. In: what joins it; out: its partitions, groups, pending offsets, links and records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::capture::Nanos;
use crate::losses::Losses;
use crate::model::transactions::PendingOffsets;
use crate::model::transactions::said::Part;
use crate::observation::Link;

/// Partitions that are named.
const PARTITIONS_MOST: usize = 1024;
const GROUPS_MOST: usize = 256;
const OFFSETS_MOST: usize = 10_000;
/// The OpenTelemetry SDKs' default.
const LINKS_MOST: usize = 128;

#[derive(Debug)]
pub(super) struct Open {
    /// None: before the agent looked.
    pub began: Option<Nanos>,
    /// When it was first seen.
    pub seen: Nanos,
    pub partitions: BTreeSet<(Arc<str>, i32)>,
    pub groups: BTreeSet<Arc<str>>,
    /// By group, topic and partition.
    offsets: BTreeMap<(Arc<str>, Arc<str>, i32), i64>,
    pub records: u64,
    pub links: Vec<Link>,
    pub links_dropped: u32,
    pub error: Option<&'static str>,
    /// It was told that it is open for longer than its timeout.
    pub hanging: bool,
}

impl Open {
    pub fn new(began: Option<Nanos>, seen: Nanos) -> Open {
        Open {
            began,
            seen,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            offsets: BTreeMap::new(),
            records: 0,
            links: Vec::new(),
            links_dropped: 0,
            error: None,
            hanging: false,
        }
    }

    /// Requests to several brokers are answered in any order.
    pub fn began_earlier(&mut self, began: Nanos) {
        self.began = self.began.map(|known| known.min(began));
        self.seen = self.seen.min(began);
    }

    /// Something joins; at most `room` things more are kept.
    pub fn add(&mut self, part: Part, links: Vec<Link>, room: usize, losses: &mut Losses) {
        self.records = self.records.saturating_add(part.records);
        let most = self.weight().saturating_add(room);
        let mut refused = 0;
        for partition in part.partitions {
            let full = self.partitions.len() >= PARTITIONS_MOST || self.weight() >= most;
            if !full {
                self.partitions.insert(partition);
            } else if !self.partitions.contains(&partition) {
                refused += 1;
            }
        }
        if let Some(group) = part.group {
            for (topic, partition, offset) in part.offsets {
                let key = (Arc::clone(&group), topic, partition);
                let full = self.offsets.len() >= OFFSETS_MOST || self.weight() >= most;
                if !full || self.offsets.contains_key(&key) {
                    self.offsets.insert(key, offset);
                } else {
                    refused += 1;
                }
            }
            if self.groups.len() < GROUPS_MOST && self.weight() < most {
                self.groups.insert(group);
            } else if !self.groups.contains(&group) {
                refused += 1;
            }
        }
        losses.add("transaction_parts_full", refused);
        for link in links {
            if self.links.len() < LINKS_MOST && self.weight() < most {
                self.links.push(link);
            } else {
                self.links_dropped = self.links_dropped.saturating_add(1);
            }
        }
    }

    /// Things held.
    pub fn weight(&self) -> usize {
        1 + self.partitions.len() + self.groups.len() + self.offsets.len() + self.links.len()
    }

    /// What is committed with it.
    pub fn take_offsets(&mut self) -> Vec<PendingOffsets> {
        let mut all: Vec<PendingOffsets> = Vec::new();
        for ((group, topic, partition), offset) in std::mem::take(&mut self.offsets) {
            let offset = (topic, partition, offset);
            match all.last_mut() {
                Some(last) if last.group == group => last.offsets.push(offset),
                _ => all.push(PendingOffsets {
                    group,
                    offsets: vec![offset],
                }),
            }
        }
        all
    }
}
