//! The way out. In: observations from the model thread; out: metrics (Prometheus, OTLP), spans (OTLP) and the recent state behind
//! `obi kafka ...`.
//!
//! [`Sinks`] never blocks its caller on I/O: tables are bounded and held in memory, queues are bounded and count what they drop.
//! No Kafka byte is in here.

pub mod agent;
pub mod catalogue;
mod event_log;
#[cfg(test)]
pub(crate) mod examples;
pub mod exposition;
pub mod filter;
pub mod jsonl;
pub mod labels;
pub mod measure;
pub mod otlp;
pub mod processes;
pub mod reasons;
pub mod registry;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kafka_analyzer::capture::{Nanos, Pid, ProcessInfo};
use kafka_analyzer::observation::{Event, Observation, Span};

use rustix::time::{ClockId, clock_gettime};

use crate::config::{Config, Otlp};
use crate::telemetry::Telemetry;
use filter::Filter;
use measure::Measure;
use processes::Processes;
use registry::{Clocks, Registry, Snapshot};

use crate::store::Store;
use crate::store::clients::Clients;
use crate::store::events::Events;
use crate::store::groups::report::Groups;
use crate::store::stats::{Agent, Stats};
use crate::store::topics::report::Topics;
use crate::store::traces::report::{Makes, Traces};
use crate::store::transactions::Transactions;

/// Where the model thread puts everything it finds. Clones are one.
#[derive(Clone)]
pub struct Sinks(Arc<Inner>);

struct Inner {
    telemetry: Arc<Telemetry>,
    measure: Measure,
    processes: Processes,
    store: Store,
    /// None: spans go nowhere.
    spans: Option<otlp::Queue<otlp::Item>>,
    /// The same of events.
    events: Option<otlp::Queue<Event>>,
    /// The other ends of both, until the exporter takes them.
    waiting: Mutex<otlp::Queues>,
    logged: event_log::Log,
    value_size: bool,
    makes: Makes,
    /// Wall clock minus monotonic clock, ns.
    wall_offset: AtomicI64,
    /// Newest event time seen: gauges expire by it.
    newest: AtomicU64,
}

impl Sinks {
    /// Fails on a pattern of `topics` or `consumer_groups` that cannot be read.
    pub fn new(config: &Config, telemetry: Arc<Telemetry>) -> anyhow::Result<Sinks> {
        let prometheus = &config.export.prometheus;
        let expiry = prometheus
            .gauge_expiry_seconds
            .saturating_mul(1_000_000_000);
        let measure = Measure {
            registry: Registry::new(prometheus.max_series, expiry),
            filter: Filter::new(&config.instrumentation.kafka)?,
            otel: config.export.otlp.sends(&config.export.otlp.metrics),
            assigned: Default::default(),
            hanging: Default::default(),
            software: Default::default(),
        };
        let otlp = &config.export.otlp;
        let mut waiting = otlp::Queues::default();
        let spans = otlp.sends(&otlp.traces).then(|| {
            let (queue, end) = otlp::Queue::new(otlp.max_queue, Arc::clone(&telemetry));
            waiting.spans = Some(end);
            queue
        });
        let events = otlp.sends(&otlp.logs).then(|| {
            let (queue, end) = otlp::Queue::new(otlp.max_queue, Arc::clone(&telemetry));
            waiting.events = Some(end);
            queue
        });
        Ok(Sinks(Arc::new(Inner {
            telemetry,
            measure,
            processes: Processes::default(),
            store: Store::default(),
            spans,
            events,
            waiting: Mutex::new(waiting),
            logged: event_log::Log::default(),
            value_size: config.instrumentation.kafka.capture_value_size,
            makes: Makes::new(config),
            wall_offset: AtomicI64::new(0),
            newest: AtomicU64::new(0),
        })))
    }

