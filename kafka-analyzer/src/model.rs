//! The model thread's part. In: facts of the whole node in the order of the merge; out: observations with their final labels.
//!
//! A fact whose labels are not known yet (the name of a topic id, the cluster) waits up to 5 s of event time in a bounded table; then it goes
//! with `id:<uuid>` or `unknown` for good, and later ones do not wait again for the same label. What is learnt holds for all later facts.
//! Counting happened before; nothing is summed up here.

mod causes;
mod clusters;
mod commits;
mod consumers;
mod groups;
mod hear;
mod joins;
mod lag;
mod observe;
mod processing;
mod producers;
mod produces;
mod requests;
mod security;
mod sent;
mod spans;
mod topics;
mod transactions;
mod unhooked;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_wire::api;

use crate::capture::{ConnectionId, Means, Nanos, Pid, Window};
use crate::fact::{self, Fact, Queried, Says, Served};
use crate::losses::Losses;
use crate::observation::{CaptureGap, Observation, Origin, Unsupported};
use crate::settings::Settings;

use causes::{By, Cause, Causes, Doer};
use clusters::Clusters;
use commits::Commits;
use consumers::Consumers;
use groups::Groups;
use hear::{aborts, assigns, consumes, shares};
use joins::Joins;
use lag::Lags;
use processing::{Hand, Processing};
use producers::Producers;
use produces::Produces;
use requests::Requests;
use spans::Spans;
use topics::Topics;
use transactions::Transactions;
use unhooked::Unhooked;

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
    unhooked: Unhooked,
    requests: Requests,
    causes: Causes,
    produces: Produces,
    /// Processes that serve requests or work on messages.
    causing: HashSet<Pid>,
    joins: Joins,
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

