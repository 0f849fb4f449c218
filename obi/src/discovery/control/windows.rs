//! The overhead budget is kept. In: what hooks have cost each process; out: hooks that run for each message go and come back, and whoever reads their
//! calls is told before and after.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kafka_analyzer::capture::{Nanos, Pid, Window};

use super::{Announcement, Control, say_hooked, warn_of_refused};
use crate::attach::hooks::Attached;
use crate::attach::kernel::Target;
use crate::budget::Group;
use crate::budget::bodies::Passed;
use crate::budget::bucket::Cost;
use crate::budget::windows::{Change, Place, Users};
use crate::discovery::files::KnownFile;
use crate::pipeline::{monotonic, wall};

impl Control {
    /// How long the control line may sleep, so that no window is shut late.
    pub fn pause(&self, longest: Duration) -> Duration {
        if self.opening.is_empty() {
            self.windows.pause(wall(), longest)
        } else {
            Duration::ZERO
        }
    }

    /// Looks at accounts when it is time. Attaches at most one file, which takes 10 ms: a new process must not wait for more.
    pub fn keep_budget(&mut self) {
        self.choose_bodies();
        while let Ok(place) = self.detacher.done.try_recv() {
            let users = self.window_users();
            self.look(&users);
            self.windows.shut(place, &users);
            self.tell_windows(&users);
        }
        let calls = self.telemetry.calls_taken.load(Ordering::Relaxed);
        if self.windows.is_due(monotonic(), wall(), calls) {
            let users = self.window_users();
            self.look(&users);
            self.tell_windows(&users);
        }
        if let Some(place) = self.opening.pop_front() {
            self.open(place);
        }
    }

    /// Whoever copying costs too much is read without the bodies of its record batches for most of the time.
    fn choose_bodies(&mut self) {
        let (now, wall) = (monotonic(), wall());
        if !self.bodies.is_due(now, wall) {
            return;
        }
        let accounts = self.ledger.all().into_iter();
        let passed: Vec<_> = accounts
            .map(|(pid, spent)| {
                let ns = spent.of(Group::Tls);
                let bytes = spent.bytes;
                (pid, Passed { ns, bytes })
            })
            .collect();
        let windows = &self.windows;
        let changes = self
            .bodies
            .look((now, wall), &passed, |pid| windows.has_window(pid));
        for (pid, without) in changes {
            tracing::debug!(pid, without, "bodies of record batches");
            self.kernel.leave_bodies(pid, without, monotonic());
        }
    }

    pub(super) fn forget_bodies(&mut self, pid: Pid) {
        if self.bodies.forget(pid) {
            self.kernel.leave_bodies(pid, false, monotonic());
        }
    }

    /// Reads accounts, whoever asks for it, and acts: a period begins once.
    pub(super) fn look(&mut self, users: &Users) {
        let calls = self.telemetry.calls_taken.load(Ordering::Relaxed);
        let times = (monotonic(), wall(), calls);
        let ledger = &mut self.ledger;
        let changes = self.windows.look(times, users, |pid| {
            let spent = ledger.spent(pid);
            let each_message = spent.of(Group::EachMessage);
            Cost {
                stays: spent.total() - each_message,
                each_message,
            }
        });
        for change in changes {
            match change {
                Change::Shut(place) => self.shut(place, users),
                Change::Open(place) => self.opening.push_back(place),
            }
        }
    }

    /// Who runs into hooks that run for each message, by the place where these are or were.
    pub(super) fn window_users(&self) -> Users {
        let each = |file: &KnownFile| file.plan.calls.iter().any(|call| call.per_message);
        let places = self.attached.iter();
        let places = places.filter(|(_, (file, _))| each(file));
        places
            .map(|(place, _)| (*place, self.place_users(*place)))
            .collect()
    }

    fn place_users(&self, (file, owner): Place) -> Vec<Pid> {
        if let Some(pid) = owner {
            return vec![pid];
        }
        let mut users = self.users(file);
        users.extend(self.callbacks.users(file));
        users.sort_unstable();
        users.dedup();
        users
    }

    /// A process that comes where hooks are away knows it before its first call.
    pub(super) fn tell_newcomers(&mut self) {
        if self.windows.any_shut() {
            let users = self.window_users();
            self.look(&users);
            self.tell_windows(&users);
        }
    }

    fn shut(&mut self, place: Place, users: &Users) {
        self.windows.moves(place, users);
        // What is not told of is not begun: the reader would take what it misses for what the program does.
        if !self.tell_windows(users) {
            self.windows.open(&place);
            return;
        }
        if let Some((file, hooked)) = self.attached.get_mut(&place) {
            tracing::debug!(path = %file.path.display(), pid = place.1, "hooks paused: the overhead budget is used up");
            let links = hooked.each_message.let_go();
            // Entries go before returns: what is entered meanwhile returns without an entry.
            self.telemetry
                .attached
                .store(monotonic(), Ordering::Relaxed);
            self.detacher.detach(place, links);
        }
    }

    /// Calls of a client library were found in a file that may be hooked already.
    pub(super) fn calls_known(&mut self, file: &Arc<KnownFile>) {
        self.targets.learnt(file);
        for (place, (known, _)) in &mut self.attached {
            if place.0 == file.id {
                *known = Arc::clone(file);
                self.windows.comes(*place);
                self.opening.push_back(*place);
            }
        }
        // Accounts of those who run there.
        let users = self.window_users();
        self.look(&users);
    }

    /// Attaches the hooks that run for each message; at the first time also those of batches, if the file was hooked before they were found.
    fn open(&mut self, place: Place) {
        let Some((file, hooked)) = self.attached.get(&place) else {
            return;
        };
        let is_new = hooked.calls().next().is_none();
        let (file, users) = (Arc::clone(file), self.window_users());
        let began = Instant::now();
        let never = self.windows.budget().is_nothing();
        if !never {
            self.windows.moves(place, &users);
        }
        if !self.tell_windows(&users) {
            self.windows.shut(place, &users);
            return;
        }
        let target = Target {
            path: &file.door(),
            pid: place.1,
            plan: &file.plan,
            safety: self.safety(self.place_users(place)),
        };
        let kernel = &mut self.kernel;
        let batches = is_new.then(|| kernel.attach_batches(&target));
        let each = (!never).then(|| kernel.attach_each_message(&target));
        self.telemetry
            .attached
            .store(monotonic(), Ordering::Relaxed);
        if let Some((_, hooked)) = self.attached.get_mut(&place) {
            hooked.each_message = each.unwrap_or_else(Attached::nothing);
            if let Some(batches) = batches {
                hooked.batches = batches;
                warn_of_refused(hooked.calls(), &file, place.1);
                say_hooked(&file, place.1, hooked, began);
            } else {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                tracing::debug!(path = %file.path.display(), pid = place.1, micros, "hooks are back");
            }
        }
        if !never {
            self.windows.open(&place);
            self.tell_windows(&users);
        }
    }

    /// Tells the reader of calls how things stand. False: some do not know it yet.
    pub(super) fn tell_windows(&mut self, users: &Users) -> bool {
        for (pid, window) in self.windows.news(users) {
            if !self.tell_window(pid, window, monotonic()) {
                return false;
            }
        }
        true
    }

    fn tell_window(&mut self, pid: Pid, window: Window, time: Nanos) -> bool {
        let said = Announcement::Window { pid, time, window };
        let told = self.announce.try_send(said).is_ok();
        if told {
            self.windows.told(pid, window, time);
        }
        told
    }
}
