//! When the hooks that run for each message are there. In: places where such hooks can be, who uses them, what each process has spent; out: places
//! to shut and to open, and what each process must be told of.
//!
//! A place is a file as a whole, or one process of it: the tightest of its users decides, but for newcomers among others, who have an allowance
//! together: what lives for a second leaves the hooks of the others where they are. Windows begin at multiples of [`PERIOD`] of the wall clock,
//! alike on every node, so that those of a producer and of its consumer overlap. Pure: times come in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kafka_analyzer::capture::{Nanos, Pid, Window};

use super::bucket::{Bucket, Budget, Cost, SAVED};
use crate::discovery::process::FileId;

/// Windows begin this far apart, or at a multiple of it: what is saved up meanwhile is spent in one.
pub const PERIOD: Nanos = SAVED;
/// The share of time is told of so long.
const MINUTE: Nanos = 60_000_000_000;
/// Changes of one process that are remembered: its windows of a minute, and more.
const CHANGES: usize = 64;
/// Between two looks while an open account is less than half full, and else, when many calls came since.
const LOW: Nanos = 10_000_000;
const BUSY: Nanos = 20_000_000;
const QUIET: Nanos = 1_000_000_000;
/// A process is a newcomer for so long: it cannot have saved half an account.
const NEW: Nanos = SAVED / 2;
/// Records of calls that are many: together they cost less than half a full account at the default budget.
const MANY: u64 = 500;

/// Whom a set of hooks belongs to: a file as a whole, or one process of it.
pub type Place = (FileId, Option<Pid>);
/// Users of each place that has hooks for each message, attached or not.
pub type Users = BTreeMap<Place, Vec<Pid>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Shut(Place),
    Open(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Hooks are being taken away, or attached.
    Moving,
    Shut,
}

#[derive(Debug)]
struct Account {
    bucket: Bucket,
    /// As it was told last.
    told: Window,
    /// When hooks were all there from (true) or not (false), the newest last.
    changes: VecDeque<(Nanos, bool)>,
    began: Nanos,
}

/// What newcomers of a place cost in this period by hooks on each message.
type Newcomers = BTreeMap<Place, u64>;

#[derive(Debug)]
pub struct Windows {
    budget: Budget,
    accounts: BTreeMap<Pid, Account>,
    /// Places that are not open.
    gates: BTreeMap<Place, Gate>,
    newcomers: Newcomers,
    /// When accounts were read, and how many calls had come by then.
    looked: (Nanos, u64),
    /// Number of the period in which windows were opened last.
    period: u64,
}

impl Windows {
    pub fn new(budget: Budget) -> Windows {
        Windows {
            budget,
            accounts: BTreeMap::new(),
            gates: BTreeMap::new(),
            newcomers: Newcomers::new(),
            looked: (0, 0),
            period: 0,
        }
    }

    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Hooks may be attached at once at a place that was not seen before.
    pub fn begins(&mut self, place: Place) -> bool {
        if self.budget.is_nothing() {
            self.gates.insert(place, Gate::Shut);
        }
        !self.gates.contains_key(&place)
    }

    /// Hooks become possible at a place whose users run already: they must know before these come.
    pub fn comes(&mut self, place: Place) {
        let never = self.budget.is_nothing();
        let gate = if never { Gate::Shut } else { Gate::Moving };
        self.gates.insert(place, gate);
    }

    /// Some hooks are not there: who uses them must be told before its first call.
    pub fn any_shut(&self) -> bool {
        !self.gates.is_empty()
    }

    pub fn is_shut(&self, place: &Place) -> bool {
        self.gates.contains_key(place)
    }

    /// It is time for [`Windows::look`]. `calls`: that came in all since the start.
    pub fn is_due(&self, now: Nanos, wall: u64, calls: u64) -> bool {
        let (looked, before) = self.looked;
        let since = now.saturating_sub(looked);
        let many = calls.saturating_sub(before) >= MANY;
        since >= QUIET
            || since >= LOW && self.is_low()
            || since >= BUSY && many && self.is_open()
            || self.any_shut() && wall / PERIOD != self.period
    }

    /// How long nobody needs to ask whether it is due, at most `longest`.
    pub fn pause(&self, wall: u64, longest: Duration) -> Duration {
        let next = match self.is_open() {
            _ if self.budget.is_unlimited() => return longest,
            true if self.is_low() => LOW,
            true => BUSY,
            false => QUIET,
        };
        let boundary = match self.any_shut() {
            true => PERIOD - wall % PERIOD,
            false => next,
        };
        longest.min(Duration::from_nanos(next.min(boundary)))
    }

    /// Someone runs into hooks that may have to go.
    fn is_open(&self) -> bool {
        self.accounts.values().any(Account::is_open)
    }

    fn is_low(&self) -> bool {
        let low =
            |account: &Account| account.is_open() && !account.bucket.is_half_full(self.budget);
        self.accounts.values().any(low)
    }

