//! How clients write to topics. In: Produce exchanges, and how many partitions topics have; out: what each client of a topic does: idempotence,
//! partitioner, spread over partitions, batches, batches sent twice.
//!
//! Records, batches and bytes are those that were acknowledged (with acks=0: written). A batch that comes with a sequence seen before was sent
//! again, one that is acknowledged without an offset was there already.

mod choice;
mod keyed;
#[cfg(test)]
mod tests;
mod unkeyed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::capture::{Nanos, Pid};
use crate::fact::detail::Producer as ProducerId;
use crate::fact::{self, Partition};
use crate::losses::Losses;
use crate::model::Labels;
use crate::observation::{Observation, Producer};

use choice::Choice;

/// Clients and topics.
const LINES_MOST: usize = 20_000;
/// Partitions of one, and of all.
const PARTITIONS_MOST: usize = 1024;
const PARTITIONS_MOST_ALL: usize = 131_072;
const TOPICS_MOST: usize = 50_000;
/// Batches of an idempotent producer that may be under way to a partition (`max.in.flight.requests.per.connection`).
const IN_FLIGHT: usize = 5;
/// Between two observations.
const PAUSE: Nanos = 10_000_000_000;
/// Who did not write for so long is forgotten.
const RETENTION: Nanos = 600_000_000_000;

/// Cluster, process, client id and topic.
type Key = (Arc<str>, Pid, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Producers {
    lines: HashMap<Key, Line>,
    /// Each line is in here once, at its `due`.
    schedule: BTreeSet<(Nanos, Key)>,
    /// How many partitions a topic of a cluster has.
    counts: HashMap<(Arc<str>, Arc<str>), u32>,
    /// In all lines.
    partitions: usize,
}

#[derive(Debug)]
struct Line {
    labels: Labels,
    count: Option<u32>,
    choice: Choice,
    partitions: BTreeMap<i32, Written>,
    idempotent: bool,
    transactional: bool,
    acks: Option<i16>,
    batches: u64,
    records: u64,
    bytes: u64,
    retries: u64,
    duplicates: u64,
    heard: Nanos,
    told: Option<Nanos>,
    dirty: bool,
    due: Nanos,
}

/// What was written to a partition.
#[derive(Debug, Default)]
struct Written {
    records: u64,
    /// Sequences of the last batches.
    recent: Vec<(ProducerId, i32)>,
}

impl Producers {
    /// From a Metadata answer. Returns how many topics found no room.
    pub fn counts(&mut self, cluster: &Arc<str>, topics: &[(Arc<str>, u32)]) -> u64 {
        let mut refused = 0;
        for (topic, count) in topics.iter().filter(|(_, count)| *count > 0) {
            let key = (Arc::clone(cluster), Arc::clone(topic));
            if self.counts.len() < TOPICS_MOST || self.counts.contains_key(&key) {
                self.counts.insert(key, *count);
            } else {
                refused += 1;
            }
        }
        refused
    }

    /// A Produce exchange, with the batches of its partitions.
    pub fn exchange(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        produced: &[(Arc<str>, Partition)],
        losses: &mut Losses,
        out: &mut Vec<Observation>,
    ) {
        // Partitions of a topic stand together.
        for of_topic in produced.chunk_by(|a, b| a.0 == b.0) {
            let Some((topic, _)) = of_topic.first() else {
                continue;
            };
            let key = (
                Arc::clone(&labels.cluster),
                labels.pid,
                Arc::clone(&labels.client_id),
                Arc::clone(topic),
            );
            let known = self.lines.remove(&key);
            if known.is_none() && self.lines.len() >= LINES_MOST {
                losses.add("producer_table_full", 1);
                continue;
            }
            let mut line = known.unwrap_or_else(|| Line::new(labels));
            let topic_key = (Arc::clone(&labels.cluster), Arc::clone(topic));
            line.know_count(self.counts.get(&topic_key).copied());
            let before = line.partitions.len();
            let room = PARTITIONS_MOST_ALL.saturating_sub(self.partitions);
            line.produced(labels, exchange, of_topic, room, losses);
            self.partitions += line.partitions.len() - before;
            let now = exchange.ended;
            if line.dirty && line.may_tell(now) {
                line.tell(&key, now, out);
            }
            self.put(key, line);
        }
    }

    /// Everything up to `now` was told: what is due by itself.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while let Some((due, key)) = self
            .schedule
            .first()
            .filter(|(due, _)| *due <= now)
            .cloned()
        {
            let Some(mut line) = self.lines.remove(&key) else {
                self.schedule.remove(&(due, key));
                continue;
            };
            if line.dirty && line.may_tell(due) {
                line.tell(&key, due, out);
            }
            if !line.dirty && line.heard.saturating_add(RETENTION) <= due {
                self.partitions = self.partitions.saturating_sub(line.partitions.len());
                self.schedule.remove(&(due, key));
            } else {
                self.put(key, line);
            }
        }
    }

    /// The capture ended: what changed is told.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        let mut lines: Vec<_> = self.lines.iter_mut().filter(|(_, it)| it.dirty).collect();
        lines.sort_by(|a, b| a.0.cmp(b.0));
        for (key, line) in lines {
            line.tell(key, line.labels.origin.time, out);
        }
    }

    fn put(&mut self, key: Key, mut line: Line) {
        let due = if line.dirty {
            line.told.unwrap_or(0).saturating_add(PAUSE)
        } else {
            line.heard.saturating_add(RETENTION)
        };
        if due != line.due {
            self.schedule.remove(&(line.due, key.clone()));
            self.schedule.insert((due, key.clone()));
            line.due = due;
        }
        self.lines.insert(key, line);
    }
}

