//! The record batches of one partition of a message. In: body events; out: counts, sizes, and what is kept for spans.
//!
//! Counting mirrors what a consumer hands on: nothing before the fetch offset, no control records, no aborted ones under read_committed, no
//! batch that the broker cut off at the end. (Of that kafka-go hands on what came, and then fetches from its middle: it is counted with the next
//! answer, which has all of it.) Compressed batches are counted from their header; a few are collected whole, to be opened later, and
//! of these the ones that find no room are opened as they pass.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use kafka_wire::record_batch::{BatchHeader, Codec, Record};

use crate::capture::Nanos;
use crate::fact::detail::Producer;
use crate::fact::{Content, KeptRecord, Partition, Sample, Sequence};
use crate::losses::Losses;
use crate::passing::{Allowance, Passing};
use crate::settings::Settings;
use crate::trace::address::place;
use crate::trace::sampling::{Sampler, keeps_batch, keeps_record};

/// Records and compressed bodies that wait for an acknowledgement or for the end of their answer, in one stage.
pub(crate) const KEPT_MOST: usize = 8 << 20;
/// A compressed body above this does not wait.
const BODY_MOST: u32 = 4 << 20;
/// A record takes at least 7 bytes: length, attributes, two deltas, key, value and headers of one byte each.
const RECORD_LEAST: u64 = 7;

/// Marks (offset, timestamp) kept of one partition of a message.
const MARKS_MOST: usize = 32;

/// Which batches of one direction are looked into.
#[derive(Debug)]
pub(crate) struct Samplers {
    /// Compressed ones, which are opened for their sizes too.
    opened: Sampler,
    /// The others, whose sizes are known: for spans alone.
    plain: Sampler,
    /// False: bodies of batches are not read, or were not lately, so no batch is looked into.
    pub bodies: bool,
    /// They may be read again.
    wanted: bool,
}

impl Samplers {
    pub fn new(settings: &Settings) -> Samplers {
        Samplers {
            opened: Sampler::new(settings.spans_per_second),
            plain: Sampler::new(settings.told()),
            bodies: settings.records,
            wanted: settings.records,
        }
    }
}

/// What batches are collected with.
pub(crate) struct Keeping<'a> {
    pub spans: bool,
    pub samplers: &'a mut Samplers,
    /// When the message began: event time of the sampler.
    pub time: Nanos,
    /// Bytes kept in the whole stage.
    pub kept: &'a mut usize,
    /// Bytes of key and headers kept of one record.
    pub keep: usize,
    pub allowance: &'a mut Allowance,
    pub losses: &'a mut Losses,
}

/// One partition while its batches come in.
#[derive(Debug)]
pub(crate) struct Reading {
    pub partition: Partition,
    /// Bytes of the record field that no batch took yet.
    left: u64,
    records_before: u64,
    from_offset: Option<i64>,
    /// Below the fetch offset, where the answer before this one was cut off: its reader used records from there on.
    pub cut_at: Option<i64>,
    /// The last batch was not compressed.
    plain: bool,
    is_fetch: bool,
    aborted: Option<AbortedFilter>,
    batch: Option<Batch>,
    /// The batch before was a message of magic 0 or 1.
    in_message_set: bool,
}

#[derive(Debug)]
struct Batch {
    header: BatchHeader,
    /// Records by the header; None: not known before it is opened.
    claimed: Option<u64>,
    counts: Counts,
    seen: u64,
    seen_bytes: u64,
    level: u32,
    sample: Option<Content>,
    /// It is opened as it passes.
    passing: Option<Box<Passing>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    Nothing,
    All,
    /// Some of its records are before the fetch offset.
    From(i64),
}

impl Reading {
    /// Of a Produce request.
    pub fn produced(partition: Partition, records_len: u64) -> Reading {
        Reading {
            partition,
            left: records_len,
            records_before: 0,
            from_offset: None,
            cut_at: None,
            plain: true,
            is_fetch: false,
            aborted: None,
            batch: None,
            in_message_set: false,
        }
    }

    /// Of a Fetch answer; `aborted` only under read_committed.
    pub fn fetched(
        partition: Partition,
        records_len: u64,
        aborted: Option<&[(i64, i64)]>,
    ) -> Reading {
        Reading {
            from_offset: partition.fetch_offset,
            is_fetch: true,
            aborted: aborted
                .filter(|pairs| !pairs.is_empty())
                .map(AbortedFilter::new),
            ..Reading::produced(partition, records_len)
        }
    }

