//! Fetch answers of one partition that no commit covers yet. In: answers, commits and committed offsets that were read, in order; out: what a commit covers.
//!
//! What goes on elsewhere than the answers before it ended was sought, or read again after a rebalance: of those before it nobody knows what became.

use std::collections::VecDeque;

use crate::capture::Nanos;

/// Answers of a partition that are remembered.
pub(super) const MOST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// In the order of their offsets and times.
    waiting: VecDeque<Answer>,
    /// Where the next one goes on.
    end: i64,
    /// Records before these that made room. They are missing if a commit follows.
    full: u64,
    expired: u64,
}

/// Records that one Fetch answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub first: i64,
    /// Behind the last.
    pub next: i64,
    pub records: u64,
    /// When it was there.
    pub time: Nanos,
}

/// What a commit said of a partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Covered {
    /// Of each answer what this commit is the first to cover.
    pub done: Vec<Answer>,
    /// Of covered records so many were forgotten before.
    pub full: u64,
    pub expired: u64,
}

impl Answer {
    /// A record at each offset: a part of it is known by its offsets.
    fn is_dense(&self) -> bool {
        u64::try_from(self.next.saturating_sub(self.first)).is_ok_and(|n| n == self.records)
    }

    /// Splits off what is before `offset`, which is inside of it. None: nobody knows how many records that are.
    fn split(&mut self, offset: i64) -> Option<Answer> {
        let before = u64::try_from(offset.saturating_sub(self.first)).ok()?;
        if !self.is_dense() || before > self.records {
            return None;
        }
        let done = Answer {
            next: offset,
            records: before,
            ..*self
        };
        self.first = offset;
        self.records -= before;
        Some(done)
    }
}

impl Answers {
    /// An answer that ends before `end`. `room`: there is room for one more.
    pub fn fetched(&mut self, answer: Answer, end: i64, room: bool) {
        if answer.first != self.end {
            self.goes_on_at(answer.first);
        }
        self.end = end;
        if answer.records == 0 {
            return;
        }
        let full = self.waiting.len() >= MOST || !room;
        if full && let Some(oldest) = self.waiting.pop_front() {
            self.full += oldest.records;
        } else if full {
            self.full += answer.records;
            return;
        }
        self.waiting.push_back(answer);
    }

    /// The client went back, or elsewhere.
    fn goes_on_at(&mut self, offset: i64) {
        if offset > self.end {
            self.forget();
        }
        while let Some(last) = self.waiting.back_mut().filter(|last| last.next > offset) {
            let whole = last.first >= offset;
            match (!whole).then(|| last.split(offset)).flatten() {
                Some(before) => *last = before,
                None => drop(self.waiting.pop_back()),
            }
        }
    }

    /// The client committed that it goes on at `offset`, and began to say so at `began`.
    pub fn committed(&mut self, offset: i64, began: Nanos) -> Covered {
        let mut covered = Covered::default();
        if offset > self.end {
            // It skipped what it did not fetch, so perhaps some of this, too.
            self.forget();
            return covered;
        }
        if self.waiting.front().is_none_or(|it| it.first <= offset) {
            covered.full = std::mem::take(&mut self.full);
            covered.expired = std::mem::take(&mut self.expired);
        }
        // What came after the commit was sent is read a second time.
        while let Some(first) = self.waiting.front_mut().filter(|it| it.time <= began) {
            if first.next <= offset {
                covered.done.extend(self.waiting.pop_front());
            } else {
                let inside = first.first < offset;
                covered
                    .done
                    .extend(inside.then(|| first.split(offset)).flatten());
                break;
            }
        }
        covered
    }

    /// The client asked what is committed, as it does when it is given a partition; what others did before is not its work.
    pub fn begins_at(&mut self, committed: Option<i64>) {
        let Some(offset) = committed else {
            return self.forget();
        };
        while let Some(first) = self.waiting.front_mut().filter(|it| it.first < offset) {
            if first.next > offset && first.split(offset).is_some() {
                break;
            }
            self.waiting.pop_front();
        }
    }

    pub fn forget(&mut self) {
        *self = Answers {
            end: self.end,
            ..Answers::default()
        };
    }

