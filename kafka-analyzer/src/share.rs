//! A ShareFetch answer while it comes in (KIP-932). In: body events; out: what a share group's member was given, from where.
//!
//! The broker sends whole batches and names the offsets that were acquired for this member after them: only these were consumed. Of a batch that
//! was compacted and acquired in part, and whose records were not seen, the number is a lower bound.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use kafka_wire::body::{AcquiredRecords, Event};
use kafka_wire::record_batch::BatchHeader;

use crate::error::error_name;
use crate::fact::detail::Acknowledged;
use crate::fact::{Content, Partition, Topic};
use crate::names::Names;
use crate::observation::SizeCounts;
use crate::produce::read_records;
use crate::records::{Keeping, Reading, claimed};

/// Partitions of one message that are kept apart.
const PARTITIONS_MOST: usize = 65_536;
/// Offsets of compacted batches, and runs of acquired ones, that are remembered of a partition.
const OFFSETS_MOST: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct ShareAnswer {
    pub throttle_ms: Option<i32>,
    /// The first one, of the answer or of a partition.
    pub error: Option<&'static str>,
    topic: Option<Topic>,
    reading: Option<Reading>,
    given: Given,
    partitions: Vec<Partition>,
    /// Where the acknowledgements of the request were refused, and whether all were.
    refused: HashSet<(Topic, i32)>,
    all_refused: bool,
}

/// Batches of a partition, and what of them was acquired.
#[derive(Debug, Default)]
struct Given {
    batches: Vec<Batch>,
    runs: Vec<(i64, i64)>,
    /// Offsets kept of all batches.
    offsets: usize,
    redelivered: u64,
}

#[derive(Debug)]
struct Batch {
    base: i64,
    last: i64,
    /// Records by its header.
    records: u64,
    control: bool,
    /// Some offsets between the first and the last have no record: these have.
    sparse: Option<Vec<i64>>,
    acquired: u64,
}

impl ShareAnswer {
    pub fn event(&mut self, event: &Event<'_>, names: &mut Names, keeping: &mut Keeping<'_>) {
        match event {
            Event::ShareFetch {
                throttle_ms,
                error_code,
                ..
            } => {
                self.throttle_ms = Some(*throttle_ms);
                self.error = self.error.or(error_name(*error_code));
                self.all_refused = *error_code != 0;
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
                let refused = error_name(partition.acknowledge_error_code);
                let error = error_name(partition.error_code);
                self.error = self.error.or(error).or(refused);
                if refused.is_some() {
                    self.refused.insert((topic.clone(), partition.index));
                }
                let empty = Partition {
                    error,
                    ..Partition::new(topic, partition.index)
                };
                let length = u64::from(partition.records_len.unwrap_or(0));
                self.reading = Some(Reading::fetched(empty, length, None));
            }
            Event::Acquired(run) => self.given.acquired(run),
            Event::End { .. } | Event::Undecodable { .. } => self.end_partition(keeping),
            other => {
                match other {
                    Event::Batch(header) => self.given.batch(header),
                    Event::Record(record) => self.given.record(record.offset_delta),
                    _ => {}
                }
                read_records(self.reading.as_mut(), other, keeping);
            }
        }
    }

    fn end_partition(&mut self, keeping: &mut Keeping<'_>) {
        let given = std::mem::take(&mut self.given);
        if let Some(reading) = self.reading.take() {
            let mut partition = reading.finish(keeping);
            let before = partition.held();
            given.settle(&mut partition);
            let freed = before.saturating_sub(partition.held());
            *keeping.kept = keeping.kept.saturating_sub(freed);
            self.partitions.push(partition);
        }
    }

    /// What it kept and will not be used.
    pub fn give_up(mut self, keeping: &mut Keeping<'_>) {
        self.end_partition(keeping);
        let held: usize = self.partitions.iter().map(Partition::held).sum();
        *keeping.kept = keeping.kept.saturating_sub(held);
    }

    /// The partitions; of `acknowledged` only what the broker took stays.
    pub fn finish(
        mut self,
        acknowledged: Option<&mut Vec<Acknowledged>>,
        keeping: &mut Keeping<'_>,
    ) -> Vec<Partition> {
        self.end_partition(keeping);
        if let Some(acknowledged) = acknowledged {
            let refused = |it: &Acknowledged| {
                self.all_refused || self.refused.contains(&(it.topic.clone(), it.partition))
            };
            acknowledged.retain(|it| !refused(it));
        }
        self.partitions
    }
}

