//! The model thread's part. In: facts of the whole node in the order of the merge; out: observations with their final labels.
//!
//! A fact whose labels are not known yet (the name of a topic id, the cluster) waits up to 5 s of event time in a bounded table; then it goes
//! with `id:<uuid>` or `unknown` for good, and later ones do not wait again for the same label. What is learnt holds for all later facts.
//! Counting happened before; nothing is summed up here.

mod clusters;
mod commits;
mod consumers;
mod groups;
mod hear;
mod lag;
mod processing;
mod producers;
mod requests;
mod security;
mod spans;
mod topics;
mod transactions;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_wire::api;

use crate::capture::{ConnectionId, Nanos, Pid, Task};
use crate::fact::{self, Detail, Fact, Queried, Says, Served};
use crate::losses::Losses;
use crate::observation::{
    self, CaptureGap, EventKind, Exchange, FetchedPartition, Observation, Origin,
    ProducedPartition, SpanKind, Unsupported,
};
use crate::settings::Settings;

use clusters::Clusters;
use commits::Commits;
use consumers::Consumers;
use groups::Groups;
use hear::{assigns, consumes, shares};
use lag::Lags;
use processing::Processing;
use producers::Producers;
use requests::{Cause, Requests};
use spans::Spans;
use topics::Topics;
use transactions::{Seen, Transactions};

/// How long a fact waits for its labels.
const PATIENCE: Nanos = 5_000_000_000;
/// Facts that wait, and memory of the records kept in them.
const WAITING_MOST: usize = 8192;
const WAITING_BYTES_MOST: usize = 16 << 20;
/// Of an element of a `Detail`, about.
const DETAIL_BYTES: usize = 64;
/// The cluster of what did not learn its own in time.
const UNKNOWN: &str = "unknown";
/// Topics whose number of partitions is remembered.
const TOPICS_MOST: usize = 100_000;
const SECOND: Nanos = 1_000_000_000;
/// See [`Model::tick`].
const STEP: Nanos = SECOND / 10;
/// Connections whose socket is remembered.
const CONNECTIONS_MOST: usize = 65_536;

/// Names that are kept over a restart (state directory).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LearntNames {
    /// (topic id in Kafka's text form, name), sorted.
    pub topics: Vec<(String, String)>,
    /// (broker address, cluster id), sorted.
    pub clusters: Vec<(SocketAddr, String)>,
}

#[derive(Debug)]
pub struct Model {
    settings: Settings,
    topics: Topics,
    clusters: Clusters,
    /// The other end of each connection, where it became known later than its first facts.
    servers: HashMap<ConnectionId, SocketAddr>,
    /// Connections whose cluster did not become known in time.
    given_up: HashSet<ConnectionId>,
    /// Closed ones, and when; their facts may still wait.
    closed: VecDeque<(Nanos, ConnectionId)>,
    waiting: VecDeque<Fact>,
    waiting_bytes: usize,
    producers: Producers,
    consumers: Consumers,
    groups: Groups,
    commits: Commits,
    lags: Lags,
    /// Partitions of topics, to see when they change.
    partition_counts: HashMap<(Arc<str>, Arc<str>), u32>,
    /// When the partitions of a fetch session were confirmed last.
    confirmed: HashMap<ConnectionId, Nanos>,
    /// When what changed is said next.
    next_tick: Nanos,
    spans: Spans,
    transactions: Transactions,
    processing: Processing,
    requests: Requests,
    losses: Losses,
}

/// Labels of a fact.
#[derive(Clone, Debug)]
struct Labels {
    origin: Origin,
    pid: Pid,
    cluster: Arc<str>,
    client_id: Arc<str>,
    server: Option<SocketAddr>,
}

impl Model {
    pub fn new(settings: &Settings) -> Model {
        Model {
            settings: settings.clone(),
            topics: Topics::default(),
            clusters: Clusters::default(),
            servers: HashMap::new(),
            given_up: HashSet::new(),
            closed: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            producers: Producers::default(),
            consumers: Consumers::default(),
            groups: Groups::default(),
            commits: Commits::default(),
            lags: Lags::default(),
            partition_counts: HashMap::new(),
            confirmed: HashMap::new(),
            next_tick: 0,
            spans: Spans::new(settings),
            transactions: Transactions::new(settings),
            processing: Processing::default(),
            requests: Requests::new(settings),
            losses: Losses::default(),
        }
    }

