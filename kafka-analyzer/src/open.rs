//! Opening of compressed batches that were chosen for it. In: a fact; out: the same fact with exact sizes, ratios, and records for spans.
//!
//! Pure, so it may run on any thread; the result depends on the fact alone. Output of the decoder is capped: what does not fit counts as a
//! batch that does not open. A fact that nobody opened is settled by its headers.

use kafka_wire::body::Limits;
use kafka_wire::compression::decompress;
use kafka_wire::record_batch::walk;

use crate::fact::{Content, Fact, KeptRecord, Partition, Sample, Says};
use crate::trace::address::place;
use crate::trace::sampling::{keeps_batch, keeps_record};

/// Uncompressed bytes of one batch. Brokers take batches of 1 MiB by default.
const OUTPUT_MOST: usize = 32 << 20;

/// What opening needs to know of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Keep records for spans.
    pub spans: bool,
    /// Bytes of key and headers kept of each.
    pub keep: usize,
}

impl Fact {
    /// True while a compressed batch waits to be opened.
    pub fn needs_opening(&self) -> bool {
        self.partitions()
            .flat_map(|partition| &partition.samples)
            .any(Sample::is_closed)
    }

    /// Opens the compressed batches of this fact.
    pub fn open(&mut self, opening: &Opening) {
        let Says::Exchange(exchange) = &mut self.says else {
            return;
        };
        for partition in &mut exchange.produced {
            partition.open(false, opening);
        }
        for partition in &mut exchange.fetched {
            partition.open(true, opening);
        }
    }

    /// Gives up the opening: what is closed is counted by its headers.
    pub fn leave_closed(&mut self) {
        let Says::Exchange(exchange) = &mut self.says else {
            return;
        };
        for partition in exchange.produced.iter_mut().chain(&mut exchange.fetched) {
            partition.settle();
        }
    }

    fn partitions(&self) -> impl Iterator<Item = &Partition> {
        let (produced, fetched) = match &self.says {
            Says::Exchange(exchange) => (&exchange.produced[..], &exchange.fetched[..]),
            _ => (&[][..], &[][..]),
        };
        produced.iter().chain(fetched)
    }
}

impl Says {
    /// Memory that keys, headers and compressed bodies take.
    pub fn held(&self) -> usize {
        match self {
            Says::Exchange(exchange) => {
                let partitions = exchange.produced.iter().chain(&exchange.fetched);
                partitions.map(Partition::held).sum()
            }
            _ => 0,
        }
    }
}

impl Sample {
    fn is_closed(&self) -> bool {
        matches!(self.content, Content::Compressed(_))
    }

    /// Its records were not read, and only they would have told how many count: a wrapper of an old message set, or a compacted batch that
    /// was fetched from its middle. The header gives no more than a lower bound.
    pub(crate) fn is_uncounted(&self) -> bool {
        let header = &self.header;
        let dense = i64::from(header.last_offset_delta) + 1 == i64::from(header.records_count);
        let unread = matches!(self.content, Content::Unread);
        unread && (header.magic < 2 || (self.from_offset.is_some() && !dense))
    }

    /// Offset of the batch's first record, as far as it is known.
    pub(crate) fn base_offset(&self, partition: &Partition, is_fetch: bool) -> Option<i64> {
        if is_fetch {
            return Some(self.header.base_offset);
        }
        partition
            .base_offset
            .map(|base| base.saturating_add(i64::try_from(self.records_before).unwrap_or(i64::MAX)))
    }
}

impl Partition {
    fn open(&mut self, is_fetch: bool, opening: &Opening) {
        let mut samples = std::mem::take(&mut self.samples);
        for sample in &mut samples {
            if let Content::Compressed(body) = &mut sample.content {
                let body = std::mem::take(body);
                sample.content = match self.open_batch(sample, &body, is_fetch, opening) {
                    Some(records) => Content::Records(records),
                    None => {
                        self.count_by_header(sample);
                        Content::Unread
                    }
                };
            }
        }
        self.samples = samples;
    }