impl Line {
    fn new(labels: &Labels) -> Line {
        Line {
            labels: labels.clone(),
            count: None,
            choice: Choice::default(),
            partitions: BTreeMap::new(),
            idempotent: false,
            transactional: false,
            acks: None,
            batches: 0,
            records: 0,
            bytes: 0,
            retries: 0,
            duplicates: 0,
            heard: 0,
            told: None,
            dirty: false,
            due: 0,
        }
    }

    fn may_tell(&self, now: Nanos) -> bool {
        self.told
            .is_none_or(|told| told.saturating_add(PAUSE) <= now)
    }

    /// What was seen of the choice of partitions holds for this number of them.
    fn know_count(&mut self, count: Option<u32>) {
        if count.is_some() && self.count != count {
            self.count = count;
            self.choice = Choice::default();
        }
    }

    fn produced(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        of_topic: &[(Arc<str>, Partition)],
        room: usize,
        losses: &mut Losses,
    ) {
        self.labels = labels.clone();
        self.heard = self.heard.max(exchange.ended);
        self.dirty = true;
        let answered = exchange.response_bytes.is_some();
        let written = !answered && exchange.error.is_none();
        match (exchange.acks_all, written) {
            (true, _) => self.acks = Some(-1),
            (false, true) => self.acks = Some(0),
            (false, false) if answered && exchange.decoded => self.acks = Some(1),
            // The request was not seen whole.
            _ => {}
        }
        let most = self.partitions.len().saturating_add(room);
        for (_, partition) in of_topic {
            if let Some(sequence) = partition.sequence {
                self.idempotent = true;
                self.transactional |= sequence.transactional;
            }
            let accepted = partition.error.is_none();
            let duplicate = partition.error == Some("DUPLICATE_SEQUENCE_NUMBER")
                || (accepted && answered && partition.base_offset.is_none());
            self.duplicates += u64::from(duplicate);
            let full = self.partitions.len() >= PARTITIONS_MOST.min(most);
            if full && !self.partitions.contains_key(&partition.index) {
                losses.add("producer_partitions_full", 1);
            } else {
                let written = self.partitions.entry(partition.index).or_default();
                if accepted {
                    written.records = written.records.saturating_add(partition.records);
                }
                self.retries += u64::from(written.repeats(partition));
            }
            if accepted {
                self.records = self.records.saturating_add(partition.records);
                self.batches += partition.batches.records.len() as u64;
                let bytes = partition.batches.bytes.iter().map(|(_, bytes)| bytes);
                self.bytes = self.bytes.saturating_add(bytes.sum());
            }
        }
        self.choice.exchange(self.count, of_topic);
    }

    fn tell(&mut self, key: &Key, now: Nanos, out: &mut Vec<Observation>) {
        (self.told, self.dirty) = (Some(now), false);
        let partitions: Vec<_> = self
            .partitions
            .iter()
            .map(|(index, written)| (*index, written.records))
            .collect();
        out.push(Observation::Producer(Producer {
            origin: self.labels.origin,
            pid: key.1,
            cluster: Arc::clone(&key.0),
            client_id: Arc::clone(&key.2),
            topic: Arc::clone(&key.3),
            partitioner: self.choice.said(self.count),
            skew: skew(&partitions, self.count),
            partitions,
            idempotent: self.idempotent,
            transactional: self.transactional,
            acks: self.acks,
            batches: self.batches,
            records: self.records,
            bytes: self.bytes,
            retries: self.retries,
            duplicates: self.duplicates,
        }));
    }
}

impl Written {
    /// True if the first batch was sent before. Remembers it.
    fn repeats(&mut self, partition: &Partition) -> bool {
        let Some(sequence) = partition.sequence else {
            return false;
        };
        let batch = (sequence.producer, sequence.base);
        if self.recent.contains(&batch) {
            return true;
        }
        if self.recent.len() >= IN_FLIGHT {
            self.recent.remove(0);
        }
        self.recent.push(batch);
        false
    }
}

/// The fullest partition to the mean of all.
fn skew(partitions: &[(i32, u64)], count: Option<u32>) -> Option<f64> {
    let total: u64 = partitions.iter().map(|(_, records)| records).sum();
    let most = partitions.iter().map(|(_, records)| *records).max()?;
    let mean = total as f64 / f64::from(count?);
    (total > 0).then(|| most as f64 / mean)
}