    /// Forgets what came before `time`.
    pub fn expire(&mut self, time: Nanos) {
        while let Some(first) = self.waiting.front().filter(|it| it.time < time) {
            self.expired += first.records;
            self.waiting.pop_front();
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing is remembered, and nothing is missing.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.full == 0 && self.expired == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: i64, next: i64, records: u64, time: Nanos) -> Answer {
        Answer {
            first,
            next,
            records,
            time,
        }
    }

    /// Answers at 10, 20, 30 of ten records each, from offset 100 on.
    fn three() -> Answers {
        let mut answers = Answers::default();
        for n in 1..4_i64 {
            let first = 90 + 10 * n;
            let dense = answer(first, first + 10, 10, 10 * n as u64);
            answers.fetched(dense, first + 10, true);
        }
        answers
    }

    #[test]
    fn a_commit_covers_answers_and_parts_of_them() {
        let mut answers = three();
        assert_eq!(answers.committed(100, 35), Covered::default());
        let done = answers.committed(115, 35).done;
        assert_eq!(done, [answer(100, 110, 10, 10), answer(110, 115, 5, 20)]);
        assert_eq!(answers.committed(115, 36).done, [], "once more");
        assert_eq!(answers.committed(90, 37).done, [], "back");
        let done = answers.committed(130, 38).done;
        assert_eq!(done, [answer(115, 120, 5, 20), answer(120, 130, 10, 30)]);
        assert!(answers.is_idle());
    }

    #[test]
    fn of_an_answer_with_holes_nothing_is_said_before_all_is_covered() {
        let mut answers = Answers::default();
        // Eight records up to 110; a marker follows.
        answers.fetched(answer(100, 110, 8, 10), 111, true);
        answers.fetched(answer(111, 113, 2, 20), 113, true);
        assert_eq!(answers.committed(105, 30).done, []);
        let done = answers.committed(110, 31).done;
        assert_eq!(done, [answer(100, 110, 8, 10)]);
        assert_eq!(answers.committed(112, 32).done, [answer(111, 112, 1, 20)]);
    }

    #[test]
    fn what_is_read_again_counts_from_then() {
        let mut answers = three();
        answers.fetched(answer(115, 125, 10, 50), 125, true);
        // Sent before the second answer came.
        let done = answers.committed(125, 40).done;
        assert_eq!(done, [answer(100, 110, 10, 10), answer(110, 115, 5, 20)]);
        assert_eq!(answers.committed(125, 60).done, [answer(115, 125, 10, 50)]);
    }

    #[test]
    fn what_was_skipped_is_not_told() {
        let mut answers = three();
        assert_eq!(answers.committed(131, 40).done, [], "beyond all that came");
        assert!(answers.is_idle());
        let mut answers = three();
        answers.fetched(answer(500, 510, 10, 50), 510, true);
        assert_eq!(answers.committed(510, 60).done, [answer(500, 510, 10, 50)]);
    }

    #[test]
    fn what_another_member_committed_is_not_told() {
        let mut answers = three();
        answers.begins_at(Some(125));
        let done = answers.committed(130, 40).done;
        assert_eq!(done, [answer(125, 130, 5, 30)]);
        let mut answers = three();
        answers.begins_at(Some(130));
        assert!(answers.is_idle());
        let mut answers = three();
        answers.begins_at(None);
        assert!(answers.is_idle());
    }

    #[test]
    fn it_is_bounded_and_what_goes_is_missing_once_a_commit_follows() {
        let mut answers = Answers::default();
        for n in 0..MOST as i64 + 2 {
            answers.fetched(answer(3 * n, 3 * n + 3, 3, 10), 3 * n + 3, true);
        }
        answers.fetched(answer(3 * 1026, 3 * 1026 + 3, 3, 20), 3 * 1026 + 3, false);
        assert_eq!(answers.len(), MOST);
        answers.expire(20);
        assert_eq!(answers.len(), 1);
        let missing = |covered: Covered| (covered.full, covered.expired);
        assert_eq!(missing(answers.committed(5, 30)), (0, 0), "before these");
        let covered = answers.committed(3 * 1026 + 3, 30);
        assert_eq!(covered.done.len(), 1);
        assert_eq!(missing(covered), (9, 3 * 1023));
        assert!(answers.is_idle());
    }
}