    pub fn batch(&mut self, header: &BatchHeader, keeping: &mut Keeping<'_>) {
        self.batch_end(false, keeping);
        let whole = u64::from(header.wire_len) <= self.left;
        self.left = self.left.saturating_sub(u64::from(header.wire_len));
        if !whole {
            return;
        }
        add_bytes(
            &mut self.partition.batches.bytes,
            header.codec.name(),
            u64::from(header.wire_len),
        );
        let last_offset = header
            .base_offset
            .saturating_add(i64::from(header.last_offset_delta.max(0)));
        self.plain = header.codec == Codec::None;
        let resumed = |at: &i64| self.plain && (header.base_offset..=last_offset).contains(at);
        if let Some(at) = self.cut_at.take().filter(resumed) {
            // It is the batch that was cut off, whole this time, as nobody goes on in the middle of another one.
            (self.from_offset, self.partition.fetch_offset) = (Some(at), Some(at));
        }
        if self.is_fetch {
            self.partition.next_offset = Some(last_offset.saturating_add(1));
        } else if self.partition.sequence.is_none() && header.producer_id >= 0 {
            self.partition.sequence = Some(Sequence {
                producer: Producer {
                    id: header.producer_id,
                    epoch: header.producer_epoch,
                },
                base: header.base_sequence,
                transactional: header.is_transactional(),
            });
        }
        self.mark(header);
        let hidden = self.is_fetch
            && (self
                .aborted
                .as_mut()
                .is_some_and(|aborted| aborted.hides(header, last_offset))
                || header.is_control());
        let wrapper = header.magic < 2 && header.codec != Codec::None;
        let claimed = (!wrapper).then(|| claimed(header));
        let counts = match self.from_offset {
            _ if hidden => Counts::Nothing,
            Some(from) if last_offset < from => Counts::Nothing,
            Some(from) if header.base_offset < from || wrapper => Counts::From(from),
            _ => Counts::All,
        };
        let mut batch = Batch {
            header: *header,
            claimed,
            counts,
            seen: 0,
            seen_bytes: 0,
            level: 0,
            sample: None,
            passing: None,
        };
        if counts != Counts::Nothing {
            if self.is_fetch {
                self.partition.records_end = self.partition.next_offset;
            }
            self.choose(&mut batch, keeping);
        }
        self.batch = Some(batch);
    }

