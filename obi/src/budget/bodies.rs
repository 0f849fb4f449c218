//! Whose record batches are read only part of the time. In: what hooks that are never detached have cost each process; out: processes of which the
//! kernel side is to leave out the bodies of record batches, and to read them again.
//!
//! Copying what passes through TLS is most of what these hooks cost a client that moves much, and counts need batch headers only. A process that was above
//! four fifths of its budget (the rest is for hooks on each message) for [`LONG`], and of it a fifth by copying, is read without bodies, but for a moment at each multiple of
//! [`PERIOD`] of the wall clock, at which windows of hooks on each message begin too, and as long as such a window is open. What the moment costs says
//! whether it goes on. Pure: times come in.

use std::collections::{BTreeMap, VecDeque};

use kafka_analyzer::capture::{Nanos, Pid};

use super::bucket::Budget;
use super::windows::PERIOD;

/// Whoever is busy for less is read whole.
const LONG: Nanos = 30_000_000_000;
/// A moment.
const MOMENT: Nanos = 500_000_000;
const QUIET: Nanos = 1_000_000_000;
/// The share of time is told of so long.
const MINUTE: Nanos = 60_000_000_000;
/// Changes of one process that are remembered: more than come in a minute.
const CHANGES: usize = 32;
const FIFTHS: u64 = 5;
/// What copying costs at least: 10 bytes a nanosecond are more than any machine did.
const BYTES_A_NANOSECOND: u64 = 10;

/// Of hooks that stay, since any moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Nanoseconds that they took.
    pub ns: u64,
    /// Bytes that passed through the calls, copied or not.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bodies are read; since when, and what had passed by then.
    Whole(Nanos, Passed),
    /// For a moment.
    Again(Nanos, Passed),
    Without,
}

#[derive(Debug)]
struct Process {
    state: State,
    /// When bodies were read from (true) or not (false), the newest last.
    changes: VecDeque<(Nanos, bool)>,
}

#[derive(Debug)]
pub struct Bodies {
    budget: Budget,
    processes: BTreeMap<Pid, Process>,
    looked: Nanos,
    /// Number of the period of the last look.
    period: u64,
}

impl Bodies {
    pub fn new(budget: Budget) -> Bodies {
        Bodies {
            budget,
            processes: BTreeMap::new(),
            looked: 0,
            period: 0,
        }
    }

    /// It is time for [`Bodies::look`].
    pub fn is_due(&self, now: Nanos, wall: u64) -> bool {
        let states = || self.processes.values().map(|process| process.state);
        let ends = |state| matches!(state, State::Again(since, _) if now >= since + MOMENT);
        now.saturating_sub(self.looked) >= QUIET
            || states().any(ends)
            || wall / PERIOD != self.period && states().any(|state| state == State::Without)
    }

    /// `passed`: of every process there is. `has_window`: its hooks on each message are
    /// there for a while. Gives who is to be read without bodies from now on (true), and who with them.
    pub fn look(
        &mut self,
        (now, wall): (Nanos, u64),
        passed: &[(Pid, Passed)],
        has_window: impl Fn(Pid) -> bool,
    ) -> Vec<(Pid, bool)> {
        let begins = wall / PERIOD != self.period;
        (self.looked, self.period) = (now, wall / PERIOD);
        if self.budget.is_nothing() || self.budget.is_unlimited() {
            return Vec::new();
        }
        let budget = self.budget;
        let mut changes = Vec::new();
        for (pid, passed) in passed.iter().copied() {
            let process = self.processes.entry(pid).or_insert_with(|| Process {
                state: State::Whole(now, passed),
                changes: VecDeque::new(),
            });
            let before = process.is_whole();
            let is_above = |(since, before): (Nanos, Passed)| {
                let fifth = budget.earned_in(now.saturating_sub(since)) / FIFTHS;
                let copying = passed.bytes.saturating_sub(before.bytes) / BYTES_A_NANOSECOND;
                passed.ns.saturating_sub(before.ns) > fifth * (FIFTHS - 1) && copying > fifth
            };
            process.state = match process.state {
                State::Whole(since, before) if now.saturating_sub(since) >= LONG => {
                    match is_above((since, before)) {
                        true => State::Without,
                        false => State::Whole(now, passed),
                    }
                }
                State::Again(since, before) if now.saturating_sub(since) >= MOMENT => {
                    match is_above((since, before)) {
                        true if has_window(pid) => State::Again(since, before),
                        true => State::Without,
                        false => State::Whole(now, passed),
                    }
                }
                State::Without if begins => State::Again(now, passed),
                state => state,
            };
            if process.is_whole() != before {
                process.note(now);
                changes.push((pid, before));
            }
        }
        changes
    }

    /// The process ended. True: the kernel side left out its bodies.
    pub fn forget(&mut self, pid: Pid) -> bool {
        let gone = self.processes.remove(&pid);
        gone.is_some_and(|process| !process.is_whole())
    }

    /// Part of the last minute in which bodies were read of each process of which they were not always.
    pub fn shares(&self, now: Nanos) -> impl Iterator<Item = (Pid, f64)> + '_ {
        let lately = self.processes.iter().filter(move |(_, process)| {
            let last = process.changes.back();
            last.is_some_and(|(at, whole)| !whole || now.saturating_sub(*at) < MINUTE)
        });
        lately.map(move |(pid, process)| (*pid, process.share(now)))
    }
}

impl Process {
    fn is_whole(&self) -> bool {
        self.state != State::Without
    }

