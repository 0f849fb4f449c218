//! What a member of a share group is given counts, and nothing else of the answer.

use kafka_wire::TopicRef;
use kafka_wire::body;
use kafka_wire::record_batch::{Codec, Record};

use super::*;
use crate::losses::Losses;
use crate::passing::Allowance;
use crate::records::Samplers;
use crate::settings::Settings;

/// First offset, the offsets that have a record, how many offsets the batch took, control.
type Wrote<'a> = (i64, &'a [i64], i32, bool);

fn answer(
    codec: Codec,
    batches: &[Wrote<'_>],
    runs: &[(i64, i64, i16)],
) -> (Vec<Partition>, Losses) {
    let (mut losses, mut names) = (Losses::default(), Names::default());
    let (mut kept, mut allowance) = (0, Allowance::default());
    let mut samplers = Samplers::new(&Settings::default());
    let mut keeping = Keeping {
        spans: true,
        samplers: &mut samplers,
        time: 0,
        kept: &mut kept,
        keep: 100,
        allowance: &mut allowance,
        losses: &mut losses,
    };
    let mut share = ShareAnswer::default();
    let mut tell = |event: Event<'_>| share.event(&event, &mut names, &mut keeping);
    tell(Event::ShareFetch {
        throttle_ms: 0,
        error_code: 0,
        acquisition_lock_timeout_ms: 0,
    });
    tell(Event::Topic(TopicRef::Name("t")));
    tell(Event::Partition(body::Partition {
        records_len: Some(1 << 20),
        ..body::Partition::UNKNOWN
    }));
    for (base, offsets, span, control) in batches {
        let body_len = 20 * offsets.len() as u32;
        tell(Event::Batch(BatchHeader {
            magic: 2,
            base_offset: *base,
            wire_len: 61 + body_len,
            body_len,
            codec,
            attributes: if *control { 0x20 } else { 0 },
            last_offset_delta: span - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: offsets.len() as i32,
        }));
        if codec == Codec::None {
            for (index, offset) in offsets.iter().enumerate() {
                tell(Event::Record(Record {
                    index: index as u32,
                    offset_delta: (offset - base) as i32,
                    timestamp_delta: 0,
                    size: 20,
                    key: None,
                    key_len: None,
                    value_len: None,
                    headers: Default::default(),
                    truncated: false,
                }));
            }
        } else {
            let piece = vec![0; body_len as usize];
            tell(Event::Compressed {
                codec,
                piece: &piece,
            });
        }
        tell(Event::BatchEnd { complete: true });
    }
    tell(Event::PartitionEnd { complete: true });
    for (first_offset, last_offset, delivery_count) in runs {
        tell(Event::Acquired(AcquiredRecords {
            first_offset: *first_offset,
            last_offset: *last_offset,
            delivery_count: *delivery_count,
        }));
    }
    tell(Event::End { complete: true });
    let partitions = share.finish(None, &mut keeping);
    let held: usize = partitions.iter().map(Partition::held).sum();
    assert_eq!(kept, held, "what is not kept was given back");
    (partitions, losses)
}

/// Records, redelivered ones, records of each batch, sizes known, records in samples.
fn counts(
    codec: Codec,
    batches: &[Wrote<'_>],
    runs: &[(i64, i64, i16)],
) -> (u64, u64, Vec<u32>, u64, usize) {
    let (partitions, _) = answer(codec, batches, runs);
    let only = &partitions[0];
    assert_eq!((only.fetch_offset, only.high_watermark), (None, None));
    let samples = only.samples.iter().map(|sample| match &sample.content {
        Content::Records(records) => records.len(),
        Content::Compressed(_) => 1000,
        Content::Unread => 0,
    });
    (
        only.records,
        only.redelivered,
        only.batches.records.clone(),
        only.batches.exact.count + only.batches.average.count,
        samples.sum(),
    )
}

const TEN: Wrote<'_> = (10, &[10, 11, 12, 13, 14], 5, false);
const TWENTY: Wrote<'_> = (20, &[20, 21, 22], 3, false);
const MARKER: Wrote<'_> = (15, &[15], 1, true);
/// Compacted.
const SPARSE: Wrote<'_> = (30, &[30, 34, 38, 39], 10, false);

#[test]
fn only_acquired_records_count() {
    let all = [TEN, MARKER, TWENTY];
    let of = |runs: &[(i64, i64, i16)]| counts(Codec::None, &all, runs);
    assert_eq!(of(&[(10, 22, 1)]), (8, 0, vec![5, 3], 8, 8), "everything");
    assert_eq!(of(&[]), (0, 0, vec![0, 0], 0, 0), "nothing");
    assert_eq!(of(&[(12, 20, 1)]), (4, 0, vec![3, 1], 4, 4));
    assert_eq!(
        of(&[(10, 10, 3), (12, 12, 1), (20, 21, 2)]),
        (4, 3, vec![2, 2], 4, 4)
    );
    assert_eq!(of(&[(15, 15, 1)]), (0, 0, vec![0, 0], 0, 0), "a marker");
    // Turned around, twice the same, beyond the answer.
    assert_eq!(of(&[(22, 20, 1)]).0, 0);
    assert_eq!(of(&[(20, 22, 1), (20, 22, 1)]).0, 3);
    assert_eq!(of(&[(i64::MIN, i64::MAX, 1)]).0, 8);
}

#[test]
fn compacted_batches_are_counted_by_their_records() {
    let of = |codec, first, last| counts(codec, &[SPARSE], &[(first, last, 1)]).0;
    assert_eq!(of(Codec::None, 30, 39), 4);
    assert_eq!(of(Codec::None, 31, 38), 2);
    assert_eq!(of(Codec::None, 35, 37), 0);
    assert_eq!(of(Codec::Zstd, 30, 39), 4);
    assert_eq!(of(Codec::Zstd, 31, 39), 3, "one may be before");
    assert_eq!(of(Codec::Zstd, 34, 39), 0, "a lower bound");
}

#[test]
fn compressed_batches_wait_only_when_they_were_given_whole() {
    let all = [TEN, TWENTY];
    let (records, _, batches, sizes, samples) = counts(Codec::Zstd, &all, &[(10, 20, 1)]);
    assert_eq!((records, batches), (6, vec![5, 1]));
    assert_eq!((sizes, samples), (1, 1000), "the first is opened later");
}

#[test]
fn refused_acknowledgements_are_left_out() {
    let (mut losses, mut names) = (Losses::default(), Names::default());
    let (mut kept, mut allowance) = (0, Allowance::default());
    let mut samplers = Samplers::new(&Settings::default());
    let mut keeping = Keeping {
        spans: true,
        samplers: &mut samplers,
        time: 0,
        kept: &mut kept,
        keep: 100,
        allowance: &mut allowance,
        losses: &mut losses,
    };
    let mut share = ShareAnswer::default();
    share.event(&Event::Topic(TopicRef::Name("t")), &mut names, &mut keeping);
    for (index, acknowledge_error_code) in [(0, 0), (1, 121)] {
        let partition = body::Partition {
            index,
            error_code: 0,
            acknowledge_error_code,
            ..body::Partition::UNKNOWN
        };
        share.event(&Event::Partition(partition), &mut names, &mut keeping);
    }
    let of = |partition| Acknowledged {
        topic: Topic::Name("t".into()),
        partition,
        offsets: (1, 2),
        kind: 1,
    };
    let mut acknowledged = vec![of(0), of(1)];
    assert_eq!(share.error, Some("INVALID_RECORD_STATE"));
    share.finish(Some(&mut acknowledged), &mut keeping);
    assert_eq!(acknowledged, [of(0)]);
}
