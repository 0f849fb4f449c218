//! Which records get spans when there are too many. In: record counts over event time; out: a level, and the choice it makes.
//!
//! Level 0 keeps all; each level more keeps half. The choice is a hash of the place within the partition, so that both ends of a
//! record choose alike and a higher level keeps a part of what a lower one keeps. Large batches are thinned first, down to about 16 records,
//! then whole batches are left out: a compressed batch that is left out need not be opened. Metrics are never sampled.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::capture::Nanos;
use crate::trace::address::Place;

const SECOND: Nanos = 1_000_000_000;
const HIGHEST: u32 = 32;
const BATCH_KEY: (u64, u64) = (
    u64::from_be_bytes(*b"obikafka"),
    u64::from_be_bytes(*b"batch-v1"),
);
const RECORD_KEY: (u64, u64) = (
    u64::from_be_bytes(*b"obikafka"),
    u64::from_be_bytes(*b"recor-v1"),
);

/// Counts records over event time and says how hard to thin.
#[derive(Clone, Debug)]
pub struct Sampler {
    per_second: u64,
    second: u64,
    seen: u64,
    level: u32,
}

impl Sampler {
    pub fn new(per_second: u32) -> Sampler {
        Sampler {
            per_second: u64::from(per_second),
            second: 0,
            seen: 0,
            level: 0,
        }
    }

    /// The level for `records` more records at `time`; None: nothing is ever kept.
    pub fn level(&mut self, time: Nanos, records: u64) -> Option<u32> {
        if self.per_second == 0 {
            return None;
        }
        let second = time / SECOND;
        if second > self.second {
            self.level = if second == self.second + 1 {
                self.needed()
            } else {
                0
            };
            (self.second, self.seen) = (second, 0);
        }
        self.seen = self.seen.saturating_add(records);
        self.level = self.level.max(self.needed());
        Some(self.level)
    }

    fn needed(&self) -> u32 {
        let mut level = 0;
        while level < HIGHEST && (self.per_second << level) < self.seen {
            level += 1;
        }
        level
    }
}

/// How many of a batch's `level` halvings fall on its records.
fn record_level(level: u32, records: u64) -> u32 {
    level.min((records / 16).checked_ilog2().unwrap_or(0))
}

/// `place` is that of the batch's first record.
pub fn keeps_batch(level: u32, records: u64, partition: i32, place: Place) -> bool {
    passes(
        level - record_level(level, records),
        BATCH_KEY,
        partition,
        place,
    )
}

/// For records of a batch that was kept.
pub fn keeps_record(level: u32, records: u64, partition: i32, place: Place) -> bool {
    passes(record_level(level, records), RECORD_KEY, partition, place)
}

fn passes(bits: u32, key: (u64, u64), partition: i32, place: Place) -> bool {
    if bits == 0 {
        return true;
    }
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    hasher.write(&partition.to_be_bytes());
    place.write(&mut hasher);
    hasher.finish() >> (64 - bits.min(HIGHEST)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_follows_the_rate() {
        let mut sampler = Sampler::new(1000);
        let levels = [
            (1, 1000, Some(0)),
            (1, 1, Some(1)),
            (1, 3000, Some(3)),
            // The second after begins where the last one ended; a quiet one falls back.
            (2, 10, Some(3)),
            (3, 10, Some(0)),
            (9, 5, Some(0)),
        ];
        for (second, records, level) in levels {
            assert_eq!(
                sampler.level(second * SECOND, records),
                level,
                "second {second}"
            );
        }
        assert_eq!(Sampler::new(0).level(0, 1), None);
        assert_eq!(Sampler::new(1).level(0, u64::MAX), Some(HIGHEST));
    }

    #[test]
    fn a_higher_level_keeps_a_part_of_a_lower_one() {
        let kept = |level: u32, records: u64| -> std::collections::HashSet<i64> {
            let place = |offset| Place::Offset(offset);
            (0..100)
                .map(|batch| batch * records as i64)
                .filter(|base| keeps_batch(level, records, 0, place(*base)))
                .flat_map(|base| base..base + records as i64)
                .filter(|offset| keeps_record(level, records, 0, place(*offset)))
                .collect()
        };
        for records in [1, 16, 300] {
            let all = kept(0, records);
            assert_eq!(all.len() as u64, 100 * records);
            let mut last = all;
            for level in 1..6 {
                let next = kept(level, records);
                assert!(next.is_subset(&last), "level {level}, {records} records");
                let expected = (100 * records) as f64 / f64::from(1 << level);
                let (low, high) = (expected * 0.3 - 20.0, expected * 2.0 + 20.0);
                assert!(
                    (low..high).contains(&(next.len() as f64)),
                    "level {level}: {} of {expected}",
                    next.len()
                );
                last = next;
            }
        }
    }
}
