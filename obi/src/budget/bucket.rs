//! One process's account. In: time that passes, what hooks have cost; out: whether there is credit.
//!
//! Credit grows by the budget's share of the time, up to what [`SAVED`] earns. All that our hooks cost the process is taken from it, also what
//! is never detached, but of that no more than leaves [`KEPT`] of the budget: where hooks that stay are above the budget by themselves, windows
//! are short, but there are some. What was overdrawn is paid back before anything is attached again, so that the mean holds whatever one window
//! cost.

use kafka_analyzer::capture::Nanos;

/// Credit is saved up for so long.
pub const SAVED: Nanos = 10_000_000_000;
/// A process that could not pay for so long, because of hooks that stay, owes no more.
const OWED: Nanos = 600_000_000_000;
/// A process that was never seen begins with this part of a full account: nothing is known of what it will cost.
const FIRST: i64 = 10;
/// This part of the budget is for hooks on each message, whatever others cost.
const KEPT: i64 = 5;

/// Nanoseconds from any moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of hooks that are never detached.
    pub stays: u64,
    pub each_message: u64,
}

/// Parts per million of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u32);

impl Budget {
    /// Of one core; 100 and more: no limit.
    pub fn percent(percent: f64) -> Budget {
        // The cast saturates, and makes 0 of what is no number.
        Budget((percent * 1e4).round().clamp(0.0, 1e6) as u32)
    }

    pub fn is_nothing(self) -> bool {
        self.0 == 0
    }

    pub fn is_unlimited(self) -> bool {
        self.0 >= 1_000_000
    }

    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 1e4
    }

    fn earned(self, time: Nanos) -> i64 {
        let earned = u128::from(time) * u128::from(self.0) / 1_000_000;
        i64::try_from(earned).unwrap_or(i64::MAX)
    }

    /// Nanoseconds that it allows in such a time.
    pub fn earned_in(self, time: Nanos) -> u64 {
        self.earned(time).unsigned_abs()
    }

    fn full(self) -> i64 {
        self.earned(SAVED)
    }

    /// What newcomers may cost together in the time in which one process saves that up.
    pub fn allowance(self) -> u64 {
        self.full().unsigned_abs()
    }
}

#[derive(Clone, Debug)]
pub struct Bucket {
    /// Nanoseconds; below 0: owed.
    credit: i64,
    /// What hooks that stay may take of it at most.
    for_stays: i64,
    /// As last read: what was spent since the agent's start, and when.
    spent: Cost,
    seen: Nanos,
    /// What was spent between the last two readings.
    lately: i64,
    each_message_lately: i64,
    /// What the end of a window cost: from the decision to the last hit.
    tail: i64,
    closing: i64,
}

impl Bucket {
    pub fn new(budget: Budget, now: Nanos, spent: Cost) -> Bucket {
        Bucket {
            credit: budget.full() / FIRST,
            for_stays: budget.full() / FIRST,
            spent,
            seen: now,
            lately: 0,
            each_message_lately: 0,
            tail: 0,
            closing: 0,
        }
    }

    /// Takes a reading. A total that went back was forgotten by the kernel side and began anew.
    pub fn read(&mut self, budget: Budget, now: Nanos, spent: Cost) {
        let grown = |now: u64, before: u64| {
            i64::try_from(now.checked_sub(before).unwrap_or(now)).unwrap_or(i64::MAX)
        };
        let earned = budget.earned(now.saturating_sub(self.seen));
        let for_stays = self.for_stays.saturating_add(earned - earned / KEPT);
        let stays = grown(spent.stays, self.spent.stays).min(for_stays);
        self.for_stays = (for_stays - stays).min(budget.full());
        let each_message = grown(spent.each_message, self.spent.each_message);
        self.lately = stays.saturating_add(each_message);
        self.each_message_lately = each_message;
        let credit = self.credit.saturating_add(earned).min(budget.full());
        self.credit = credit.saturating_sub(self.lately).max(-budget.earned(OWED));
        self.closing = self.closing.saturating_add(self.lately);
        self.spent = spent;
        self.seen = self.seen.max(now);
    }

    /// The window must be shut now: what comes until that is done will take the rest.
    pub fn is_spent(&self) -> bool {
        self.credit <= self.tail.saturating_add(self.lately)
    }

    /// By hooks on each message, between the last two readings.
    pub fn each_message_lately(&self) -> u64 {
        self.each_message_lately.unsigned_abs()
    }

    /// A window is worth its attach.
    pub fn is_half_full(&self, budget: Budget) -> bool {
        self.credit >= budget.full() / 2
    }

    /// It is decided to shut the window.
    pub fn closes(&mut self) {
        self.closing = 0;
    }