    /// Eats the next fact of the merge.
    pub fn fact(&mut self, mut fact: Fact, out: &mut Vec<Observation>) {
        self.advance(fact.known, out);
        fact.leave_closed();
        let (origin, pid) = (fact.origin, fact.pid);
        match &fact.says {
            Says::Topics(topics) => {
                self.losses
                    .add("topic_table_full", self.topics.learn(topics));
                self.retry(out);
            }
            Says::Cluster {
                id,
                client_id,
                server,
                brokers,
            } => {
                let server = server.or_else(|| self.servers.get(&origin.connection).copied());
                self.clusters.learn(
                    id,
                    origin.connection,
                    pid,
                    client_id,
                    server.iter().chain(brokers),
                );
                self.retry(out);
            }
            Says::Client(client) => {
                self.bind(origin.connection, client);
                if client.closed {
                    self.closed.push_back((fact.known, origin.connection));
                    self.groups.closed(origin.connection, fact.known);
                }
                self.retry(out);
                self.resolve_or_wait(fact, out);
            }
            Says::PartitionCounts {
                client_id,
                server,
                topics,
            } => {
                let cluster = self.cluster(&fact, client_id, *server).cloned();
                if let Some(cluster) = &cluster {
                    self.counted(cluster, topics, fact.known);
                }
                let cluster = cluster.unwrap_or_else(|| UNKNOWN.into());
                let refused = self.producers.counts(&cluster, topics);
                self.losses.add("topic_table_full", refused);
            }
            Says::Exchange(exchange) => {
                if self.meet(pid, exchange, fact.known) {
                    self.retry(out);
                }
                if assigns(exchange) {
                    self.processing.reassigned(pid);
                }
                if consumes(exchange) || shares(exchange) {
                    let (processing, losses) = (&mut self.processing, &mut self.losses);
                    processing.fetched(pid, exchange, &self.topics, losses);
                }
                self.resolve_or_wait(fact, out);
            }
            Says::AuthenticationFailed(_) => self.resolve_or_wait(fact, out),
            Says::Unsupported {
                api_key,
                api_version,
                reason,
            } => {
                let (api, api_version) = (api_name(*api_key), *api_version);
                out.push(Observation::Unsupported(Unsupported {
                    origin,
                    pid,
                    api,
                    api_version,
                    reason,
                }));
            }
            Says::Call(call) => self.processing.call(call, &mut self.losses),
            Says::Window(window) => self.processing.window(pid, *window, &mut self.losses),
            Says::Exited => {
                self.processing.exited(pid, fact.known, &mut self.losses);
                self.requests.exited(pid);
            }
            Says::Begun(begun) => self.requests.begun(origin, pid, begun, &mut self.losses),
            Says::Served(served) => {
                let served = Served::clone(served);
                let losses = &mut self.losses;
                out.extend(self.requests.served(origin, pid, served, losses));
            }
            Says::Queried(queried) => {
                let cause = self.cause(pid, queried.task, None, queried.call.asked.first.began);
                let queried = Queried::clone(queried);
                out.extend(self.requests.queried(origin, pid, queried, cause));
            }
            Says::Gap { reason, bytes } => {
                out.push(Observation::CaptureGap(CaptureGap {
                    origin,
                    pid,
                    reason: *reason,
                    bytes: *bytes,
                }));
            }
        }
        self.say_processing(out);
    }

