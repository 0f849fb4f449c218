//! What ends the work on a message, and what shows that it went wrong. In: one call; out: ends and errors.

use std::sync::Arc;

use super::{End, Process};
use crate::capture::{ClientCall, Means, Nanos, Task};
use crate::model::processing::dead_letters;
use crate::model::processing::hand::Hand;
use crate::model::processing::run::{Part, Run, RunId, State};
use crate::model::processing::task::Tasked;
use crate::model::processing::told::{Out, Told, What};
use crate::observation::{Done, Signal};

impl Process {
    /// A call of this process; its topic is known, unless it names none.
    pub fn call(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let names = matches!(
            call.means,
            Means::Settles | Means::Frees | Means::Seeks | Means::Releases | Means::Rejects
        );
        if names && call.fault {
            // While hooks come and go their entry may have been seen by none: no message is missed by that.
            out.losses.add("call_fault", u64::from(!self.is_away()));
            return;
        }
        if self.passes_over(call, out) {
            return;
        }
        if let (true, Some(tasked)) = (call.means != Means::Panics, self.tasks.get_mut(&call.task))
        {
            tasked.seen = tasked.seen.max(call.time);
        }
        match call.means {
            Means::Asks => self.asks(call, out),
            Means::AsksOnly => self.asks_only(call, out),
            Means::LosesSight => out.losses.add("call_not_followed", 1),
            Means::CallsBack => self.calls_back(call, out),
            Means::HandsOver if call.client == 0 => self.gives(call, out),
            Means::HandsOver => self.hands_over(call, out),
            Means::Settles => self.settles(call, None, out),
            Means::Releases => self.settles(call, Some(Signal::Release), out),
            Means::Rejects => self.settles(call, Some(Signal::Reject), out),
            Means::SettlesAll => {
                let end = End::by(call.task, 0, (call.time, Done::Settled));
                self.end_held(call.task, end, out);
            }
            Means::Frees => self.frees(call, out),
            Means::Seeks => self.seeks(call, out),
            Means::Closes => self.closes(call, out),
            Means::ClaimBegins => {
                self.watch.offers();
                let claim = Some((Arc::clone(&call.topic), call.partition));
                self.task(call.task, call.time, out).claim =
                    claim.filter(|(topic, _)| !topic.is_empty());
            }
            Means::ClaimEnds => self.claim_ends(call, out),
            Means::Fails => self.fails(call, out),
            Means::Panics => self.panics(call, out),
            Means::TaskEnds => self.task_ends(call, out),
            Means::Produces => self.produces(call, out),
            Means::BeginsTransaction => {
                let tasked = self.task(call.task, call.time, out);
                (tasked.part, tasked.ending) = (Some(Vec::new()), None);
            }
            Means::EndsTransaction => {
                self.task(call.task, call.time, out).ending = Some(call.time);
            }
            Means::Produced | Means::Acknowledged | Means::Serves | Means::ReportsTo => {}
        }
    }

    /// A record for a dead-letter or retry topic: the message in hand went wrong, or the one that its task will name next.
    fn produces(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        self.meets_started(call, out);
        let Some(signal) = dead_letters::signal(&call.topic) else {
            return;
        };
        let mut held = self.held(call.task).into_iter();
        let own = held.find(|id| self.is_asker_of(*id));
        let of_starter = || {
            let starter = call.parent.map(Task::Goroutine)?;
            match self.in_hand_of_starter(starter, call.task, call.time) {
                Hand::One(one) => self.find(&one.topic, one.partition, one.offset),
                _ => None,
            }
        };
        if let Some(id) = own.or_else(of_starter) {
            self.error(id, signal, call.time, out);
            return;
        }
        let tasked = self.task(call.task, call.time, out);
        tasked.sent_on = Some((signal, call.time));
    }

    /// The messages that the transaction was made of are read again.
    pub(in crate::model::processing) fn aborted(
        &mut self,
        began: Nanos,
        time: Nanos,
        out: &mut Out<'_>,
    ) {
        let mut ending = self
            .tasks
            .iter()
            .filter(|(_, tasked)| tasked.ending.is_some_and(|ending| ending <= began));
        let Some((task, _)) = ending.next() else {
            return;
        };
        if ending.next().is_some() {
            out.losses.add("abort_ambiguous", 1);
            return;
        }
        let task = *task;
        for id in self.held(task) {
            self.error(id, Signal::Abort, time, out);
        }
        let part = self.tasks.get_mut(&task).and_then(|tasked| {
            tasked.ending = None;
            tasked.part.take()
        });
        for (topic, partition, offset, count) in part.into_iter().flatten() {
            out.tell(Told {
                time,
                pid: self.pid,
                topic,
                partition,
                what: What::Wrong {
                    offset,
                    count,
                    signal: Signal::Abort,
                },
            });
        }
    }

