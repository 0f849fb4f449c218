//! What an exchange says of groups, offsets and log ends goes to those who keep it. In: exchanges with their labels; out: nothing of its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kafka_wire::api;

use crate::capture::{Nanos, Pid};
use crate::fact::detail::{Acknowledged, Marker};
use crate::fact::{self, Detail};
use crate::model::groups::Hearing;
use crate::model::lag::Ends;
use crate::model::{CONNECTIONS_MOST, Labels, Model, SECOND, TOPICS_MOST};
use crate::observation::{Observation, ProcessingError, Signal};

impl Model {
    /// Who speaks, and for which group. True: the group is news, for which fetches may wait.
    pub(super) fn meet(&mut self, pid: Pid, exchange: &fact::Exchange, time: Nanos) -> bool {
        let client_id = &exchange.client_id;
        let forgot = self.consumers.saw(pid, client_id, exchange.api_key, time);
        self.losses.add("client_table_full", forgot);
        let groups = exchange.detail.iter().flat_map(|detail| detail.groups());
        let mut news = false;
        for group in groups {
            news |= self.consumers.learn(pid, client_id, group);
        }
        news
    }

    /// Topics have so many partitions.
    pub(super) fn counted(&mut self, cluster: &Arc<str>, topics: &[(Arc<str>, u32)], time: Nanos) {
        for (topic, count) in topics {
            let key = (Arc::clone(cluster), Arc::clone(topic));
            if self.partition_counts.len() >= TOPICS_MOST
                && !self.partition_counts.contains_key(&key)
            {
                self.losses.add("topic_table_full", 1);
                continue;
            }
            let before = self.partition_counts.insert(key, *count);
            if before.is_some_and(|before| before != *count) {
                self.groups.metadata_changed(cluster, topic, time);
            }
        }
    }

    /// The group that the client speaks for; "" when it has none, or nobody can tell.
    pub(super) fn group_of(&self, labels: &Labels, exchange: &fact::Exchange) -> Arc<str> {
        if let Some(group) = exchange.detail.as_deref().and_then(Detail::own_group) {
            return Arc::clone(group);
        }
        if !consumes(exchange) {
            return "".into();
        }
        let (pid, client_id) = (labels.pid, &labels.client_id);
        let topics = exchange
            .fetched
            .iter()
            .map(|partition| self.topics.label(&partition.topic));
        let group = match exchange.fetched.is_empty() {
            true => self.consumers.only_group(pid, client_id),
            false => {
                let mut groups =
                    topics.map(|topic| self.consumers.group_of(pid, client_id, &topic));
                groups.find(Option::is_some).flatten()
            }
        };
        group.cloned().unwrap_or_else(|| "".into())
    }

    /// Takes in what the exchange says of groups, offsets and log ends.
    pub(super) fn hear(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        group: &Arc<str>,
        out: &mut Vec<Observation>,
    ) {
        for partition in exchange.produced.iter().chain(&exchange.fetched) {
            if partition.error.is_none() {
                let topic = self.topics.label(&partition.topic);
                if self.shows(&topic) {
                    let (ends, marks, end) = log_ends(partition);
                    let marks = (&marks[..], end);
                    self.lags.ends(
                        labels,
                        &topic,
                        partition.index,
                        ends,
                        marks,
                        &mut self.losses,
                    );
                }
            }
        }
        if consumes(exchange) {
            self.positions(labels, exchange, group);
        }
        if let Some(Detail::Markers(markers)) = exchange.detail.as_deref()
            && exchange.response_bytes.is_some()
        {
            self.marked(labels, exchange.began, markers);
            let ended = exchange.ended;
            self.transactions.marked(labels, markers, ended, out);
        }
        if let Some(Detail::Share { acknowledged, .. }) = exchange.detail.as_deref()
            && exchange.response_bytes.is_some()
        {
            self.given_back(labels, group, acknowledged, out);
        }
        let mut hearing = Hearing {
            labels,
            exchange,
            topics: &self.topics,
            counts: &self.partition_counts,
            consumers: &mut self.consumers,
            losses: &mut self.losses,
            out,
        };
        if (consumes(exchange) || shares(exchange)) && !group.is_empty() {
            self.groups.fetched(group, &mut hearing);
        }
        if let Some(detail) = &exchange.detail {
            self.groups.hear(detail, &mut hearing);
            self.commits.hear(detail, &mut self.lags, &mut hearing);
        }
    }

    /// What a member of a share group did not process, as the broker took it.
    fn given_back(
        &self,
        labels: &Labels,
        group: &Arc<str>,
        acknowledged: &[Acknowledged],
        out: &mut Vec<Observation>,
    ) {
        for given in acknowledged {
            let signal = match given.kind {
                2 => Signal::Release,
                3 => Signal::Reject,
                _ => continue,
            };
            let topic = self.topics.label(&given.topic);
            if !self.shows(&topic) {
                continue;
            }
            let (first, last) = given.offsets;
            let count = last.saturating_sub(first).saturating_add(1);
            out.push(Observation::ProcessingError(ProcessingError {
                origin: labels.origin,
                pid: labels.pid,
                cluster: Arc::clone(&labels.cluster),
                group: Arc::clone(group),
                topic,
                partition: given.partition,
                offset: first,
                count: u32::try_from(count).unwrap_or(u32::MAX),
                signal,
            }));
        }
    }