#[cfg(test)]
impl Labels {
    /// Of one client, for the tests of several tables.
    fn example(time: Nanos, pid: Pid) -> Labels {
        Labels {
            origin: Origin {
                time,
                connection: ConnectionId(1),
                offset: 0,
            },
            pid,
            cluster: "c".into(),
            client_id: "app".into(),
            server: None,
        }
    }
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
            unhooked: Unhooked::default(),
            requests: Requests::new(settings),
            causes: Causes::default(),
            produces: Produces::default(),
            causing: HashSet::new(),
            joins: Joins::default(),
            losses: Losses::default(),
        }
    }

    /// Eats the next fact of the merge.
    pub fn fact(&mut self, fact: Fact, out: &mut Vec<Observation>) {
        self.advance(fact.known, out);
        let from = out.len();
        self.eat(fact, out);
        self.joins.depart(from, out, &mut self.losses);
    }

    fn eat(&mut self, mut fact: Fact, out: &mut Vec<Observation>) {
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
                if aborts(exchange) {
                    self.processing.aborted(pid, exchange, &mut self.losses);
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
            Says::Call(call) if call.means == Means::Serves => {
                self.requests.serves(call, &mut self.losses);
            }
            Says::Call(call) => {
                if self.processing.calls(call.pid, call.time) == spans::Calls::None {
                    let gone = self.spans.watched(call.pid);
                    self.losses.add("span_contexts_full", gone);
                }
                self.produce_call(call, out);
                self.processing.call(call, &mut self.losses);
            }
            Says::Window(window) => {
                let (time, losses) = (fact.known, &mut self.losses);
                self.processing.window(pid, time, *window, losses);
                if *window != Window::Open {
                    self.spans.unwatched(pid);
                }
                let left = self.produces.forget(pid);
                self.send_all(left, out);
            }
            Says::Exited => {
                self.processing.exited(pid, fact.known, &mut self.losses);
                self.unhooked.exited(pid);
                self.say_processing(out);
                self.spans.unwatched(pid);
                self.requests.exited(pid);
                let causing = self.causing.remove(&pid);
                let left = self.produces.exited(pid);
                self.send_all(left, out);
                if causing {
                    let waits = self.processing.waits_for_labels(pid);
                    out.extend(self.causes.exited(pid, fact.known, waits));
                }
            }
            Says::Begun(begun) => {
                self.may_cause(pid);
                self.requests.begun(origin, pid, begun, &mut self.losses);
            }
            Says::Served(served) => {
                let served = Served::clone(served);
                let losses = &mut self.losses;
                out.extend(self.requests.served(origin, pid, served, losses));
            }
            Says::Queried(queried) => {
                let doer = Doer {
                    pid,
                    task: queried.task,
                    parent: None,
                    time: queried.call.asked.first.began,
                };
                let cause = self.cause(doer);
                let queried = Queried::clone(queried);
                let losses = &mut self.losses;
                let query = self.requests.queried(origin, pid, queried, &cause, losses);
                out.extend(query.and_then(|(query, alone)| self.born(query, alone, doer, &cause)));
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
        let from = out.len();
        self.go_on(now, out);
        self.joins.depart(from, out, &mut self.losses);
        self.joins.advance(now, out);
    }

    fn go_on(&mut self, now: Nanos, out: &mut Vec<Observation>) {
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
        out.extend(self.causes.overdue(now));
        self.tick(now, out);
        self.causes.forget(now);
    }

    /// Says what changed, each second of event time for itself; what is too much for once follows in the tenths of that second.
    fn tick(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while now > self.next_tick {
            // After a pause one second stands for all.
            let tick = self
                .next_tick
                .max(now.saturating_sub(SECOND) / SECOND * SECOND);
            self.next_tick = tick.saturating_add(STEP);
            let due = self.produces.advance(tick, &mut self.losses);
            self.send_all(due, out);
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
        self.say_unhooked(time, out);
        self.forget_outdated(time, out);
        self.requests.advance(time, &mut self.losses);
        self.say_processing(out);
    }

    /// The capture ended: what still waits goes out with the labels there are.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        let from = out.len();
        self.finish_all(out);
        self.joins.depart(from, out, &mut self.losses);
        self.joins.advance(Nanos::MAX, out);
    }

    fn finish_all(&mut self, out: &mut Vec<Observation>) {
        while !self.waiting.is_empty() {
            self.release(out);
        }
        self.transactions.finish(out);
        self.producers.finish(out);
        let left = self.produces.advance(Nanos::MAX, &mut self.losses);
        self.send_all(left, out);
        self.finish_processing(out);
        self.say_unhooked(Nanos::MAX, out);
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
    pub fn tables(&self) -> [(&'static str, usize, usize); 15] {
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
            self.unhooked.table(),
            contexts,
            self.requests.table(),
            self.causes.table(),
            self.produces.table(),
            self.joins.table(),
        ]
    }

    /// What it did, it did for this: the message that its task has in hand or the request that it serves, whichever began last; else what the task
    /// that started it is at. The one place where that is decided.
    fn cause(&mut self, doer: Doer) -> Cause {
        let Doer { pid, time, .. } = doer;
        for task in doer.tasks() {
            let request = self.requests.of(pid, task, time);
            let itself = doer.task == Some(task);
            let hand = match itself {
                true => self.processing.in_hand(pid, task, time),
                false => self.processing.in_hand_of_starter(doer, task),
            };
            let by = if itself { By::Itself } else { By::Starter };
            let since = request.as_ref().map_or(0, |(since, _)| *since);
            match hand {
                Hand::One(one) if one.handed >= since => return self.spans.cause(&one),
                Hand::Several(handed) if handed >= since => return Cause::Later(causes::HELD, by),
                Hand::Loose(handed) if handed >= since => {
                    return Cause::Later(causes::LOOSE, By::Itself);
                }
                _ => {}
            }
            if let Some((_, cause)) = request {
                return cause;
            }
        }
        match self.processing.is_loose(pid) && doer.task.is_some() {
            true => Cause::Later(causes::LOOSE, By::Itself),
            false => Cause::Unknown,
        }
    }

    /// A span that is complete, but perhaps for its parent. `alone`: it also goes without one.
    fn born(
        &mut self,
        observation: Observation,
        alone: bool,
        doer: Doer,
        cause: &Cause,
    ) -> Option<Observation> {
        match cause {
            Cause::Later(patience, by) => {
                let doer = Doer {
                    parent: doer.parent.filter(|_| *by == By::Starter),
                    ..doer
                };
                let (causes, losses) = (&mut self.causes, &mut self.losses);
                causes.wait(doer, *patience, observation, alone, losses)
            }
            _ => Some(observation),
        }
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
}

/// Memory of what waits with a fact, about.
fn held(fact: &Fact) -> usize {
    let detail = match &fact.says {
        Says::Exchange(exchange) => exchange.detail.as_ref().map_or(0, |detail| detail.weight()),
        _ => 0,
    };
    fact.says.held() + detail * DETAIL_BYTES
}

fn api_name(api_key: i16) -> Arc<str> {
    match api::name(api_key) {
        Some(name) => name.into(),
        None => api_key.to_string().into(),
    }
}
