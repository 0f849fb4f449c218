//! How far groups are behind. In: log ends, positions and committed offsets from anywhere on the node; out: high watermarks, committed offsets, lag.
//!
//! No client needs to be asked: the high watermark of a partition is heard from any fetch (a follower's too), ListOffsets or acknowledged
//! Produce, and a committed offset names its group. So lag goes on growing when its consumer is gone. What changed is said once a second
//! of event time, each second for itself, and all that still holds once a minute, so that what is not said any more may be forgotten.
//!
//! Lag is `max(0, high watermark − committed offset)`, as kafka-consumer-groups computes it; a partition without a committed offset has none.

mod marks;
mod partition;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::Nanos;
use crate::losses::Losses;
use crate::model::{Labels, UNKNOWN};
use crate::observation::{CommittedOffset, Lag, LagBasis, Observation, Origin, PartitionProgress};
use partition::{Offset, Partition};

/// Partitions that are remembered.
const PARTITIONS_MOST: usize = 100_000;
/// Offsets of groups in partitions that are remembered.
const OFFSETS_MOST: usize = 1_200_000;
/// Groups of clusters; their places are given once.
const GROUPS_MOST: usize = 20_000;
/// Lags said in one second; the others follow in the next.
const SAID_MOST: usize = 50_000;
const SECOND: Nanos = 1_000_000_000;
/// All that holds is said again.
const AGAIN: Nanos = 60 * SECOND;
/// What nobody confirmed for so long is forgotten.
pub(super) const RETENTION: Nanos = 600 * SECOND;

type Name = Arc<str>;
type Key = (Name, Name, i32);
/// A place in `Lags::groups`.
type GroupId = u32;

#[derive(Debug, Default)]
pub(super) struct Lags {
    partitions: HashMap<Key, Partition>,
    /// Cluster and name.
    groups: Vec<(Name, Name)>,
    group_ids: HashMap<(Name, Name), GroupId>,
    offsets: usize,
    /// Partitions with news, in the order in which they got them.
    dirty: VecDeque<Key>,
    swept: Nanos,
}

/// Where a partition's log ends, as far as one message says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub high_watermark: Option<i64>,
    pub log_start: Option<i64>,
}

impl Lags {
    /// A message told where the log of a partition ends and perhaps when its records were made (`marks` up to `marks_end`).
    pub fn ends(
        &mut self,
        labels: &Labels,
        topic: &Name,
        index: i32,
        ends: Ends,
        marks: (&[(i64, i64)], i64),
        losses: &mut Losses,
    ) {
        let time = labels.origin.time;
        if let Some(partition) = self.partition(&labels.cluster, topic, index, losses) {
            partition.ends(ends, time);
            partition.marks.add(marks.0, marks.1);
            self.soil(&labels.cluster, topic, index);
        }
    }

    /// `count` records were added whose offsets nobody tells (markers of transactions), by a request of the time `began`. Only where the end of
    /// the log was told before that: a later word may count them already.
    pub fn appended(
        &mut self,
        labels: &Labels,
        topic: &Name,
        index: i32,
        count: i64,
        began: Nanos,
    ) {
        let key = (Arc::clone(&labels.cluster), Arc::clone(topic), index);
        let known = self.partitions.get_mut(&key);
        let Some(partition) = known else {
            return;
        };
        let Some((end, seen)) = partition.high_watermark() else {
            return;
        };
        if seen < began {
            let ends = Ends {
                high_watermark: Some(end.saturating_add(count)),
                log_start: None,
            };
            partition.ends(ends, labels.origin.time);
            self.soil(&labels.cluster, topic, index);
        }
    }

