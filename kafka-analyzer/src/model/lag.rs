//! How far groups are behind. In: log ends, positions and committed offsets from anywhere on the node; out: high watermarks, committed offsets, lag.
//!
//! No client needs to be asked: the high watermark of a partition is heard from any fetch (a follower's too), ListOffsets or acknowledged
//! Produce, and a committed offset names its group. So lag goes on growing when its consumer is gone. What changed is said once a second
//! of event time, each second for itself, and all that still holds once a minute, so that what is not said any more may be forgotten.
//!
//! Lag is `max(0, high watermark − committed offset)`, as kafka-consumer-groups computes it; a partition without a committed offset has none.

mod marks;
mod partition;
mod table;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::Nanos;
use crate::losses::Losses;
use crate::model::{Labels, UNKNOWN};
use crate::observation::{
    CommittedOffset, Lag, LagBasis, LagUnknown, Observation, Origin, PartitionProgress,
};
use partition::{Offset, Partition, Which};
use table::{Place, Table};

/// Partitions that are remembered.
const PARTITIONS_MOST: usize = 100_000;
/// Offsets of groups in partitions that are remembered.
const OFFSETS_MOST: usize = 1_200_000;
/// Groups of clusters; their places are given once.
const GROUPS_MOST: usize = 20_000;
/// Observations made at once, about; the others follow a tenth of a second later.
const SAID_MOST: usize = 10_000;
const SECOND: Nanos = 1_000_000_000;
/// In so many seconds all that holds is said again, each second its part of it.
const AGAIN: u64 = 60;
/// What nobody confirmed for so long is forgotten.
pub(super) const RETENTION: Nanos = 600 * SECOND;

type Name = Arc<str>;
type Key = (Name, Name, i32);
/// A place in `Lags::groups`.
type GroupId = u32;

