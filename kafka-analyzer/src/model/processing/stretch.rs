//! What the wire brought of one partition and the application was not seen to get yet. In: Fetch answers and hand-overs, both in order; out: how many
//! messages the application got while nobody watched.
//!
//! An application gets the messages of a partition in the order of their offsets. So when it gets one, it got all that the wire brought before. Where
//! offsets have holes (compaction, markers of transactions) only whole answers can be counted: their records are known, their places are not.

use std::collections::VecDeque;

/// Answers that wait; dense ones that follow each other are one.
const CHUNKS_MOST: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Stretch {
    chunks: VecDeque<Chunk>,
    /// Where the wire goes on.
    end: Option<i64>,
    /// All before this offset was counted.
    reached: Option<i64>,
    /// What commits alone told of since the last hand-over: first offset, and the one behind the last.
    committed: Option<(i64, i64)>,
    /// So many of the messages that wait were told of before their answer was whole.
    told: u64,
    closing: Option<Closing>,
}

/// The client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Begun,
    /// It committed since: what it has not handed over by that it throws away.
    Committed,
}

/// Records of neighbouring offsets, of which some may be handed over already.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    first: i64,
    /// Behind the last.
    next: i64,
    records: u64,
    /// Some of it was handed over unseen: what is left over at its end was.
    skipped: bool,
}

/// Messages before a hand-over that nobody saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unseen {
    pub count: u64,
    /// There may have been more.
    pub more: bool,
    /// Of the messages that were handed over a commit told before.
    pub counted: u32,
}

impl Chunk {
    fn is_dense(&self) -> bool {
        u64::try_from(self.next.saturating_sub(self.first)).is_ok_and(|n| n == self.records)
    }
}

impl Stretch {
    /// The wire brought so many records from `first` to before `next`.
    pub fn fetched(&mut self, first: i64, next: i64, records: u64) {
        if next <= first {
            return;
        }
        if self.end != Some(first) || self.closing.is_some() {
            // The client went elsewhere: what it had not handed over it threw away.
            self.forget();
        }
        self.end = Some(next);
        let chunk = Chunk {
            first,
            next,
            records,
            skipped: false,
        };
        match self.chunks.back_mut() {
            Some(back) if back.is_dense() && chunk.is_dense() && back.next == first => {
                back.next = next;
                back.records += records;
            }
            _ => self.chunks.push_back(chunk),
        }
        if self.chunks.len() > CHUNKS_MOST {
            self.chunks.pop_front();
        }
    }

    /// So many messages from `first` to before `next` were handed over and told of before the wire's answer was whole.
    pub fn told_before(&mut self, (first, next): (i64, i64), count: u64) {
        let Some(chunk) = self.chunks.front() else {
            return;
        };
        let within = next.min(chunk.next).saturating_sub(first.max(chunk.first));
        self.told = u64::try_from(within).map_or(0, |within| within.min(count));
    }

    /// Partitions were given out anew: nobody knows what the client throws away.
    pub fn forget(&mut self) {
        *self = Stretch::default();
    }

    /// Its client ends. A last commit may still tell what the application got.
    pub fn closes(&mut self) {
        self.closing = self.closing.or(Some(Closing::Begun));
    }

    /// There are messages of which nobody knows whether the application got them.
    pub fn is_open(&self) -> bool {
        !self.chunks.is_empty() && self.closing != Some(Closing::Committed)
    }

