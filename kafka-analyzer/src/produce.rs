//! A Produce request while it comes in, and its answer. In: body events; out: what was produced where, and what became of it.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::api::n00_produce::ProduceResponse;
use kafka_wire::body::Event;

use crate::error::error_name;
use crate::fact::{Partition, Topic};
use crate::names::Names;
use crate::observation::Batches;
use crate::records::{Keeping, Reading};

/// Partitions of one message that are kept apart; brokers hold a few thousand.
const PARTITIONS_MOST: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct ProduceRequest {
    /// None: hidden by a gap, or not there yet.
    pub acks: Option<i16>,
    pub transactional_id: Option<Arc<str>>,
    topic: Option<Topic>,
    reading: Option<Reading>,
    pub partitions: Vec<Partition>,
}

impl ProduceRequest {
    pub fn event(&mut self, event: &Event<'_>, names: &mut Names, keeping: &mut Keeping<'_>) {
        match event {
            Event::Produce {
                acks,
                transactional_id,
                ..
            } => {
                self.acks = Some(*acks);
                self.transactional_id = transactional_id.map(|id| names.get(id));
            }
            Event::Topic(topic) => {
                self.end_partition(keeping);
                self.topic = Some(names.topic(*topic));
            }
            Event::Partition(partition) => {
                self.end_partition(keeping);
                if let Some(topic) = &self.topic
                    && self.partitions.len() < PARTITIONS_MOST
                {
                    let empty = Partition::new(topic.clone(), partition.index);
                    let records_len = partition.records_len.unwrap_or(0);
                    self.reading = Some(Reading::produced(empty, u64::from(records_len)));
                }
            }
            Event::End { .. } | Event::Undecodable { .. } => self.end_partition(keeping),
            other => read_records(self.reading.as_mut(), other, keeping),
        }
    }

    /// Also when the rest of the request will never come.
    pub fn end_partition(&mut self, keeping: &mut Keeping<'_>) {
        if let Some(reading) = self.reading.take() {
            self.partitions.push(reading.finish(keeping));
        }
    }

    /// Joins the answer; partitions that it does not name are left out, because nobody knows what became of them. Returns how many.
    pub fn answered(&mut self, answer: &ProduceResponse<'_>, names: &mut Names) -> u64 {
        let mut results = HashMap::new();
        for topic in &answer.responses {
            let name = names.topic(topic.topic);
            for partition in &topic.partition_responses {
                results.insert((name.clone(), partition.index), *partition);
            }
        }
        let before = self.partitions.len();
        self.partitions.retain_mut(|partition| {
            let Some(result) = results.get(&(partition.topic.clone(), partition.index)) else {
                return false;
            };
            partition.error = error_name(result.error_code);
            partition.base_offset =
                Some(result.base_offset).filter(|offset| *offset >= 0 && result.error_code == 0);
            partition.log_append_time = Some(result.log_append_time_ms).filter(|time| *time >= 0);
            partition.log_start_offset =
                Some(result.log_start_offset).filter(|offset| *offset >= 0);
            partition.choose_again();
            true
        });
        (before - self.partitions.len()) as u64
    }

    /// All partitions failed alike, without an answer.
    pub fn failed(&mut self, error: &'static str) {
        for partition in &mut self.partitions {
            partition.error = Some(error);
        }
    }
}

/// Events inside a partition's record field.
pub(crate) fn read_records(
    reading: Option<&mut Reading>,
    event: &Event<'_>,
    keeping: &mut Keeping<'_>,
) {
    let Some(reading) = reading else { return };
    match event {
        Event::Batch(header) => reading.batch(header, keeping),
        Event::Record(record) => reading.record(record, keeping),
        Event::Compressed { piece, .. } => reading.compressed(piece, keeping),
        Event::BatchEnd { complete } => reading.batch_end(*complete, keeping),
        _ => {}
    }
}

impl Partition {
    pub(crate) fn new(topic: Topic, index: i32) -> Partition {
        Partition {
            topic,
            index,
            error: None,
            base_offset: None,
            log_append_time: None,
            fetch_offset: None,
            next_offset: None,
            high_watermark: None,
            last_stable_offset: None,
            records_end: None,
            log_start_offset: None,
            sequence: None,
            marks: Vec::new(),
            records: 0,
            redelivered: 0,
            batches: Batches::default(),
            samples: Vec::new(),
        }
    }
}