    /// Remembers when the batch's first record was made; of a message with many batches only the first ones.
    fn mark(&mut self, header: &BatchHeader) {
        if header.is_control()
            || header.base_timestamp < 0
            || self.partition.marks.len() >= MARKS_MOST
        {
            return;
        }
        let offset = if self.is_fetch {
            header.base_offset
        } else {
            i64::try_from(self.records_before).unwrap_or(i64::MAX)
        };
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp
        };
        self.partition.marks.push((offset, timestamp));
    }

    /// Decides whether the batch is looked into.
    fn choose(&self, batch: &mut Batch, keeping: &mut Keeping<'_>) {
        let header = &batch.header;
        let records = batch.claimed.unwrap_or(1);
        let base_offset = self.is_fetch.then_some(header.base_offset);
        let bodies = keeping.samplers.bodies;
        let sampler = match header.codec {
            Codec::None => &mut keeping.samplers.plain,
            _ => &mut keeping.samplers.opened,
        };
        let level = sampler.level(keeping.time, records).filter(|_| bodies);
        let chosen = level.is_some_and(|level| {
            batch.level = level;
            // Without a place the choice is made when the answer tells the offset.
            place(header, base_offset, 0)
                .is_none_or(|place| keeps_batch(level, records, self.partition.index, place))
        });
        if header.codec == Codec::None {
            batch.sample = (chosen && keeping.spans).then(|| Content::Records(Vec::new()));
        } else if chosen || batch.must_open() {
            let waits = *keeping.kept + header.body_len as usize;
            if header.body_len <= BODY_MOST && waits <= KEPT_MOST {
                batch.sample = Some(Content::Compressed(Vec::new()));
                return;
            }
            // For its sizes alone a batch is not worth the stream thread's time.
            if keeping.spans || batch.must_open() {
                batch.passing = Passing::new(header, keeping.keep).map(Box::new);
            }
            batch.sample = Some(if batch.passing.is_some() {
                Content::Records(Vec::new())
            } else {
                Content::Unread
            });
        }
    }

    pub fn record(&mut self, record: &Record<'_>, keeping: &mut Keeping<'_>) {
        let Some(batch) = &mut self.batch else { return };
        match batch.counts {
            Counts::Nothing => return,
            Counts::From(from) if batch.header.offset(record) < from => return,
            _ => {}
        }
        batch.seen += 1;
        batch.seen_bytes += u64::from(record.size);
        self.partition.batches.exact.add(u64::from(record.size), 1);
        let Some(Content::Records(records)) = &mut batch.sample else {
            return;
        };
        let base_offset = self.is_fetch.then_some(batch.header.base_offset);
        let claimed = batch.claimed.unwrap_or(1);
        let chosen = place(&batch.header, base_offset, record.offset_delta)
            .is_none_or(|place| keeps_record(batch.level, claimed, self.partition.index, place));
        if !chosen {
            return;
        }
        let kept = KeptRecord::from(record);
        if *keeping.kept + kept.held() > KEPT_MOST {
            keeping.losses.add("span_table_full", 1);
            return;
        }
        *keeping.kept += kept.held();
        records.push(kept);
    }

    pub fn compressed(&mut self, piece: &[u8], keeping: &mut Keeping<'_>) {
        if let Some(mut passing) = self.batch.as_mut().and_then(|batch| batch.passing.take()) {
            let mut allowance = std::mem::take(keeping.allowance);
            passing.feed(piece, &mut allowance, &mut |record| {
                self.record(record, keeping)
            });
            *keeping.allowance = allowance;
            if let Some(batch) = &mut self.batch {
                batch.passing = Some(passing);
            }
            return;
        }
        let Some(Batch {
            sample: Some(Content::Compressed(body)),
            header,
            ..
        }) = &mut self.batch
        else {
            return;
        };
        if body.len() + piece.len() <= header.body_len as usize {
            *keeping.kept += piece.len();
            body.extend_from_slice(piece);
        }
    }

    /// Ends the opening of a batch that passes.
    fn passed(&mut self, complete: bool, keeping: &mut Keeping<'_>) {
        let Some(passing) = self.batch.as_mut().and_then(|batch| batch.passing.take()) else {
            return;
        };
        let mut allowance = std::mem::take(keeping.allowance);
        let opened = passing.finish(complete, &mut allowance, &mut |record| {
            self.record(record, keeping)
        });
        *keeping.allowance = allowance;
        let Some(batch) = &mut self.batch else { return };
        match opened {
            Some(bytes) => self.partition.batches.ratios.push((
                batch.header.codec.name(),
                bytes as f64 / f64::from(batch.header.body_len.max(1)),
            )),
            None => {
                let content = batch.sample.replace(Content::Unread);
                *keeping.kept = keeping
                    .kept
                    .saturating_sub(content.map_or(0, |content| content.held()));
            }
        }
    }

    pub fn batch_end(&mut self, complete: bool, keeping: &mut Keeping<'_>) {
        self.passed(complete, keeping);
        let Some(mut batch) = self.batch.take() else {
            return;
        };
        // After one that came whole the next is looked into again.
        keeping.samplers.bodies |= complete && keeping.samplers.wanted;
        let records_before = self.records_before;
        self.records_before += batch.claimed.unwrap_or(0);
        let counted = batch.counted();
        if batch.counts == Counts::Nothing {
            return;
        }
        self.partition.records += counted;
        let list = &mut self.partition.batches.records;
        // The messages of an old message set are one batch.
        let joins = batch.header.magic < 2 && self.in_message_set;
        self.in_message_set = batch.header.magic < 2;
        match list.last_mut() {
            Some(last) if joins => *last = last.saturating_add(clamp(counted)),
            _ => list.push(clamp(counted)),
        }
        if let Some(Content::Compressed(body)) = &mut batch.sample
            && (!complete || body.len() != batch.header.body_len as usize)
        {
            *keeping.kept = keeping.kept.saturating_sub(body.len());
            batch.sample = Some(Content::Unread);
        }
        // That nobody wanted to read it is no loss, but where only its records tell how many count.
        let unread = matches!(batch.sample, Some(Content::Unread));
        if unread && !keeping.samplers.bodies && !batch.must_open() {
            batch.sample = None;
        }
        // Records that no size is known of: those of a compressed batch, or hidden by a gap.
        let unsized_records = counted.saturating_sub(batch.seen);
        let waits = matches!(batch.sample, Some(Content::Compressed(_)));
        if unsized_records > 0 && !waits {
            let all = batch
                .claimed
                .unwrap_or(0)
                .saturating_sub(batch.seen)
                .max(unsized_records);
            let body_len = u64::from(batch.header.body_len);
            let average = if batch.header.codec == Codec::None {
                body_len.saturating_sub(batch.seen_bytes) / all
            } else {
                body_len / (all + batch.seen)
            };
            self.partition.batches.average.add(average, unsized_records);
        }
        if let Some(content) = batch.sample {
            let from_offset = match batch.counts {
                Counts::From(from) => Some(from),
                _ => None,
            };
            self.partition.samples.push(Sample {
                header: batch.header,
                records_before,
                from_offset,
                counted,
                batch: self.partition.batches.records.len() - 1,
                level: batch.level,
                content,
            });
        }
    }

    /// Where the next batch begins, which did not come whole. None: there is none, or it is a compressed one as those before it, which nobody can use.
    pub fn cut_off_at(&self) -> Option<i64> {
        let next = self.partition.next_offset.or(self.partition.fetch_offset);
        next.filter(|_| self.left > 0 && self.plain)
    }

    pub fn finish(mut self, keeping: &mut Keeping<'_>) -> Partition {
        self.batch_end(false, keeping);
        self.partition
    }
}

