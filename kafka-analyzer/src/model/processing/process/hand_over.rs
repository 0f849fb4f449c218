//! From a request to a hand-over, and to the next request. In: `Asks` and `HandsOver`; out: runs that begin and end.

use std::sync::Arc;

use super::window::Given;
use super::{CONSUMERS_MOST, End, OPEN_MOST, Process, UNDECIDED_MOST};
use crate::capture::{ClientCall, Nanos, Task};
use crate::model::processing::habit::Way;
use crate::model::processing::run::{Handed, Part, Run, RunId, State};
use crate::model::processing::told::{Out, Told, What};
use crate::observation::Done;

impl Process {
    /// The task is done with what it had, unless a pool works on it.
    pub(super) fn asks(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let (task, time) = (call.task, call.time);
        let tasked = self.task(task, time, out);
        let inner = tasked.asks();
        tasked.asked = Some(time).filter(|_| !inner).or(tasked.asked);
        if !inner && call.client != 0 {
            tasked.asked_of = call.client;
        }
        let handed = tasked.handed.take().filter(|_| !inner);
        if let Some(handed) = handed {
            self.interval(task, time.saturating_sub(handed), time, out);
        }
        if !inner {
            self.next_poll(task, time, out);
        }
    }

    /// A request whose return is not told. One of a consumer that gave nothing yet ends nothing: a producer polls for its reports like that.
    pub(super) fn asks_only(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        if self.gave.contains(&call.client) {
            self.asks(call, out);
        }
        let tasked = self.task(call.task, call.time, out);
        tasked.returns(false);
        tasked.asker = true;
        tasked.asked = Some(call.time);
        tasked.asked_of = call.client;
    }

    /// What was asked for like that: its consumer is known from there.
    pub(super) fn gives(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let client = self.task(call.task, call.time, out).asked_of;
        if client != 0 && call.count > 0 {
            if self.gave.len() >= CONSUMERS_MOST {
                self.gave.clear();
            }
            self.gave.insert(client);
        }
        let given = ClientCall {
            client,
            ..call.clone()
        };
        self.hands_over(&given, out);
    }

    /// A function of the application is called with a message: it asked for it, though perhaps in a way that is not seen.
    pub(super) fn calls_back(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        self.task(call.task, call.time, out).asker = true;
        self.gives(call, out);
    }

    fn interval(&mut self, task: Task, nanos: Nanos, time: Nanos, out: &mut Out<'_>) {
        let tasked = self.tasks.get_mut(&task);
        if let Some((topic, partition)) = tasked.and_then(|tasked| tasked.handed_of.take()) {
            out.tell(Told {
                time,
                pid: self.pid,
                topic,
                partition,
                what: What::Interval { nanos },
            });
        }
    }

    /// What the task holds ends here, or is left to a pool.
    fn next_poll(&mut self, task: Task, time: Nanos, out: &mut Out<'_>) {
        let held = match self.tasks.get_mut(&task) {
            Some(tasked) => std::mem::take(&mut tasked.holding),
            None => return,
        };
        if held.is_empty() {
            return;
        }
        let mut named = true;
        for id in held {
            let Some(run) = self
                .runs
                .get_mut(&id)
                .filter(|run| run.state == State::Held)
            else {
                continue;
            };
            run.asker = true;
            self.confirm_inner(id, out);
            let Some(run) = self.runs.get(&id) else {
                continue;
            };
            let (topic, settled) = (Arc::clone(&run.topic), run.settled);
            if let Some(at) = settled {
                self.finish(
                    id,
                    Part::All,
                    End::by(task, 0, (at, Done::Settled)),
                    None,
                    out,
                );
                continue;
            }
            named = false;
            let habit = self.habit(&topic);
            habit.asked();
            match habit.way {
                Way::Pool => self.release(id),
                Way::Simple => {
                    self.finish(id, Part::All, End::at(time, Done::NextPoll), None, out);
                }
                Way::Unknown => self.wait_for_a_pool(id, time, out),
            }
        }
        if let Some(tasked) = self.tasks.get_mut(&task) {
            tasked.ends_round(named);
        }
    }

