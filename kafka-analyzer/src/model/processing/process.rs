//! The client libraries of one process. In: their calls in order; out: what was handed over, how long it was worked on, what went wrong.
//!
//! A hand-over ends exactly once: with a figure, or counted as one of which nothing is said. Which end counts is told in ADR 9.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::habit::{Frees, Habit, Way};
use super::run::{Part, Run, RunId, State};
use super::task::Tasked;
use super::told::{Out, Told, What};
use crate::capture::{ClientCall, Nanos, Pid, Task};
use crate::observation::{Done, ProcessingBasis, Signal};

mod calls;
mod hand_over;
mod window;

use window::{Next, Watch};

/// Open runs of a process, told-apart parts included; of more the oldest is given up.
pub(super) const OPEN_MOST: usize = 16_384;
const TASKS_MOST: usize = 16_384;
const PARTITIONS_MOST: usize = 16_384;
const TOPICS_MOST: usize = 4096;
const CONSUMERS_MOST: usize = 1024;
/// Messages settled within one transaction that are remembered.
const PART_MOST: usize = 1024;
/// A task that holds nothing is forgotten when nothing was heard of it for so long.
const TASK_IDLE: Nanos = 60_000_000_000;
/// How long a message whose task asked again waits for a pool to name it.
const UNDECIDED: Nanos = 5_000_000_000;
/// Undecided messages that decide by their number.
const UNDECIDED_MOST: usize = 4096;
/// A task that panicked and was not heard of for so long is no more.
const SILENCE: Nanos = 10_000_000_000;
/// What is not done by then has no figure.
const EXPIRY: Nanos = 600_000_000_000;

type Name = Arc<str>;

/// What ends the work on messages.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Nanos,
    done: Done,
    /// Who named them, and until when it was busy with others.
    by: Option<(Task, Nanos)>,
}

impl End {
    fn at(at: Nanos, done: Done) -> End {
        End { at, done, by: None }
    }

    fn by(task: Task, busy: Nanos, (at, done): (Nanos, Done)) -> End {
        let by = Some((task, busy));
        End { at, done, by }
    }

    /// Who worked on a run, and since when at the earliest.
    fn worker(&self, run: &Run, asker: bool) -> Option<(Task, Nanos)> {
        match self.by {
            Some(by) if by.0 != run.task || !asker => Some(by),
            // It left the work to others, who were not seen.
            _ if run.state == State::Released || !asker => None,
            _ => Some((run.task, 0)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) tasks: HashMap<Task, Tasked>,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Weight of all runs.
    open: usize,
    /// First offsets of open runs.
    places: HashMap<(Name, i32), BTreeSet<(i64, RunId)>>,
    addresses: HashMap<u64, RunId>,
    pub(super) habits: HashMap<Name, Habit>,
    frees: Frees,
    /// By another task than the one that got the message.
    frees_of_others: Frees,
    /// Consumers that gave messages without telling when a request for them returned.
    gave: HashSet<u64>,
    /// The next offset to hand over, by consumer.
    next: HashMap<(u64, Name, i32), Next>,
    /// Runs whose task asked again, by time.
    undecided: VecDeque<(Nanos, RunId)>,
    /// Runs whose task panicked, by time.
    panicked: VecDeque<(Nanos, RunId)>,
    run_id: RunId,
    watch: Watch,
    /// Messages came by a task that does not ask for them.
    pub(super) offers: bool,
}

impl Process {
    pub fn new(pid: Pid) -> Process {
        Process {
            pid,
            tasks: HashMap::new(),
            runs: BTreeMap::new(),
            open: 0,
            places: HashMap::new(),
            addresses: HashMap::new(),
            habits: HashMap::new(),
            frees: Frees::default(),
            frees_of_others: Frees::default(),
            gave: HashSet::new(),
            next: HashMap::new(),
            undecided: VecDeque::new(),
            panicked: VecDeque::new(),
            run_id: 0,
            watch: Watch::default(),
            offers: false,
        }
    }

    /// Weight of what is open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Gives the oldest up.
    pub fn make_room(&mut self, out: &mut Out<'_>) {
        if let Some(oldest) = self.runs.keys().next().copied() {
            self.drop_run(oldest, "processing_table_full", out);
        }
    }

    /// When the first undecided run is decided.
    pub fn due(&self) -> Option<Nanos> {
        let first = self.undecided.front();
        first.map(|(asked, _)| asked.saturating_add(UNDECIDED))
    }

    /// Decides what waited for long enough.
    pub fn decide(&mut self, now: Nanos, out: &mut Out<'_>) {
        while self.due().is_some_and(|due| due <= now) {
            self.decide_first(out);
        }
    }

    /// The capture ended: requests and panics were ends.
    pub fn conclude(&mut self, out: &mut Out<'_>) {
        self.decide_all(out);
        self.end_panicked(Nanos::MAX, out);
    }

    /// Ends what was in hand of tasks that panicked and were not heard of since. The end of a goroutine itself is not seen.
    fn end_panicked(&mut self, now: Nanos, out: &mut Out<'_>) {
        while let Some((at, id)) = self.panicked.front().copied() {
            if now != Nanos::MAX && at.saturating_add(SILENCE) > now {
                break;
            }
            self.panicked.pop_front();
            if self.silent_since(id) == Some(at) {
                self.finish(id, Part::All, End::at(at, Done::Ended), None, out);
            }
        }
    }

    /// When the task that holds a run panicked, if that was the last of it.
    fn silent_since(&self, id: RunId) -> Option<Nanos> {
        let run = self.runs.get(&id)?;
        let last = self.tasks.get(&run.task).map_or(0, |task| task.seen);
        run.panicked
            .filter(|at| run.state == State::Held && last <= *at)
    }

    fn decide_all(&mut self, out: &mut Out<'_>) {
        while !self.undecided.is_empty() {
            self.decide_first(out);
        }
    }

    fn decide_first(&mut self, out: &mut Out<'_>) {
        let Some((asked, id)) = self.undecided.pop_front() else {
            return;
        };
        let Some(run) = self
            .runs
            .get(&id)
            .filter(|run| run.state == State::Asked(asked))
        else {
            return;
        };
        let (topic, settled) = (Arc::clone(&run.topic), run.settled);
        let habit = self.habit(&topic);
        habit.never();
        if habit.way == Way::Pool {
            match settled {
                Some(at) => self.finish(id, Part::All, End::at(at, Done::Settled), None, out),
                None => self.release(id),
            }
        } else {
            self.finish(id, Part::All, End::at(asked, Done::NextPoll), None, out);
        }
    }

    fn release(&mut self, id: RunId) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.state = State::Released;
        }
    }