    /// Reads all accounts and decides. `spent` is what hooks have cost a process.
    pub fn look(
        &mut self,
        (now, wall, calls): (Nanos, u64, u64),
        users: &Users,
        mut spent: impl FnMut(Pid) -> Cost,
    ) -> Vec<Change> {
        self.looked = (now, calls);
        self.gates.retain(|place, _| users.contains_key(place));
        let pids: BTreeSet<Pid> = users.values().flatten().copied().collect();
        // Who went elsewhere while hooks were away is told first that nothing is missing there.
        self.accounts
            .retain(|pid, account| pids.contains(pid) || !account.is_open());
        let budget = self.budget;
        for pid in pids {
            let spent = spent(pid);
            let account = self.accounts.entry(pid).or_insert_with(|| Account {
                bucket: Bucket::new(budget, now, spent),
                told: Window::Open,
                changes: VecDeque::new(),
                began: now,
            });
            account.bucket.read(budget, now, spent);
        }
        let opens = wall / PERIOD != self.period;
        self.period = wall / PERIOD;
        if budget.is_nothing() {
            return Vec::new();
        }
        if opens {
            self.newcomers.clear();
        }
        self.newcomers.retain(|place, _| users.contains_key(place));
        let changes = users.iter();
        changes
            .filter_map(|(place, pids)| self.decide(*place, pids, now, opens))
            .collect()
    }

    /// Newcomers take no hooks from others, and keep none from them, until their allowance is used up.
    fn decide(&mut self, place: Place, pids: &[Pid], now: Nanos, opens: bool) -> Option<Change> {
        let accounts = pids.iter().filter_map(|pid| self.accounts.get(pid));
        let (new, old): (Vec<_>, Vec<_>) = accounts.partition(|account| account.is_new(now));
        let cost = self.newcomers.entry(place).or_default();
        for account in &new {
            *cost = cost.saturating_add(account.bucket.each_message_lately());
        }
        let spared = !old.is_empty() && *cost < self.budget.allowance();
        let is_spent = |account: &&Account| account.bucket.is_spent();
        let is_full = |account: &&Account| account.bucket.is_half_full(self.budget);
        let new_spent = !spared && new.iter().any(is_spent);
        match self.gates.get(&place) {
            // It was shut because its users could not be told.
            Some(Gate::Shut) if opens && self.budget.is_unlimited() => Some(Change::Open(place)),
            _ if self.budget.is_unlimited() => None,
            None if new_spent || old.iter().any(is_spent) => Some(Change::Shut(place)),
            Some(Gate::Shut) if opens && !new_spent && old.iter().all(is_full) => {
                Some(Change::Open(place))
            }
            _ => None,
        }
    }

    /// Hooks of the place begin to go, or to come.
    pub fn moves(&mut self, place: Place, users: &Users) {
        self.gates.insert(place, Gate::Moving);
        for pid in users.get(&place).into_iter().flatten() {
            if let Some(account) = self.accounts.get_mut(pid) {
                account.bucket.closes();
            }
        }
    }

    /// All of its hooks are gone. Accounts were read since.
    pub fn shut(&mut self, place: Place, users: &Users) {
        self.gates.insert(place, Gate::Shut);
        for pid in users.get(&place).into_iter().flatten() {
            if let Some(account) = self.accounts.get_mut(pid) {
                account.bucket.closed(self.budget);
            }
        }
    }

    /// All of its hooks are there.
    pub fn open(&mut self, place: &Place) {
        self.gates.remove(place);
    }

    /// Processes that do not know yet how things stand.
    pub fn news(&self, users: &Users) -> Vec<(Pid, Window)> {
        let known = self.accounts.keys();
        let mut stands: BTreeMap<Pid, Window> = known.map(|pid| (*pid, Window::Open)).collect();
        for (place, pids) in users {
            let window = match self.gates.get(place) {
                None => Window::Open,
                Some(Gate::Shut) => Window::Shut,
                Some(Gate::Moving) => Window::Changing,
            };
            for pid in pids {
                let known = stands.entry(*pid).or_insert(window);
                *known = (*known).max(window);
            }
        }
        stands.retain(|pid, window| {
            let account = self.accounts.get(pid);
            account.map_or(Window::Open, |account| account.told) != *window
        });
        stands.into_iter().collect()
    }

    /// Hooks on each message are there for a while: they were away, and will be again.
    pub fn has_window(&self, pid: Pid) -> bool {
        let account = self.accounts.get(&pid);
        account.is_some_and(|account| account.is_open() && !account.changes.is_empty())
    }

    /// The process ended.
    pub fn forget(&mut self, pid: Pid) {
        self.accounts.remove(&pid);
    }

    pub fn told(&mut self, pid: Pid, window: Window, now: Nanos) {
        if let Some(account) = self.accounts.get_mut(&pid) {
            let was = account.is_open();
            account.told = window;
            if account.is_open() != was {
                if account.changes.len() == CHANGES {
                    account.changes.pop_front();
                }
                account.changes.push_back((now, account.is_open()));
            }
        }
    }

    /// Part of the last minute during which all hooks of each process were there.
    pub fn shares(&self, now: Nanos) -> impl Iterator<Item = (Pid, f64)> + '_ {
        self.accounts
            .iter()
            .map(move |(pid, account)| (*pid, account.share(now)))
    }
}

impl Account {
    fn is_open(&self) -> bool {
        self.told == Window::Open
    }

    fn is_new(&self, now: Nanos) -> bool {
        now.saturating_sub(self.began) < NEW
    }

    fn share(&self, now: Nanos) -> f64 {
        let from = now.saturating_sub(MINUTE).max(self.began);
        let of = now.saturating_sub(from);
        if of == 0 {
            return if self.is_open() { 1.0 } else { 0.0 };
        }
        let (mut open, mut until) = (0, now);
        for (at, came) in self.changes.iter().rev() {
            let at = (*at).max(from);
            open += if *came { until.saturating_sub(at) } else { 0 };
            until = until.min(at);
        }
        // Before the oldest change that is remembered it was the other way round.
        if self.changes.front().is_none_or(|(_, came)| !came) {
            open += until.saturating_sub(from);
        }
        (open as f64 / of as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests;