    /// The answer of a fetch session left the partition out: its high watermark is what it was (KIP-227).
    pub fn confirm(&mut self, labels: &Labels, topic: &Name, index: i32) {
        let key = (Arc::clone(&labels.cluster), Arc::clone(topic), index);
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.confirm(labels.origin.time);
        }
    }

    /// A member of the group (or a reader without one) will fetch from here.
    pub fn position(
        &mut self,
        labels: &Labels,
        group: &Name,
        topic: &Name,
        index: i32,
        offset: i64,
        losses: &mut Losses,
    ) {
        // No log has such an offset.
        if offset < 0 {
            return;
        }
        let Some(group) = self.group(&labels.cluster, group, losses) else {
            return;
        };
        let full = self.offsets >= OFFSETS_MOST;
        let time = labels.origin.time;
        let Some(partition) = self.partition(&labels.cluster, topic, index, losses) else {
            return;
        };
        let known = partition.offsets_len();
        if full && !partition.has_position(group) {
            losses.add("group_offset_table_full", 1);
        } else if partition.set_position(group, Offset { offset, time }) {
            let now = partition.offsets_len();
            self.offsets = (self.offsets + now).saturating_sub(known);
            self.soil(&labels.cluster, topic, index);
        }
    }

    /// The group committed `offset`, or was told that it had (OffsetFetch); None: nothing is committed.
    pub fn committed(
        &mut self,
        labels: &Labels,
        group: &Name,
        topic: &Name,
        index: i32,
        offset: Option<i64>,
        losses: &mut Losses,
    ) -> Option<i64> {
        // Brokers take any number; no log has such an offset.
        if offset.is_some_and(|offset| offset < 0) {
            return None;
        }
        let group = self.group(&labels.cluster, group, losses)?;
        let full = self.offsets >= OFFSETS_MOST;
        let time = labels.origin.time;
        let partition = self.partition(&labels.cluster, topic, index, losses)?;
        let (before, known) = (partition.committed(group), partition.offsets_len());
        match offset {
            Some(_) if full && before.is_none() => losses.add("group_offset_table_full", 1),
            Some(offset) => partition.set_committed(group, Offset { offset, time }),
            None => partition.forget_committed(group, time),
        }
        let now = partition.offsets_len();
        self.offsets = (self.offsets + now).saturating_sub(known);
        self.soil(&labels.cluster, topic, index);
        before.map(|before| before.offset)
    }

    /// The group is no more (DeleteGroups), or so are its offsets in a partition.
    pub fn forget(&mut self, cluster: &Name, group: &Name, partition: Option<(&Name, i32)>) {
        let Some(group) = self
            .group_ids
            .get(&(Arc::clone(cluster), Arc::clone(group)))
            .copied()
        else {
            return;
        };
        let mut forgotten = 0;
        for ((of, topic, index), state) in &mut self.partitions {
            if of == cluster && partition.is_none_or(|wanted| wanted == (topic, *index)) {
                let before = state.offsets_len();
                state.forget_committed(group, Nanos::MAX);
                state.forget_position(group);
                forgotten += before - state.offsets_len();
            }
        }
        self.offsets = self.offsets.saturating_sub(forgotten);
    }

    pub fn tables(&self) -> [(&'static str, usize, usize); 3] {
        let offsets = self.partitions.values().map(Partition::offsets_len).sum();
        [
            ("lag_partitions", self.partitions.len(), PARTITIONS_MOST),
            ("lag_offsets", offsets, OFFSETS_MOST),
            ("lag_groups", self.groups.len(), GROUPS_MOST),
        ]
    }

    /// A second is over: says what changed in it.
    pub fn tick(
        &mut self,
        now: Nanos,
        live: &dyn Fn(&(Name, Name)) -> bool,
        out: &mut Vec<Observation>,
    ) {
        if now.saturating_sub(self.swept) >= AGAIN {
            self.swept = now;
            self.sweep(now, live);
        }
        let mut said = 0;
        while said < SAID_MOST
            && let Some(key) = self.dirty.pop_front()
        {
            let Some(partition) = self.partitions.get_mut(&key) else {
                continue;
            };
            partition.dirty = false;
            said += say(&self.groups, &key, partition, now, out);
        }
    }

    /// Forgets what nobody confirmed for long and says the rest again.
    fn sweep(&mut self, now: Nanos, live: &dyn Fn(&(Name, Name)) -> bool) {
        let before = now.saturating_sub(RETENTION);
        let live: Vec<bool> = self.groups.iter().map(live).collect();
        let is_live = |group: GroupId| live.get(group as usize).copied().unwrap_or(false);
        let mut used = vec![false; self.groups.len()];
        let mut offsets = 0;
        self.partitions.retain(|_, partition| {
            let kept = partition.expire(before, &is_live);
            offsets += partition.offsets_len();
            for group in partition.groups() {
                if let Some(used) = used.get_mut(group as usize) {
                    *used = true;
                }
            }
            kept
        });
        if self.groups.len() > GROUPS_MOST / 2 {
            self.renumber(&used);
        }
        self.offsets = offsets;
        let mut clean: Vec<Key> = Vec::new();
        for (key, partition) in &mut self.partitions {
            partition.again();
            if !partition.dirty {
                partition.dirty = true;
                clean.push(key.clone());
            }
        }
        // The same order in every replay.
        clean.sort_unstable();
        self.dirty.extend(clean);
    }

    /// Gives back the places of groups that no partition names any more. The order stays, so that tables stay sorted.
    fn renumber(&mut self, used: &[bool]) {
        let mut next = 0;
        let places: Vec<GroupId> = used
            .iter()
            .map(|used| {
                let place = next;
                next += GroupId::from(*used);
                place
            })
            .collect();
        let mut kept = used.iter();
        self.groups
            .retain(|_| kept.next().copied().unwrap_or(false));
        let ids = (0..).zip(&self.groups);
        self.group_ids = ids.map(|(id, key)| (key.clone(), id)).collect();
        for partition in self.partitions.values_mut() {
            partition.renumber(&places);
        }
    }

    fn soil(&mut self, cluster: &Name, topic: &Name, index: i32) {
        let key = (Arc::clone(cluster), Arc::clone(topic), index);
        if let Some(partition) = self.partitions.get_mut(&key)
            && !partition.dirty
        {
            partition.dirty = true;
            self.dirty.push_back(key);
        }
    }

    fn partition(
        &mut self,
        cluster: &Name,
        topic: &Name,
        index: i32,
        losses: &mut Losses,
    ) -> Option<&mut Partition> {
        // A gauge would stand under a cluster's name and under none.
        if &**cluster == UNKNOWN {
            return None;
        }
        let key = (Arc::clone(cluster), Arc::clone(topic), index);
        if self.partitions.len() >= PARTITIONS_MOST && !self.partitions.contains_key(&key) {
            losses.add("partition_table_full", 1);
            return None;
        }
        Some(self.partitions.entry(key).or_default())
    }

    fn group(&mut self, cluster: &Name, group: &Name, losses: &mut Losses) -> Option<GroupId> {
        let key = (Arc::clone(cluster), Arc::clone(group));
        if let Some(id) = self.group_ids.get(&key) {
            return Some(*id);
        }
        if self.groups.len() >= GROUPS_MOST {
            losses.add("group_table_full", 1);
            return None;
        }
        let id = GroupId::try_from(self.groups.len()).ok()?;
        self.groups.push(key.clone());
        self.group_ids.insert(key, id);
        Some(id)
    }
}

