//! Works that ended lately. In: who worked on what, and when; out: whose child is what a task did meanwhile and is told only now.
//!
//! What a task sent is often known later than its work ended: a record waits for its acknowledgement, a match by order for what may come after it.

use std::collections::{HashMap, VecDeque};

use super::{Cause, Doer};
use crate::capture::{Nanos, Pid, Task};

/// Of all tasks, and of one.
const WORKS_MOST: usize = 16_384;
const OF_TASK_MOST: usize = 1024;
/// A call that was not met by a record for so long is forgotten.
const KEPT: Nanos = 40_000_000_000;

#[derive(Debug)]
struct Work {
    /// Works of one turn were told by one fact.
    turn: u64,
    since: Nanos,
    ended: Nanos,
    whole: bool,
    cause: Cause,
}

#[derive(Debug, Default)]
pub(super) struct Works {
    of_task: HashMap<(Pid, Task), VecDeque<Work>>,
    /// Of each work, in order.
    order: VecDeque<(Nanos, (Pid, Task))>,
    turn: u64,
}

/// What a task did within a work of its own was for it, or for one of those told at once. What was done by somebody whom it started was for all that
/// it had in hand: for none of its parts.
pub(super) fn add(found: &mut [Vec<Cause>; 2], itself: bool, whole: bool, cause: &Cause) {
    let [own, other] = found;
    let (found, cause) = match itself {
        true => (own, cause),
        false if whole => (other, cause),
        false => (other, &Cause::Unknown),
    };
    if !found.contains(cause) {
        found.push(cause.clone());
    }
}

impl Works {
    /// Those of this fact were told.
    pub fn turn(&mut self) {
        self.turn += 1;
    }

    pub fn ended(
        &mut self,
        task: (Pid, Task),
        (since, ended): (Nanos, Nanos),
        whole: bool,
        cause: Cause,
    ) {
        let works = self.of_task.entry(task).or_default();
        works.push_back(Work {
            turn: self.turn,
            since,
            ended,
            whole,
            cause,
        });
        self.order.push_back((ended, task));
        if works.len() > OF_TASK_MOST {
            works.pop_front();
        }
        if self.order.len() > WORKS_MOST {
            self.forget_first();
        }
    }

    /// The works that the first fact told which tells whose child this is; none if it was not told yet.
    pub fn find(&self, doer: Doer) -> [Vec<Cause>; 2] {
        let fits = |task: &Task| {
            let works = self.of_task.get(&(doer.pid, *task)).into_iter().flatten();
            works.filter(|work| (work.since..=work.ended).contains(&doer.time))
        };
        let mut found = Default::default();
        let tasks: Vec<Task> = doer.tasks().collect();
        let Some(turn) = tasks.iter().flat_map(fits).map(|work| work.turn).min() else {
            return found;
        };
        for task in &tasks {
            for work in fits(task).filter(|work| work.turn == turn) {
                let itself = doer.task == Some(*task);
                add(&mut found, itself, work.whole, &work.cause);
            }
        }
        found
    }

    /// What ended so long before `now` that nothing is told of it any more.
    pub fn advance(&mut self, now: Nanos) {
        while self
            .order
            .front()
            .is_some_and(|(ended, _)| ended.saturating_add(KEPT) <= now)
        {
            self.forget_first();
        }
    }

    pub fn exited(&mut self, pid: Pid) {
        self.of_task.retain(|(of, _), _| *of != pid);
        self.order.retain(|(_, (of, _))| *of != pid);
    }

    fn forget_first(&mut self) {
        let Some((ended, task)) = self.order.pop_front() else {
            return;
        };
        let Some(works) = self.of_task.get_mut(&task) else {
            return;
        };
        // Of a task with too many its own first one is gone already.
        if works.front().is_some_and(|work| work.ended == ended) {
            works.pop_front();
        }
        if works.is_empty() {
            self.of_task.remove(&task);
        }
    }
}