impl Given {
    fn batch(&mut self, header: &BatchHeader) {
        let last_delta = i64::from(header.last_offset_delta.max(0));
        let records = claimed(header);
        let dense = records == last_delta as u64 + 1;
        self.batches.push(Batch {
            base: header.base_offset,
            last: header.base_offset.saturating_add(last_delta),
            records,
            control: header.is_control(),
            sparse: (!dense).then(Vec::new),
            acquired: 0,
        });
    }

    fn record(&mut self, offset_delta: i32) {
        if let Some(batch) = self.batches.last_mut()
            && let Some(sparse) = &mut batch.sparse
            && self.offsets < OFFSETS_MOST
        {
            sparse.push(batch.base.saturating_add(i64::from(offset_delta)));
            self.offsets += 1;
        }
    }

    fn acquired(&mut self, run: &AcquiredRecords) {
        let (first, last) = (run.first_offset, run.last_offset);
        if last < first || self.runs.len() >= OFFSETS_MOST {
            return;
        }
        self.runs.push((first, last));
        let from = self.batches.partition_point(|batch| batch.last < first);
        let batches = self.batches.iter_mut().skip(from);
        for batch in batches.take_while(|batch| batch.base <= last) {
            let records = batch.within(first, last);
            // Runs do not overlap; should they, no record counts twice.
            let records = records.min(batch.records.saturating_sub(batch.acquired));
            batch.acquired += records;
            if run.delivery_count > 1 {
                self.redelivered = self.redelivered.saturating_add(records);
            }
        }
    }

    /// Counts what was acquired, and keeps nothing of the other records.
    fn settle(self, partition: &mut Partition) {
        partition.redelivered = self.redelivered;
        let whole = self
            .batches
            .iter()
            .all(|batch| batch.control || batch.acquired == batch.records);
        if whole {
            return;
        }
        let acquired = self.batches.iter().map(|batch| batch.acquired);
        partition.records = acquired.sum();
        let handed = self.batches.iter().filter(|batch| !batch.control);
        for (records, batch) in partition.batches.records.iter_mut().zip(handed) {
            *records = u32::try_from(batch.acquired).unwrap_or(u32::MAX);
        }
        let mut waiting = 0;
        let mut sizes = SizeCounts::default();
        partition.samples.retain_mut(|sample| {
            let base = sample.header.base_offset;
            let at = self.batches.partition_point(|batch| batch.last < base);
            let Some(batch) = self.batches.get(at) else {
                return false;
            };
            let waits = matches!(sample.content, Content::Compressed(_));
            sample.counted = batch.acquired;
            if batch.acquired == batch.records {
                waiting += if waits { batch.acquired } else { 0 };
                return true;
            }
            let Content::Records(records) = &mut sample.content else {
                if waits
                    && let Some(mean) = u64::from(sample.header.body_len).checked_div(batch.records)
                {
                    sizes.add(mean, batch.acquired);
                }
                return false;
            };
            records.retain(|record| {
                let offset = base.saturating_add(i64::from(record.offset_delta));
                let at = self.runs.partition_point(|(_, last)| *last < offset);
                self.runs.get(at).is_some_and(|(first, _)| *first <= offset)
            });
            !records.is_empty()
        });
        // Other sizes are not known by offset.
        let (exact, average) = (&partition.batches.exact, &partition.batches.average);
        let (sum, count) = (
            exact.sum.saturating_add(average.sum),
            exact.count + average.count,
        );
        if let Some(mean) = sum.checked_div(count) {
            sizes.add(
                mean,
                partition.records.saturating_sub(waiting + sizes.count),
            );
        }
        partition.batches.exact = SizeCounts::default();
        partition.batches.average = sizes;
    }
}

impl Batch {
    /// Records with an offset between these.
    fn within(&self, first: i64, last: i64) -> u64 {
        if self.control {
            return 0;
        }
        let span = |from: i64, to: i64| to.abs_diff(from).saturating_add(1);
        let overlap = span(self.base.max(first), self.last.min(last));
        let whole = span(self.base, self.last);
        match &self.sparse {
            None => overlap.min(self.records),
            Some(_) if overlap == whole => self.records,
            Some(offsets) if offsets.len() as u64 == self.records => {
                let within = offsets.iter().filter(|it| (first..=last).contains(*it));
                within.count() as u64
            }
            Some(_) => self.records.saturating_sub(whole - overlap),
        }
    }
}
