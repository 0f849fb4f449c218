//! Who writes and who reads a topic. In: exchanges, and what is said of producers; out: [`report::Topics`] when asked.
//!
//! Bounded: of (topic, process, client id) beyond the cap the one idle for longest is forgotten and counted. What was idle for ten
//! minutes is not shown.

pub mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::{Nanos, Pid};
use kafka_analyzer::observation::{Exchange, Producer};
use lru::LruCache;

use super::flow::{self, Window};
use super::{IDLE, Name, Store, TopicState, entry, wire_bytes};
use crate::export::filter::Filter;
use crate::export::processes::Processes;
use report::{Consumer, Partition, SCHEMA, Topic, Topics, User, Writes};

const USERS: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

pub(super) static HOST: LazyLock<String> = LazyLock::new(|| {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
});

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Producer,
    Consumer,
}

/// Cluster, topic, process, client id.
type Key = (Name, Name, Pid, Name, Role);

#[derive(Debug, Default)]
struct UserState {
    seen: Nanos,
    flow: Window,
    /// "": none, or not known.
    group: Name,
    writes: Option<Producer>,
}

#[derive(Debug)]
struct State {
    users: LruCache<Key, UserState>,
    forgotten: u64,
}

#[derive(Debug)]
pub struct Users(Mutex<State>);

impl Default for Users {
    fn default() -> Self {
        Users(Mutex::new(State {
            users: LruCache::new(USERS),
            forgotten: 0,
        }))
    }
}

impl Users {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn exchange(&self, x: &Exchange, filter: &Filter) {
        let produced = x.produced.iter().filter(|p| filter.topic(&p.topic));
        let fetched = x.fetched.iter().filter(|p| filter.both(&x.group, &p.topic));
        let mut sums: BTreeMap<(&Name, bool), (u64, u64)> = BTreeMap::new();
        for p in produced {
            let sum = sums.entry((&p.topic, true)).or_default();
            if p.error.is_none() {
                sum.0 += p.batches.records.iter().map(|n| u64::from(*n)).sum::<u64>();
                sum.1 += wire_bytes(&p.batches);
            }
        }
        for p in fetched {
            let sum = sums.entry((&p.topic, false)).or_default();
            *sum = (sum.0 + p.records, sum.1 + wire_bytes(&p.batches));
        }
        if sums.is_empty() {
            return;
        }
        let mut state = self.state();
        for ((topic, produces), (records, bytes)) in sums {
            let role = if produces {
                Role::Producer
            } else {
                Role::Consumer
            };
            let key = (
                x.cluster.clone(),
                topic.clone(),
                x.pid,
                x.client_id.clone(),
                role,
            );
            let user = state.user(key, x.origin.time);
            user.flow.add(x.origin.time, records, bytes);
            if !produces && !x.group.is_empty() {
                user.group = x.group.clone();
            }
        }
    }

    pub fn producer(&self, p: &Producer) {
        let key = (
            p.cluster.clone(),
            p.topic.clone(),
            p.pid,
            p.client_id.clone(),
            Role::Producer,
        );
        let mut state = self.state();
        state.user(key, p.origin.time).writes = Some(p.clone());
    }

    /// What each client reads and writes.
    pub(super) fn by_client(&self) -> HashMap<(Pid, Name), Uses> {
        let mut uses: HashMap<(Pid, Name), Uses> = HashMap::new();
        for ((_, topic, pid, client_id, _), user) in &self.state().users {
            let of_client = uses.entry((*pid, client_id.clone())).or_default();
            if !user.group.is_empty() {
                of_client.groups.insert(user.group.to_string());
            }
            if let Some(producer) = &user.writes {
                of_client.writes.push((topic.to_string(), writes(producer)));
            }
        }
        uses
    }
}

/// What one client reads and writes.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) groups: BTreeSet<String>,
    /// By topic.
    pub(super) writes: Vec<(String, Writes)>,
}

