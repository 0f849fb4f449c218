//! How far partitions and their readers are. In: partitions of exchanges; out: high watermarks, log starts and position lag.
//!
//! Position lag is the high watermark of an answer less the offset where the next fetch goes on. It says nothing about what was committed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fact::Partition;
use crate::model::Labels;
use crate::observation::{Lag, LagBasis, Observation, PartitionProgress};

/// Partitions whose high watermark is remembered.
const MOST: usize = 50_000;

type Key = (Arc<str>, Arc<str>, i32);

#[derive(Debug, Default)]
pub(super) struct Progress {
    high_watermarks: HashMap<Key, i64>,
}

impl Progress {
    /// With acks=all an acknowledged record is below the high watermark.
    pub fn produced(
        &mut self,
        labels: &Labels,
        acks_all: bool,
        produced: &[(Arc<str>, Partition)],
        out: &mut Vec<Observation>,
    ) {
        for (topic, partition) in produced
            .iter()
            .filter(|(_, partition)| acks_all && partition.error.is_none())
        {
            let Some(base_offset) = partition.base_offset else {
                continue;
            };
            let reached =
                base_offset.saturating_add(i64::try_from(partition.records).unwrap_or(i64::MAX));
            let key = (
                Arc::clone(&labels.cluster),
                Arc::clone(topic),
                partition.index,
            );
            let high_watermark = match self.high_watermarks.get(&key) {
                Some(known) if *known >= reached => None,
                _ => {
                    self.put(key, reached);
                    Some(reached)
                }
            };
            self.say(labels, topic, partition, high_watermark, out);
        }
    }

    pub fn fetched(
        &mut self,
        labels: &Labels,
        replica: bool,
        fetched: &[(Arc<str>, Partition)],
        out: &mut Vec<Observation>,
    ) {
        for (topic, partition) in fetched
            .iter()
            .filter(|(_, partition)| partition.error.is_none())
        {
            if let Some(high_watermark) = partition.high_watermark {
                self.put(
                    (
                        Arc::clone(&labels.cluster),
                        Arc::clone(topic),
                        partition.index,
                    ),
                    high_watermark,
                );
            }
            self.say(labels, topic, partition, partition.high_watermark, out);
            let position = partition.next_offset.max(partition.fetch_offset);
            let (Some(high_watermark), Some(position)) = (partition.high_watermark, position)
            else {
                continue;
            };
            if !replica {
                out.push(Observation::Lag(Lag {
                    origin: labels.origin,
                    cluster: Arc::clone(&labels.cluster),
                    group: "".into(),
                    topic: Arc::clone(topic),
                    partition: partition.index,
                    basis: LagBasis::Position,
                    offset: position,
                    high_watermark,
                    oldest_timestamp_ms: None,
                    observed: labels.origin.time,
                    messages: u64::try_from(high_watermark.saturating_sub(position)).unwrap_or(0),
                }));
            }
        }
    }

    fn say(
        &self,
        labels: &Labels,
        topic: &Arc<str>,
        partition: &Partition,
        high_watermark: Option<i64>,
        out: &mut Vec<Observation>,
    ) {
        if high_watermark.is_none() && partition.log_start_offset.is_none() {
            return;
        }
        out.push(Observation::PartitionProgress(PartitionProgress {
            origin: labels.origin,
            cluster: Arc::clone(&labels.cluster),
            topic: Arc::clone(topic),
            partition: partition.index,
            high_watermark,
            log_start_offset: partition.log_start_offset,
        }));
    }

    /// A full table starts again: the next answer fills it.
    fn put(&mut self, key: Key, high_watermark: i64) {
        if self.high_watermarks.len() >= MOST && !self.high_watermarks.contains_key(&key) {
            self.high_watermarks.clear();
        }
        self.high_watermarks.insert(key, high_watermark);
    }
}