    /// Takes one observation. Call [`Sinks::process`] for its pid before.
    pub fn observe(&self, observation: &Observation) {
        let measure = &self.0.measure;
        let (store, processes) = (&self.0.store, &self.0.processes);
        match observation {
            Observation::Exchange(x) => {
                measure.exchange(x, &processes.get(x.pid).service);
                store.exchange(x, &measure.filter);
            }
            Observation::PartitionProgress(p) => {
                measure.progress(p);
                if measure.filter.topic(&p.topic) {
                    store.progress(p);
                }
            }
            Observation::Lag(lag) => {
                measure.lag(lag);
                if measure.filter.both(&lag.group, &lag.topic) {
                    store.groups.lag(lag);
                }
            }
            Observation::LagUnknown(unknown) => measure.lag_unknown(unknown),
            Observation::CommittedOffset(committed) => {
                measure.committed(committed);
                if measure.filter.both(&committed.group, &committed.topic) {
                    store.groups.committed(committed);
                }
            }
            Observation::Commit(commit) => {
                measure.commit(commit, processes);
                if measure.filter.group(&commit.group) {
                    store.groups.commit(commit);
                }
            }
            Observation::Rebalance(rebalance) => {
                measure.rebalance(rebalance, processes);
            }
            Observation::Group(group) => {
                measure.group(group, processes);
                if measure.filter.group(&group.group) {
                    store.groups.group(group);
                }
            }
            Observation::Transaction(transaction) => {
                measure.transaction(transaction, processes);
                store.transactions.transaction(transaction);
            }
            Observation::Producer(producer) => {
                if measure.filter.topic(&producer.topic) {
                    store.users.producer(producer);
                }
            }
            Observation::Processing(work) => measure.processing(work, processes),
            Observation::Delivered(delivered) => measure.delivered(delivered, processes),
            Observation::ProcessingError(error) => measure.processing_error(error, processes),
            Observation::PollInterval(interval) => measure.poll_interval(interval, processes),
            Observation::Event(event) => {
                if measure.filter.group(&event.group) {
                    self.event(event);
                }
            }
            Observation::Unsupported(u) => {
                measure.unsupported(u);
            }
            Observation::CaptureGap(gap) => {
                measure.gap(gap);
            }
            Observation::Span(span) => {
                self.span(span);
            }
            Observation::Request(request) => {
                let service = &processes.get(request.pid).service;
                store.traces.request(request, service);
                self.push(request.pid, || otlp::Item::Request(request.clone()));
            }
            Observation::Query(query) => {
                let service = &processes.get(query.pid).service;
                store.traces.query(query, service);
                self.push(query.pid, || otlp::Item::Query(query.clone()));
            }
            Observation::Client(client) => {
                measure.client(client);
                store.client(client);
            }
        }
        let time = observation.origin().time;
        self.0.newest.fetch_max(time, Ordering::Relaxed);
    }

    fn span(&self, span: &Span) {
        let filter = &self.0.measure.filter;
        // A commit of several topics and a transaction name none.
        let topic = span.topic.is_empty() || filter.topic(&span.topic);
        if !topic || !filter.group(&span.group) {
            return;
        }
        self.0.measure.span(span, &self.0.processes);
        let service = &self.0.processes.get(span.pid).service;
        self.0.store.traces.message(span, service);
        self.push(span.pid, || {
            let mut span = span.clone();
            if !self.0.value_size {
                span.body_size = None;
            }
            otlp::Item::Message(Box::new(span))
        });
    }

    fn push(&self, pid: Pid, item: impl FnOnce() -> otlp::Item) {
        if let Some(queue) = &self.0.spans {
            queue.push(otlp::Queued {
                process: self.0.processes.get(pid),
                item: item(),
                wall_offset: self.0.wall_offset.load(Ordering::Relaxed),
            });
        }
    }