impl State {
    fn user(&mut self, key: Key, now: Nanos) -> &mut UserState {
        let user = entry(
            &mut self.users,
            key,
            &mut self.forgotten,
            UserState::default,
        );
        user.seen = user.seen.max(now);
        user
    }
}

fn mean(sum: u64, n: u64) -> Option<f64> {
    (n > 0).then(|| (sum as f64 / n as f64 * 10.0).round() / 10.0)
}

fn writes(p: &Producer) -> Writes {
    Writes {
        partitioner: p.partitioner.map(str::to_owned),
        skew: p.skew,
        idempotent: p.idempotent,
        transactional: p.transactional,
        acks: p.acks,
        batches: p.batches,
        records_per_batch: mean(p.records, p.batches),
        bytes_per_batch: mean(p.bytes, p.batches),
        retries: p.retries,
        duplicates: p.duplicates,
    }
}

impl Store {
    /// `now` is in event time.
    pub fn topics(&self, now: Nanos, processes: &Processes) -> Topics {
        let lately = |seen: Nanos| now.saturating_sub(seen) < IDLE;
        let mut topics: BTreeMap<(Name, Name), Topic> = BTreeMap::new();
        let stats = self.state();
        for ((cluster, topic, partition), p) in
            stats.partitions.iter().filter(|(_, p)| lately(p.seen))
        {
            let topic = topics.entry((cluster.clone(), topic.clone())).or_default();
            let (produced, consumed) = (p.produced.flow(now), p.consumed.flow(now));
            topic.produced = topic.produced.plus(&produced);
            topic.consumed = topic.consumed.plus(&consumed);
            topic.partitions.push(Partition {
                partition: *partition,
                high_watermark: p.high_watermark,
                produced,
                consumed,
            });
        }
        for ((cluster, topic), t) in stats.topics.iter().filter(|(_, t)| lately(t.seen)) {
            let shown = topics.entry((cluster.clone(), topic.clone())).or_default();
            shown.compression_ratio = ratio(t);
        }
        let software =
            |pid: Pid, client_id: &Name| stats.clients.peek(&(pid, client_id.clone()))?.software();
        let users = self.users.state();
        for ((cluster, topic, pid, client_id, role), user) in
            users.users.iter().filter(|(_, user)| lately(user.seen))
        {
            let topic = topics.entry((cluster.clone(), topic.clone())).or_default();
            let process = processes.get(*pid);
            let who = User {
                service: process.service.to_string(),
                pid: *pid,
                client_id: client_id.to_string(),
                host: HOST.clone(),
                container_id: process.container_id.as_ref().map(ToString::to_string),
                software: software(*pid, client_id),
                flow: user.flow.flow(now),
            };
            match role {
                Role::Producer => topic.producers.push(report::Producer {
                    user: who,
                    writes: user.writes.as_ref().map(writes),
                }),
                Role::Consumer => topic.consumers.push(Consumer {
                    user: who,
                    group: (!user.group.is_empty()).then(|| user.group.to_string()),
                }),
            }
        }
        let order = |user: &User| (user.service.clone(), user.pid, user.client_id.clone());
        let topics = topics.into_iter().map(|((cluster, name), mut topic)| {
            topic.partitions.sort_by_key(|p| p.partition);
            topic.producers.sort_by_key(|p| order(&p.user));
            topic.consumers.sort_by_key(|c| order(&c.user));
            Topic {
                cluster: cluster.to_string(),
                topic: name.to_string(),
                ..topic
            }
        });
        Topics {
            schema: SCHEMA.to_owned(),
            window_seconds: flow::WINDOW_SECONDS,
            topics: topics.collect(),
            forgotten: users.forgotten,
        }
    }
}

/// With two decimals.
fn ratio(topic: &TopicState) -> Option<f64> {
    let (sum, n) = topic.ratios;
    (n > 0).then(|| (sum / n as f64 * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests;