    /// `count` messages from `first` to `last` were handed over. `after`: since the hand-over before, which ended in front of this offset, hooks were
    /// away; `None` within: there was none before.
    pub fn handed(
        &mut self,
        (first, last): (i64, i64),
        count: u32,
        after: Option<Option<i64>>,
    ) -> Unseen {
        match self.closing {
            // Another client's.
            Some(_) if count > 0 => self.forget(),
            Some(_) => self.closing = Some(Closing::Committed),
            None => {}
        }
        let mut unseen = Unseen {
            counted: self.counted((first, last), count, after),
            ..Unseen::default()
        };
        let begins = self.chunks.front().map(|chunk| chunk.first);
        let away = after.is_some();
        if let Some(Some(before)) = after {
            // A commit may have told since. What comes a second time it does not tell.
            let reached = self.reached.filter(|reached| *reached <= first);
            let before = before.max(reached.unwrap_or(before));
            let known = begins.is_some_and(|begins| begins <= before) || before >= first;
            unseen.more = !known && unseen.counted == 0;
        }
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.next <= first {
                if away || chunk.skipped {
                    unseen.count += chunk.records;
                } else {
                    self.told = self.told.saturating_sub(chunk.records);
                }
                self.chunks.pop_front();
                continue;
            }
            if chunk.first < first {
                if chunk.is_dense() {
                    let before = u64::try_from(first.saturating_sub(chunk.first)).unwrap_or(0);
                    match away {
                        true => unseen.count += before,
                        false => self.told = self.told.saturating_sub(before),
                    }
                    chunk.records = chunk.records.saturating_sub(before);
                    chunk.first = first;
                } else {
                    chunk.skipped |= away;
                }
            }
            break;
        }
        unseen.count += self.take(last, count);
        let told = self.told.min(unseen.count);
        self.told -= told;
        unseen.count -= told;
        let behind = last.saturating_add(1);
        self.committed = match count {
            0 => {
                let from = self.committed.map(|(from, _)| from);
                from.or(self.reached).or(begins).map(|from| (from, behind))
            }
            _ => None,
        };
        self.reached = self.reached.max(Some(behind));
        unseen
    }

    /// Of these messages so many were counted: `ReadMessage` of kafka-go commits a message before it hands it over. What was seen to be handed over comes
    /// a second time.
    fn counted(&self, (first, last): (i64, i64), count: u32, after: Option<Option<i64>>) -> u32 {
        let is_new = after.is_some_and(|before| before.is_none_or(|before| before <= first));
        let told = self.committed.filter(|(from, _)| is_new && *from <= first);
        let Some((_, to)) = told else {
            return 0;
        };
        let upto = to.min(last.saturating_add(1));
        u32::try_from(upto.saturating_sub(first)).map_or(0, |counted| counted.min(count))
    }

    /// Takes a run off the front. Returns what is left over of an answer that was handed over in part unseen.
    fn take(&mut self, last: i64, count: u32) -> u64 {
        let behind = last.saturating_add(1);
        let within = self
            .chunks
            .front()
            .is_some_and(|chunk| behind <= chunk.next);
        while let Some(chunk) = self.chunks.front_mut().filter(|chunk| chunk.first < behind) {
            if chunk.is_dense() {
                let taken = u64::try_from(behind.min(chunk.next).saturating_sub(chunk.first));
                chunk.records = chunk.records.saturating_sub(taken.unwrap_or(0));
                chunk.first = behind.min(chunk.next);
            } else if within {
                chunk.records = chunk.records.saturating_sub(u64::from(count));
            } else {
                // The run goes on in the next: how much of it stands here is not known.
                chunk.records = 0;
            }
            if behind < chunk.next {
                break;
            }
            let left = if chunk.skipped { chunk.records } else { 0 };
            self.chunks.pop_front();
            if left > 0 {
                return left;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen(count: u64, more: bool) -> Unseen {
        Unseen {
            count,
            more,
            counted: 0,
        }
    }

    #[test]
    fn what_came_before_a_message_was_handed_over() {
        let mut dense = Stretch::default();
        dense.fetched(100, 200, 100);
        dense.fetched(200, 300, 100);
        assert_eq!(dense.handed((100, 104), 5, None), unseen(0, false));
        assert_eq!(
            dense.handed((250, 250), 1, Some(Some(105))),
            unseen(145, false)
        );
        assert_eq!(
            dense.handed((251, 251), 1, Some(Some(251))),
            unseen(0, false)
        );
        assert_eq!(
            dense.handed((299, 299), 1, Some(Some(252))),
            unseen(47, false)
        );
        // Nothing was fetched since: it reads what is not on the wire.
        assert_eq!(
            dense.handed((400, 400), 1, Some(Some(300))),
            unseen(0, true)
        );
    }

    #[test]
    fn holes_are_counted_by_whole_answers() {
        let mut sparse = Stretch::default();
        sparse.fetched(0, 12, 10);
        sparse.fetched(12, 24, 10);
        sparse.fetched(24, 36, 10);
        assert_eq!(sparse.handed((0, 3), 4, None), unseen(0, false));
        // 6 of the first answer, and nobody knows how many of the second.
        assert_eq!(sparse.handed((18, 18), 1, Some(Some(4))), unseen(6, false));
        // It had 10, of which 1 was seen here and 2 are now: 7 were not.
        assert_eq!(sparse.handed((22, 23), 2, None), unseen(7, false));
        assert_eq!(sparse.handed((24, 24), 1, None), unseen(0, false));
    }

    #[test]
    fn a_jump_begins_anew() {
        let mut jump = Stretch::default();
        jump.fetched(0, 100, 100);
        jump.handed((0, 9), 10, None);
        jump.fetched(50, 150, 100);
        assert_eq!(jump.handed((60, 60), 1, Some(Some(10))), unseen(10, true));
        assert_eq!(
            jump.handed((70, 70), 1, None),
            unseen(0, false),
            "a hole without a window is none of ours"
        );
        jump.forget();
        jump.fetched(150, 160, 10);
        assert_eq!(jump.handed((155, 155), 1, Some(Some(71))), unseen(5, true));
        // The first hand-over of a partition: all since its first fetch.
        let mut new = Stretch::default();
        new.fetched(7, 20, 13);
        assert_eq!(new.handed((10, 10), 1, Some(None)), unseen(3, false));
        assert_eq!(
            new.handed((2, 2), 1, Some(Some(11))),
            unseen(0, false),
            "back"
        );
    }

    #[test]
    fn what_a_commit_told_is_not_counted_again() {
        let of = |count, counted| Unseen {
            count,
            more: false,
            counted,
        };
        let mut read = Stretch::default();
        read.fetched(0, 100, 100);
        assert_eq!(read.handed((0, 0), 1, None), of(0, 0));
        // A commit of 50 while hooks are away, then 49, of which it told, and 50.
        assert_eq!(read.handed((50, 49), 0, Some(None)), of(49, 0));
        assert_eq!(read.handed((49, 49), 1, Some(Some(1))), of(0, 1));
        assert_eq!(read.handed((50, 50), 1, None), of(0, 0));
        // A run of which the commit told a part; and what was seen before.
        assert_eq!(read.handed((60, 59), 0, Some(None)), of(9, 0));
        assert_eq!(read.handed((58, 61), 4, Some(Some(51))), of(0, 2));
        assert_eq!(read.handed((40, 41), 2, Some(Some(62))), of(0, 0));
    }

    #[test]
    fn what_was_told_before_its_answer_was_whole_is_not_counted_again() {
        // A commit, then a window: 20 + 30 + 1 are all up to 50.
        let mut read = Stretch::default();
        read.fetched(0, 100, 100);
        read.told_before((0, 30), 20);
        assert_eq!(read.handed((10, 9), 0, Some(None)), unseen(0, false));
        let next = read.handed((50, 50), 1, Some(Some(10)));
        assert_eq!(next, unseen(30, false));
        // Seen on without a window between.
        let mut seen = Stretch::default();
        seen.fetched(0, 100, 100);
        seen.told_before((0, 30), 30);
        assert_eq!(seen.handed((30, 30), 1, None), unseen(0, false));
        let next = seen.handed((50, 50), 1, Some(Some(31)));
        assert_eq!(next, unseen(19, false));
        // Of another answer, which nobody saw.
        let mut other = Stretch::default();
        other.fetched(40, 100, 60);
        other.told_before((0, 30), 30);
        let next = other.handed((50, 50), 1, Some(Some(30)));
        assert_eq!(next, unseen(10, true));
    }

    #[test]
    fn it_is_bounded() {
        let mut many = Stretch::default();
        for n in 0..100 {
            many.fetched(n * 10, n * 10 + 10, 5);
        }
        assert_eq!(many.chunks.len(), CHUNKS_MOST);
        assert_eq!(many.handed((990, 990), 1, Some(Some(0))), unseen(75, true));
    }
}
