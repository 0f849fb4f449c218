//! What the application does with messages (ADR 9). In: calls of client libraries, and what the wire says of the same process; out: hand-overs,
//! durations, errors and poll intervals with their labels.
//!
//! A call names no cluster and no group: both come from the process's own fetches of the partition, for which findings wait up to 5 s. A message
//! that left with its consumer or process is wrong only if no commit covers it, of which the wire tells a little later.

mod current;
mod dead_letters;
mod habit;
mod hand;
mod process;
mod readers;
mod run;
mod say;
mod stretch;
mod task;
mod told;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::{ClientCall, Means, Nanos, Pid, Task, Window};
use crate::fact;
use crate::fact::detail::Commit;
use crate::losses::Losses;
use crate::model::spans::Calls;
use crate::model::topics::Topics;
use crate::model::{Labels, PATIENCE};

pub(super) use hand::{Hand, InHand};
use process::Process;
use readers::{Reader, Readers};
use told::{Out, Told, What};

/// Open runs of all processes.
const OPEN_MOST: usize = 65_536;
const PROCESSES_MOST: usize = 4096;
/// Findings that wait for their labels.
const WAITING_MOST: usize = 16_384;
/// Partitions whose committed offset is remembered for what is left.
const COMMITTED_MOST: usize = 65_536;
/// What is known of a process that ended is kept for so long: its findings may still wait.
const AFTERWARDS: Nanos = 2 * PATIENCE;
/// So long after a hand-over the next are waited for.
const LATELY: Nanos = 10_000_000_000;

type Name = Arc<str>;

#[derive(Debug, Default)]
pub(super) struct Processing {
    processes: BTreeMap<Pid, Process>,
    readers: Readers,
    /// The offset up to which a process committed.
    committed: HashMap<(Pid, Name, i32), i64>,
    /// Weight of all that is open.
    open: usize,
    /// When a process was last seen to get messages.
    handed: HashMap<Pid, Nanos>,
    /// Found, and not said yet.
    told: Vec<Told>,
    waiting: VecDeque<Told>,
    /// Left with consumer or process: a commit may still cover them.
    left: VecDeque<Told>,
    ended: VecDeque<(Nanos, Pid)>,
}

impl Processing {
    /// A client library was called.
    pub fn call(&mut self, call: &ClientCall, losses: &mut Losses) {
        let pid = call.pid;
        if self.processes.len() >= PROCESSES_MOST && !self.processes.contains_key(&pid) {
            losses.add("processing_table_full", 1);
            return;
        }
        self.readers.watch(pid);
        if call.means == Means::Closes {
            self.readers.closes(pid);
        }
        let full = self.open >= OPEN_MOST;
        let mut told = std::mem::take(&mut self.told);
        let mut out = Out {
            told: &mut told,
            losses,
        };
        let process = self
            .processes
            .entry(pid)
            .or_insert_with(|| Process::new(pid));
        if call.means.gives() && call.count > 0 && process.listens() {
            self.handed.insert(pid, call.time);
        }
        let before = process.open();
        if full && call.means.gives() && call.count > 0 {
            process.make_room(&mut out);
        }
        let wants_topic = call.topic.is_empty() && call.partition >= 0 && call.first >= 0;
        match wants_topic.then(|| self.readers.topic_of(pid, call.partition, call.first)) {
            Some(Some(topic)) => {
                let mut named = call.clone();
                named.topic = topic;
                process.call(&named, &mut out);
            }
            _ => process.call(call, &mut out),
        }
        self.open = (self.open + process.open()).saturating_sub(before);
        self.told = told;
    }

    /// Hooks that run for each message come or go.
    pub fn window(&mut self, pid: Pid, time: Nanos, window: Window, losses: &mut Losses) {
        if window == Window::Open && !self.processes.contains_key(&pid) {
            // That is what everyone begins with.
            return;
        }
        if self.processes.len() >= PROCESSES_MOST && !self.processes.contains_key(&pid) {
            losses.add("processing_table_full", 1);
            return;
        }
        // What the wire brings counts from now on.
        self.readers.watch(pid);
        let away = Some(time).filter(|_| window != Window::Open);
        self.readers.hooks_are_away(pid, away);
        // Polls are told from the wire again, unless hooks that stay tell of them.
        self.handed.remove(&pid);
        let process = self.processes.entry(pid);
        let process = process.or_insert_with(|| Process::new(pid));
        let before = process.open();
        let told = &mut self.told;
        process.window(window, &mut Out { told, losses });
        self.open = (self.open + process.open()).saturating_sub(before);
    }

    /// Hooks that run for each message are not there.
    pub fn is_away(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(Process::is_away)
    }

    /// The process was told which partitions it has: what it had not handed over it may throw away.
    pub fn reassigned(&mut self, pid: Pid) {
        self.readers.reassigned(pid);
    }

    /// The process ended.
    pub fn exited(&mut self, pid: Pid, time: Nanos, losses: &mut Losses) {
        if let Some(mut process) = self.processes.remove(&pid) {
            let told = &mut self.told;
            process.exited(time, &mut Out { told, losses });
            losses.add("delivered_unseen", self.readers.ends(pid));
            self.open = self.processes.values().map(Process::open).sum();
            self.ended.push_back((time.saturating_add(AFTERWARDS), pid));
        }
    }

    /// The process aborted a transaction.
    pub fn aborted(&mut self, pid: Pid, exchange: &fact::Exchange, losses: &mut Losses) {
        let told = &mut self.told;
        if let Some(process) = self.processes.get_mut(&pid) {
            let mut out = Out { told, losses };
            process.aborted(exchange.began, exchange.ended, &mut out);
        }
    }

