//! Whose child a span is. In: what tasks did, and the work that was shown to be theirs; out: spans with their parents.
//!
//! A message that its task has in hand is known at once. Of a batch, a pool, a channel only the end of the work tells who worked on what, and when: what
//! tasks did meanwhile waits for it, a bounded time. Where several works fit none is taken: a parent is right or absent.

mod works;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid, Task};
use crate::losses::Losses;
use crate::observation::{Link, Observation, SpanKind};
use crate::trace::address::{SpanId, TraceId};
use works::Works;

/// Spans that wait.
const WAITING_MOST: usize = 16_384;
/// How long for the end of what a task has in hand, and for a word of who works on what was given away.
pub(super) const HELD: Nanos = 60_000_000_000;
pub(super) const LOOSE: Nanos = 10_000_000_000;
/// Partitions whose last work is remembered for its commit.
const FINISHED_MOST: usize = 16_384;
/// Findings of a process that is no more, and facts of it, wait so long for their labels.
const AFTERWARDS: Nanos = 2 * super::PATIENCE;
const GONE_MOST: usize = 1024;

/// A request by its connection and where its head stands in the stream.
pub(super) type RequestKey = (ConnectionId, u64);

/// What a task does, it does for this.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    /// Nothing that is known.
    Unknown,
    /// A trace that gets no spans.
    Unsampled,
    Span(TraceId, SpanId, String),
    /// A request that gets spans only if a message that was sent for it does.
    Perhaps(RequestKey),
    /// The end of the work will tell, if it comes within this time.
    Later(Nanos, By),
}

/// Whose work it is that will tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Itself,
    /// Or of the one that started it, which waits for it.
    Starter,
}

/// Who did something, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doer {
    pub pid: Pid,
    pub task: Option<Task>,
    /// The goroutine that started it.
    pub parent: Option<u64>,
    pub time: Nanos,
}

impl Doer {
    /// It, then who started it.
    pub fn tasks(self) -> impl Iterator<Item = Task> {
        let parent = self.parent.map(Task::Goroutine);
        self.task.into_iter().chain(parent)
    }
}

/// Work that ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub pid: Pid,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offsets: (i64, i64),
    /// Who worked, and since when at the earliest.
    pub worker: Option<(Task, Nanos)>,
    /// Who named it, and when.
    pub named: Option<(Task, Nanos)>,
    /// All that one call gave.
    pub whole: bool,
    pub ended: Nanos,
    pub cause: Cause,
}

#[derive(Debug)]
struct Waiting {
    due: Nanos,
    doer: Doer,
    observation: Observation,
    /// It goes also without a parent.
    alone: bool,
    /// Works that fit, told by one fact; those of the doer itself count first.
    found: [Vec<Cause>; 2],
}

#[derive(Debug, Default)]
pub(super) struct Causes {
    waiting: BTreeMap<u64, Waiting>,
    by_task: HashMap<(Pid, Task), BTreeSet<u64>>,
    due: BTreeSet<(Nanos, u64)>,
    number: u64,
    /// Those that found something since [`Causes::decide`].
    touched: BTreeSet<u64>,
    finished: HashMap<(Pid, Arc<str>, i32), Ended>,
    works: Works,
    /// Processes that are no more, until when something may be told of them, and whether works may.
    gone: VecDeque<(Nanos, Pid, bool)>,
}