#[derive(Debug, Default)]
pub(super) struct Lags {
    partitions: Table,
    /// Cluster and name.
    groups: Vec<(Name, Name)>,
    group_ids: HashMap<Name, HashMap<Name, GroupId>>,
    offsets: usize,
    /// Partitions with news, in the order in which they got them.
    dirty: VecDeque<Place>,
    /// So many of them had news when the second ended, and are said in this one.
    due: usize,
    /// The second up to which all was said again.
    swept: u64,
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
        let Some(place) = self.place(&labels.cluster, topic, index, losses) else {
            return;
        };
        self.change(place, |partition| {
            partition.ends(ends, labels.origin.time);
            partition.marks.add(marks.0, marks.1);
            true
        });
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
        if let Some(place) = self.partitions.find(&labels.cluster, topic, index) {
            let time = labels.origin.time;
            self.change(place, |partition| partition.appended(count, began, time));
        }
    }

    /// The answer of a fetch session left the partition out: its high watermark is what it was (KIP-227).
    pub fn confirm(&mut self, labels: &Labels, topic: &Name, index: i32) {
        let place = self.partitions.find(&labels.cluster, topic, index);
        if let Some((_, partition)) = place.and_then(|place| self.partitions.get_mut(place)) {
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
        let at = (topic, index, Which::Position);
        self.reaches(labels, group, at, offset, losses);
    }

    /// The application of a member of the group will be given this offset next.
    pub fn delivered(
        &mut self,
        labels: &Labels,
        group: &Name,
        topic: &Name,
        index: i32,
        offset: i64,
        losses: &mut Losses,
    ) {
        let at = (topic, index, Which::Delivered);
        self.reaches(labels, group, at, offset, losses);
    }

    /// Where the application is was told at that time last, which is too long ago. True: it was known until now.
    pub fn forget_delivered(&mut self, unknown: &LagUnknown, told: Nanos) -> bool {
        let LagUnknown {
            cluster,
            group,
            topic,
            partition,
            ..
        } = unknown;
        let groups = self.group_ids.get(cluster);
        let Some(group) = groups.and_then(|groups| groups.get(group)).copied() else {
            return false;
        };
        let Some(place) = self.partitions.find(cluster, topic, *partition) else {
            return false;
        };
        let before = self.offsets;
        self.change(place, |partition| {
            partition.forget_delivered(group, told);
            false
        });
        self.offsets < before
    }

    fn reaches(
        &mut self,
        labels: &Labels,
        group: &Name,
        (topic, index, which): (&Name, i32, Which),
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
        let Some(place) = self.place(&labels.cluster, topic, index, losses) else {
            return;
        };
        let full = self.offsets >= OFFSETS_MOST;
        let time = labels.origin.time;
        self.change(place, |partition| {
            if full && !partition.has(which, group) {
                losses.add("group_offset_table_full", 1);
                return false;
            }
            partition.set(which, group, Offset { offset, time })
        });
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
        let place = self.place(&labels.cluster, topic, index, losses)?;
        let full = self.offsets >= OFFSETS_MOST;
        let time = labels.origin.time;
        let mut before = None;
        self.change(place, |partition| {
            before = partition.committed(group);
            match offset {
                Some(_) if full && before.is_none() => losses.add("group_offset_table_full", 1),
                Some(offset) => partition.set_committed(group, Offset { offset, time }),
                None => partition.forget_committed(group, time),
            }
            true
        });
        before.map(|before| before.offset)
    }

    /// The group is no more (DeleteGroups), or so are its offsets in a partition.
    pub fn forget(&mut self, cluster: &Name, group: &Name, partition: Option<(&Name, i32)>) {
        let groups = self.group_ids.get(cluster);
        let Some(group) = groups.and_then(|groups| groups.get(group)).copied() else {
            return;
        };
        let mut forgotten = 0;
        for ((of, topic, index), state) in self.partitions.iter_mut() {
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
        let partitions = self.partitions.iter();
        let offsets = partitions
            .map(|(_, partition)| partition.offsets_len())
            .sum();
        [
            ("lag_partitions", self.partitions.len(), PARTITIONS_MOST),
            ("lag_offsets", offsets, OFFSETS_MOST),
            ("lag_groups", self.groups.len(), GROUPS_MOST),
        ]
    }

    /// A second is over: begins to say what changed in it.
    pub fn tick(
        &mut self,
        now: Nanos,
        live: &dyn Fn(&(Name, Name)) -> bool,
        out: &mut Vec<Observation>,
    ) {
        self.sweep(now, live);
        self.due = self.dirty.len();
        self.say(now, out);
    }

    /// Says what is due of what changed in the last second. True: that was all of it.
    pub fn say(&mut self, now: Nanos, out: &mut Vec<Observation>) -> bool {
        let before = out.len();
        while self.due > 0 && out.len() - before < SAID_MOST {
            self.due -= 1;
            let place = self.dirty.pop_front();
            if let Some((key, partition)) = place.and_then(|at| self.partitions.get_mut(at)) {
                partition.dirty = false;
                say(&self.groups, key, partition, now, out);
            }
        }
        self.due == 0
    }

    /// Forgets what nobody confirmed for long and has the rest said again: each partition in its second of the minute.
    fn sweep(&mut self, now: Nanos, live: &dyn Fn(&(Name, Name)) -> bool) {
        let second = now / SECOND;
        let before = now.saturating_sub(RETENTION);
        let missed = second.saturating_sub(self.swept).min(AGAIN);
        for second in second.saturating_sub(missed)..second {
            let first = Place::try_from(second % AGAIN).unwrap_or(0);
            for place in (first..self.partitions.places()).step_by(AGAIN as usize) {
                self.sweep_partition(place, before, live);
            }
            if first == 0 {
                self.give_back_groups();
            }
        }
        self.swept = second;
    }

    fn sweep_partition(
        &mut self,
        place: Place,
        before: Nanos,
        live: &dyn Fn(&(Name, Name)) -> bool,
    ) {
        let Some((_, partition)) = self.partitions.get_mut(place) else {
            return;
        };
        let groups = &self.groups;
        let known = partition.offsets_len();
        let is_kept = partition.expire(before, &|group| {
            groups.get(group as usize).is_some_and(live)
        });
        self.offsets = (self.offsets + partition.offsets_len()).saturating_sub(known);
        if is_kept {
            self.change(place, |partition| {
                partition.again();
                true
            });
        } else {
            self.partitions.remove(place);
        }
    }

    /// Groups that no partition names any more make room when half of it is taken.
    fn give_back_groups(&mut self) {
        if self.groups.len() <= GROUPS_MOST / 2 {
            return;
        }
        let mut used = vec![false; self.groups.len()];
        for (_, partition) in self.partitions.iter() {
            for group in partition.groups() {
                if let Some(used) = used.get_mut(group as usize) {
                    *used = true;
                }
            }
        }
        self.renumber(&used);
    }

    /// The order stays, so that tables stay sorted.
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
        self.group_ids.clear();
        for (id, (cluster, group)) in (0..).zip(&self.groups) {
            let of_cluster = self.group_ids.entry(Arc::clone(cluster)).or_default();
            of_cluster.insert(Arc::clone(group), id);
        }
        for (_, partition) in self.partitions.iter_mut() {
            partition.renumber(&places);
        }
    }

    /// `change` returns whether there is news.
    fn change(&mut self, place: Place, change: impl FnOnce(&mut Partition) -> bool) {
        let Some((_, partition)) = self.partitions.get_mut(place) else {
            return;
        };
        let before = partition.offsets_len();
        let news = change(partition);
        self.offsets = (self.offsets + partition.offsets_len()).saturating_sub(before);
        if news && !partition.dirty {
            partition.dirty = true;
            self.dirty.push_back(place);
        }
    }

    fn place(
        &mut self,
        cluster: &Name,
        topic: &Name,
        index: i32,
        losses: &mut Losses,
    ) -> Option<Place> {
        // A gauge would stand under a cluster's name and under none.
        if &**cluster == UNKNOWN {
            return None;
        }
        let known = self.partitions.find(cluster, topic, index);
        if known.is_some() {
            return known;
        }
        if self.partitions.len() >= PARTITIONS_MOST {
            losses.add("partition_table_full", 1);
            return None;
        }
        let key = (Arc::clone(cluster), Arc::clone(topic), index);
        self.partitions.insert(key)
    }

    fn group(&mut self, cluster: &Name, group: &Name, losses: &mut Losses) -> Option<GroupId> {
        let of_cluster = self.group_ids.get(cluster);
        if let Some(id) = of_cluster.and_then(|groups| groups.get(group)) {
            return Some(*id);
        }
        if self.groups.len() >= GROUPS_MOST {
            losses.add("group_table_full", 1);
            return None;
        }
        let id = GroupId::try_from(self.groups.len()).ok()?;
        self.groups.push((Arc::clone(cluster), Arc::clone(group)));
        let of_cluster = self.group_ids.entry(Arc::clone(cluster)).or_default();
        of_cluster.insert(Arc::clone(group), id);
        Some(id)
    }
}