    /// Starts sending by OTLP what the configuration says; without an endpoint, nothing. Call once.
    pub fn start_otlp(&self, config: &Otlp) -> anyhow::Result<otlp::Exporter> {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut *waiting);
        let sinks = self.clone();
        let metrics = move || otlp::Metrics {
            snapshots: sinks.snapshot(true),
            wall_offset: sinks.0.wall_offset.load(Ordering::Relaxed),
        };
        otlp::Exporter::start(config, waiting, metrics, &self.0.telemetry)
    }

    /// What is known of a process; call before its first observation and again when it changes (exec).
    pub fn process(&self, process: &ProcessInfo) {
        self.0.processes.learn(process);
    }

    /// Ties the clocks together, both in ns. Call at the start and then now and again: the wall clock may be stepped.
    pub fn clock(&self, monotonic: Nanos, wall: u64) {
        self.0.wall_offset.store(
            (wall as i64).wrapping_sub(monotonic as i64),
            Ordering::Relaxed,
        );
        self.0.newest.fetch_max(monotonic, Ordering::Relaxed);
    }

    /// Metrics of what was observed. A `live` agent adds its own figures and lets gauges expire by the clock; a replay lives in the
    /// time of its events.
    pub fn snapshot(&self, live: bool) -> Vec<Snapshot> {
        let registry = &self.0.measure.registry;
        let now = self.clocks(live);
        registry.expire(now.event);
        let mut snapshots = registry.snapshot(now);
        if live {
            snapshots.extend(agent::snapshot(
                &self.0.telemetry,
                registry,
                self.0.store.traces.dropped(),
            ));
        }
        snapshots
    }

    /// The body of `/metrics` in OpenMetrics text. Exemplars wait until the wall clock is known.
    pub fn openmetrics(&self, live: bool) -> String {
        let wall_offset = self.0.wall_offset.load(Ordering::Relaxed);
        let known = (wall_offset != 0).then_some(wall_offset);
        exposition::openmetrics(self.snapshot(live), known)
    }

    /// The same in the older text format, which has no exemplars.
    pub fn plain(&self, live: bool) -> String {
        exposition::plain(&exposition::openmetrics(self.snapshot(live), None))
    }

    /// Of the running agent, or at the newest event of a replay.
    fn clocks(&self, live: bool) -> Clocks {
        let event = if live {
            monotonic()
        } else {
            self.0.newest.load(Ordering::Relaxed)
        };
        let wall_offset = self.0.wall_offset.load(Ordering::Relaxed);
        Clocks {
            event,
            wall: (wall_offset != 0)
                .then(|| event.wrapping_add_signed(wall_offset) as i64 / 1_000_000),
        }
    }

    fn event(&self, event: &Event) {
        let wall_offset = self.0.wall_offset.load(Ordering::Relaxed);
        let processes = &self.0.processes;
        let events = &self.0.store.events;
        events.event(event, wall_offset, processes);
        let process = processes.get(event.pid);
        self.0.logged.event(event, &process.service);
        if let Some(queue) = &self.0.events {
            queue.push(otlp::Queued {
                process,
                item: event.clone(),
                wall_offset,
            });
        }
    }

    /// The answer to `obi kafka groups`.
    pub fn groups(&self) -> Groups {
        let (filter, processes) = (&self.0.measure.filter, &self.0.processes);
        self.0.store.groups(self.clocks(true), filter, processes)
    }

    /// The answer to `obi kafka topics`.
    pub fn topics(&self) -> Topics {
        self.0.store.topics(monotonic(), &self.0.processes)
    }

    /// The answer to `obi kafka clients`.
    pub fn clients(&self) -> Clients {
        self.0.store.clients(monotonic(), &self.0.processes)
    }

    /// The answer to `obi kafka transactions`.
    pub fn transactions(&self) -> Transactions {
        let (filter, processes) = (&self.0.measure.filter, &self.0.processes);
        let table = &self.0.store.transactions;
        table.report(monotonic(), filter, processes)
    }

    /// The answer to `obi kafka events`.
    pub fn events(&self) -> Events {
        self.0.store.events.report()
    }

    /// The answer to `obi kafka traces`.
    pub fn traces(&self) -> Traces {
        let now = self.clocks(true);
        let makes = Makes {
            // The kernel decides, if the user did not.
            app: self.0.telemetry.reads_app.load(Ordering::Relaxed),
            ..self.0.makes.clone()
        };
        self.0.store.traces.report(now, &makes)
    }

    /// The answer to `obi kafka stats`.
    pub fn stats(&self, agent: Agent) -> Stats {
        self.0.store.stats(monotonic(), agent, &self.0.processes)
    }
}

/// The clock of live events, ns.
fn monotonic() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
