//! What a task has in hand. In: a task and a time; out: the message that it works on, if that is known while it does.

use std::sync::Arc;

use super::habit::Way;
use super::process::Process;
use super::run::Run;
use super::{Name, Processing};
use crate::capture::{Nanos, Pid, Task};

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
}

impl Processing {
    /// What a task has in hand now, and had at `time`.
    pub fn in_hand(&self, pid: Pid, task: Task, time: Nanos) -> Hand {
        let hand = match self.processes.get(&pid) {
            Some(process) => process.in_hand(task, time),
            None => Hand::Empty,
        };
        match hand {
            // Which of its records get spans is not known yet.
            Hand::One(one) if !self.readers.is_settled(pid, &one.topic, one.partition) => {
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

    fn is_loose(&self) -> bool {
        let pools = || self.habits.values().any(|habit| habit.way != Way::Simple);
        !self.runs.is_empty() && (self.offers || pools())
    }
}