    fn open_batch(
        &mut self,
        sample: &mut Sample,
        body: &[u8],
        is_fetch: bool,
        opening: &Opening,
    ) -> Option<Vec<KeptRecord>> {
        let header = sample.header;
        let mut inner = Vec::new();
        decompress(header.codec, body, OUTPUT_MOST, &mut inner).ok()?;
        let limits = Limits {
            keep: opening.keep,
            ..Limits::default()
        };
        let base_offset = sample.base_offset(self, is_fetch);
        let claimed = header.records_count.max(1) as u64;
        let (mut records, mut sizes) = (Vec::new(), Vec::new());
        let walked = walk(&header, &inner, &limits, |record| {
            if sample
                .from_offset
                .is_some_and(|from| header.offset(&record) < from)
            {
                return;
            }
            sizes.push(u64::from(record.size));
            let chosen = opening.spans
                && place(&header, base_offset, record.offset_delta)
                    .is_none_or(|place| keeps_record(sample.level, claimed, self.index, place));
            if chosen {
                records.push(KeptRecord::from(&record));
            }
        });
        if !walked.complete {
            return None;
        }
        for size in &sizes {
            self.batches.exact.add(*size, 1);
        }
        if !body.is_empty() {
            self.batches
                .ratios
                .push((header.codec.name(), inner.len() as f64 / body.len() as f64));
        }
        let counted = sizes.len() as u64;
        self.records = self
            .records
            .saturating_sub(sample.counted)
            .saturating_add(counted);
        if let Some(of_batch) = self.batches.records.get_mut(sample.batch) {
            let others = u64::from(*of_batch).saturating_sub(sample.counted);
            *of_batch = u32::try_from(others.saturating_add(counted)).unwrap_or(u32::MAX);
        }
        sample.counted = counted;
        Some(records)
    }

    fn count_by_header(&mut self, sample: &Sample) {
        if sample.counted > 0 {
            let all = (sample.header.records_count.max(1) as u64).max(sample.counted);
            self.batches
                .average
                .add(u64::from(sample.header.body_len) / all, sample.counted);
        }
    }

    fn settle(&mut self) {
        let mut samples = std::mem::take(&mut self.samples);
        for sample in samples.iter_mut().filter(|sample| sample.is_closed()) {
            self.count_by_header(sample);
            sample.content = Content::Unread;
        }
        self.samples = samples;
    }

    /// Leaves out what was kept only until the answer told the place of its records.
    pub(crate) fn choose_again(&mut self) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.retain_mut(|sample| {
            let base_offset = sample.base_offset(self, false);
            let records = sample.header.records_count.max(1) as u64;
            let Some(first) = place(&sample.header, base_offset, 0) else {
                return true;
            };
            let chosen = keeps_batch(sample.level, records, self.index, first);
            match &mut sample.content {
                Content::Records(kept) if chosen => kept.retain(|record| {
                    place(&sample.header, base_offset, record.offset_delta)
                        .is_none_or(|place| keeps_record(sample.level, records, self.index, place))
                }),
                Content::Records(_) => return false,
                // Old message sets are counted by opening them.
                Content::Compressed(_) if !chosen && sample.header.magic >= 2 => {
                    self.count_by_header(sample);
                    return false;
                }
                Content::Compressed(_) | Content::Unread => {}
            }
            true
        });
        self.samples = samples;
    }

    /// Memory that keys, headers and compressed bodies take.
    pub(crate) fn held(&self) -> usize {
        self.samples
            .iter()
            .map(|sample| sample.content.held())
            .sum()
    }
}

impl Content {
    /// Memory that keys, headers or a compressed body take.
    pub(crate) fn held(&self) -> usize {
        match self {
            Content::Records(records) => records.iter().map(KeptRecord::held).sum(),
            Content::Compressed(body) => body.len(),
            Content::Unread => 0,
        }
    }
}