impl Causes {
    /// The end of some work will tell whose child it is, or has told it. Returns what can go: it, or one that has to go as it is, if there is no room.
    pub fn wait(
        &mut self,
        doer: Doer,
        patience: Nanos,
        observation: Observation,
        alone: bool,
        losses: &mut Losses,
    ) -> Option<Observation> {
        let found = self.works.find(doer);
        if found.iter().any(|found| !found.is_empty()) {
            return child(observation, alone, found, losses);
        }
        if self
            .gone
            .iter()
            .any(|(_, pid, waits)| *pid == doer.pid && !waits)
        {
            return alone.then_some(observation);
        }
        let mut gone = None;
        if self.waiting.len() >= WAITING_MOST
            && let Some(oldest) = self.waiting.keys().next().copied()
        {
            losses.add("cause_table_full", 1);
            gone = self.take(oldest).and_then(Waiting::alone);
        }
        self.number += 1;
        let number = self.number;
        let due = observation.origin().time.saturating_add(patience);
        for task in doer.tasks() {
            let of_task = self.by_task.entry((doer.pid, task)).or_default();
            of_task.insert(number);
        }
        self.due.insert((due, number));
        let waiting = Waiting {
            due,
            doer,
            observation,
            alone,
            found: Default::default(),
        };
        self.waiting.insert(number, waiting);
        gone
    }

    /// Some work ended: what its task did meanwhile was for it. `sends`: more of that may be told later.
    pub fn ended(&mut self, ended: Ended, sends: bool) {
        if let Some((task, since)) = ended.worker {
            if sends {
                let (task, times) = ((ended.pid, task), (since, ended.ended));
                self.works
                    .ended(task, times, ended.whole, ended.cause.clone());
            }
            let of_task = self.by_task.get(&(ended.pid, task)).into_iter().flatten();
            for number in of_task {
                let Some(waiting) = self.waiting.get_mut(number) else {
                    continue;
                };
                if !(since..=ended.ended).contains(&waiting.doer.time) {
                    continue;
                }
                let itself = waiting.doer.task == Some(task);
                works::add(&mut waiting.found, itself, ended.whole, &ended.cause);
                self.touched.insert(*number);
            }
        }
        if ended.named.is_none() {
            return;
        }
        let key = (ended.pid, Arc::clone(&ended.topic), ended.partition);
        if self.finished.len() >= FINISHED_MOST && !self.finished.contains_key(&key) {
            self.finished.clear();
        }
        self.finished.insert(key, ended);
    }

    /// All works that one fact ended were told: what fits one of them has its parent, what fits several has none.
    pub fn decide(&mut self, losses: &mut Losses) -> Vec<Observation> {
        self.works.turn();
        let mut out = Vec::new();
        for number in std::mem::take(&mut self.touched) {
            if let Some(waiting) = self.take(number) {
                let (observation, alone) = (waiting.observation, waiting.alone);
                out.extend(child(observation, alone, waiting.found, losses));
            }
        }
        out
    }

    /// What waited in vain up to `now`.
    pub fn overdue(&mut self, now: Nanos) -> Vec<Observation> {
        let mut out = Vec::new();
        while let Some((_, number)) = self.due.first().filter(|(due, _)| *due <= now).copied() {
            out.extend(self.take(number).and_then(Waiting::alone));
        }
        while self.gone.front().is_some_and(|(until, ..)| *until <= now) {
            out.extend(self.forget_gone());
        }
        out
    }

    /// All that is told up to `now` was told.
    pub fn forget(&mut self, now: Nanos) {
        self.works.advance(now);
    }

    /// The work that a commit up to before these offsets ends, if one call named it; and who did, and when.
    pub fn committed(
        &self,
        pid: Pid,
        offsets: impl Iterator<Item = (Arc<str>, i32, i64)>,
    ) -> Option<(&Cause, (Task, Nanos))> {
        let mut newest: Option<(&Cause, (Task, Nanos))> = None;
        let mut several = false;
        for (topic, partition, offset) in offsets {
            let Some(ended) = self.finished.get(&(pid, topic, partition)) else {
                continue;
            };
            let (first, last) = ended.offsets;
            let Some(named) = ended
                .named
                .filter(|_| (first..=last).contains(&offset.saturating_sub(1)))
            else {
                continue;
            };
            // Clients commit again what they committed before: only the newest was named for this commit.
            match newest {
                Some((_, known)) if known.1 > named.1 => {}
                Some((cause, known)) if known == named => several |= *cause != ended.cause,
                _ => (newest, several) = (Some((&ended.cause, named)), false),
            }
        }
        newest.filter(|_| !several)
    }

