//! What a consumer is handed, by the log as it is: transactions of several producers that lie in each other, markers, compaction.

use proptest::prelude::*;

use super::*;
use crate::fact::Topic;

/// A batch of the log: the offsets that its records still have.
#[derive(Clone, Debug)]
struct Logged {
    base: i64,
    /// Offsets that it took when it was written.
    span: i32,
    kept: Vec<i64>,
    producer: i64,
    transactional: bool,
    control: bool,
    codec: Codec,
    /// It belongs to a transaction that was aborted.
    aborted: bool,
}

impl Logged {
    fn header(&self) -> BatchHeader {
        let mut attributes = if self.transactional { 0x10 } else { 0 };
        if self.control {
            attributes |= 0x20;
        }
        // A byte for each of the least fields of a record.
        let body_len = (self.kept.len() * RECORD_LEAST as usize) as u32;
        BatchHeader {
            magic: 2,
            base_offset: self.base,
            wire_len: 61 + body_len,
            body_len,
            codec: self.codec,
            attributes,
            last_offset_delta: self.span - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: self.producer,
            producer_epoch: 0,
            base_sequence: if self.producer < 0 { -1 } else { 0 },
            records_count: self.kept.len() as i32,
        }
    }

    fn end(&self) -> i64 {
        self.base + i64::from(self.span)
    }
}

/// An aborted transaction: producer, first offset, offset of the marker.
type Aborted = (i64, i64, i64);

/// What the producers do one after another: who, how many records, which of them are compacted away, whether its transaction ends.
#[derive(Clone, Debug)]
struct Did {
    producer: i64,
    records: i32,
    gone: u32,
    compressed: bool,
    /// After it: None goes on, true commits, false aborts.
    ends: Option<bool>,
}

fn did() -> impl Strategy<Value = Did> {
    let ends = prop_oneof![2 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    (-1..4i64, 1..9i32, any::<u32>(), any::<bool>(), ends).prop_map(
        |(producer, records, gone, compressed, ends)| Did {
            producer,
            records,
            gone,
            compressed,
            ends,
        },
    )
}

/// Producer −1 writes without transactions.
fn log(all: &[Did], compact: bool) -> (Vec<Logged>, Vec<Aborted>) {
    let (mut log, mut aborted): (Vec<Logged>, Vec<Aborted>) = (Vec::new(), Vec::new());
    let mut first = [None; 4];
    let mut next = 0;
    let mut end = |log: &mut Vec<Logged>, next: &mut i64, producer: i64, commits: bool, since| {
        if !commits {
            let its = log
                .iter_mut()
                .filter(|batch| batch.producer == producer && batch.base >= since);
            its.for_each(|batch| batch.aborted = true);
            aborted.push((producer, since, *next));
        }
        log.push(Logged {
            base: *next,
            span: 1,
            kept: vec![*next],
            producer,
            transactional: true,
            control: true,
            codec: Codec::None,
            aborted: false,
        });
        *next += 1;
    };
    for did in all {
        let offsets = next..next + i64::from(did.records);
        let is_kept = |offset: &i64| !compact || (did.gone >> (offset - next)) & 1 == 0;
        log.push(Logged {
            base: next,
            span: did.records,
            kept: offsets.filter(is_kept).collect(),
            producer: did.producer,
            transactional: did.producer >= 0,
            control: false,
            codec: if did.compressed {
                Codec::Zstd
            } else {
                Codec::None
            },
            aborted: false,
        });
        if let Some(first) = first.get_mut(did.producer as usize) {
            let since = *first.get_or_insert(next);
            next += i64::from(did.records);
            if let Some(commits) = did.ends {
                *first = None;
                end(&mut log, &mut next, did.producer, commits, since);
            }
        } else {
            next += i64::from(did.records);
        }
    }
    // A read_committed fetch ends before what is open: end all.
    for (producer, first) in (0..).zip(first) {
        if let Some(since) = first {
            end(&mut log, &mut next, producer, true, since);
        }
    }
    (log, aborted)
}

/// What a Fetch from `from` counts; and whether a batch would have to be opened for it.
fn counted(log: &[Logged], from: i64, aborted: Option<&[(i64, i64)]>) -> (u64, bool) {
    let mut losses = Losses::default();
    let (mut kept, mut allowance) = (0, Allowance::default());
    let mut keeping = Keeping {
        spans: false,
        samplers: &mut Samplers::new(&Settings {
            spans_per_second: 0,
            ..Settings::default()
        }),
        time: 0,
        kept: &mut kept,
        keep: 0,
        allowance: &mut allowance,
        losses: &mut losses,
    };
    let mut partition = Partition::new(Topic::Name("t".into()), 0);
    partition.fetch_offset = Some(from);
    let answer = log.iter().filter(|batch| batch.end() > from);
    let bytes = answer
        .clone()
        .map(|batch| u64::from(batch.header().wire_len));
    let mut reading = Reading::fetched(partition, bytes.sum(), aborted);
    for batch in answer.clone() {
        reading.batch(&batch.header(), &mut keeping);
        for (index, offset) in batch.kept.iter().enumerate() {
            if batch.codec == Codec::None {
                let record = Record {
                    index: index as u32,
                    offset_delta: (offset - batch.base) as i32,
                    timestamp_delta: 0,
                    size: 7,
                    key: None,
                    key_len: None,
                    value_len: None,
                    headers: Default::default(),
                    truncated: false,
                };
                reading.record(&record, &mut keeping);
            }
        }
        // The body of a compressed one is not captured here.
        reading.batch_end(batch.codec == Codec::None, &mut keeping);
    }
    let partition = reading.finish(&mut keeping);
    let uncounted = partition.samples.iter().any(Sample::is_uncounted);
    assert_eq!(partition.next_offset, log.last().map(Logged::end));
    (partition.records, uncounted)
}

proptest! {
    #[test]
    fn what_the_application_gets_is_counted(
        all in prop::collection::vec(did(), 1..40), compact: bool, start in 0.0..1.0f64,
    ) {
        let (log, aborted) = log(&all, compact);
        let end = log.last().map_or(0, Logged::end);
        let from = ((end - 1) as f64 * start) as i64;
        let gets = |committed: bool| -> u64 {
            let batches = log.iter().filter(|batch| !(batch.control || committed && batch.aborted));
            let offsets = batches.flat_map(|batch| &batch.kept);
            offsets.filter(|offset| **offset >= from).count() as u64
        };
        // The broker names the transactions that reach into the answer, in the order of their ends.
        let named: Vec<_> = aborted
            .iter()
            .filter(|(_, _, marker)| *marker >= from)
            .map(|(producer, first, _)| (*producer, *first))
            .collect();
        for (truth, (found, uncounted)) in [
            (gets(true), counted(&log, from, Some(&named))),
            (gets(false), counted(&log, from, None)),
        ] {
            prop_assert!(found <= truth, "{found} of {truth}");
            prop_assert!(found == truth || uncounted, "{found} of {truth}");
        }
    }
}

#[test]
fn an_empty_batch_moves_the_offset_on() {
    let empty = Logged {
        base: 10,
        span: 5,
        kept: Vec::new(),
        producer: 3,
        transactional: true,
        control: false,
        codec: Codec::None,
        aborted: false,
    };
    assert_eq!(counted(&[empty], 12, Some(&[])), (0, false));
}