    /// Markers of transactions are in the log.
    fn marked(&mut self, labels: &Labels, began: Nanos, markers: &[Marker]) {
        let mut counts = BTreeMap::new();
        for (topic, index) in markers.iter().flat_map(|marker| &marker.partitions) {
            let topic = self.topics.label(topic);
            if self.shows(&topic) {
                *counts.entry((topic, *index)).or_insert(0) += 1;
            }
        }
        for ((topic, index), count) in counts {
            self.lags.appended(labels, &topic, index, count, began);
        }
    }

    /// Whose messages client libraries of the process hand over, and what it committed.
    pub(super) fn read_by(&mut self, labels: &Labels, exchange: &fact::Exchange, group: &Arc<str>) {
        if let Some(Detail::Commit(commit)) = exchange.detail.as_deref() {
            let time = labels.origin.time;
            self.processing
                .committed(labels.pid, time, commit, &self.topics);
        }
        if !consumes(exchange) && !shares(exchange) {
            return;
        }
        for partition in &exchange.fetched {
            let topic = self.topics.label(&partition.topic);
            let consumers = &self.consumers;
            let own = consumers.group_of(labels.pid, &labels.client_id, &topic);
            let group = own.filter(|_| consumes(exchange)).unwrap_or(group);
            self.processing
                .read_by(labels, &topic, partition.index, group);
        }
    }

    /// Where the next fetch of each partition goes on.
    fn positions(&mut self, labels: &Labels, exchange: &fact::Exchange, group: &Arc<str>) {
        for partition in exchange
            .fetched
            .iter()
            .filter(|partition| partition.error.is_none())
        {
            let position = partition.next_offset.max(partition.fetch_offset);
            let topic = self.topics.label(&partition.topic);
            if let Some(position) = position.filter(|_| self.shows(&topic)) {
                let index = partition.index;
                self.lags
                    .position(labels, group, &topic, index, position, &mut self.losses);
            }
        }
        // What a session's answer leaves out is as it was (KIP-227).
        let connection = labels.origin.connection;
        let due = self
            .confirmed
            .get(&connection)
            .copied()
            .unwrap_or(0)
            .saturating_add(SECOND);
        let Some(asked) = exchange
            .asked
            .as_ref()
            .filter(|_| exchange.decoded && exchange.error.is_none() && labels.origin.time >= due)
        else {
            return;
        };
        if self.confirmed.len() < CONNECTIONS_MOST || self.confirmed.contains_key(&connection) {
            self.confirmed.insert(connection, labels.origin.time);
        }
        let told: HashSet<_> = exchange
            .fetched
            .iter()
            .map(|p| (&p.topic, p.index))
            .collect();
        let untold = asked.iter().filter(|((t, i), _)| !told.contains(&(t, *i)));
        // The same order in every replay.
        let mut untold: Vec<_> = untold.collect();
        untold.sort_unstable();
        for ((topic, index), offset) in untold {
            let name = self.topics.label(topic);
            self.lags.confirm(labels, &name, *index);
            let own = self
                .consumers
                .group_of(labels.pid, &labels.client_id, &name);
            let group_of = own.unwrap_or(group);
            self.processing.read_by(labels, &name, *index, group_of);
            if *offset >= 0 && self.shows(&name) {
                self.lags
                    .position(labels, group, &name, *index, *offset, &mut self.losses);
            }
        }
    }
}

/// An answered Fetch of a consumer.
pub(super) fn consumes(exchange: &fact::Exchange) -> bool {
    exchange.api_key == api::FETCH && !exchange.replica && exchange.response_bytes.is_some()
}

/// An answered ShareFetch (KIP-932): it names its group itself, and no offsets.
pub(super) fn shares(exchange: &fact::Exchange) -> bool {
    exchange.api_key == api::SHARE_FETCH && exchange.response_bytes.is_some()
}

/// The coordinator took the abort of a transaction.
pub(super) fn aborts(exchange: &fact::Exchange) -> bool {
    let aborted = matches!(
        exchange.detail.as_deref(),
        Some(Detail::TransactionEnd {
            committed: false,
            ..
        })
    );
    aborted && exchange.response_bytes.is_some() && exchange.error.is_none()
}

/// The member learnt which partitions it has.
pub(super) fn assigns(exchange: &fact::Exchange) -> bool {
    match exchange.detail.as_deref() {
        Some(Detail::Sync(_)) => true,
        Some(Detail::GroupHeartbeat(heartbeat)) => heartbeat
            .answer
            .as_ref()
            .is_some_and(|answer| answer.assigns()),
        _ => false,
    }
}

/// Where a partition's log ends, the times of its records, and the offset after the last of these.
fn log_ends(partition: &fact::Partition) -> (Ends, Vec<(i64, i64)>, i64) {
    // Of Produce answers; a record that is acknowledged is in the log.
    let Some(base) = partition.base_offset else {
        let ends = Ends {
            high_watermark: partition.high_watermark,
            log_start: partition.log_start_offset,
        };
        let end = partition.next_offset.unwrap_or(0);
        return (ends, partition.marks.clone(), end);
    };
    let end = base.saturating_add(i64::try_from(partition.records).unwrap_or(i64::MAX));
    let marks = partition.marks.iter().map(|(first, timestamp)| {
        let timestamp = partition.log_append_time.unwrap_or(*timestamp);
        (base.saturating_add(*first), timestamp)
    });
    let ends = Ends {
        high_watermark: Some(end).filter(|_| partition.records > 0),
        log_start: partition.log_start_offset,
    };
    (ends, marks.collect(), end)
}
