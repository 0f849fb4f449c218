//! What the agent says about itself: one table of counters and states, written by the capture side, read by the exporters and the
//! command line. Unknown is absent: a gauge that was never set is not shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::Source;

use crate::attach::numbers::CostByHook;
use crate::budget::bill::Costs;
use crate::doctor::Watched;

/// `obi_events_total{source}` and `obi_bytes_total{source}`.
#[derive(Debug, Default)]
pub struct SourceCount {
    pub events: AtomicU64,
    pub bytes: AtomicU64,
}

/// (library, hook, state) of `obi_hooks`.
pub type HookKey = (String, String, &'static str);

/// One for the process; shared by reference.
#[derive(Debug, Default)]
pub struct Telemetry {
    sources: [SourceCount; 3],
    lost: Mutex<BTreeMap<&'static str, u64>>,
    hooks: Mutex<BTreeMap<HookKey, u64>>,
    processes: Mutex<BTreeMap<&'static str, u64>>,
    watched: Mutex<Watched>,
    costs: Mutex<Arc<Costs>>,
    cost_by_hook: Mutex<CostByHook>,
    /// Records of calls of client libraries, as the kernel side counts them: read once a second.
    pub calls: AtomicU64,
    /// Those that were taken from the ring, at any moment: by these it is seen that a window costs much.
    pub calls_taken: AtomicU64,
    pub ring_bytes: AtomicU64,
    pub unresolved_topics: AtomicU64,
    /// Monotonic time at which hooks came or went last, ns.
    pub attached: AtomicU64,
    /// 1 once the first scan is attached: `/readyz`.
    pub ready: AtomicU64,
    /// Requests and statements are read.
    pub reads_app: AtomicBool,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Telemetry {
    pub fn source(&self, source: Source) -> &SourceCount {
        match source {
            Source::Socket => &self.sources[0],
            Source::Openssl => &self.sources[1],
            Source::GoTls => &self.sources[2],
        }
    }

    /// Adds to `obi_events_lost_total{reason}`. Call with 0 to make a reason visible.
    pub fn lost(&self, reason: &'static str, n: u64) {
        *lock(&self.lost).entry(reason).or_default() += n;
    }

    /// Sets `obi_events_lost_total{reason}` to a total kept elsewhere (kernel counters).
    pub fn set_lost(&self, reason: &'static str, total: u64) {
        lock(&self.lost).insert(reason, total);
    }

    pub fn lost_totals(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.lost).clone()
    }

    /// Replaces the whole table of `obi_hooks{library,hook,state}`.
    pub fn set_hooks(&self, hooks: BTreeMap<HookKey, u64>) {
        *lock(&self.hooks) = hooks;
    }

    pub fn hooks(&self) -> BTreeMap<HookKey, u64> {
        lock(&self.hooks).clone()
    }

    /// Replaces the whole table of `obi_processes{state}`: instrumented, not_kafka, refused, ...
    pub fn set_processes(&self, processes: BTreeMap<&'static str, u64>) {
        *lock(&self.processes) = processes;
    }

    pub fn processes(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.processes).clone()
    }

    /// Replaces what `obi doctor` is told.
    pub fn set_watched(&self, watched: Watched) {
        *lock(&self.watched) = watched;
    }

    pub fn watched(&self) -> Watched {
        lock(&self.watched).clone()
    }

    /// Replaces what hooks cost their targets.
    pub fn set_costs(&self, costs: Costs) {
        *lock(&self.costs) = Arc::new(costs);
    }

    pub fn costs(&self) -> Arc<Costs> {
        Arc::clone(&lock(&self.costs))
    }

    /// Replaces what each hook costs.
    pub fn set_cost_by_hook(&self, costs: CostByHook) {
        *lock(&self.cost_by_hook) = costs;
    }

    /// Empty unless it was asked for when the agent started.
    pub fn cost_by_hook(&self) -> CostByHook {
        lock(&self.cost_by_hook).clone()
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) == 1
    }
}