    /// Forgets what is too old; a second of event time is over.
    pub fn sweep(&mut self, now: Nanos, out: &mut Out<'_>) {
        let old: Vec<RunId> = self
            .runs
            .iter()
            .take_while(|(_, run)| run.began.saturating_add(EXPIRY) <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.drop_run(id, "processing_expired", out);
        }
        self.end_panicked(now, out);
        self.tasks
            .retain(|_, task| !task.is_idle() || task.seen.saturating_add(TASK_IDLE) > now);
    }

    /// The process is no more: what it had in hand was left.
    pub fn exited(&mut self, time: Nanos, out: &mut Out<'_>) {
        self.decide_all(out);
        for id in self.runs.keys().copied().collect::<Vec<_>>() {
            self.leave(id, time, out);
        }
    }

    /// Its consumer, task or process ended: nobody works on it any more.
    fn leave(&mut self, id: RunId, time: Nanos, out: &mut Out<'_>) {
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        // Offered, or read for a call that never returned: not known to have been handed over.
        if run.inner || !self.is_asker_of(id) {
            self.drop_run(id, "processing_unfinished", out);
            return;
        }
        out.tell(Told {
            time,
            pid: self.pid,
            topic: Arc::clone(&run.topic),
            partition: run.partition,
            what: What::Left {
                first: run.next(),
                last: run.last,
                count: run.left,
            },
        });
        let ended = self.silent_since(id).unwrap_or(time);
        self.finish(id, Part::All, End::at(ended, Done::Ended), None, out);
    }

    pub(super) fn is_asker(&self, task: Task) -> bool {
        self.tasks.get(&task).is_some_and(|task| task.asker)
    }

    /// False: its messages were offered to others.
    fn is_asker_of(&self, id: RunId) -> bool {
        let run = self.runs.get(&id);
        run.is_some_and(|run| run.asker || self.is_asker(run.task))
    }

    pub(super) fn task(&mut self, task: Task, time: Nanos, out: &mut Out<'_>) -> &mut Tasked {
        if self.tasks.len() >= TASKS_MOST && !self.tasks.contains_key(&task) {
            // The sweep of each second was not enough.
            self.tasks.retain(|_, task| task.asker || !task.is_idle());
            if self.tasks.len() >= TASKS_MOST {
                self.tasks.retain(|_, task| !task.is_idle());
            }
            if self.tasks.len() >= TASKS_MOST {
                out.losses.add("processing_task_table_full", 1);
                self.tasks.clear();
            }
        }
        let stranger = self.is_stranger();
        let task = self
            .tasks
            .entry(task)
            .or_insert_with(|| Tasked::new(stranger, time));
        task.seen = task.seen.max(time);
        task
    }

    fn habit(&mut self, topic: &Name) -> &mut Habit {
        if self.habits.len() >= TOPICS_MOST && !self.habits.contains_key(topic) {
            self.habits.clear();
        }
        self.habits.entry(Arc::clone(topic)).or_default()
    }

    pub(super) fn is_pool(&self, topic: &Name) -> bool {
        self.habits
            .get(topic)
            .is_some_and(|habit| habit.way == Way::Pool)
    }

    /// The newest open run with this offset.
    pub(super) fn find(&self, topic: &Name, partition: i32, offset: i64) -> Option<RunId> {
        self.within(topic, partition, offset, offset)
            .first()
            .copied()
    }

