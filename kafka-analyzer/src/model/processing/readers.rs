//! Who reads what in a process. In: its Fetch answers; out: labels of a message that a client library handed over, and the topic of one whose
//! topic could not be read.
//!
//! Only processes whose client libraries are watched are remembered. Partitions are bounded; what is left out is counted by the caller.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::current::{By, Current};
use super::stretch::{Stretch, Unseen};
use crate::capture::{Nanos, Pid};

/// Partitions that processes of the node read.
const MOST: usize = 65_536;
/// Two clients that read the same partition within this time cannot be told apart.
const TOGETHER: Nanos = 30_000_000_000;

const CLIENTS_MOST: usize = 4;

type Name = Arc<str>;

/// Labels of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub cluster: Name,
    /// "" when two clients of the process read the partition.
    pub client_id: Name,
    pub group: Name,
}

#[derive(Debug, Default)]
struct Known {
    reader: Option<Reader>,
    /// Who fetched it lately, and when last.
    clients: Vec<(Name, Nanos)>,
    /// First and next offset of what was fetched without a hole.
    fetched: Option<(i64, i64)>,
    /// Fetched, and not handed over yet.
    stretch: Stretch,
    current: Current,
}

/// What was last said of a hand-over does not hold any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outdated {
    pub reader: Reader,
    pub topic: Name,
    pub partition: i32,
    /// When it was said.
    pub told: Nanos,
}

#[derive(Debug, Default)]
struct OfProcess {
    /// Since when hooks that run for each message are away.
    away: Option<Nanos>,
    /// They were, some time.
    windows: bool,
    topics: HashMap<(Name, i32), Known>,
    by_partition: HashMap<i32, HashSet<Name>>,
    /// Of these nobody learnt in time who reads them.
    given_up: HashMap<(Name, i32), Nameless>,
}

/// Messages that were told of without their reader's name.
#[derive(Debug, Default)]
struct Nameless {
    first: i64,
    /// Behind the last.
    next: i64,
    count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Readers {
    processes: HashMap<Pid, OfProcess>,
    partitions: usize,
    /// Of processes that ended.
    outdated: Vec<Outdated>,
}

impl Readers {
    /// From now on its fetches are remembered.
    pub fn watch(&mut self, pid: Pid) {
        self.processes.entry(pid).or_default();
    }

    pub fn watches(&self, pid: Pid) -> bool {
        self.processes.contains_key(&pid)
    }

    pub fn forget(&mut self, pid: Pid) {
        if let Some(mut gone) = self.processes.remove(&pid) {
            self.partitions -= gone.topics.len();
            self.outdated.extend(gone.outdated(Nanos::MAX));
        }
    }

    /// Hooks that run for each message are away since then, or are there.
    pub fn hooks_are_away(&mut self, pid: Pid, away: Option<Nanos>) {
        let Some(of) = self.processes.get_mut(&pid) else {
            return;
        };
        of.away = away;
        if let Some(time) = away {
            of.windows = true;
            of.topics
                .values_mut()
                .for_each(|known| known.current.hides(time));
        }
    }

    /// A hand-over was told.
    pub fn told(&mut self, pid: Pid, (topic, partition): (&Name, i32), time: Nanos, by: By) {
        if let Some(known) = self.of(pid, topic, partition) {
            known.current.tells(time, by);
        }
    }

    /// A hand-over of the partition would have been seen since the last one.
    pub fn is_sure(&self, pid: Pid, topic: &Name, partition: i32) -> bool {
        let of = self.processes.get(&pid);
        let known = of.and_then(|of| of.topics.get(&(Arc::clone(topic), partition)));
        known.is_none_or(|known| known.current.is_sure())
    }

    /// What has grown too old by now, in an order of its own.
    pub fn outdated(&mut self, now: Nanos) -> Vec<Outdated> {
        let mut all = std::mem::take(&mut self.outdated);
        for of in self.processes.values_mut().filter(|of| of.windows) {
            all.extend(of.outdated(now));
        }
        let order = |one: &Outdated| (one.told, Arc::clone(&one.topic), one.partition);
        all.sort_by_cached_key(order);
        all
    }

    /// The process ended: of how many partitions it is not known what it was given at last.
    pub fn ends(&self, pid: Pid) -> u64 {
        let of = self.processes.get(&pid).into_iter();
        let unseen = of
            .flat_map(|of| of.topics.values())
            .filter(|known| !known.current.is_sure() && known.stretch.is_open());
        unseen.count() as u64
    }

    /// A client ends: what it has not handed over it throws away, and commits what it has.
    pub fn closes(&mut self, pid: Pid) {
        for known in self.all_of(pid) {
            known.stretch.closes();
        }
    }