    /// The window is shut, and the last of it was read. Half of the account is for the window itself.
    pub fn closed(&mut self, budget: Budget) {
        self.tail = self.closing.max(self.tail / 2).min(budget.full() / 4);
    }

    pub fn credit(&self) -> i64 {
        self.credit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;

    fn each(each_message: u64) -> Cost {
        Cost {
            each_message,
            stays: 0,
        }
    }

    #[test]
    fn percent_is_of_one_core() {
        assert_eq!(Budget::percent(0.5).earned(SECOND), 5 * MS as i64);
        assert_eq!(Budget::percent(0.5).full(), 50 * MS as i64);
        assert!(Budget::percent(0.0).is_nothing());
        assert!(Budget::percent(f64::NAN).is_nothing());
        assert!(Budget::percent(100.0).is_unlimited());
        assert!(!Budget::percent(99.9).is_unlimited());
        assert_eq!(Budget::percent(0.5).as_percent(), 0.5);
    }

    #[test]
    fn credit_grows_to_what_ten_seconds_earn_and_all_cost_is_taken() {
        let half = Budget::percent(0.5);
        let mut bucket = Bucket::new(half, 0, each(700));
        assert_eq!(bucket.credit(), 5 * MS as i64, "a stranger has a tenth");
        assert!(!bucket.is_spent() && !bucket.is_half_full(half));
        bucket.read(half, SECOND, each(700 + 2 * MS));
        assert_eq!(bucket.credit(), (5 + 5 - 2) * MS as i64);
        bucket.read(half, 60 * SECOND, each(700 + 2 * MS));
        assert_eq!(bucket.credit(), 50 * MS as i64);
        assert!(bucket.is_half_full(half));
        bucket.read(half, 60 * SECOND, each(700 + 62 * MS));
        assert_eq!(bucket.credit(), -10 * MS as i64);
        assert!(bucket.is_spent());
        // What was overdrawn is paid back first.
        bucket.read(half, 66 * SECOND, each(700 + 62 * MS));
        assert_eq!(bucket.credit(), 20 * MS as i64);
        assert!(!bucket.is_half_full(half));
    }

    #[test]
    fn a_total_that_went_back_began_anew() {
        let half = Budget::percent(0.5);
        let mut bucket = Bucket::new(half, 0, each(900 * MS));
        bucket.read(half, SECOND, each(MS));
        assert_eq!(bucket.credit(), 9 * MS as i64);
    }

    #[test]
    fn debts_have_an_end() {
        let half = Budget::percent(0.5);
        let mut bucket = Bucket::new(half, 0, each(0));
        bucket.read(half, SECOND, each(1_000_000 * SECOND));
        assert_eq!(bucket.credit(), -3 * SECOND as i64);
    }

    #[test]
    fn the_end_of_a_window_is_paid_for_in_advance() {
        let half = Budget::percent(0.5);
        let mut bucket = Bucket::new(half, 0, each(0));
        bucket.read(half, 10 * SECOND, each(0));
        bucket.closes();
        bucket.read(half, 10 * SECOND, each(8 * MS));
        bucket.closed(half);
        bucket.read(half, 20 * SECOND, each(8 * MS));
        assert!(!bucket.is_spent());
        bucket.read(half, 20 * SECOND, each(28 * MS));
        assert!(!bucket.is_spent(), "30 ms left, 20 lately, 8 at the end");
        bucket.read(half, 20 * SECOND, each(40 * MS));
        assert!(bucket.is_spent(), "18 ms left, 12 lately, 8 at the end");
    }

    #[test]
    fn hooks_that_stay_leave_a_fifth() {
        let half = Budget::percent(0.5);
        let mut bucket = Bucket::new(half, 0, Cost::default());
        let mut stays = 0;
        // Within the budget they are charged as they are: 5 - 3 ms a second.
        for second in 1..=10 {
            stays += 3 * MS;
            let cost = Cost {
                stays,
                each_message: 0,
            };
            bucket.read(half, second * SECOND, cost);
        }
        assert_eq!(bucket.credit(), (5 + 20) * MS as i64);
        // Four per cent of a core: they take what they may, 15 ms that were left and 4 ms a second.
        for second in 11..=60 {
            stays += 40 * MS;
            let cost = Cost {
                stays,
                each_message: 0,
            };
            bucket.read(half, second * SECOND, cost);
        }
        assert_eq!(bucket.credit(), (50 - 4) * MS as i64);
        stays += 40 * MS;
        let cost = Cost {
            stays,
            each_message: 60 * MS,
        };
        bucket.read(half, 61 * SECOND, cost);
        assert_eq!(bucket.credit(), -14 * MS as i64, "50 - 60 - 4");
    }
}
