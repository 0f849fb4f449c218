//! Recent state behind `obi kafka ...`. In: observations; out: one report for each question. [`Stats`] is made here.
//!
//! Bounded: of clients, topics and partitions beyond their caps the one idle for longest is forgotten and counted. What was idle
//! for ten minutes is not shown.

pub mod clients;
pub mod events;
pub mod flow;
pub mod groups;
pub mod latency;
pub mod stats;
pub mod topics;
pub mod traces;
pub mod transactions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::{ConnectionId, Nanos, Pid};
use kafka_analyzer::observation::{Batches, Client, Exchange, PartitionProgress};
use lru::LruCache;

use crate::export::filter::Filter;
use crate::export::processes::Processes;
use crate::export::registry::Clocks;
use flow::Window;
use groups::report::Groups;
use latency::Latency;
use stats::{Agent, ClientStats, PartitionStats, SCHEMA, Stats, TopicStats};

const CLIENTS: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();
const TOPICS: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();
const PARTITIONS: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// Open connections remembered of one client.
const CONNECTIONS: usize = 256;
/// APIs told apart of one client: all that there are, and some whose number is not known.
const APIS: usize = 128;
const IDLE: Nanos = 600 * 1_000_000_000;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
/// Share groups (KIP-932).
const SHARE_FETCH: i16 = 78;

type Name = Arc<str>;

#[derive(Debug)]
struct ClientState {
    seen: Nanos,
    cluster: Name,
    software: Option<(String, String)>,
    source: Option<&'static str>,
    mechanism: Option<String>,
    open: HashMap<ConnectionId, Option<String>>,
    requests: u64,
    produced: Window,
    consumed: Window,
    errors: BTreeMap<&'static str, u64>,
    apis: BTreeMap<Name, Api>,
    produce: Latency,
    fetch: Latency,
}

/// What a client did with one API.
#[derive(Debug, Default)]
struct Api {
    requests: u64,
    errors: BTreeMap<&'static str, u64>,
    throttled_ms: u64,
}

#[derive(Debug, Default)]
struct TopicState {
    seen: Nanos,
    record_bytes: u64,
    records_sized: u64,
    /// Sum and number.
    ratios: (f64, u64),
    errors: BTreeMap<&'static str, u64>,
    produce: Latency,
}

#[derive(Debug, Default)]
struct PartitionState {
    seen: Nanos,
    high_watermark: Option<i64>,
    produced: Window,
    consumed: Window,
}

#[derive(Debug)]
struct State {
    clients: LruCache<(Pid, Name), ClientState>,
    topics: LruCache<(Name, Name), TopicState>,
    partitions: LruCache<(Name, Name, i32), PartitionState>,
    forgotten: u64,
}

/// Never more than one of its locks is taken by what comes in.
#[derive(Debug, Default)]
pub struct Store {
    stats: Mutex<State>,
    pub groups: groups::Table,
    pub users: topics::Users,
    pub transactions: transactions::Table,
    pub events: events::Recent,
    pub traces: traces::Table,
}

impl Default for State {
    fn default() -> Self {
        State {
            clients: LruCache::new(CLIENTS),
            topics: LruCache::new(TOPICS),
            partitions: LruCache::new(PARTITIONS),
            forgotten: 0,
        }
    }
}

/// The entry of `key`, made when absent; a full table forgets its oldest.
fn entry<'a, K: std::hash::Hash + Eq + Clone, V>(
    table: &'a mut LruCache<K, V>,
    key: K,
    forgotten: &mut u64,
    new: impl FnOnce() -> V,
) -> &'a mut V {
    if !table.contains(&key) && table.len() == table.cap().get() {
        *forgotten += 1;
    }
    table.get_or_insert_mut(key, new)
}

fn wire_bytes(batches: &Batches) -> u64 {
    batches.bytes.iter().map(|(_, n)| n).sum()
}

impl ClientState {
    /// As the client names itself.
    fn software(&self) -> Option<String> {
        let (name, version) = self.software.as_ref()?;
        Some(format!("{name} {version}").trim().to_owned())
    }
}

impl State {
    /// By cluster, topic and partition.
    fn high_watermarks(&self) -> HashMap<(Name, Name, i32), i64> {
        let known = self.partitions.iter();
        known
            .filter_map(|(key, p)| Some((key.clone(), p.high_watermark?)))
            .collect()
    }

