//! Work of clients whose library shows no calls: Java, pure Python and JavaScript, whatever has no hooks. In: their Fetch answers and commits; out: durations of
//! basis `commit`.
//!
//! A message is with the application at the earliest when its Fetch answer is there, and done at the latest when a commit behind it is sent: the time between is
//! an upper bound. What one commit is the first to cover of one answer is one observation. Hooks may come a little later than the
//! first messages, so findings wait; once a call of the process was seen, calls alone tell.

mod answers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::capture::{Nanos, Pid};
use crate::fact::{self, Detail};
use crate::model::hear::consumes;
use crate::model::spans::Work;
use crate::model::{Labels, Model, SECOND};
use crate::observation::{Done, Observation, Processing, ProcessingBasis};

use answers::{Answer, Answers};

/// Hooks of a process are there so long after its first records.
const YOUNG: Nanos = 10 * SECOND;
/// A message whose commit comes before its hand-over is handed over by then.
const SETTLED: Nanos = SECOND;
/// A message in hand for longer has no duration, as with calls.
const LONGEST: Nanos = 600 * SECOND;
/// A process without records for so long is forgotten.
const FORGOTTEN: Nanos = 3600 * SECOND;
/// Answers of all processes, partitions that they are of, and processes.
const ANSWERS_MOST: usize = 65_536;
const PLACES_MOST: usize = 65_536;
const PROCESSES_MOST: usize = 4096;
/// Findings that wait; of more the oldest go at once.
const HELD_MOST: usize = 16_384;

type Name = Arc<str>;

#[derive(Debug, Default)]
pub(super) struct Unhooked {
    processes: HashMap<Pid, Process>,
    answers: usize,
    places: usize,
    /// By when they may go, in the order of their finding.
    held: BTreeMap<(Nanos, u64), Processing>,
    found: u64,
}

#[derive(Debug)]
struct Process {
    /// When its first records came, and the last.
    since: Nanos,
    heard: Nanos,
    commits: bool,
    places: HashMap<Place, Reading>,
}

/// A partition as a group reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    cluster: Name,
    group: Name,
    topic: Name,
    partition: i32,
}

#[derive(Debug)]
struct Reading {
    client_id: Name,
    answers: Answers,
}

impl Model {
    pub(super) fn hear_unhooked(&mut self, labels: &Labels, exchange: &fact::Exchange) {
        let pid = labels.pid;
        if exchange.response_bytes.is_none() {
            return;
        }
        if self.processing.watches(pid) {
            self.unhooked.exited(pid);
            return;
        }
        if consumes(exchange) {
            self.fetched_unhooked(labels, exchange);
        }
        match exchange.detail.as_deref() {
            Some(Detail::Commit(commit)) if commit.transaction.is_none() => {
                let took = |offset: &&fact::detail::CommittedOffset| offset.error.is_none();
                let refused = commit.offsets.len() - commit.offsets.iter().filter(took).count();
                // An error that is of no partition refuses all.
                if exchange.error.is_some() && refused == 0 {
                    return;
                }
                for offset in commit.offsets.iter().filter(took) {
                    let topic = self.topics.label(&offset.topic);
                    let place = (&topic, offset.partition, offset.offset);
                    self.settle_unhooked(labels, &commit.member.group, place, exchange.began);
                }
            }
            Some(Detail::CommittedRead(groups)) => {
                for told in groups {
                    for (topic, partition, offset) in &told.offsets {
                        let topic = self.topics.label(topic);
                        let place = Place::new(labels, &told.group, &topic, *partition);
                        let begins = |reading: &mut Reading| reading.answers.begins_at(*offset);
                        self.unhooked.at(pid, &place, begins);
                    }
                }
            }
            _ => {}
        }
    }

    fn fetched_unhooked(&mut self, labels: &Labels, exchange: &fact::Exchange) {
        for partition in &exchange.fetched {
            let (Some(first), Some(end)) = (partition.fetch_offset, partition.next_offset) else {
                continue;
            };
            let topic = self.topics.label(&partition.topic);
            let (pid, client_id) = (labels.pid, &labels.client_id);
            let group = self.consumers.group_of(pid, client_id, &topic);
            let Some(group) = group.filter(|_| self.shows(&topic)) else {
                continue;
            };
            let place = Place::new(labels, group, &topic, partition.index);
            let next = partition.records_end.unwrap_or(end).max(first);
            // Headers may lie.
            let most = u64::try_from(next.saturating_sub(first)).unwrap_or(0);
            let answer = Answer {
                first,
                next,
                records: partition.records.min(most),
                time: exchange.ended,
            };
            let lost = self.unhooked.fetched(labels, place, answer, end);
            self.losses.add("processing_table_full", lost);
        }
    }

    /// The process committed that its group goes on there, and began to say so at `began`.
    pub(super) fn settle_unhooked(
        &mut self,
        labels: &Labels,
        group: &Name,
        (topic, partition, offset): (&Name, i32, i64),
        began: Nanos,
    ) {
        let place = Place::new(labels, group, topic, partition);
        let (full, expired) = self.unhooked.committed(labels, &place, offset, began);
        self.losses.add("processing_table_full", full);
        self.losses.add("processing_expired", expired);
    }

    /// Says what waited long enough. After each second, and when too much waits.
    pub(super) fn say_unhooked(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        self.unhooked.expire(now);
        while let Some(mut found) = self.unhooked.release(now) {
            if self.processing.watches(found.pid) {
                continue;
            }
            let span = self.spans.processed(&Work {
                origin: found.origin,
                pid: found.pid,
                cluster: &found.cluster,
                client_id: &found.client_id,
                group: &found.group,
                topic: &found.topic,
                partition: found.partition,
                offsets: (found.first, found.last),
                count: found.count,
                began: found.began,
                ended: found.ended,
                task: None,
                handed: found.began,
                error: None,
            });
            found.span = span.as_ref().map(|span| (span.trace_id, span.span_id));
            out.extend(span.map(Observation::Span));
            out.push(Observation::Processing(found));
        }
    }
}

