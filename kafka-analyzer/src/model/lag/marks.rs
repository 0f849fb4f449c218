//! When records of a partition were made. In: runs of offsets with the timestamp of their first record; out: the age of an offset.
//!
//! At most [`MOST`] runs; when there are more, neighbours that touch become one and keep the older timestamp. Nothing is interpolated: an
//! offset that no run holds has no known time.

use std::collections::VecDeque;

const MOST: usize = 128;

/// Offsets from `first` up to (not with) `end`; the record at `first` was made at `timestamp_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: i64,
    end: i64,
    timestamp_ms: i64,
}

/// In order of offsets, without overlap.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Run>);

impl Marks {
    /// `marks` are (offset, timestamp) of first records, rising; the last run goes up to `end`.
    pub fn add(&mut self, marks: &[(i64, i64)], end: i64) {
        for (at, (first, timestamp_ms)) in marks.iter().enumerate() {
            let end = marks.get(at + 1).map_or(end, |(next, _)| *next);
            if end > *first {
                self.insert(Run {
                    first: *first,
                    end,
                    timestamp_ms: *timestamp_ms,
                });
            }
        }
    }

    fn insert(&mut self, run: Run) {
        let at = self.0.partition_point(|known| known.first < run.first);
        // What was seen already is not seen better the second time.
        let before = at.checked_sub(1).and_then(|before| self.0.get(before));
        let first = before.map_or(run.first, |before| run.first.max(before.end));
        let end = self
            .0
            .get(at)
            .map_or(run.end, |next| run.end.min(next.first));
        if first < end {
            self.0.insert(at, Run { first, end, ..run });
        }
        if self.0.len() > MOST {
            self.thin();
        }
    }

    /// Makes one of each two neighbours that touch; if none do, the oldest goes.
    fn thin(&mut self) {
        let mut thinned: VecDeque<Run> = VecDeque::with_capacity(MOST + 1);
        let mut joined = false;
        for run in self.0.drain(..) {
            match thinned.back_mut() {
                Some(last) if !joined && last.end == run.first => {
                    last.end = run.end;
                    joined = true;
                }
                _ => {
                    thinned.push_back(run);
                    joined = false;
                }
            }
        }
        if thinned.len() > MOST {
            thinned.pop_front();
        }
        self.0 = thinned;
    }

    /// The oldest run ends at or before this offset.
    pub fn is_passed(&self, offset: i64) -> bool {
        self.0.front().is_some_and(|run| run.end <= offset)
    }

    /// Nobody asks for offsets below this any more.
    pub fn forget_below(&mut self, offset: i64) {
        while self.0.front().is_some_and(|run| run.end <= offset) {
            self.0.pop_front();
        }
    }

    /// Milliseconds since the epoch of the record at `offset`, or of one shortly before it.
    pub fn timestamp_ms(&self, offset: i64) -> Option<i64> {
        let at = self.0.partition_point(|run| run.first <= offset);
        let run = self.0.get(at.checked_sub(1)?)?;
        (offset < run.end).then_some(run.timestamp_ms)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_the_time_of_the_run_that_holds_it() {
        let mut marks = Marks::default();
        marks.add(&[(100, 1_000), (110, 2_000)], 120);
        let times =
            |marks: &Marks| [99, 100, 109, 110, 119, 120].map(|offset| marks.timestamp_ms(offset));
        let known = [
            None,
            Some(1_000),
            Some(1_000),
            Some(2_000),
            Some(2_000),
            None,
        ];
        assert_eq!(times(&marks), known);
        marks.add(&[(105, 9_000)], 115);
        assert_eq!(times(&marks), known, "seen twice");
        marks.add(&[(50, 500)], 60);
        assert_eq!(marks.timestamp_ms(55), Some(500));
        assert_eq!(
            marks.timestamp_ms(60),
            None,
            "between runs nothing is known"
        );
        marks.forget_below(110);
        assert_eq!(marks.timestamp_ms(105), None);
        assert_eq!(marks.timestamp_ms(110), Some(2_000));
    }

    #[test]
    fn many_runs_become_coarser_never_younger() {
        let mut marks = Marks::default();
        for n in 0..10_000 {
            marks.add(&[(n * 10, n * 1_000)], n * 10 + 10);
        }
        assert!(marks.0.len() <= MOST);
        for offset in [0, 5, 77_777, 99_990, 99_999] {
            let exact = offset / 10 * 1_000;
            let told = marks.timestamp_ms(offset).expect("all offsets were seen");
            assert!(told <= exact, "{offset}: {told} > {exact}");
        }
        assert_eq!(
            marks.timestamp_ms(99_999),
            Some(9_999_000),
            "the newest stays fine"
        );
        let mut apart = Marks::default();
        for n in 0..1_000 {
            apart.add(&[(n * 10, n)], n * 10 + 5);
        }
        assert_eq!(apart.0.len(), MOST);
        assert_eq!(apart.timestamp_ms(9_990), Some(999));
    }
}
