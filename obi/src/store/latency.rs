//! Quantiles of recent durations. In: nanoseconds with event time; out: p50 and p99 in milliseconds over the last 30 to 60 seconds.
//!
//! Eight buckets an octave from 1 µs to 67 s: a quantile is right within 5 %. Fixed size, allocated at the first value.

use kafka_analyzer::capture::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const HALF: Nanos = 30 * 1_000_000_000;
const BUCKETS_AN_OCTAVE: f64 = 8.0;
const BUCKETS: usize = 26 * 8 + 1;

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Durations that these are taken from.
    pub count: u64,
}

#[derive(Clone, Debug)]
struct Half {
    /// Number of the half minute.
    at: u64,
    counts: Box<[u32]>,
}

/// This half minute and the one before.
#[derive(Clone, Debug, Default)]
pub struct Latency([Option<Half>; 2]);

impl Latency {
    pub fn add(&mut self, now: Nanos, duration: Nanos) {
        let at = now / HALF;
        let Some(slot) = self.0.get_mut((at % 2) as usize) else {
            return;
        };
        let half = slot.get_or_insert_with(|| Half {
            at,
            counts: vec![0; BUCKETS].into(),
        });
        // An observation that waited for its labels counts to the half minute that is there.
        if half.at < at {
            half.at = at;
            half.counts.fill(0);
        }
        let micros = (duration as f64 / 1e3).max(1.0);
        let bucket = ((micros.log2() * BUCKETS_AN_OCTAVE) as usize).min(BUCKETS - 1);
        if let Some(count) = half.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// None: nothing was measured lately.
    pub fn quantiles(&self, now: Nanos) -> Option<Quantiles> {
        let at = now / HALF;
        let mut counts = [0u64; BUCKETS];
        for half in self
            .0
            .iter()
            .flatten()
            .filter(|half| half.at == at || half.at + 1 == at)
        {
            counts
                .iter_mut()
                .zip(&half.counts)
                .for_each(|(sum, n)| *sum += u64::from(*n));
        }
        let count = counts.iter().sum();
        (count > 0).then(|| Quantiles {
            p50_ms: quantile(&counts, count, 0.5),
            p99_ms: quantile(&counts, count, 0.99),
            count,
        })
    }
}

/// Middle of the bucket that holds the value of this rank, with three digits.
fn quantile(counts: &[u64], count: u64, q: f64) -> f64 {
    let rank = (count as f64 * q).ceil() as u64;
    let mut seen = 0;
    let bucket = counts.iter().position(|n| {
        seen += n;
        seen >= rank
    });
    let millis = ((bucket.unwrap_or(0) as f64 + 0.5) / BUCKETS_AN_OCTAVE).exp2() / 1e3;
    let digits = 10f64.powf(2.0 - millis.log10().floor());
    (millis * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_within_five_percent_and_only_of_lately() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantiles(0), None);
        for n in 1..=1000u64 {
            latency.add(HALF, n * 100_000);
        }
        let q = latency.quantiles(HALF).unwrap();
        assert_eq!(q.count, 1000);
        assert!((q.p50_ms / 50.0 - 1.0).abs() < 0.05, "{q:?}");
        assert!((q.p99_ms / 99.0 - 1.0).abs() < 0.05, "{q:?}");
        assert_eq!(latency.quantiles(2 * HALF), Some(q));
        assert_eq!(latency.quantiles(3 * HALF), None);
        latency.add(3 * HALF, 2_000_000);
        assert_eq!(
            latency.quantiles(3 * HALF),
            Some(Quantiles {
                p50_ms: 1.96,
                p99_ms: 1.96,
                count: 1
            })
        );
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut latency = Latency::default();
        latency.add(0, 0);
        assert_eq!(latency.quantiles(0).unwrap().p50_ms, 0.00104);
        latency.add(0, u64::MAX);
        assert!(latency.quantiles(0).unwrap().p99_ms > 67_000.0);
    }
}