    /// Recovered or not: what the task does next tells.
    fn panics(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        for id in self.held(call.task) {
            self.error(id, Signal::Panic, call.time, out);
            let topic = self.runs.get(&id).map(|run| Arc::clone(&run.topic));
            let pool = topic.is_some_and(|topic| self.is_pool(&topic));
            if let (false, Some(run)) = (pool, self.runs.get_mut(&id)) {
                run.panicked = Some(call.time);
                self.panicked.push_back((call.time, id));
            }
        }
    }

    /// Open runs that the task got and has not asked after.
    pub(in crate::model::processing) fn held(&self, task: Task) -> Vec<RunId> {
        let held = self.tasks.get(&task).map(|tasked| &tasked.holding);
        let open = |id: &&RunId| {
            let run = self.runs.get(id);
            run.is_some_and(|run| run.state == State::Held && !run.inner)
        };
        held.into_iter().flatten().filter(open).copied().collect()
    }

    fn settles(&mut self, call: &ClientCall, signal: Option<Signal>, out: &mut Out<'_>) {
        if call.truncated {
            // Some that were named are not known: nothing is said of what the task has in hand.
            out.losses.add("call_truncated", 1);
            for id in self.held(call.task) {
                self.drop_run(id, "processing_partial", out);
            }
        }
        if call.topic.is_empty() || !call.is_place() {
            return;
        }
        let mut found = self.within(&call.topic, call.partition, call.first, call.last);
        found.reverse();
        // Two consumers of the process may have the same message. Some libraries name by another handle than they hand over by.
        let own = |id: &RunId| {
            self.runs
                .get(id)
                .is_some_and(|run| run.client == call.client)
        };
        if found.iter().any(own) {
            found.retain(own);
        }
        if let (Some(signal), false) = (signal, found.is_empty()) {
            if let Some(run) = found.first().and_then(|id| self.runs.get_mut(id)) {
                run.error = run.error.or(Some(signal));
            }
            out.tell(Told {
                time: call.time,
                pid: self.pid,
                topic: Arc::clone(&call.topic),
                partition: call.partition,
                what: What::Wrong {
                    offset: call.first,
                    count: call.count,
                    signal,
                },
            });
        }
        let tasked = self.task(call.task, call.time, out);
        let busy = tasked.busy(call.time);
        let sent_on = tasked.sent_on.filter(|(_, sent)| *sent > busy);
        tasked.sent_on = None;
        if let (Some((signal, sent)), [id]) = (sent_on, &found[..])
            && self.runs.get(id).is_some_and(|run| run.began <= sent)
        {
            self.error_at(*id, call.first, signal, sent, out);
        }
        if found.is_empty() {
            self.settled_too_late(call);
        }
        for id in found {
            self.settles_run(id, call, busy, out);
        }
        let tasked = self.task(call.task, call.time, out);
        tasked.ends(call.time);
        tasked.ended_in = Some((Arc::clone(&call.topic), call.partition));
    }

    fn settles_run(&mut self, id: RunId, call: &ClientCall, busy: Nanos, out: &mut Out<'_>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let own = run.task == call.task;
        let topic = Arc::clone(&run.topic);
        let end = End::by(call.task, busy, (call.time, Done::Settled));
        let named = Part::Named(call.first, call.last);
        match run.state {
            State::Held if own && run.inner => run.settled = Some(call.time),
            State::Held if own => {
                self.habit(&topic).in_time();
                self.finish(id, Part::UpTo(call.last), end, Some(busy), out);
            }
            // A task that offers messages works on none: the one that names them does, one after another.
            State::Held => {
                let after = (!self.is_asker_of(id)).then_some(busy);
                self.finish(id, named, end, after, out);
            }
            State::Asked(_) if !own => {
                if self.habit(&topic).late_by_other() {
                    self.release(id);
                }
                self.finish(id, named, end, None, out);
            }
            State::Asked(_) if call.count == 1 && run.count == 1 => {
                run.settled = Some(call.time);
                if self.habit(&topic).late_by_itself() {
                    self.finish(id, named, end, None, out);
                }
            }
            // A commit of several that was put off: their task was done with each when it asked for the next.
            State::Asked(asked) => {
                self.finish(id, Part::All, End::at(asked, Done::NextPoll), None, out);
            }
            State::Released => self.finish(id, named, end, None, out),
        }
    }

    /// The message was ended by a request, and is named by another task only now.
    fn settled_too_late(&mut self, call: &ClientCall) {
        let asker = self.is_asker(call.task);
        if !asker && self.watch.saw(call) && self.habits.contains_key(&call.topic) {
            self.habit(&call.topic).late_by_other();
        }
    }

    fn end_held(&mut self, task: Task, end: End, out: &mut Out<'_>) {
        for id in self.held(task) {
            self.finish(id, Part::All, end, None, out);
        }
    }