/// Returns how many lags were said.
fn say(
    groups: &[(Name, Name)],
    key: &Key,
    partition: &mut Partition,
    now: Nanos,
    out: &mut Vec<Observation>,
) -> usize {
    let (cluster, topic, index) = key;
    let origin = Origin::at(now);
    if let Some(ends) = partition.take_news_of_ends() {
        out.push(Observation::PartitionProgress(PartitionProgress {
            origin,
            cluster: Arc::clone(cluster),
            topic: Arc::clone(topic),
            partition: *index,
            high_watermark: ends.high_watermark,
            log_start_offset: ends.log_start,
        }));
    }
    let mut said = 0;
    for news in partition.take_news() {
        let Some((_, group)) = groups.get(news.group as usize) else {
            continue;
        };
        if news.basis == LagBasis::Committed && news.changed {
            out.push(Observation::CommittedOffset(CommittedOffset {
                origin,
                cluster: Arc::clone(cluster),
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition: *index,
                offset: news.at.offset,
            }));
        }
        let Some((high_watermark, seen)) = partition.high_watermark() else {
            continue;
        };
        let messages = u64::try_from(high_watermark.saturating_sub(news.at.offset)).unwrap_or(0);
        said += 1;
        out.push(Observation::Lag(Lag {
            origin,
            cluster: Arc::clone(cluster),
            group: Arc::clone(group),
            topic: Arc::clone(topic),
            partition: *index,
            basis: news.basis,
            offset: news.at.offset,
            high_watermark,
            messages,
            oldest_timestamp_ms: (messages > 0)
                .then(|| partition.marks.timestamp_ms(news.at.offset))
                .flatten(),
            observed: seen.min(news.at.time),
        }));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ConnectionId;

    fn labels(time: Nanos) -> Labels {
        Labels {
            origin: Origin {
                time,
                connection: ConnectionId(1),
                offset: 0,
            },
            pid: 7,
            cluster: "c".into(),
            client_id: "app".into(),
            server: None,
        }
    }

    #[test]
    fn places_of_forgotten_groups_are_given_again() {
        let (mut lags, mut losses, mut out) = (Lags::default(), Losses::default(), Vec::new());
        let orders: Name = "orders".into();
        let commit = |lags: &mut Lags, losses: &mut Losses, time, group: &str, offset| {
            lags.committed(
                &labels(time),
                &group.into(),
                &orders,
                0,
                Some(offset),
                losses,
            );
        };
        for n in 0..GROUPS_MOST as i64 {
            commit(&mut lags, &mut losses, SECOND, &format!("old-{n}"), n);
        }
        commit(&mut lags, &mut losses, 2 * SECOND, "refused", 1);
        assert_eq!(losses.get("group_table_full"), 1);
        commit(&mut lags, &mut losses, 2 * RETENTION, "old-9", 90);
        lags.tick(2 * RETENTION, &|_| false, &mut out);
        assert_eq!(lags.groups.len(), 1);
        commit(&mut lags, &mut losses, 2 * RETENTION, "new", 80);
        out.clear();
        lags.tick(2 * RETENTION + SECOND, &|_| false, &mut out);
        let told: Vec<(&str, i64)> = out
            .iter()
            .filter_map(|observation| match observation {
                Observation::CommittedOffset(told) => Some((&*told.group, told.offset)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [("new", 80)], "the other one was said before");
        assert_eq!(losses.get("group_table_full"), 1);
    }
}
