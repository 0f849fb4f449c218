//! What a task has in hand. In: a task and a time; out: the message that it works on, if that is known while it does.

use std::sync::Arc;

use super::habit::Way;
use super::process::Process;
use super::run::Run;
use super::task::Tasked;
use super::told::Out;
use super::{Name, Processing};
use crate::capture::{ClientCall, Nanos, Pid, Task};
use crate::model::causes::Doer;

/// A message that was handed over and is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) struct InHand {
    pub pid: Pid,
    pub topic: Name,
    pub partition: i32,
    pub offset: i64,
    /// Who got it, and when.
    pub task: Task,
    pub handed: Nanos,
}

/// Since when, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) enum Hand {
    Empty,
    One(InHand),
    /// Which of several it works on, only their ends will tell.
    Several(Nanos),
    /// Something, but whom it started may work on another: only a name given to it will tell.
    Loose(Nanos),
}

impl Hand {
    fn since(&self) -> Option<Nanos> {
        match self {
            Hand::Empty => None,
            Hand::One(one) => Some(one.handed),
            Hand::Several(since) | Hand::Loose(since) => Some(*since),
        }
    }
}

impl Processing {
    /// What a task has in hand now, and had at `time`.
    pub fn in_hand(&self, pid: Pid, task: Task, time: Nanos) -> Hand {
        let process = self.processes.get(&pid);
        let hand = process.map_or(Hand::Empty, |process| process.in_hand(task, time));
        self.settled(hand)
    }

    /// ... and what that is worth as what a goroutine that it started works on.
    pub fn in_hand_of_starter(&self, doer: Doer, starter: Task) -> Hand {
        let hand = match (self.processes.get(&doer.pid), doer.task) {
            (Some(process), Some(task)) => process.in_hand_of_starter(starter, task, doer.time),
            _ => Hand::Empty,
        };
        self.settled(hand)
    }

    fn settled(&self, hand: Hand) -> Hand {
        match hand {
            // Which of its records get spans is not known yet.
            Hand::One(one) if !self.readers.is_settled(one.pid, &one.topic, one.partition) => {
                Hand::Several(one.handed)
            }
            hand => hand,
        }
    }

    /// Some messages of the process are worked on by nobody knows whom.
    pub fn is_loose(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(Process::is_loose)
    }

    /// The task waits in a call, or works on: it has asked before `time`, and not since.
    pub fn has_not_asked_since(&self, pid: Pid, task: Task, time: Nanos) -> bool {
        let process = self.processes.get(&pid);
        let asked = process.and_then(|process| process.tasks.get(&task)?.asked);
        asked.is_some_and(|asked| asked <= time)
    }
}

impl Process {
    fn in_hand(&self, task: Task, time: Nanos) -> Hand {
        let held = self.held(task);
        let runs = held.iter().filter_map(|id| self.runs.get(id));
        let asker = |run: &&Run| run.began <= time && (run.asker || self.is_asker(run.task));
        let mut runs = runs.filter(asker);
        let (first, more) = (runs.next(), runs.next());
        match (first, more) {
            (None, _) => Hand::Empty,
            (Some(run), None) if run.total == 1 => Hand::One(InHand {
                pid: self.pid,
                topic: Arc::clone(&run.topic),
                partition: run.partition,
                offset: run.first,
                task: run.task,
                handed: run.began,
            }),
            (Some(run), _) => Hand::Several(run.began),
        }
    }

    /// What a task has in hand as what `of`, a goroutine that it started, can only have been started for: all that it got before is done, and nobody
    /// that it started ever did anything longer than it had a message.
    pub(super) fn in_hand_of_starter(&self, task: Task, of: Task, time: Nanos) -> Hand {
        let hand = self.in_hand(task, time);
        let Some(since) = hand.since() else {
            return hand;
        };
        let starter = self.tasks.get(&task);
        let thorough = starter.is_some_and(Tasked::is_thorough);
        let known = self.tasks.get(&of);
        let before = known.is_some_and(|known| known.first < since);
        match thorough && !before && !self.holds_of_a_pool(task) {
            true => hand,
            false => Hand::Loose(since),
        }
    }

    fn holds_of_a_pool(&self, task: Task) -> bool {
        let held = self.held(task);
        let mut runs = held.iter().filter_map(|id| self.runs.get(id));
        runs.any(|run| self.is_pool(&run.topic))
    }

    /// Somebody that a reader started does something: it was there before what the reader has in hand, or the reader has nothing. So what those whom
    /// it started do may be for anything that it ever got.
    pub(super) fn meets_started(&mut self, call: &ClientCall, out: &mut Out<'_>) {
        let starter = call.parent.map(Task::Goroutine);
        let Some(starter) = starter.filter(|starter| self.is_asker(*starter)) else {
            return;
        };
        let since = self.in_hand(starter, call.time).since();
        let first = self.task(call.task, call.time, out).first;
        let tasked = self.tasks.get_mut(&starter);
        if let Some(tasked) = tasked.filter(|_| since.is_none_or(|since| first < since)) {
            tasked.lets_go = true;
        }
    }

    fn is_loose(&self) -> bool {
        let pools = || self.habits.values().any(|habit| habit.way != Way::Simple);
        !self.runs.is_empty() && (self.offers || pools())
    }
}
