//! How a program works. In: what its calls showed; out: what a request or a free means in it.
//!
//! A pool: messages are named as done after the task that got them asked for more, by another task or one by one. A program of which that is
//! not known yet is waited for. Bindings that copy a message and free the original at once (Python, Go) free before the work.

use crate::capture::Nanos;

/// Freed so soon after the hand-over, nothing was done with a message.
const AT_ONCE: Nanos = 100_000;
/// The same of the first message of a process, whose code and memory are touched for the first time.
const FIRST_AT_ONCE: Nanos = 500_000;
/// Frees that make a habit.
const FREES: u32 = 8;
/// Counters are halved here, so that a program may change its ways.
const COUNTED_MOST: u32 = 256;
/// Messages named late by the task that got them, that make a pool whose results come back to it.
const LATE: u32 = 8;
/// The same of messages that were named late by others, after the program was held for a simple one.
const LATE_BY_OTHERS: u32 = 3;
/// Messages that were named in time, one after another, that end a pool.
const IN_TIME: u32 = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    #[default]
    Unknown,
    /// A task that asks again is done with what it had.
    Simple,
    Pool,
}

/// How the messages of a topic are worked on.
#[derive(Debug, Default)]
pub(super) struct Habit {
    pub way: Way,
    in_time: u32,
    late: u32,
    late_by_others: u32,
    asked: u32,
}

impl Habit {
    /// A task asked again and still had messages.
    pub fn asked(&mut self) {
        self.asked += 1;
        if self.asked >= COUNTED_MOST {
            (self.asked, self.late) = (self.asked / 2, self.late / 2);
        }
    }

    /// The task that got a message named it before it asked again.
    pub fn in_time(&mut self) {
        self.in_time = self.in_time.saturating_add(1);
        if self.in_time >= IN_TIME || self.way == Way::Unknown {
            self.way = Way::Simple;
        }
    }

    /// Nobody named messages for long after their task had asked again.
    pub fn never(&mut self) {
        if self.way == Way::Unknown {
            self.way = Way::Simple;
        }
    }

    /// Named by another task than the one that got it and has asked again. True: that makes it a pool.
    pub fn late_by_other(&mut self) -> bool {
        self.in_time = 0;
        self.late_by_others = self.late_by_others.saturating_add(1);
        let pool = self.way != Way::Simple || self.late_by_others >= LATE_BY_OTHERS;
        if pool {
            (self.way, self.late_by_others) = (Way::Pool, 0);
        }
        pool
    }

    /// A single message named by the task that got it, after it had asked again. True: a pool whose results come back; else a commit that was put off.
    pub fn late_by_itself(&mut self) -> bool {
        self.in_time = 0;
        self.late = self.late.saturating_add(1);
        if self.way != Way::Pool && self.late >= LATE && self.late.saturating_mul(2) >= self.asked {
            self.way = Way::Pool;
        }
        self.way == Way::Pool
    }
}

/// What freeing means.
#[derive(Debug, Default)]
pub(super) struct Frees {
    early: u32,
    late: u32,
}

impl Frees {
    /// A message was freed by the task that got it, `after` it could have been worked on. True: the work is done.
    pub fn ends(&mut self, after: Nanos) -> bool {
        let early = self.count(after);
        // Also a copy may take long, when the thread is put off a CPU.
        !early && !self.mostly_early(8)
    }

    /// By another task: the first copy of many comes a while after its message was read.
    pub fn ends_elsewhere(&mut self, after: Nanos) -> bool {
        let early = self.count(after);
        !early && !self.mostly_early(1)
    }

    fn mostly_early(&self, times: u32) -> bool {
        self.early + self.late >= FREES && self.late * times <= self.early
    }

    /// True: at once.
    fn count(&mut self, after: Nanos) -> bool {
        let first = self.early + self.late == 0;
        let early = after < if first { FIRST_AT_ONCE } else { AT_ONCE };
        *(if early {
            &mut self.early
        } else {
            &mut self.late
        }) += 1;
        if self.early + self.late >= COUNTED_MOST {
            (self.early, self.late) = (self.early / 2, self.late / 2);
        }
        early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_copies_is_not_done_when_it_frees() {
        let mut frees = Frees::default();
        assert!(frees.ends(FIRST_AT_ONCE), "nothing known yet");
        assert!(
            frees.ends(AT_ONCE),
            "worked on for as long as a first copy takes"
        );
        let mut first = Frees::default();
        assert!(!first.ends(170_000), "a first copy");
        let mut copies = Frees::default();
        for _ in 0..FREES {
            assert!(!copies.ends(5_000));
        }
        assert!(!copies.ends(3_000_000), "put off");
        for _ in 0..FREES {
            copies.ends(3_000_000);
        }
        assert!(copies.ends(3_000_000), "it changed");
    }

    #[test]
    fn pools() {
        let mut habit = Habit::default();
        assert!(habit.late_by_other());
        assert_eq!(habit.way, Way::Pool);
        for _ in 0..IN_TIME {
            habit.in_time();
        }
        assert_eq!(habit.way, Way::Simple);
        assert!(
            !habit.late_by_other(),
            "once may be a commit of another task"
        );
        let mut commits = Habit::default();
        for n in 0..10 * LATE {
            commits.asked();
            if n % 10 == 0 {
                assert!(!commits.late_by_itself(), "a commit now and then");
            }
        }
        let mut results = Habit::default();
        let found = (0..LATE).map(|_| {
            results.asked();
            results.late_by_itself()
        });
        assert_eq!(found.filter(|pool| *pool).count(), 1, "the last");
    }
}