fn say(
    groups: &[(Name, Name)],
    key: &Key,
    partition: &mut Partition,
    now: Nanos,
    out: &mut Vec<Observation>,
) {
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
    partition.take_news(&mut |news| {
        let Some((_, group)) = groups.get(news.group as usize) else {
            return;
        };
        if news.basis == LagBasis::Committed && news.changed {
            out.push(Observation::CommittedOffset(CommittedOffset {
                origin,
                cluster: Arc::clone(cluster),
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition: *index,
                offset: news.offset,
            }));
        }
        if let Some(behind) = news.behind {
            out.push(Observation::Lag(Lag {
                origin,
                cluster: Arc::clone(cluster),
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition: *index,
                basis: news.basis,
                offset: news.offset,
                high_watermark: behind.high_watermark,
                messages: behind.messages,
                oldest_timestamp_ms: behind.oldest_timestamp_ms,
                observed: behind.observed,
            }));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(time: Nanos) -> Labels {
        Labels::example(time, 7)
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
        let late = 2 * RETENTION + 7 * SECOND;
        commit(&mut lags, &mut losses, late, "old-9", 90);
        lags.tick(late, &|_| false, &mut out);
        assert_eq!(lags.groups.len(), 1);
        commit(&mut lags, &mut losses, late, "new", 80);
        out.clear();
        lags.tick(late + SECOND, &|_| false, &mut out);
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
