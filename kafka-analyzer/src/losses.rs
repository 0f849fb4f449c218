//! Counters of what was given up, by reason. In: a reason and a number; out: totals that only grow.

use std::collections::BTreeMap;

/// Totals since the start, by a bounded word. The pipeline exports them as `obi_events_lost_total{reason}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<&'static str, u64>);

impl Losses {
    pub(crate) fn add(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.0.entry(reason).or_default() += n;
        }
    }

    pub fn get(&self, reason: &str) -> u64 {
        self.0.get(reason).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(reason, n)| (*reason, *n))
    }
}