    /// So many records from `first` to before `next` were fetched. False: no room.
    pub fn fetched(
        &mut self,
        pid: Pid,
        topic: &Name,
        partition: i32,
        (first, next): (i64, i64),
        records: u64,
    ) -> bool {
        let of = self.processes.get_mut(&pid);
        let nameless = of.and_then(|of| of.given_up.get_mut(&(Arc::clone(topic), partition)));
        let nameless = nameless.map(std::mem::take).unwrap_or_default();
        let Some(known) = self.known(pid, topic, partition) else {
            return false;
        };
        known.fetched = match known.fetched {
            Some((from, to)) if (from..=to).contains(&first) => Some((from, next.max(to))),
            _ => Some((first, next)),
        };
        known.stretch.fetched(first, next, records);
        if nameless.count > 0 {
            let told = (nameless.first, nameless.next);
            known.stretch.told_before(told, nameless.count);
        }
        true
    }

    /// Messages were handed over: how many before them nobody saw. See [`Stretch::handed`].
    pub fn handed(
        &mut self,
        pid: Pid,
        (topic, partition): (&Name, i32),
        offsets: (i64, i64),
        count: u32,
        after: Option<Option<i64>>,
    ) -> Unseen {
        let Some(known) = self.of(pid, topic, partition) else {
            let more = after.is_some_and(|before| before.is_none_or(|before| before < offsets.0));
            return Unseen {
                more,
                ..Unseen::default()
            };
        };
        let unseen = known.stretch.handed(offsets, count, after);
        match known.clients.len() {
            0 | 1 => unseen,
            // What one got the other did not.
            _ => Unseen {
                more: unseen.more || unseen.count > 0,
                ..Unseen::default()
            },
        }
    }

    /// Partitions are given out anew, or a client began or ended.
    pub fn reassigned(&mut self, pid: Pid) {
        for known in self.all_of(pid) {
            known.stretch.forget();
        }
    }

    fn all_of(&mut self, pid: Pid) -> impl Iterator<Item = &mut Known> {
        let of = self.processes.get_mut(&pid).into_iter();
        of.flat_map(|of| of.topics.values_mut())
    }

    fn of(&mut self, pid: Pid, topic: &Name, partition: i32) -> Option<&mut Known> {
        let of = self.processes.get_mut(&pid)?;
        of.topics.get_mut(&(Arc::clone(topic), partition))
    }

    /// A Fetch answer names its reader. True: that is news.
    pub fn learn(
        &mut self,
        pid: Pid,
        topic: &Name,
        partition: i32,
        reader: Reader,
        at: Nanos,
    ) -> bool {
        let Some(known) = self.known(pid, topic, partition) else {
            return false;
        };
        known.clients.retain(|(client, last)| {
            *client != reader.client_id && last.saturating_add(TOGETHER) > at
        });
        if known.clients.len() < CLIENTS_MOST {
            known.clients.push((Arc::clone(&reader.client_id), at));
        }
        let reader = match known.clients.len() {
            1 => reader,
            _ => Reader {
                client_id: "".into(),
                group: "".into(),
                ..reader
            },
        };
        if known.reader.as_ref() == Some(&reader) {
            return false;
        }
        known.reader = Some(reader);
        if let Some(of) = self.processes.get_mut(&pid) {
            of.given_up.remove(&(Arc::clone(topic), partition));
        }
        true
    }

    pub fn get(&self, pid: Pid, topic: &Name, partition: i32) -> Option<&Reader> {
        let known = self
            .processes
            .get(&pid)?
            .topics
            .get(&(Arc::clone(topic), partition));
        known?.reader.as_ref()
    }

    /// False: its labels may still become known.
    pub fn is_settled(&self, pid: Pid, topic: &Name, partition: i32) -> bool {
        self.get(pid, topic, partition).is_some()
            || self
                .processes
                .get(&pid)
                .is_none_or(|of| of.given_up.contains_key(&(Arc::clone(topic), partition)))
    }

    /// What is said of this partition does not wait again.
    pub fn give_up(&mut self, pid: Pid, topic: &Name, partition: i32) {
        if let Some(of) = self.processes.get_mut(&pid)
            && of.given_up.len() < MOST
        {
            of.given_up
                .entry((Arc::clone(topic), partition))
                .or_default();
        }
    }

    /// A hand-over was told without its reader's name: an answer that is read off as its messages are handed over is not whole yet.
    pub fn told_nameless(
        &mut self,
        pid: Pid,
        (topic, partition): (&Name, i32),
        (first, last): (i64, i64),
        count: u32,
    ) {
        let of = self.processes.get_mut(&pid);
        let nameless = of.and_then(|of| of.given_up.get_mut(&(Arc::clone(topic), partition)));
        let Some(nameless) = nameless else {
            return;
        };
        if nameless.count == 0 {
            nameless.first = first;
        }
        nameless.first = nameless.first.min(first);
        nameless.next = nameless.next.max(last.saturating_add(1));
        nameless.count = nameless.count.saturating_add(u64::from(count));
    }