    /// A Fetch answer just arrived; its labels may have to wait.
    pub fn fetched(
        &mut self,
        pid: Pid,
        exchange: &fact::Exchange,
        topics: &Topics,
        losses: &mut Losses,
    ) {
        if !self.readers.watches(pid) {
            return;
        }
        for partition in &exchange.fetched {
            let (Some(first), Some(next)) = (partition.fetch_offset, partition.next_offset) else {
                continue;
            };
            let topic = topics.label(&partition.topic);
            if !self.readers.fetched(
                pid,
                &topic,
                partition.index,
                (first, next),
                partition.records,
            ) {
                losses.add("processing_partition_table_full", 1);
            }
        }
    }

    /// A call of the process was seen, or hooks of it.
    pub fn watches(&self, pid: Pid) -> bool {
        self.readers.watches(pid)
    }

    /// What calls tell of a process now.
    pub fn calls(&self, pid: Pid, now: Nanos) -> Calls {
        let handed = self.handed.get(&pid);
        match handed.is_some_and(|handed| handed.saturating_add(LATELY) > now) {
            true => Calls::HandOver,
            false if self.readers.watches(pid) => Calls::Some,
            false => Calls::None,
        }
    }

    /// Who fetched a partition.
    pub fn read_by(&mut self, labels: &Labels, topic: &Name, partition: i32, group: &Name) {
        if !self.readers.watches(labels.pid) {
            return;
        }
        let reader = Reader {
            cluster: Arc::clone(&labels.cluster),
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(group),
        };
        let (pid, time) = (labels.pid, labels.origin.time);
        if self.readers.learn(pid, topic, partition, reader, time) {
            let waiting = std::mem::take(&mut self.waiting);
            for told in waiting {
                let same = told.pid == pid && told.topic == *topic && told.partition == partition;
                match same {
                    true => self.told.push(told),
                    false => self.waiting.push_back(told),
                }
            }
        }
    }

    /// Offsets were committed by this process.
    pub fn committed(&mut self, pid: Pid, time: Nanos, commit: &Commit, topics: &Topics) {
        if !self.readers.watches(pid) {
            return;
        }
        for offset in commit
            .offsets
            .iter()
            .filter(|offset| offset.error.is_none())
        {
            let topic = topics.label(&offset.topic);
            // No hand-over since hooks were away tells of it.
            if !self.readers.is_sure(pid, &topic, offset.partition) {
                self.reached(pid, time, (&topic, offset.partition), offset.offset);
            }
            let key = (pid, topic, offset.partition);
            if self.committed.len() < COMMITTED_MOST || self.committed.contains_key(&key) {
                self.committed.insert(key, offset.offset);
            }
        }
    }

    /// The application had all messages before this offset, though no hook was there to see it.
    fn reached(&mut self, pid: Pid, time: Nanos, (topic, partition): (&Name, i32), offset: i64) {
        let (first, last) = (offset, offset.saturating_sub(1));
        let place = (topic, partition);
        let unseen = self
            .readers
            .handed(pid, place, (first, last), 0, Some(None));
        if unseen.count > 0 {
            self.told.push(Told {
                time,
                pid,
                topic: Arc::clone(topic),
                partition,
                what: What::Delivered {
                    first,
                    last,
                    count: 0,
                    asked: None,
                    task: Task::Thread(0),
                    after: None,
                    unseen: u32::try_from(unseen.count).unwrap_or(u32::MAX),
                    counted: 0,
                },
            });
        }
    }

    /// Some of what was found of the process is not told yet.
    pub fn waits_for_labels(&self, pid: Pid) -> bool {
        self.waiting.iter().any(|told| told.pid == pid)
    }

    /// When something is due that nobody calls for.
    pub fn due(&self) -> Option<Nanos> {
        let after = |told: &Told| told.time.saturating_add(PATIENCE);
        let undecided = self.processes.values().filter_map(Process::due).min();
        let waiting = self.waiting.front().map(after);
        let left = self.left.front().map(after);
        let ended = self.ended.front().map(|(due, _)| *due);
        undecided
            .into_iter()
            .chain(waiting)
            .chain(left)
            .chain(ended)
            .min()
    }

    /// Decides what is due at `now`, which is [`Processing::due`] or a little later.
    fn decide(&mut self, now: Nanos, losses: &mut Losses) {
        let told = &mut self.told;
        for process in self.processes.values_mut() {
            process.decide(now, &mut Out { told, losses });
        }
        self.open = self.processes.values().map(Process::open).sum();
        while self.ended.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, pid)) = self.ended.pop_front()
                && !self.processes.contains_key(&pid)
            {
                self.readers.forget(pid);
                self.handed.remove(&pid);
                self.committed.retain(|(of, ..), _| *of != pid);
            }
        }
    }

    /// A second of event time is over.
    pub fn sweep(&mut self, now: Nanos, losses: &mut Losses) {
        let told = &mut self.told;
        for process in self.processes.values_mut() {
            process.sweep(now, &mut Out { told, losses });
        }
        self.open = self.processes.values().map(Process::open).sum();
    }

    /// Tables whose size is in the hands of strangers.
    pub fn tables(&self) -> [(&'static str, usize, usize); 3] {
        let open = self.processes.values().map(Process::open).sum();
        // One call opens a few runs at most beyond the bound.
        [
            ("processing_open", open, OPEN_MOST + process::OPEN_MOST),
            ("processing_waiting", self.waiting.len(), WAITING_MOST),
            self.readers.table(),
        ]
    }
}