    fn note(&mut self, now: Nanos) {
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((now, self.is_whole()));
    }

    fn share(&self, now: Nanos) -> f64 {
        let from = now.saturating_sub(MINUTE);
        let (mut whole, mut until) = (0, now);
        for (at, came) in self.changes.iter().rev() {
            let at = (*at).max(from);
            whole += if *came { until.saturating_sub(at) } else { 0 };
            until = until.min(at);
        }
        // Before the oldest change that is remembered it was the other way round.
        if self.changes.front().is_none_or(|(_, came)| !came) {
            whole += until.saturating_sub(from);
        }
        (whole as f64 / MINUTE as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const MS: u64 = 1_000_000;

    /// So much time, and bytes of which copying takes a tenth of it.
    fn passed(ns: u64) -> Passed {
        Passed { ns, bytes: 4 * ns }
    }

    /// Half a per cent of a core is 5 ms a second, four fifths of it 4 ms.
    fn bodies() -> Bodies {
        let mut bodies = Bodies::new(Budget::percent(0.5));
        assert_eq!(bodies.look((0, 0), &[(1, passed(0))], |_| false), []);
        bodies
    }

    #[test]
    fn who_is_above_for_long_is_read_a_moment_in_each_period() {
        let mut bodies = bodies();
        // 5 ms a second.
        for second in 1..30 {
            let at = second * SECOND;
            assert_eq!(
                bodies.look((at, at), &[(1, passed(second * 5 * MS))], |_| false),
                []
            );
        }
        let at = 30 * SECOND;
        assert!(bodies.is_due(at, at));
        assert_eq!(
            bodies.look((at, at), &[(1, passed(150 * MS))], |_| false),
            [(1, true)]
        );
        assert!(!bodies.is_due(at + MS, at + MS));
        assert_eq!(
            bodies.look((39 * SECOND, 39 * SECOND), &[(1, passed(152 * MS))], |_| {
                false
            }),
            []
        );
        let at = 40 * SECOND;
        assert!(bodies.is_due(at, at));
        assert_eq!(
            bodies.look((at, at), &[(1, passed(152 * MS))], |_| false),
            [(1, false)]
        );
        assert!(!bodies.is_due(at + MOMENT - 1, at + MOMENT - 1));
        let at = at + MOMENT;
        assert!(bodies.is_due(at, at));
        assert_eq!(
            bodies.look((at, at), &[(1, passed(155 * MS))], |_| false),
            [(1, true)]
        );
        // 30 s of the last minute, and half a second.
        let shares: Vec<_> = bodies.shares(60 * SECOND).collect();
        assert_eq!(shares, [(1, 30.5 / 60.0)]);
        // A moment that costs less than 2 ms.
        let at = 60 * SECOND;
        assert_eq!(
            bodies.look((at, at), &[(1, passed(160 * MS))], |_| false),
            [(1, false)]
        );
        let at = at + MOMENT;
        assert_eq!(
            bodies.look((at, at), &[(1, passed(162 * MS))], |_| false),
            []
        );
        assert_eq!(bodies.shares(121 * SECOND).count(), 0, "a minute of it");
    }

    #[test]
    fn who_is_busy_for_a_while_is_read_whole() {
        let mut bodies = bodies();
        let at = 10 * SECOND;
        assert_eq!(
            bodies.look((at, at), &[(1, passed(100 * MS))], |_| false),
            []
        );
        let at = 30 * SECOND;
        assert_eq!(
            bodies.look((at, at), &[(1, passed(120 * MS))], |_| false),
            []
        );
        assert_eq!(bodies.shares(at).count(), 0);
        let at = 60 * SECOND;
        assert_eq!(
            bodies.look((at, at), &[(1, passed(241 * MS))], |_| false),
            [(1, true)]
        );
        assert!(bodies.forget(1) && !bodies.forget(1));
    }

    #[test]
    fn who_moves_little_is_read_whole() {
        let mut bodies = bodies();
        let at = 30 * SECOND;
        // A per cent of a core, and 10 MB/s: a fifth of the budget.
        let ns = 300 * MS;
        let bytes = 300_000_000;
        assert_eq!(
            bodies.look((at, at), &[(1, Passed { ns, bytes })], |_| false),
            []
        );
        let at = 60 * SECOND;
        let (ns, bytes) = (600 * MS, 600_000_020);
        let more = bodies.look((at, at), &[(1, Passed { ns, bytes })], |_| false);
        assert_eq!(more, [(1, true)]);
    }

    #[test]
    fn a_window_of_hooks_on_each_message_has_bodies() {
        let mut bodies = bodies();
        let look = |bodies: &mut Bodies, second: u64, ms: u64, window: bool| {
            let at = second * SECOND;
            bodies.look((at, at), &[(1, passed(ms * MS))], |_| window)
        };
        assert_eq!(look(&mut bodies, 30, 300, false), [(1, true)]);
        assert_eq!(look(&mut bodies, 40, 300, false), [(1, false)]);
        assert_eq!(look(&mut bodies, 41, 310, true), []);
        assert_eq!(look(&mut bodies, 42, 320, false), [(1, true)]);
    }

    #[test]
    fn no_budget_and_any_budget_change_nothing() {
        for percent in [0.0, 100.0] {
            let mut bodies = Bodies::new(Budget::percent(percent));
            for second in 0..100 {
                let at = second * SECOND;
                assert_eq!(bodies.look((at, at), &[(1, passed(at))], |_| false), []);
            }
        }
    }
}