    /// The only topic of which the process fetched this offset.
    pub fn topic_of(&self, pid: Pid, partition: i32, offset: i64) -> Option<Name> {
        let of = self.processes.get(&pid)?;
        let mut found = None;
        for topic in of.by_partition.get(&partition)? {
            let known = of.topics.get(&(Arc::clone(topic), partition));
            let fetched = known.and_then(|known| known.fetched);
            if fetched.is_some_and(|(first, next)| (first..next).contains(&offset)) {
                if found.is_some() {
                    return None;
                }
                found = Some(Arc::clone(topic));
            }
        }
        found
    }

    /// Entries, and at most.
    pub fn table(&self) -> (&'static str, usize, usize) {
        ("processing_readers", self.partitions, MOST)
    }

    fn known(&mut self, pid: Pid, topic: &Name, partition: i32) -> Option<&mut Known> {
        let of = self.processes.get_mut(&pid)?;
        let key = (Arc::clone(topic), partition);
        if !of.topics.contains_key(&key) {
            if self.partitions >= MOST {
                return None;
            }
            self.partitions += 1;
            let topics = of.by_partition.entry(partition).or_default();
            topics.insert(Arc::clone(topic));
        }
        let new = || Known {
            current: Current::new(of.away),
            ..Known::default()
        };
        Some(of.topics.entry(key).or_insert_with(new))
    }
}

impl OfProcess {
    fn outdated(&mut self, now: Nanos) -> Vec<Outdated> {
        let outdated = |((topic, partition), known): (&(Name, i32), &mut Known)| {
            Some(Outdated {
                told: known.current.expires(now)?,
                reader: known.reader.clone()?,
                topic: Arc::clone(topic),
                partition: *partition,
            })
        };
        self.topics.iter_mut().filter_map(outdated).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(client_id: &str) -> Reader {
        Reader {
            cluster: "c".into(),
            client_id: client_id.into(),
            group: "g".into(),
        }
    }

    #[test]
    fn a_topic_is_found_by_what_was_fetched() {
        let mut readers = Readers::default();
        let (orders, audit): (Name, Name) = ("orders".into(), "audit".into());
        assert!(!readers.fetched(7, &orders, 0, (5, 10), 5), "not watched");
        readers.watch(7);
        readers.fetched(7, &orders, 0, (5, 10), 5);
        readers.fetched(7, &orders, 0, (10, 20), 10);
        assert_eq!(readers.topic_of(7, 0, 5), Some(Arc::clone(&orders)));
        assert_eq!(readers.topic_of(7, 0, 20), None);
        assert_eq!(readers.topic_of(7, 1, 5), None);
        readers.fetched(7, &audit, 0, (18, 40), 22);
        assert_eq!(readers.topic_of(7, 0, 19), None, "nobody can tell");
        assert_eq!(readers.topic_of(7, 0, 30), Some(audit));
        readers.fetched(7, &orders, 0, (100, 110), 10);
        assert_eq!(readers.topic_of(7, 0, 5), None, "read elsewhere now");
        readers.forget(7);
        assert_eq!(readers.table().1, 0);
    }

    #[test]
    fn what_was_told_without_a_name_is_not_counted_again() {
        let mut readers = Readers::default();
        let orders: Name = "orders".into();
        let place = (&orders, 0);
        readers.watch(7);
        readers.told_nameless(7, place, (0, 9), 10);
        readers.give_up(7, &orders, 0);
        readers.told_nameless(7, place, (5, 5), 1);
        readers.told_nameless(7, place, (6, 7), 2);
        readers.fetched(7, &orders, 0, (5, 105), 100);
        readers.learn(7, &orders, 0, reader("a"), 1);
        let unseen = readers.handed(7, place, (25, 25), 1, Some(Some(8)));
        assert_eq!((unseen.count, unseen.more), (17, false), "of 20 before it");
        readers.fetched(7, &orders, 0, (105, 205), 100);
        let unseen = readers.handed(7, place, (46, 46), 1, Some(Some(26)));
        assert_eq!((unseen.count, unseen.more), (20, false));
    }

    #[test]
    fn two_readers_of_a_partition_have_no_name() {
        let mut readers = Readers::default();
        let orders: Name = "orders".into();
        readers.watch(7);
        assert!(!readers.is_settled(7, &orders, 0));
        assert!(readers.learn(7, &orders, 0, reader("a"), 1));
        assert!(!readers.learn(7, &orders, 0, reader("a"), 2));
        assert_eq!(readers.get(7, &orders, 0), Some(&reader("a")));
        readers.learn(7, &orders, 0, reader("b"), 3);
        let name = readers.get(7, &orders, 0).map(|reader| &*reader.client_id);
        assert_eq!(name, Some(""));
        readers.learn(7, &orders, 0, reader("b"), 4 + TOGETHER);
        assert_eq!(readers.get(7, &orders, 0), Some(&reader("b")));
    }
}