    fn frees(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let Some(id) = self.meant(call) else {
            return;
        };
        let Some(run) = self.runs.get(&id).filter(|run| !run.inner) else {
            return;
        };
        let (topic, began, state) = (Arc::clone(&run.topic), run.began, run.state);
        let own = run.task == call.task;
        let offset = if call.first >= 0 && !call.topic.is_empty() {
            call.first
        } else {
            run.first
        };
        let tasked = self.task(call.task, call.time, out);
        let busy = tasked.busy(call.time).max(tasked.freed);
        tasked.freed = call.time;
        let end = End::by(call.task, busy, (call.time, Done::Freed));
        let worked = call.time.saturating_sub(began.max(busy));
        match state {
            State::Held if own => {
                if self.frees.ends(worked) {
                    self.finish(id, Part::Named(offset, offset), end, Some(busy), out);
                }
            }
            // A binding that copies on its main thread (Node): many at once, and each with nothing done between.
            _ if !own && !self.frees_of_others.ends_elsewhere(worked) => {}
            State::Asked(_) if !own => {
                self.habit(&topic).late_by_other();
                self.finish(id, Part::Named(offset, offset), end, None, out);
            }
            // Kept until now by a task that asked for others meanwhile.
            State::Asked(_) => {}
            State::Held | State::Released => {
                self.finish(id, Part::Named(offset, offset), end, None, out);
            }
        }
    }

    fn seeks(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        if call.topic.is_empty() || call.first < 0 {
            return;
        }
        // librdkafka seeks by the topic's handle, and hands over by the client's.
        let exact = (call.client, Arc::clone(&call.topic), call.partition);
        let exact = self.next.contains_key(&exact);
        let mut back = false;
        for ((client, topic, partition), next) in &mut self.next {
            let same = *topic == call.topic && *partition == call.partition;
            let away = next.epoch != self.watch.epoch;
            if same && (!exact || *client == call.client) && (away || call.first < next.offset) {
                // What comes again now was asked for.
                back |= call.first < next.offset;
                next.offset = call.first;
            }
        }
        if !back {
            return;
        }
        out.tell(Told {
            time: call.time,
            pid: self.pid,
            topic: Arc::clone(&call.topic),
            partition: call.partition,
            what: What::Wrong {
                offset: call.first,
                count: 1,
                signal: Signal::SeekBack,
            },
        });
        for id in self.within(&call.topic, call.partition, call.first, i64::MAX) {
            let run = self.runs.get_mut(&id);
            if let Some(run) = run.filter(|run| !exact || run.client == call.client) {
                run.error = run.error.or(Some(Signal::SeekBack));
                let end = End::at(call.time, Done::Ended);
                self.finish(id, Part::All, end, None, out);
            }
        }
    }

    fn closes(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let of_client = self
            .runs
            .iter()
            .filter(|(_, run)| run.client == call.client);
        for id in of_client.map(|(id, _)| *id).collect::<Vec<_>>() {
            if self.ended_by_request(id, out) {
                self.leave(id, call.time, out);
            }
        }
        // Addresses are used again.
        self.next.retain(|(client, ..), _| *client != call.client);
    }

    /// False: an undecided run ends where its task asked again.
    pub(super) fn ended_by_request(&mut self, id: RunId, out: &mut Out<'_>) -> bool {
        let Some(run) = self.runs.get(&id) else {
            return false;
        };
        if let State::Asked(asked) = run.state {
            self.finish(id, Part::All, End::at(asked, Done::NextPoll), None, out);
            return false;
        }
        true
    }

    /// The handler of a claim gave back an error. It failed at the first message that it did not name, if it was offered one: whether it took more of
    /// them is not known, nor that it took this one, so that the message has no other finding.
    fn fails(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let claim = self.tasks.get(&call.task).and_then(Tasked::works_in);
        let Some((topic, partition)) = claim else {
            return;
        };
        let offered = self
            .runs
            .values()
            .filter(|run| run.topic == topic && run.partition == partition);
        if let Some(offset) = offered.map(Run::next).min() {
            out.tell(Told {
                time: call.time,
                pid: self.pid,
                topic,
                partition,
                what: What::Wrong {
                    offset,
                    count: 1,
                    signal: Signal::HandlerError,
                },
            });
        }
    }

    /// What was offered and not named may never have been taken.
    fn claim_ends(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let tasked = self.tasks.get_mut(&call.task);
        let claim = tasked.and_then(|tasked| {
            let claim = tasked.works_in();
            (tasked.claim, tasked.ended_in) = (None, None);
            claim
        });
        let named = (Arc::clone(&call.topic), call.partition);
        let place = match call.topic.is_empty() {
            true => claim,
            false => Some(named),
        };
        let Some((topic, partition)) = place else {
            return;
        };
        let offered = self
            .runs
            .iter()
            .filter(|(_, run)| run.topic == topic && run.partition == partition);
        for id in offered.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.leave(id, call.time, out);
        }
    }

    fn task_ends(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        for id in self.held(call.task) {
            let topic = self.runs.get(&id).map(|run| Arc::clone(&run.topic));
            // A pool still has its messages.
            let pool = topic.is_some_and(|topic| self.is_pool(&topic));
            if pool {
                self.release(id);
            } else {
                self.leave(id, call.time, out);
            }
        }
        self.tasks.remove(&call.task);
    }
}
