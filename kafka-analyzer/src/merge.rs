//! Facts of all shards in one order. In: facts of each shard and how far its event time got; out: facts by (time, connection, offset).
//!
//! A fact leaves once the slowest shard is [`HOLD`] past it, because records of one ring may be out of order by microseconds and a
//! deadline is noticed that much late. A fact that comes later still leaves at once, and is counted. As a fact's place is a function of its
//! own connection only, the order is the same for any number of shards.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::capture::Nanos;
use crate::fact::Fact;
use crate::losses::Losses;
use crate::observation::Origin;

/// How far behind the slowest shard facts are handed on.
pub const HOLD: Nanos = 5_000_000;

#[derive(Debug)]
pub struct Merge {
    shards: Vec<Nanos>,
    waiting: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
    popped: Nanos,
    losses: Losses,
}

/// Ordered by place only; `sequence` keeps the order in which one connection spoke.
#[derive(Debug)]
struct Entry {
    place: Origin,
    sequence: u64,
    fact: Fact,
}

impl Merge {
    /// For `shards` stages (at least one).
    pub fn new(shards: usize) -> Merge {
        Merge {
            shards: vec![0; shards.max(1)],
            waiting: BinaryHeap::new(),
            pushed: 0,
            popped: 0,
            losses: Losses::default(),
        }
    }

    /// Takes all of `facts`. `up_to` is [`crate::StreamStage::clock`] of that shard. An idle shard must be kept going with `CaptureEvent::Tick`.
    pub fn push(&mut self, shard: usize, facts: &mut Vec<Fact>, up_to: Nanos) {
        if let Some(time) = self.shards.get_mut(shard) {
            *time = up_to.max(*time);
        }
        for fact in facts.drain(..) {
            self.pushed += 1;
            self.losses
                .add("late_fact", u64::from(fact.known < self.popped));
            let Origin {
                connection, offset, ..
            } = fact.origin;
            let place = Origin {
                time: fact.known,
                connection,
                offset,
            };
            self.waiting.push(Reverse(Entry {
                place,
                sequence: self.pushed,
                fact,
            }));
        }
    }

    /// All facts up to here were handed on: the time for [`crate::Model::advance`] after a [`Merge::pop`].
    pub fn watermark(&self) -> Nanos {
        self.shards
            .iter()
            .copied()
            .min()
            .unwrap_or(0)
            .saturating_sub(HOLD)
    }

    /// Appends what is safe to hand on, in order.
    pub fn pop(&mut self, out: &mut Vec<Fact>) {
        let until = self.watermark();
        while self
            .waiting
            .peek()
            .is_some_and(|Reverse(entry)| entry.place.time <= until)
        {
            if let Some(Reverse(entry)) = self.waiting.pop() {
                out.push(entry.fact);
            }
        }
        self.popped = self.popped.max(until);
    }

    /// Appends all that is left: the capture ended.
    pub fn finish(&mut self, out: &mut Vec<Fact>) {
        while let Some(Reverse(entry)) = self.waiting.pop() {
            out.push(entry.fact);
        }
    }

    /// Facts that wait now.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// `late_fact`: came when later ones were gone, because a shard's clock was told wrong.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.place, self.sequence) == (other.place, other.sequence)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.place, self.sequence).cmp(&(other.place, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{ConnectionId, GapReason};
    use crate::fact::Says;

    fn fact(time: Nanos, connection: u64, bytes: u64) -> Fact {
        let origin = Origin {
            time,
            connection: ConnectionId(connection),
            offset: 0,
        };
        Fact {
            known: time,
            origin,
            pid: 1,
            says: Says::Gap {
                reason: GapReason::RingFull,
                bytes,
            },
        }
    }

    fn keys(facts: &[Fact]) -> Vec<(Nanos, u64)> {
        facts
            .iter()
            .map(|fact| (fact.origin.time, fact.origin.connection.0))
            .collect()
    }

    #[test]
    fn the_slowest_shard_holds_the_others_back() {
        let mut merge = Merge::new(2);
        let mut out = Vec::new();
        merge.push(0, &mut vec![fact(20, 1, 0), fact(10, 3, 0)], 100 * HOLD);
        merge.pop(&mut out);
        assert_eq!(keys(&out), []);
        merge.push(
            1,
            &mut vec![fact(10, 2, 0), fact(HOLD + 21, 2, 0)],
            HOLD + 20,
        );
        merge.pop(&mut out);
        assert_eq!(keys(&out), [(10, 2), (10, 3), (20, 1)]);
        assert_eq!(merge.len(), 1);
        merge.finish(&mut out);
        assert_eq!(keys(&out).last(), Some(&(HOLD + 21, 2)));
    }

    #[test]
    fn equal_places_keep_their_order_and_late_facts_are_counted() {
        let mut merge = Merge::new(1);
        let mut out = Vec::new();
        merge.push(0, &mut vec![fact(5, 1, 1), fact(5, 1, 2)], HOLD + 9);
        merge.pop(&mut out);
        let bytes: Vec<_> = out
            .iter()
            .map(|fact| match fact.says {
                Says::Gap { bytes, .. } => bytes,
                _ => 0,
            })
            .collect();
        assert_eq!(bytes, [1, 2]);
        merge.push(0, &mut vec![fact(3, 1, 3)], HOLD + 9);
        assert_eq!(merge.losses().get("late_fact"), 1);
        merge.pop(&mut out);
        assert_eq!(out.len(), 3);
    }
}
