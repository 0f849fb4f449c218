//! The way out. In: observations from the model thread; out: metrics (Prometheus, OTLP), spans (OTLP) and the recent state behind
//! `obi kafka stats`.
//!
//! [`Sinks`] never blocks its caller on I/O: tables are bounded and held in memory, queues are bounded and count what they drop.
//! No Kafka byte is in here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kafka_analyzer::capture::ProcessInfo;
use kafka_analyzer::observation::Observation;

use crate::config::Config;
use crate::telemetry::Telemetry;

/// Where the model thread puts everything it finds. Clones are one.
#[derive(Clone)]
pub struct Sinks(Arc<Inner>);

struct Inner {
    #[allow(dead_code)]
    telemetry: Arc<Telemetry>,
    /// Wall clock minus monotonic clock, ns.
    wall_offset: AtomicI64,
}

impl Sinks {
    pub fn new(_config: &Config, telemetry: Arc<Telemetry>) -> anyhow::Result<Sinks> {
        Ok(Sinks(Arc::new(Inner {
            telemetry,
            wall_offset: AtomicI64::new(0),
        })))
    }

    pub fn observe(&self, _observation: &Observation) {}

    /// What is known of a process; call before its first observation and again when it changes (exec).
    pub fn process(&self, _process: &ProcessInfo) {}

    /// Ties the clocks together, both in ns. Call at the start and then now and again: the wall clock may be stepped.
    pub fn clock(&self, monotonic: u64, wall: u64) {
        self.0.wall_offset.store(
            (wall as i64).wrapping_sub(monotonic as i64),
            Ordering::Relaxed,
        );
    }
}
