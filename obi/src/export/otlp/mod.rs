//! OTLP: spans, events and metrics of watched services to an OpenTelemetry endpoint. In: bounded queues of spans and events, and
//! snapshots of the series tables; out: requests in which each service is a resource of its own.
//!
//! One thread a signal, so that a slow endpoint of one does not hold the other. What does not fit or cannot be sent is dropped and
//! counted in `obi_events_lost_total{reason}`.

pub(crate) mod app;
mod attributes;
mod batch;
mod deliver;
mod logs;
mod metrics;
mod resource;
pub(crate) mod spans;
pub mod target;
mod transport;

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use kafka_analyzer::capture::ProcessInfo;
use kafka_analyzer::observation::{self, Event, Span};

use super::registry::Snapshot;
use crate::config::Otlp;
use crate::stop::Stop;
use crate::telemetry::Telemetry;
use batch::Batch;
use deliver::Delivery;
use target::Signal;

/// A span or event waits at most so long for others to share its request.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of one request, about: receivers refuse above 4 MiB by default.
const MAX_REQUEST: usize = 1 << 20;
/// What an end may take for the last requests.
const LAST: Duration = Duration::from_secs(5);
/// And so much more for a request on its way.
const GRACE: Duration = Duration::from_secs(3);

type Ending = Arc<OnceLock<Instant>>;

/// A span.
pub enum Item {
    Message(Box<Span>),
    Request(observation::Request),
    Query(observation::Query),
}

/// A span or event with the process it belongs to and the wall clock of its time.
pub struct Queued<T> {
    pub process: Arc<ProcessInfo>,
    pub item: T,
    /// Wall clock minus monotonic clock, ns.
    pub wall_offset: i64,
}

/// What comes out of a queue.
pub type Waiting<T> = Receiver<Box<Queued<T>>>;

/// The way in of spans or events; bounded.
pub struct Queue<T> {
    sender: Sender<Box<Queued<T>>>,
    telemetry: Arc<Telemetry>,
}

impl<T> Queue<T> {
    pub fn new(capacity: usize, telemetry: Arc<Telemetry>) -> (Queue<T>, Waiting<T>) {
        let (sender, receiver) = bounded(capacity.max(1));
        (Queue { sender, telemetry }, receiver)
    }

    /// Never waits: a full queue drops the item and counts it.
    pub fn push(&self, queued: Queued<T>) {
        match self.sender.try_send(Box::new(queued)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.telemetry.lost("otlp_queue_full", 1),
            Err(TrySendError::Disconnected(_)) => self.telemetry.lost("otlp_stopped", 1),
        }
    }
}

/// The other ends of the queues.
#[derive(Default)]
pub struct Queues {
    pub spans: Option<Waiting<Item>>,
    pub events: Option<Waiting<Event>>,
}

/// Can what the configuration says be sent? Opens no connection.
pub fn check(otlp: &Otlp) -> anyhow::Result<()> {
    for (signal, own) in [
        (Signal::Traces, &otlp.traces),
        (Signal::Metrics, &otlp.metrics),
        (Signal::Logs, &otlp.logs),
    ] {
        if otlp.sends(own) {
            transport::Transport::new(&target::resolve(otlp, signal)?)?;
        }
    }
    Ok(())
}

/// The running exporters.
pub struct Exporter {
    done: Stop,
    /// When the end began.
    ending: Ending,
    threads: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Starts what the configuration sends. Errors: an endpoint that is not a URL, a certificate that cannot be read.
    pub fn start(
        otlp: &Otlp,
        queues: Queues,
        snapshot: impl Fn() -> Metrics + Send + 'static,
        telemetry: &Arc<Telemetry>,
    ) -> anyhow::Result<Exporter> {
        let done = Stop::default();
        let ending = Ending::default();
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            thread
                .map(|t| threads.push(t))
                .context("cannot start an OTLP thread")
        };
        let delivery = |signal| {
            let target = target::resolve(otlp, signal)?;
            let (telemetry, ending) = (Arc::clone(telemetry), Arc::clone(&ending));
            Delivery::new(target, telemetry, done.clone(), ending)
        };
        if let (true, Some(waiting)) = (otlp.sends(&otlp.traces), queues.spans) {
            let (mut delivery, done) = (delivery(Signal::Traces)?, done.clone());
            let run = move || {
                send(
                    &waiting,
                    spans::encode,
                    spans::request,
                    &mut delivery,
                    &done,
                )
            };
            spawn("obi-otlp-spans", Box::new(run))?;
        }
        if let (true, Some(waiting)) = (otlp.sends(&otlp.logs), queues.events) {
            let (mut delivery, done) = (delivery(Signal::Logs)?, done.clone());
            let run = move || send(&waiting, logs::encode, logs::request, &mut delivery, &done);
            spawn("obi-otlp-logs", Box::new(run))?;
        }
        if otlp.sends(&otlp.metrics) {
            let mut delivery = delivery(Signal::Metrics)?;
            let interval = Duration::from_millis(otlp.metrics_interval_ms.max(100));
            let done = done.clone();
            spawn(
                "obi-otlp-metrics",
                Box::new(move || send_metrics(&snapshot, interval, &mut delivery, &done)),
            )?;
        }
        Ok(Exporter {
            done,
            ending,
            threads,
        })
    }

    /// Sends what waits, for at most a few seconds, and ends.
    pub fn finish(self) {
        let now = Instant::now();
        let end = *self.ending.get_or_init(|| now) + LAST + GRACE;
        self.done.request();
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                tracing::warn!("an OTLP endpoint does not answer: what waited for it is lost");
            } else if thread.join().is_err() {
                tracing::error!("an OTLP thread ended by panic");
            }
        }
    }
}

/// What one metrics export is made of.
pub struct Metrics {
    pub snapshots: Vec<Snapshot>,
    pub wall_offset: i64,
}

fn send<T, M: prost::Message>(
    waiting: &Waiting<T>,
    encode: fn(T, i64) -> M,
    request: fn(Batch<M>) -> transport::Request,
    delivery: &mut Delivery,
    done: &Stop,
) {
    let mut open = true;
    while open {
        let mut batch = Batch::default();
        let mut full_at: Option<Instant> = None;
        while batch.bytes() < MAX_REQUEST {
            let ending = done.requested();
            let wait = match full_at {
                _ if ending => Duration::ZERO,
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => Duration::from_millis(100),
            };
            match waiting.recv_timeout(wait) {
                Ok(queued) => {
                    full_at.get_or_insert_with(|| Instant::now() + LINGER);
                    let message = encode(queued.item, queued.wall_offset);
                    batch.add(queued.process, message);
                }
                Err(RecvTimeoutError::Timeout) if full_at.is_none() && !ending => {}
                Err(RecvTimeoutError::Timeout) => {
                    open = !ending;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
        let count = batch.len();
        if count > 0 {
            delivery.deliver(request(batch), count);
        }
    }
}

fn send_metrics(
    snapshot: &dyn Fn() -> Metrics,
    interval: Duration,
    delivery: &mut Delivery,
    done: &Stop,
) {
    let started = resource::wall_now();
    loop {
        let last = done.wait(interval);
        for request in metrics::requests(snapshot(), started, resource::wall_now(), MAX_REQUEST) {
            // Sums are cumulative: the next export carries what this one could not.
            delivery.deliver(transport::Request::Metrics(request), 0);
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod event_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tls_tests;
