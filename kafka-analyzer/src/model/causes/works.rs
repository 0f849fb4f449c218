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

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Task = Task::Goroutine(20);
    const STARTER: Task = Task::Goroutine(7);

    fn doer(time: Nanos) -> Doer {
        Doer {
            pid: 1,
            task: Some(OWN),
            parent: Some(7),
            time,
        }
    }

    /// A cause that differs by its number.
    fn cause(number: u8) -> Cause {
        Cause::Span([number; 16], [number; 8], String::new())
    }

    fn ended(works: &mut Works, task: Task, times: (Nanos, Nanos), whole: bool, number: u8) {
        works.ended((1, task), times, whole, cause(number));
    }

    #[test]
    fn the_first_fact_that_told_of_a_fitting_work_counts_and_in_it_the_tasks_own() {
        let mut works = Works::default();
        ended(&mut works, OWN, (10, 20), true, 1);
        works.turn();
        ended(&mut works, STARTER, (30, 50), true, 2);
        ended(&mut works, OWN, (30, 40), true, 3);
        ended(&mut works, OWN, (40, 45), true, 4);
        works.turn();
        ended(&mut works, OWN, (15, 60), true, 5);
        let expected: [(Nanos, [Vec<Cause>; 2]); 6] = [
            (9, [vec![], vec![]]),
            (15, [vec![cause(1)], vec![]]),
            (25, [vec![cause(5)], vec![]]),
            (35, [vec![cause(3)], vec![cause(2)]]),
            (40, [vec![cause(3), cause(4)], vec![cause(2)]]),
            (61, [vec![], vec![]]),
        ];
        for (time, found) in expected {
            assert_eq!(works.find(doer(time)), found, "{time}");
        }
        works.exited(1);
        assert_eq!(works.find(doer(15)), <[Vec<Cause>; 2]>::default());
        assert!(works.order.is_empty());
    }

    #[test]
    fn parts_of_what_a_starter_had_are_none_of_those_whom_it_started() {
        let mut works = Works::default();
        ended(&mut works, STARTER, (10, 20), false, 1);
        assert_eq!(works.find(doer(15)), [vec![], vec![Cause::Unknown]]);
    }

    #[test]
    fn they_are_bounded_and_forgotten() {
        let mut works = Works::default();
        for time in 0..3 * WORKS_MOST as Nanos {
            let task = if time % 2 == 0 { OWN } else { STARTER };
            ended(&mut works, task, (time, time), true, 1);
        }
        let held: usize = works.of_task.values().map(VecDeque::len).sum();
        assert_eq!((held, works.order.len()), (2 * OF_TASK_MOST, WORKS_MOST));
        works.advance(KEPT + 3 * WORKS_MOST as Nanos);
        assert_eq!((works.of_task.len(), works.order.len()), (0, 0));
    }
}