impl Batch {
    /// All offsets between the first and the last are taken.
    fn is_dense(&self) -> bool {
        self.claimed
            == Some(
                i64::from(self.header.last_offset_delta)
                    .saturating_add(1)
                    .max(0) as u64,
            )
    }

    /// Only opening tells how many records count.
    fn must_open(&self) -> bool {
        self.claimed.is_none() || (matches!(self.counts, Counts::From(_)) && !self.is_dense())
    }

    /// Records that count, as far as header and records seen tell; never too many.
    fn counted(&self) -> u64 {
        let claimed = self.claimed.unwrap_or(0);
        match self.counts {
            Counts::Nothing => 0,
            Counts::All => claimed,
            Counts::From(from) => {
                let before = from.saturating_sub(self.header.base_offset).max(0) as u64;
                let least = claimed.saturating_sub(before);
                if self.is_dense() {
                    least
                } else {
                    least.max(self.seen).min(claimed)
                }
            }
        }
    }
}

/// Records of a batch as its header says, never more than its bytes can hold.
pub(crate) fn claimed(header: &BatchHeader) -> u64 {
    let claimed = header.records_count.max(0) as u64;
    if header.codec == Codec::None && header.magic >= 2 {
        return claimed.min(u64::from(header.body_len) / RECORD_LEAST);
    }
    claimed
}

fn clamp(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) fn add_bytes(list: &mut Vec<(&'static str, u64)>, codec: &'static str, n: u64) {
    match list.iter_mut().find(|(name, _)| *name == codec) {
        Some((_, sum)) => *sum += n,
        None => list.push((codec, n)),
    }
}

impl KeptRecord {
    pub(crate) fn from(record: &Record<'_>) -> KeptRecord {
        KeptRecord {
            offset_delta: record.offset_delta,
            timestamp_delta: record.timestamp_delta,
            size: record.size,
            value_len: record.value_len,
            // A key that was cut is no key.
            key: record
                .key
                .filter(|key| record.key_len == u32::try_from(key.len()).ok())
                .map(Into::into),
            headers: record.headers.raw.into(),
            truncated: record.truncated,
        }
    }

    /// Memory taken.
    pub(crate) fn held(&self) -> usize {
        size_of::<KeptRecord>() + self.key.as_ref().map_or(0, |key| key.len()) + self.headers.len()
    }
}

/// Drops what belongs to aborted transactions, as consumers do (`CompletedFetch.nextFetchedRecord`).
#[derive(Debug)]
struct AbortedFilter {
    /// (first offset, producer id), the next one last.
    to_come: Vec<(i64, i64)>,
    active: HashSet<i64>,
}

impl AbortedFilter {
    fn new(pairs: &[(i64, i64)]) -> AbortedFilter {
        let mut to_come: Vec<_> = pairs
            .iter()
            .map(|(producer, first)| (*first, *producer))
            .collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        AbortedFilter {
            to_come,
            active: HashSet::new(),
        }
    }

    fn hides(&mut self, header: &BatchHeader, last_offset: i64) -> bool {
        while self
            .to_come
            .last()
            .is_some_and(|(first, _)| *first <= last_offset)
        {
            if let Some((_, producer)) = self.to_come.pop() {
                self.active.insert(producer);
            }
        }
        if header.is_control() {
            // A commit marker cannot stand inside an aborted transaction, so any marker ends it.
            self.active.remove(&header.producer_id);
            return true;
        }
        header.is_transactional() && self.active.contains(&header.producer_id)
    }
}