impl Unhooked {
    /// Too much waits.
    pub fn is_full(&self) -> bool {
        self.held.len() > HELD_MOST
    }

    /// The process commits what it reads.
    pub fn commits(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(|of| of.commits)
    }

    /// It ended, or calls tell of it from now on. What was found stays.
    pub fn exited(&mut self, pid: Pid) {
        if let Some(gone) = self.processes.remove(&pid) {
            self.places -= gone.places.len();
            self.answers -= gone.answers();
        }
    }

    /// Returns how many records found no room.
    fn fetched(&mut self, labels: &Labels, place: Place, answer: Answer, end: i64) -> u64 {
        let known = self.processes.get(&labels.pid);
        let full = known.is_none() && self.processes.len() >= PROCESSES_MOST;
        let known = known.is_some_and(|of| of.places.contains_key(&place));
        if !known && answer.records == 0 {
            return 0;
        }
        if full || !known && self.places >= PLACES_MOST {
            return answer.records;
        }
        let of = self.processes.entry(labels.pid).or_insert(Process {
            since: answer.time,
            heard: answer.time,
            commits: false,
            places: HashMap::new(),
        });
        of.heard = of.heard.max(answer.time);
        self.places += usize::from(!known);
        let reading = of.places.entry(place).or_insert_with(|| Reading {
            client_id: Arc::clone(&labels.client_id),
            answers: Answers::default(),
        });
        let before = reading.answers.len();
        if reading.client_id != labels.client_id {
            // Another consumer of the process has the partition now.
            reading.answers.forget();
            reading.client_id = Arc::clone(&labels.client_id);
        }
        let room = self.answers < ANSWERS_MOST;
        reading.answers.fetched(answer, end, room);
        self.answers = (self.answers + reading.answers.len()).saturating_sub(before);
        0
    }

    /// Returns how many of the records were forgotten before: because there was no room, and because it took too long.
    fn committed(
        &mut self,
        labels: &Labels,
        place: &Place,
        offset: i64,
        began: Nanos,
    ) -> (u64, u64) {
        let pid = labels.pid;
        let Some(of) = self.processes.get_mut(&pid) else {
            return (0, 0);
        };
        (of.commits, of.heard) = (true, of.heard.max(began));
        let due = labels.origin.time.saturating_add(SETTLED);
        let due = due.max(of.since.saturating_add(YOUNG));
        let covers = |reading: &mut Reading| {
            let client_id = Arc::clone(&reading.client_id);
            (client_id, reading.answers.committed(offset, began))
        };
        let Some((client_id, covered)) = self.at(pid, place, covers) else {
            return (0, 0);
        };
        for done in &covered.done {
            let found = Processing {
                origin: labels.origin,
                pid,
                cluster: Arc::clone(&place.cluster),
                client_id: Arc::clone(&client_id),
                group: Arc::clone(&place.group),
                topic: Arc::clone(&place.topic),
                partition: place.partition,
                first: done.first,
                last: done.next.saturating_sub(1),
                count: u32::try_from(done.records).unwrap_or(u32::MAX),
                basis: ProcessingBasis::Commit,
                done: Done::Committed,
                began: done.time,
                ended: began,
                task: None,
                error: None,
                span: None,
            };
            self.held.insert((due, self.found), found);
            self.found += 1;
        }
        (covered.full, covered.expired)
    }

    /// Does this to what is known of the partition, and forgets it if nothing is left.
    fn at<T>(&mut self, pid: Pid, place: &Place, act: impl FnOnce(&mut Reading) -> T) -> Option<T> {
        let of = self.processes.get_mut(&pid)?;
        let reading = of.places.get_mut(place)?;
        let before = reading.answers.len();
        let made = act(reading);
        self.answers = (self.answers + reading.answers.len()).saturating_sub(before);
        if reading.answers.is_idle() {
            of.places.remove(place);
            self.places -= 1;
        }
        Some(made)
    }

    /// The next one that need not wait any more.
    fn release(&mut self, now: Nanos) -> Option<Processing> {
        let ((due, _), _) = self.held.first_key_value()?;
        let is_due = *due <= now;
        match is_due || self.is_full() {
            true => self.held.pop_first().map(|(_, found)| found),
            false => None,
        }
    }

    fn expire(&mut self, now: Nanos) {
        let too_old = now.saturating_sub(LONGEST);
        let retained = now.saturating_sub(FORGOTTEN);
        self.processes.retain(|_, of| {
            let before = of.answers();
            for reading in of.places.values_mut() {
                reading.answers.expire(too_old);
            }
            self.answers = (self.answers + of.answers()).saturating_sub(before);
            let stays = of.heard >= retained;
            if !stays {
                self.places -= of.places.len();
                self.answers -= of.answers();
            }
            stays
        });
    }

    /// Entries, and at most.
    pub fn table(&self) -> (&'static str, usize, usize) {
        let len = self.answers + self.places + self.held.len();
        ("unhooked", len, ANSWERS_MOST + PLACES_MOST + HELD_MOST)
    }
}

impl Process {
    fn answers(&self) -> usize {
        self.places.values().map(|it| it.answers.len()).sum()
    }
}

impl Place {
    fn new(labels: &Labels, group: &Name, topic: &Name, partition: i32) -> Place {
        Place {
            cluster: Arc::clone(&labels.cluster),
            group: Arc::clone(group),
            topic: Arc::clone(topic),
            partition,
        }
    }
}