    fn wait_for_a_pool(&mut self, id: RunId, time: Nanos, out: &mut Out<'_>) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.state = State::Asked(time);
            self.undecided.push_back((time, id));
            if self.undecided.len() >= UNDECIDED_MOST {
                self.decide_all(out);
            }
        }
    }

    /// A request returns, with messages or none.
    pub(super) fn hands_over(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let (task, time) = (call.task, call.time);
        let Some(calls) = self.task(task, time, out).gather(call) else {
            return;
        };
        let tasked = self.task(task, time, out);
        let goes_on = tasked.goes_on();
        let messages = calls.iter().any(|call| call.count > 0);
        let inner = tasked.returns(messages);
        let asked = tasked.asked;
        if messages && !inner && self.returns_again(&calls) {
            self.outer_returns(&calls, out);
            return;
        }
        if goes_on && messages {
            self.next_poll(task, time, out);
        }
        let faults = calls.iter().filter(|call| call.fault).count();
        out.losses.add("call_fault", faults as u64);
        let truncated = calls.iter().any(|call| call.truncated);
        out.losses.add("call_truncated", u64::from(truncated));
        let good: Vec<&ClientCall> = calls
            .iter()
            .filter(|call| !call.fault && call.count > 0 && call.is_place())
            .collect();
        let total = good.iter().map(|call| u64::from(call.count)).sum();
        let partial = truncated || faults > 0;
        if !inner {
            // What inner calls read and the outer one did not give was never handed over.
            self.forget_inner(task, &good);
        }
        for call in &good {
            self.one_run(call, (total, partial, inner, asked), out);
        }
        if let (false, Some(first), Some(tasked)) = (inner, good.first(), self.tasks.get_mut(&task))
            && tasked.asker
        {
            tasked.handed = Some(time);
            tasked.handed_of = Some((Arc::clone(&first.topic), first.partition));
        }
    }

    /// The task has just these messages, and has not asked since: an outer call returns what an inner one read.
    fn returns_again(&self, calls: &[ClientCall]) -> bool {
        calls.iter().all(|call| {
            let id = self.find(&call.topic, call.partition, call.first);
            let run = id.and_then(|id| self.runs.get(&id));
            run.is_some_and(|run| {
                let same = (run.first, run.last, run.task) == (call.first, call.last, call.task);
                same && run.state == State::Held && !run.is_divided()
            })
        })
    }

    fn outer_returns(&mut self, calls: &[ClientCall], out: &mut Out<'_>) {
        for call in calls {
            let Some(id) = self.find(&call.topic, call.partition, call.first) else {
                continue;
            };
            if let Some(run) = self.runs.get_mut(&id) {
                (run.began, run.client) = (call.time, call.client);
                // What the library commits by itself says nothing of the work, and nobody will name it after that: no pool is waited for.
                if run.settled.take().is_some() {
                    self.habit(&call.topic).never();
                }
            }
            self.confirm_inner(id, out);
        }
        if let Some(call) = calls.first()
            && let Some(tasked) = self.tasks.get_mut(&call.task)
        {
            tasked.holds_inner = false;
            if tasked.asker {
                tasked.handed = Some(call.time);
                tasked.handed_of = Some((Arc::clone(&call.topic), call.partition));
            }
        }
    }

    fn one_run(
        &mut self,
        call: &ClientCall,
        (total, partial, inner, asked): (u64, bool, bool, Option<Nanos>),
        out: &mut Out<'_>,
    ) {
        if call.topic.is_empty() {
            out.losses.add("call_without_topic", 1);
            return;
        }
        let before = self.find(&call.topic, call.partition, call.first);
        let before = before.filter(|id| {
            self.runs
                .get(id)
                .is_some_and(|run| run.client == call.client || run.inner)
        });
        if let Some(id) = before
            && self.ended_by_request(id, out)
        {
            self.drop_run(id, "processing_replaced", out);
        }
        if self.open >= OPEN_MOST {
            self.make_room(out);
        }
        self.run_id += 1;
        let id = self.run_id;
        let mut run = Run::new(Handed {
            client: call.client,
            message: call.message,
            topic: Arc::clone(&call.topic),
            partition: call.partition,
            offsets: (call.first, call.last),
            count: call.count,
            total,
            partial,
            began: call.time,
            task: call.task,
            inner,
        });
        run.asked = asked;
        run.asker = self.is_asker(call.task);
        self.offers |= !run.asker;
        self.open += run.weight();
        let key = (Arc::clone(&call.topic), call.partition);
        self.places.entry(key).or_default().insert((call.first, id));
        if call.message != 0 {
            self.addresses.insert(call.message, id);
        }
        self.runs.insert(id, run);
        let runs = &self.runs;
        if let Some(tasked) = self.tasks.get_mut(&call.task) {
            tasked.hold(id, |id| runs.contains_key(&id));
            tasked.holds_inner |= inner;
        }
        if !inner {
            self.confirm(id, out);
        }
    }

    /// No outer call returned: what an inner one read was handed over after all.
    pub(super) fn confirm_inner(&mut self, id: RunId, out: &mut Out<'_>) {
        let run = self.runs.get_mut(&id);
        if run.is_some_and(|run| std::mem::take(&mut run.inner)) {
            self.confirm(id, out);
        }
    }

    /// The application has the messages of a run.
    fn confirm(&mut self, id: RunId, out: &mut Out<'_>) {
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        let given = Given {
            client: run.client,
            topic: Arc::clone(&run.topic),
            partition: run.partition,
            first: run.first,
            last: run.last,
            count: run.count,
            time: run.began,
            asked: run.asked,
            task: run.task,
        };
        self.delivered(&given, out);
    }

    fn forget_inner(&mut self, task: Task, given: &[&ClientCall]) {
        let tasked = self.tasks.get_mut(&task);
        let Some(tasked) = tasked.filter(|tasked| tasked.holds_inner) else {
            return;
        };
        tasked.holds_inner = false;
        let held = std::mem::take(&mut tasked.holding);
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for id in held {
            let Some(run) = self.runs.get(&id) else {
                continue;
            };
            let same = |call: &&ClientCall| {
                call.topic == run.topic
                    && call.partition == run.partition
                    && call.first == run.first
            };
            let list = if run.inner && !given.iter().any(same) {
                &mut gone
            } else {
                &mut kept
            };
            list.push(id);
        }
        tasked.holding = kept;
        for id in gone {
            self.remove(id);
        }
    }
}