    /// Open runs with some of these offsets, the last first.
    fn within(&self, topic: &Name, partition: i32, first: i64, last: i64) -> Vec<RunId> {
        /// Runs of a partition rarely overlap: so many misses end the search.
        const MISSES: usize = 8;
        let mut found = Vec::new();
        let mut misses = 0;
        let key = (Arc::clone(topic), partition);
        let below = self.places.get(&key).into_iter();
        for (_, id) in below.flat_map(|places| places.range(..=(last, RunId::MAX)).rev()) {
            match self.runs.get(id) {
                Some(run) if run.last >= first => found.push(*id),
                _ => misses += 1,
            }
            if misses >= MISSES {
                break;
            }
        }
        found
    }

    /// The run that a call means by address, or by its place.
    fn meant(&self, call: &ClientCall) -> Option<RunId> {
        if !call.topic.is_empty() && call.first >= 0 && call.partition >= 0 {
            return self.find(&call.topic, call.partition, call.first);
        }
        self.addresses
            .get(&call.message)
            .copied()
            .filter(|_| call.message != 0)
    }

    /// Ends a part of a run. `after`: the same task was busy with another message until then.
    fn finish(&mut self, id: RunId, part: Part, end: End, after: Option<Nanos>, out: &mut Out<'_>) {
        self.confirm_inner(id, out);
        let asker = self.is_asker_of(id);
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let (weight, divided) = (run.weight(), run.is_divided());
        let Some(taken) = run.take(part) else {
            return;
        };
        self.open = (self.open + run.weight()).saturating_sub(weight);
        let itself = end.by.is_some_and(|(task, _)| task == run.task);
        if !(itself && end.done == Done::Settled)
            && let Some(tasked) = self.tasks.get_mut(&run.task)
        {
            tasked.lets_go = true;
        }
        // Of a batch only what is named stands for itself, and what is left over then.
        let named = divided || !matches!(part, Part::All);
        let apart = taken.count == 1 && (run.total == 1 || named);
        let basis = match (apart, asker) {
            (true, true) => ProcessingBasis::Message,
            (true, false) => ProcessingBasis::Estimated,
            (false, _) => ProcessingBasis::Batch,
        };
        let began = after.unwrap_or(0).max(run.began);
        if run.partial && basis == ProcessingBasis::Batch {
            out.losses.add("processing_partial", u64::from(taken.count));
        } else {
            let ended = end.at.max(began);
            let worker = end
                .worker(run, asker)
                .map(|(task, busy)| (task, busy.max(began)));
            out.tell(Told {
                time: ended,
                pid: self.pid,
                topic: Arc::clone(&run.topic),
                partition: run.partition,
                what: What::Processed {
                    first: taken.first,
                    last: taken.last,
                    count: taken.count,
                    basis,
                    done: end.done,
                    began,
                    ended,
                    task: run.task,
                    error: run.error,
                    handed: run.began,
                    worker,
                    named: end.by.map(|(task, _)| (task, end.at)),
                    whole: run.total == u64::from(taken.count),
                },
            });
        }
        if !matches!(part, Part::All) {
            // What went wrong was this message.
            run.error = None;
        }
        let place = (Arc::clone(&run.topic), run.partition);
        if run.left == 0 {
            self.remove(id);
        }
        // With a transaction that is aborted later its messages were.
        if let Some((task, _)) = end.by
            && let Some(tasked) = self.tasks.get_mut(&task)
            && let Some(parts) = &mut tasked.part
            && parts.len() < PART_MOST
        {
            parts.push((place.0, place.1, taken.first, taken.count));
        }
    }

    fn drop_run(&mut self, id: RunId, reason: &'static str, out: &mut Out<'_>) {
        if let Some(run) = self.remove(id) {
            out.losses.add(reason, u64::from(run.left));
            if let Some(tasked) = self.tasks.get_mut(&run.task) {
                tasked.lets_go = true;
            }
        }
    }

    fn remove(&mut self, id: RunId) -> Option<Run> {
        let run = self.runs.remove(&id)?;
        self.open = self.open.saturating_sub(run.weight());
        let key = (Arc::clone(&run.topic), run.partition);
        if let Some(places) = self.places.get_mut(&key) {
            places.remove(&(run.first, id));
            if places.is_empty() {
                self.places.remove(&key);
            }
        }
        if self.addresses.get(&run.message) == Some(&id) {
            self.addresses.remove(&run.message);
        }
        Some(run)
    }

    fn error(&mut self, id: RunId, signal: Signal, time: Nanos, out: &mut Out<'_>) {
        if let Some(offset) = self.runs.get(&id).map(Run::next) {
            self.error_at(id, offset, signal, time, out);
        }
    }

    fn error_at(&mut self, id: RunId, offset: i64, signal: Signal, time: Nanos, out: &mut Out<'_>) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.error = run.error.or(Some(signal));
            out.tell(Told {
                time,
                pid: self.pid,
                topic: Arc::clone(&run.topic),
                partition: run.partition,
                what: What::Wrong {
                    offset,
                    count: 1,
                    signal,
                },
            });
        }
    }
}