    fn client(
        &mut self,
        pid: Pid,
        client_id: &Name,
        cluster: &Name,
        now: Nanos,
    ) -> &mut ClientState {
        let client = entry(
            &mut self.clients,
            (pid, client_id.clone()),
            &mut self.forgotten,
            || ClientState {
                seen: now,
                cluster: cluster.clone(),
                software: None,
                source: None,
                mechanism: None,
                open: HashMap::new(),
                requests: 0,
                produced: Window::default(),
                consumed: Window::default(),
                errors: BTreeMap::new(),
                apis: BTreeMap::new(),
                produce: Latency::default(),
                fetch: Latency::default(),
            },
        );
        client.seen = now;
        client.cluster = cluster.clone();
        client
    }

    fn partition(
        &mut self,
        cluster: &Name,
        topic: &Name,
        partition: i32,
        now: Nanos,
    ) -> &mut PartitionState {
        let key = (cluster.clone(), topic.clone(), partition);
        let state = entry(
            &mut self.partitions,
            key,
            &mut self.forgotten,
            PartitionState::default,
        );
        state.seen = now;
        state
    }

    fn topic(&mut self, cluster: &Name, topic: &Name, now: Nanos) -> &mut TopicState {
        let state = entry(
            &mut self.topics,
            (cluster.clone(), topic.clone()),
            &mut self.forgotten,
            TopicState::default,
        );
        state.seen = now;
        state
    }

    fn batches(
        &mut self,
        x: &Exchange,
        topic: &Name,
        batches: &Batches,
        error: Option<&'static str>,
    ) {
        let state = self.topic(&x.cluster, topic, x.origin.time);
        state.record_bytes += batches.exact.sum + batches.average.sum;
        state.records_sized += batches.exact.count + batches.average.count;
        for (_, ratio) in &batches.ratios {
            state.ratios = (state.ratios.0 + ratio, state.ratios.1 + 1);
        }
        if let Some(error) = error {
            *state.errors.entry(error).or_default() += 1;
        }
    }
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn exchange(&self, x: &Exchange, filter: &Filter) {
        self.users.exchange(x, filter);
        self.consumed(x, filter);
        let now = x.origin.time;
        let duration = x.response_bytes.map(|_| x.ended.saturating_sub(x.began));
        let mut state = self.state();
        let (mut out, mut inward) = ((0, 0), (0, 0));
        let mut timed = BTreeSet::new();
        for p in x.produced.iter().filter(|p| filter.topic(&p.topic)) {
            state.batches(x, &p.topic, &p.batches, p.error);
            if p.error.is_none() {
                let records = p.batches.records.iter().map(|n| u64::from(*n)).sum();
                let bytes = wire_bytes(&p.batches);
                state
                    .partition(&x.cluster, &p.topic, p.partition, now)
                    .produced
                    .add(now, records, bytes);
                out = (out.0 + records, out.1 + bytes);
            }
            if let (Some(duration), true) = (duration, timed.insert(&p.topic)) {
                state
                    .topic(&x.cluster, &p.topic, now)
                    .produce
                    .add(now, duration);
            }
        }
        for p in x.fetched.iter().filter(|p| filter.both(&x.group, &p.topic)) {
            state.batches(x, &p.topic, &p.batches, p.error);
            let bytes = wire_bytes(&p.batches);
            state
                .partition(&x.cluster, &p.topic, p.partition, now)
                .consumed
                .add(now, p.records, bytes);
            inward = (inward.0 + p.records, inward.1 + bytes);
        }
        let client = state.client(x.pid, &x.client_id, &x.cluster, now);
        client.requests += 1;
        client.produced.add(now, out.0, out.1);
        client.consumed.add(now, inward.0, inward.1);
        if let Some(error) = x.error {
            *client.errors.entry(error).or_default() += 1;
        }
        if client.apis.len() < APIS || client.apis.contains_key(&x.api) {
            let api = client.apis.entry(x.api.clone()).or_default();
            api.requests += 1;
            api.throttled_ms += u64::from(x.throttle_ms.unwrap_or(0));
            if let Some(error) = x.error {
                *api.errors.entry(error).or_default() += 1;
            }
        }
        match (x.api_key, duration) {
            (PRODUCE, Some(duration)) => client.produce.add(now, duration),
            (FETCH | SHARE_FETCH, Some(duration)) => client.fetch.add(now, duration),
            _ => {}
        }
    }

    /// Records that a group received.
    fn consumed(&self, x: &Exchange, filter: &Filter) {
        if x.group.is_empty() || !filter.group(&x.group) {
            return;
        }
        for p in x.fetched.iter().filter(|p| filter.topic(&p.topic)) {
            self.groups.consumed(x, p);
        }
    }

