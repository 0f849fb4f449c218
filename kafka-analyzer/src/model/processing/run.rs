//! Messages that were handed over together and follow each other in one partition. In: hand-over and what ends it; out: the parts that are done.
//!
//! A run of thousands of messages costs as much as one of one: only what was told apart is remembered.

use std::sync::Arc;

use crate::capture::{Nanos, Task};
use crate::observation::Signal;

/// Identity of a run within a process; later ones are greater.
pub(super) type RunId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The task that got it has not asked again.
    Held,
    /// It has, and it is not known yet whether a pool works on the messages.
    Asked(Nanos),
    /// A pool works on them: only naming them ends them.
    Released,
}

#[derive(Debug)]
pub(super) struct Run {
    pub client: u64,
    /// Address of its first message; 0 = not known.
    pub message: u64,
    pub topic: Arc<str>,
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    /// Messages, and those that are not done.
    pub count: u32,
    pub left: u32,
    /// Messages of its call: more than one are a batch unless they are told apart.
    pub total: u64,
    /// There were more than were looked at.
    pub partial: bool,
    pub began: Nanos,
    /// When its task asked for it.
    pub asked: Option<Nanos>,
    pub task: Task,
    /// The task was seen to ask.
    pub asker: bool,
    pub state: State,
    /// Handed over within another call that has not returned yet.
    pub inner: bool,
    /// The task that got it named it while it was inner, or later than its next request.
    pub settled: Option<Nanos>,
    pub error: Option<Signal>,
    /// Its task panicked last.
    pub panicked: Option<Nanos>,
    /// Offsets that are done, merged and sorted.
    done: Vec<(i64, i64)>,
}

/// What ends now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    All,
    /// What is left up to this offset.
    UpTo(i64),
    /// What is left from the first to the last of these.
    Named(i64, i64),
}

/// Messages that ended together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub first: i64,
    pub last: i64,
    pub count: u32,
}

/// What a run begins with.
#[derive(Debug)]
pub(super) struct Handed {
    pub client: u64,
    pub message: u64,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offsets: (i64, i64),
    pub count: u32,
    pub total: u64,
    pub partial: bool,
    pub began: Nanos,
    pub task: Task,
    pub inner: bool,
}

impl Run {
    pub fn new(handed: Handed) -> Run {
        let (first, last) = handed.offsets;
        Run {
            client: handed.client,
            message: handed.message,
            topic: handed.topic,
            partition: handed.partition,
            first,
            last,
            count: handed.count,
            left: handed.count,
            total: handed.total,
            partial: handed.partial,
            began: handed.began,
            asked: None,
            task: handed.task,
            asker: false,
            state: State::Held,
            inner: handed.inner,
            settled: None,
            error: None,
            panicked: None,
            done: Vec::new(),
        }
    }

    /// What it weighs in the bounded table.
    pub fn weight(&self) -> usize {
        1 + self.done.len()
    }

    /// Were single messages of it told apart?
    pub fn is_divided(&self) -> bool {
        self.left < self.count
    }

    /// The first offset that is not done.
    pub fn next(&self) -> i64 {
        match self.done.first() {
            Some((first, last)) if *first <= self.first => last.saturating_add(1),
            _ => self.first,
        }
    }

    /// Marks a part as done. None: nothing of it was left.
    pub fn take(&mut self, part: Part) -> Option<Taken> {
        let (first, last) = match part {
            Part::All => (self.first, self.last),
            Part::UpTo(offset) => (self.first, offset.min(self.last)),
            Part::Named(first, last) => (first.max(self.first), last.min(self.last)),
        };
        let (first, last) = self.trim(first, last)?;
        let count = if last >= self.last && first <= self.next() {
            self.left
        } else {
            // Offsets may have holes (compaction, markers of transactions), of which nothing is known: one message at least.
            let dense =
                self.last.saturating_sub(self.first).saturating_add(1) == i64::from(self.count);
            let new = if dense { self.undone(first, last) } else { 1 };
            new.min(self.left)
        };
        self.left -= count;
        self.mark(first, last);
        (count > 0).then_some(Taken { first, last, count })
    }

    /// Cuts what is done off both ends.
    fn trim(&self, mut first: i64, mut last: i64) -> Option<(i64, i64)> {
        for (from, to) in &self.done {
            if (*from..=*to).contains(&first) {
                first = to.saturating_add(1);
            }
        }
        for (from, to) in self.done.iter().rev() {
            if (*from..=*to).contains(&last) {
                last = from.saturating_sub(1);
            }
        }
        (first <= last).then_some((first, last))
    }

    fn undone(&self, first: i64, last: i64) -> u32 {
        let within = self.done.iter().map(|(from, to)| {
            let (from, to) = ((*from).max(first), (*to).min(last));
            to.saturating_sub(from).saturating_add(1).max(0)
        });
        let span = last.saturating_sub(first).saturating_add(1);
        u32::try_from(span.saturating_sub(within.sum::<i64>())).unwrap_or(u32::MAX)
    }

    fn mark(&mut self, mut first: i64, mut last: i64) {
        let from = self
            .done
            .partition_point(|(_, to)| to.saturating_add(1) < first);
        let until = self
            .done
            .partition_point(|(from, _)| *from <= last.saturating_add(1));
        for (a, b) in self.done.get(from..until).unwrap_or_default() {
            first = first.min(*a);
            last = last.max(*b);
        }
        self.done.splice(from.min(until)..until, [(first, last)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: i64, last: i64, count: u32) -> Run {
        Run::new(Handed {
            client: 0,
            message: 0,
            topic: "orders".into(),
            partition: 0,
            offsets: (first, last),
            count,
            total: u64::from(count),
            partial: false,
            began: 1,
            task: Task::Thread(1),
            inner: false,
        })
    }

    #[test]
    fn parts_are_taken_once() {
        let mut dense = run(10, 19, 10);
        let taken = |first, last, count| Some(Taken { first, last, count });
        assert_eq!(dense.take(Part::Named(12, 12)), taken(12, 12, 1));
        assert_eq!(dense.take(Part::Named(12, 12)), None);
        assert_eq!(dense.take(Part::Named(11, 13)), taken(11, 13, 2));
        assert_eq!(dense.next(), 10);
        assert_eq!(dense.take(Part::UpTo(14)), taken(10, 14, 2));
        assert_eq!((dense.next(), dense.left), (15, 5));
        assert_eq!(dense.weight(), 2, "neighbours are one");
        assert_eq!(dense.take(Part::Named(0, 9)), None);
        assert_eq!(dense.take(Part::All), taken(15, 19, 5));
        assert_eq!(dense.take(Part::All), None);
    }

    #[test]
    fn holes_are_no_messages() {
        let mut sparse = run(0, 99, 3);
        assert_eq!(sparse.take(Part::Named(40, 40)).map(|t| t.count), Some(1));
        assert_eq!(sparse.take(Part::UpTo(99)).map(|t| t.count), Some(2));
        assert_eq!(sparse.left, 0);
        let mut sparse = run(0, 99, 2);
        for (offset, count) in [(0, Some(1)), (7, Some(1)), (8, None)] {
            assert_eq!(
                sparse.take(Part::Named(offset, offset)).map(|t| t.count),
                count
            );
        }
    }
}
