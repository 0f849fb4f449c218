//! A Fetch answer while it comes in. In: body events, and what its request asked for; out: what was fetched from where.

use kafka_wire::body::Event;

use crate::error::error_name;
use crate::fact::{Partition, Topic};
use crate::fetch_session::{FetchAsked, FetchSession, Offsets};
use crate::names::Names;
use crate::produce::read_records;
use crate::records::{Keeping, Reading};

/// Partitions of one message that are kept apart.
const PARTITIONS_MOST: usize = 65_536;

#[derive(Debug)]
pub(crate) struct FetchAnswer {
    asked: FetchAsked,
    /// Where partitions were cut off that it goes on with.
    resumed: Offsets,
    /// Where it is cut off itself, by partition; only of those that hold records.
    cuts: Vec<((Topic, i32), Option<i64>)>,
    pub throttle_ms: Option<i32>,
    /// The first one, of the answer or of a partition.
    pub error: Option<&'static str>,
    topic: Option<Topic>,
    reading: Option<Reading>,
    partitions: Vec<Partition>,
}

impl FetchAnswer {
    pub fn new(asked: FetchAsked, session: &FetchSession) -> FetchAnswer {
        FetchAnswer {
            resumed: session.resumed(&asked),
            cuts: Vec::new(),
            asked,
            throttle_ms: None,
            error: None,
            topic: None,
            reading: None,
            partitions: Vec::new(),
        }
    }

    pub fn event(&mut self, event: &Event<'_>, names: &mut Names, keeping: &mut Keeping<'_>) {
        match event {
            Event::Fetch {
                throttle_ms,
                error_code,
                ..
            } => {
                self.throttle_ms = Some(*throttle_ms);
                self.error = self.error.or(error_name(*error_code));
            }
            Event::Topic(topic) => {
                self.end_partition(keeping);
                self.topic = Some(names.topic(*topic));
            }
            Event::Partition(partition) => {
                self.end_partition(keeping);
                let Some(topic) = self
                    .topic
                    .clone()
                    .filter(|_| self.partitions.len() < PARTITIONS_MOST)
                else {
                    return;
                };
                let known = |offset: i64| Some(offset).filter(|offset| *offset >= 0);
                let key = (topic, partition.index);
                let fetch_offset = self
                    .asked
                    .offsets
                    .get(&key)
                    .copied()
                    .filter(|offset| *offset >= 0);
                let cut_at = self.resumed.get(&key).copied();
                let error = error_name(partition.error_code);
                self.error = self.error.or(error);
                let empty = Partition {
                    error,
                    fetch_offset,
                    high_watermark: known(partition.high_watermark),
                    last_stable_offset: known(partition.last_stable_offset),
                    log_start_offset: known(partition.log_start_offset),
                    ..Partition::new(key.0, partition.index)
                };
                if partition.aborted.truncated && self.asked.read_committed {
                    keeping.losses.add("aborted_transactions_cut", 1);
                }
                let aborted = self.asked.read_committed.then_some(partition.aborted.pairs);
                let length = u64::from(partition.records_len.unwrap_or(0));
                let mut reading = Reading::fetched(empty, length, aborted);
                reading.cut_at = cut_at;
                self.reading = Some(reading);
            }
            Event::End { .. } | Event::Undecodable { .. } => self.end_partition(keeping),
            // What a follower copies is not consumed.
            other if !self.asked.replica => read_records(self.reading.as_mut(), other, keeping),
            _ => {}
        }
    }

    fn end_partition(&mut self, keeping: &mut Keeping<'_>) {
        if let Some(reading) = self.reading.take() {
            let cut = reading.cut_off_at();
            let partition = reading.finish(keeping);
            if cut.is_some() || partition.next_offset.is_some() {
                let key = (partition.topic.clone(), partition.index);
                self.cuts.push((key, cut));
            }
            self.partitions.push(partition);
        }
    }

    /// What it kept and will not be used.
    pub fn give_up(mut self, keeping: &mut Keeping<'_>) {
        self.end_partition(keeping);
        let held: usize = self.partitions.iter().map(Partition::held).sum();
        *keeping.kept = keeping.kept.saturating_sub(held);
    }

    /// The partitions, and what they were asked with.
    pub fn finish(
        mut self,
        session: &mut FetchSession,
        keeping: &mut Keeping<'_>,
    ) -> (Vec<Partition>, FetchAsked) {
        self.end_partition(keeping);
        for (key, cut) in self.cuts {
            session.answered(key, cut);
        }
        (self.partitions, self.asked)
    }
}