    /// Its works were told, unless some wait for their labels: what found none of them has none.
    pub fn exited(&mut self, pid: Pid, time: Nanos, waits: bool) -> Vec<Observation> {
        let mut out = match waits {
            true => Vec::new(),
            false => self.let_go(pid),
        };
        if self.gone.len() >= GONE_MOST {
            out.extend(self.forget_gone());
        }
        let until = time.saturating_add(AFTERWARDS);
        self.gone.push_back((until, pid, waits));
        out
    }

    /// Nothing more is told of the process that went first.
    fn forget_gone(&mut self) -> Vec<Observation> {
        let Some((_, pid, _)) = self.gone.pop_front() else {
            return Vec::new();
        };
        self.works.exited(pid);
        self.finished.retain(|(of, ..), _| *of != pid);
        self.let_go(pid)
    }

    fn let_go(&mut self, pid: Pid) -> Vec<Observation> {
        let of_process = self.waiting.iter();
        let of_process = of_process.filter(|(_, waiting)| waiting.doer.pid == pid);
        let numbers: Vec<u64> = of_process.map(|(number, _)| *number).collect();
        let all = numbers.into_iter().filter_map(|number| self.take(number));
        all.filter_map(Waiting::alone).collect()
    }

    pub fn table(&self) -> (&'static str, usize, usize) {
        ("causes", self.waiting.len(), WAITING_MOST)
    }

    fn take(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.due.remove(&(waiting.due, number));
        for task in waiting.doer.tasks() {
            let key = (waiting.doer.pid, task);
            if let Some(of_task) = self.by_task.get_mut(&key) {
                of_task.remove(&number);
                if of_task.is_empty() {
                    self.by_task.remove(&key);
                }
            }
        }
        Some(waiting)
    }
}

impl Waiting {
    fn alone(self) -> Option<Observation> {
        self.alone.then_some(self.observation)
    }
}

/// It leaves under the one work that was found.
fn child(
    observation: Observation,
    alone: bool,
    [own, other]: [Vec<Cause>; 2],
    losses: &mut Losses,
) -> Option<Observation> {
    let mut found = if own.is_empty() { other } else { own };
    match found.pop().filter(|_| found.is_empty()) {
        Some(cause) => under(observation, &cause),
        None => {
            losses.add("cause_ambiguous", 1);
            alone.then_some(observation)
        }
    }
}

/// The span as a child of its cause. None: its trace gets no spans. (Messages are chosen by their address alone, at both ends alike.)
pub(super) fn under(mut observation: Observation, cause: &Cause) -> Option<Observation> {
    let Cause::Span(trace_id, parent, state) = cause else {
        let chosen = match &observation {
            Observation::Query(_) => *cause != Cause::Unsampled,
            _ => true,
        };
        return chosen.then_some(observation);
    };
    match &mut observation {
        Observation::Query(query) => {
            let ids = &mut query.ids;
            (ids.trace_id, ids.parent) = (*trace_id, Some(*parent));
            ids.trace_state.clone_from(state);
        }
        Observation::Span(span) if matches!(span.span, SpanKind::Send | SpanKind::Commit) => {
            // Whoever only has the record knows it by its address.
            if span.span == SpanKind::Send && span.address != "none" {
                span.links = vec![Link {
                    trace_id: span.trace_id,
                    span_id: span.span_id,
                    offset: span.offset.unwrap_or(-1),
                    key: span.key.clone(),
                    tombstone: span.tombstone,
                }];
            }
            (span.trace_id, span.parent) = (*trace_id, Some(*parent));
            span.trace_state.clone_from(state);
        }
        _ => {}
    }
    Some(observation)
}