    pub fn client(&self, c: &Client) {
        let mut state = self.state();
        let client = state.client(c.pid, &c.client_id, &c.cluster, c.origin.time);
        client.software = c.software.clone().or(client.software.take());
        client.mechanism = c.mechanism.clone().or(client.mechanism.take());
        client.source = Some(c.source);
        if c.closed {
            client.open.remove(&c.origin.connection);
        } else if client.open.len() < CONNECTIONS {
            client
                .open
                .insert(c.origin.connection, c.server.map(|s| s.to_string()));
        }
    }

    /// The answer to `obi kafka groups`.
    pub fn groups(&self, now: Clocks, filter: &Filter, processes: &Processes) -> Groups {
        let high_watermarks = self.state().high_watermarks();
        self.groups.report(now, filter, processes, &high_watermarks)
    }

    pub fn progress(&self, p: &PartitionProgress) {
        if p.high_watermark.is_some() {
            let mut state = self.state();
            state
                .partition(&p.cluster, &p.topic, p.partition, p.origin.time)
                .high_watermark = p.high_watermark;
        }
    }

    /// Everything seen in the last ten minutes, and every client with an open connection. `now` is in event time.
    pub fn stats(&self, now: Nanos, agent: Agent, processes: &Processes) -> Stats {
        let state = self.state();
        let lately = |seen: Nanos| now.saturating_sub(seen) < IDLE;
        let clients = state
            .clients
            .iter()
            .filter(|(_, c)| lately(c.seen) || !c.open.is_empty());
        let mut clients: Vec<ClientStats> = clients
            .map(|((pid, id), c)| client_stats(*pid, id, c, now, processes))
            .collect();
        clients.sort_by(|a, b| {
            (&a.service, a.pid, &a.client_id).cmp(&(&b.service, b.pid, &b.client_id))
        });
        let mut partitions: Vec<PartitionStats> = Vec::new();
        let mut sums: HashMap<(&Name, &Name), (u64, flow::Flow, flow::Flow)> = HashMap::new();
        for ((cluster, topic, partition), p) in
            state.partitions.iter().filter(|(_, p)| lately(p.seen))
        {
            let (produced, consumed) = (p.produced.flow(now), p.consumed.flow(now));
            let sum = sums.entry((cluster, topic)).or_default();
            *sum = (sum.0 + 1, sum.1.plus(&produced), sum.2.plus(&consumed));
            partitions.push(PartitionStats {
                cluster: cluster.to_string(),
                topic: topic.to_string(),
                partition: *partition,
                high_watermark: p.high_watermark,
                produced,
                consumed,
            });
        }
        partitions.sort_by(|a, b| {
            (&a.cluster, &a.topic, a.partition).cmp(&(&b.cluster, &b.topic, b.partition))
        });
        let mut topics: Vec<TopicStats> = Vec::new();
        for ((cluster, topic), t) in state.topics.iter().filter(|(_, t)| lately(t.seen)) {
            let (count, produced, consumed) = sums.remove(&(cluster, topic)).unwrap_or_default();
            topics.push(TopicStats {
                cluster: cluster.to_string(),
                topic: topic.to_string(),
                partitions: count,
                produced,
                consumed,
                mean_record_bytes: (t.records_sized > 0).then(|| {
                    (t.record_bytes as f64 / t.records_sized as f64 * 10.0).round() / 10.0
                }),
                errors: named(&t.errors),
                produce_latency: t.produce.quantiles(now),
            });
        }
        topics.sort_by(|a, b| (&a.cluster, &a.topic).cmp(&(&b.cluster, &b.topic)));
        Stats {
            schema: SCHEMA.to_owned(),
            agent,
            window_seconds: flow::WINDOW_SECONDS,
            clients,
            topics,
            partitions,
            hooks: Vec::new(),
            forgotten: state.forgotten,
        }
    }
}

fn named(errors: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    errors
        .iter()
        .map(|(name, n)| ((*name).to_owned(), *n))
        .collect()
}

fn client_stats(
    pid: Pid,
    id: &Name,
    c: &ClientState,
    now: Nanos,
    processes: &Processes,
) -> ClientStats {
    let servers: BTreeSet<String> = c.open.values().flatten().cloned().collect();
    ClientStats {
        service: processes.get(pid).service.to_string(),
        pid,
        client_id: id.to_string(),
        cluster: c.cluster.to_string(),
        software: c.software(),
        source: c.source.map(str::to_owned),
        mechanism: c.mechanism.clone(),
        servers: servers.into_iter().collect(),
        connections: c.open.len() as u64,
        requests: c.requests,
        produced: c.produced.flow(now),
        consumed: c.consumed.flow(now),
        errors: named(&c.errors),
        produce_latency: c.produce.quantiles(now),
        fetch_latency: c.fetch.quantiles(now),
    }
}

#[cfg(test)]
mod tests;