    /// All facts up to `now` were eaten ([`crate::Merge::watermark`]): lets waiting labels go on.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        loop {
            let after = |time: Nanos| time.saturating_add(PATIENCE);
            let release = self.waiting.front().map(|fact| after(fact.known));
            let close = self.closed.front().map(|(closed, _)| after(*closed));
            let Some(due) = release.into_iter().chain(close).min() else {
                break;
            };
            if due > now {
                break;
            }
            self.transactions.advance(due, out);
            self.producers.advance(due, out);
            self.advance_processing(due, out);
            if release == Some(due) {
                self.release(out);
            } else if let Some((_, connection)) = self.closed.pop_front() {
                self.clusters.forget(connection);
                self.servers.remove(&connection);
                self.given_up.remove(&connection);
                self.confirmed.remove(&connection);
                self.groups.forget(connection);
                self.transactions.closed(connection, due);
            }
        }
        self.transactions.advance(now, out);
        self.producers.advance(now, out);
        self.say_processing(out);
        self.advance_processing(now, out);
        self.tick(now, out);
    }

    /// Says what changed, each second of event time for itself; what is too much for once follows in the tenths of that second.
    fn tick(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while now > self.next_tick {
            // After a pause one second stands for all.
            let tick = self
                .next_tick
                .max(now.saturating_sub(SECOND) / SECOND * SECOND);
            self.next_tick = tick.saturating_add(STEP);
            if !tick.is_multiple_of(SECOND) {
                self.lags.say(tick, out);
            } else if tick > 0 {
                self.say_changes(tick, out);
            }
        }
    }

    fn say_changes(&mut self, time: Nanos, out: &mut Vec<Observation>) {
        let groups = &self.groups;
        self.lags.tick(time, &|group| groups.is_live(group), out);
        self.groups.tick(time, out);
        self.consumers.expire(time.saturating_sub(lag::RETENTION));
        self.processing.sweep(time, &mut self.losses);
        self.requests.advance(time, &mut self.losses);
        self.say_processing(out);
    }

    /// The capture ended: what still waits goes out with the labels there are.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        while !self.waiting.is_empty() {
            self.release(out);
        }
        self.transactions.finish(out);
        self.producers.finish(out);
        self.finish_processing(out);
        let end = self.next_tick.checked_next_multiple_of(SECOND);
        let end = end.unwrap_or(self.next_tick);
        self.say_changes(end, out);
        while !self.lags.say(end, out) {}
    }

    /// Topic ids met whose name is not known.
    pub fn unresolved_topics(&self) -> usize {
        self.topics.unresolved()
    }

    pub fn learnt_names(&self) -> LearntNames {
        LearntNames {
            topics: self.topics.export(),
            clusters: self.clusters.export(),
        }
    }

    /// Before the first fact.
    pub fn restore_names(&mut self, names: &LearntNames) {
        self.topics.restore(&names.topics);
        self.clusters.restore(&names.clusters);
    }

    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Tables whose size is in the hands of strangers: entries now, and at most.
    pub fn tables(&self) -> [(&'static str, usize, usize); 11] {
        let [partitions, offsets, names] = self.lags.tables();
        let [groups, members] = self.groups.tables();
        let waiting = ("waiting", self.waiting.len(), WAITING_MOST);
        let [open, told, readers] = self.processing.tables();
        let contexts = self.spans.table();
        [
            waiting,
            partitions,
            offsets,
            names,
            groups,
            members,
            open,
            told,
            readers,
            contexts,
            self.requests.table(),
        ]
    }

    /// What a task did at `time`, it did for this. The one place where that is decided.
    fn cause(&self, pid: Pid, task: Option<Task>, parent: Option<u64>, time: Nanos) -> Cause {
        self.requests.cause(pid, task, parent, time)
    }

    fn bind(&mut self, connection: ConnectionId, client: &fact::Client) {
        if let Some(server) = client.server {
            if self.servers.len() < CONNECTIONS_MOST || self.servers.contains_key(&connection) {
                self.servers.insert(connection, server);
            }
            self.clusters.bind(connection, server);
        }
    }

    fn resolve_or_wait(&mut self, fact: Fact, out: &mut Vec<Observation>) {
        if self.is_resolved(&fact) {
            self.observe(fact, out);
            return;
        }
        if let Says::Exchange(exchange) = &fact.says {
            exchange.each_topic(&mut |topic| self.topics.want(topic));
        }
        self.waiting_bytes += held(&fact);
        self.waiting.push_back(fact);
        while self.waiting.len() > WAITING_MOST || self.waiting_bytes > WAITING_BYTES_MOST {
            self.losses.add("label_table_full", 1);
            self.release(out);
        }
    }

    /// Something was learnt: perhaps some need not wait any more.
    fn retry(&mut self, out: &mut Vec<Observation>) {
        for fact in std::mem::take(&mut self.waiting) {
            if self.is_resolved(&fact) {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(held(&fact));
                self.observe(fact, out);
            } else {
                self.waiting.push_back(fact);
            }
        }
    }

    /// The first one goes with the labels there are.
    fn release(&mut self, out: &mut Vec<Observation>) {
        if let Some(fact) = self.waiting.pop_front() {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(held(&fact));
            self.give_up(&fact);
            self.observe(fact, out);
        }
    }

    /// Later facts do not wait for what this one waited for in vain.
    fn give_up(&mut self, fact: &Fact) {
        let (client_id, server) = match &fact.says {
            Says::Exchange(exchange) => {
                exchange.each_topic(&mut |topic| self.topics.give_up(topic));
                if consumes(exchange) {
                    self.consumers.give_up(fact.pid, &exchange.client_id);
                }
                (&exchange.client_id, exchange.server)
            }
            Says::Client(client) => (&client.client_id, client.server),
            Says::AuthenticationFailed(failure) => (&failure.client_id, failure.server),
            _ => return,
        };
        if self.cluster(fact, client_id, server).is_none() && self.given_up.len() < CONNECTIONS_MOST
        {
            self.given_up.insert(fact.origin.connection);
        }
    }

    fn server(&self, fact: &Fact, server: Option<SocketAddr>) -> Option<SocketAddr> {
        server.or_else(|| self.servers.get(&fact.origin.connection).copied())
    }

    fn is_resolved(&self, fact: &Fact) -> bool {
        let (client_id, server) = match &fact.says {
            Says::Exchange(exchange) => {
                let mut settled = true;
                exchange.each_topic(&mut |topic| settled &= self.topics.is_settled(topic));
                if !settled
                    || (consumes(exchange)
                        && !self.consumers.is_settled(fact.pid, &exchange.client_id))
                {
                    return false;
                }
                (&exchange.client_id, exchange.server)
            }
            Says::Client(client) if !client.closed => (&client.client_id, client.server),
            Says::AuthenticationFailed(failure) => (&failure.client_id, failure.server),
            _ => return true,
        };
        self.given_up.contains(&fact.origin.connection)
            || self.cluster(fact, client_id, server).is_some()
    }

    fn cluster(
        &self,
        fact: &Fact,
        client_id: &Arc<str>,
        server: Option<SocketAddr>,
    ) -> Option<&Arc<str>> {
        self.clusters.find(
            fact.origin.connection,
            fact.pid,
            client_id,
            self.server(fact, server),
        )
    }

    fn observe(&mut self, fact: Fact, out: &mut Vec<Observation>) {
        let (client_id, server) = match &fact.says {
            Says::Exchange(exchange) => (Arc::clone(&exchange.client_id), exchange.server),
            Says::Client(client) => (Arc::clone(&client.client_id), client.server),
            Says::AuthenticationFailed(failure) => (Arc::clone(&failure.client_id), failure.server),
            _ => return,
        };
        let cluster = self
            .cluster(&fact, &client_id, server)
            .cloned()
            .unwrap_or_else(|| UNKNOWN.into());
        let server = self.server(&fact, server);
        let labels = Labels {
            origin: fact.origin,
            pid: fact.pid,
            cluster,
            client_id,
            server,
        };
        match fact.says {
            Says::Exchange(exchange) => self.exchange(labels, *exchange, out),
            Says::AuthenticationFailed(failure) => {
                out.push(Observation::Event(security::event(labels, &failure)));
            }
            Says::Client(client) => out.push(Observation::Client(observation::Client {
                origin: labels.origin,
                pid: labels.pid,
                client_id: labels.client_id,
                cluster: labels.cluster,
                software: client.software,
                mechanism: client.mechanism,
                server: labels.server,
                source: client.source,
                closed: client.closed,
            })),
            _ => {}
        }
    }

    fn exchange(
        &mut self,
        labels: Labels,
        mut exchange: fact::Exchange,
        out: &mut Vec<Observation>,
    ) {
        let is_fetch = matches!(exchange.api_key, api::FETCH | api::SHARE_FETCH)
            && exchange.response_bytes.is_some();
        let fetched_records = (is_fetch && exchange.decoded && !exchange.replica)
            .then(|| exchange.fetched.iter().map(|p| p.records).sum());
        let group = self.group_of(&labels, &exchange);
        let told = out.len();
        self.hear(&labels, &exchange, &group, out);
        self.read_by(&labels, &exchange, &group);
        let mut produced = self.named(std::mem::take(&mut exchange.produced));
        let mut fetched = self.named(std::mem::take(&mut exchange.fetched));
        let consumed = if exchange.replica {
            &mut [][..]
        } else {
            &mut fetched[..]
        };
        self.producers
            .exchange(&labels, &exchange, &produced, &mut self.losses, out);
        out.push(Observation::Exchange(Exchange {
            origin: labels.origin,
            pid: labels.pid,
            cluster: Arc::clone(&labels.cluster),
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(&group),
            api_key: exchange.api_key,
            api: api_name(exchange.api_key),
            api_version: exchange.api_version,
            correlation_id: exchange.correlation_id,
            began: exchange.began,
            ended: exchange.ended,
            request_bytes: exchange.request_bytes,
            response_bytes: exchange.response_bytes,
            error: exchange.error,
            throttle_ms: exchange.throttle_ms,
            server: labels.server,
            produced: produced.iter_mut().map(produced_partition).collect(),
            fetched: consumed.iter_mut().map(fetched_partition).collect(),
            fetched_records,
        }));
        let consumed = fetched.iter().filter(|_| !exchange.replica);
        for (_, partition) in produced.iter().chain(consumed) {
            let uncounted = partition
                .samples
                .iter()
                .filter(|sample| sample.is_uncounted());
            self.losses
                .add("batch_not_counted", uncounted.count() as u64);
        }
        let spans = out.len();
        if self.settings.spans {
            self.spans.produced(&labels, &exchange, &produced, out);
            if !exchange.replica {
                let calls = self.processing.calls(labels.pid, labels.origin.time);
                let of = (&group, calls);
                let gone = self.spans.fetched(&labels, &exchange, of, &fetched, out);
                self.losses.add("span_contexts_full", gone);
            }
            if let Some(Detail::Commit(commit)) = exchange.detail.as_deref() {
                self.spans
                    .committed(&labels, &exchange, commit, &self.topics, out);
                name_span(out, told, spans);
            }
            let unread = self.spans.take_unread();
            // A request that was cut by the end of its connection was never whole.
            if exchange.error != Some("CONNECTION_CLOSED") {
                self.losses.add("batch_not_opened", unread);
            }
        }
        let seen = Seen {
            labels: &labels,
            exchange: &exchange,
            produced: &produced,
            topics: &self.topics,
            spans,
        };
        let ended = self.transactions.exchange(&seen, &mut self.losses, out);
        for of_group in ended {
            let group = &of_group.group;
            for (topic, index, offset) in of_group.offsets {
                let losses = &mut self.losses;
                self.lags
                    .committed(&labels, group, &topic, index, Some(offset), losses);
            }
        }
    }

    fn shows(&self, topic: &str) -> bool {
        self.settings.internal_topics || !topic.starts_with("__")
    }

    /// Partitions with the names of their topics, internal ones left out.
    fn named(&self, partitions: Vec<fact::Partition>) -> Vec<(Arc<str>, fact::Partition)> {
        let named = partitions
            .into_iter()
            .map(|partition| (self.topics.label(&partition.topic), partition));
        named.filter(|(topic, _)| self.shows(topic)).collect()
    }
}

