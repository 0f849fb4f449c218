//! Where records without a key go. In: the partitions of exchanges, in order; out: `sticky`, `round_robin`, or nothing when it could be either.
//!
//! Record by record in turn, all partitions get as many in the same time: each round of batches meets every partition once, alike in size. A
//! sticky client fills one batch after another (KIP-480, KIP-794): one partition at a time gets all there is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::fact::Partition;

/// Batches that are remembered, and that it takes.
const BATCHES_MOST: usize = 64;
const BATCHES_LEAST: usize = 16;
/// Rounds over all partitions that it takes.
const ROUNDS_LEAST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Unkeyed {
    batches: VecDeque<Went>,
}

#[derive(Clone, Copy, Debug)]
struct Went {
    partition: i32,
    records: u64,
    /// Nothing else of the topic was in its request.
    alone: bool,
}

impl Unkeyed {
    pub fn is_begun(&self) -> bool {
        !self.batches.is_empty()
    }

    pub fn exchange(&mut self, of_topic: &[(Arc<str>, Partition)]) {
        // What is sent again was chosen before.
        let first = of_topic.iter().filter(|(_, it)| it.error.is_none());
        for (_, partition) in first {
            if self.batches.len() >= BATCHES_MOST {
                self.batches.pop_front();
            }
            self.batches.push_back(Went {
                partition: partition.index,
                records: partition.records,
                alone: of_topic.len() == 1,
            });
        }
    }

    pub fn said(&self, count: u32) -> Option<&'static str> {
        let all: Vec<Went> = self.batches.iter().copied().collect();
        let count = count as usize;
        if all.len() < BATCHES_LEAST || count < 2 {
            return None;
        }
        let rounds: Vec<&[Went]> = all.rchunks_exact(count).collect();
        let even = rounds.iter().filter(|round| is_even(round)).count();
        let alone = all.iter().filter(|went| went.alone).count();
        // A sticky client with two partitions goes to and fro.
        let told_apart = count > 2 || alone == 0;
        if rounds.len() >= ROUNDS_LEAST && even == rounds.len() && told_apart {
            return Some("round_robin");
        }
        let switches = all
            .iter()
            .zip(all.iter().skip(1))
            .filter(|(a, b)| a.partition != b.partition)
            .count();
        let visited = rounds.iter().filter(|round| visits_all(round)).count();
        let records: u64 = all.iter().map(|went| went.records).sum();
        let in_runs = switches >= 1 && switches * 2 <= all.len();
        let one_at_a_time = alone * 10 >= all.len() * 9;
        let full = records >= 2 * all.len() as u64;
        let at_random = rounds.len() >= ROUNDS_LEAST && visited * 2 <= rounds.len();
        (one_at_a_time && (in_runs || (full && at_random))).then_some("sticky")
    }
}

fn visits_all(round: &[Went]) -> bool {
    let partitions: HashSet<i32> = round.iter().map(|went| went.partition).collect();
    partitions.len() == round.len()
}

fn is_even(round: &[Went]) -> bool {
    let records = || round.iter().map(|went| went.records);
    let spread = records().max().unwrap_or(0) - records().min().unwrap_or(0);
    visits_all(round) && spread <= 1
}