/// A failed commit was told (from `told` on) before its span was made (from `spans` on): the event names it, if it got one.
fn name_span(out: &mut [Observation], told: usize, spans: usize) {
    let Some((before, after)) = out.split_at_mut_checked(spans) else {
        return;
    };
    let mut commits = after.iter().filter_map(|made| match made {
        Observation::Span(span) if span.span == SpanKind::Commit => Some(span),
        _ => None,
    });
    let ids = commits.next().map(|span| (span.trace_id, span.span_id));
    for observation in before.iter_mut().skip(told) {
        if let Observation::Event(event) = observation
            && event.event == EventKind::CommitFailure
        {
            event.span = ids;
        }
    }
}

/// Memory of what waits with a fact, about.
fn held(fact: &Fact) -> usize {
    let detail = match &fact.says {
        Says::Exchange(exchange) => exchange.detail.as_ref().map_or(0, |detail| detail.weight()),
        _ => 0,
    };
    fact.says.held() + detail * DETAIL_BYTES
}

/// Takes the batches: nobody needs them after it.
fn produced_partition((topic, partition): &mut (Arc<str>, fact::Partition)) -> ProducedPartition {
    ProducedPartition {
        topic: Arc::clone(topic),
        partition: partition.index,
        error: partition.error,
        base_offset: partition.base_offset,
        batches: std::mem::take(&mut partition.batches),
    }
}

/// Takes the batches: nobody needs them after it.
fn fetched_partition((topic, partition): &mut (Arc<str>, fact::Partition)) -> FetchedPartition {
    FetchedPartition {
        topic: Arc::clone(topic),
        partition: partition.index,
        error: partition.error,
        fetch_offset: partition.fetch_offset,
        high_watermark: partition.high_watermark,
        records: partition.records,
        redelivered: partition.redelivered,
        batches: std::mem::take(&mut partition.batches),
    }
}

fn api_name(api_key: i16) -> Arc<str> {
    match api::name(api_key) {
        Some(name) => name.into(),
        None => api_key.to_string().into(),
    }
}
