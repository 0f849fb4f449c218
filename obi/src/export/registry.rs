//! The series tables. In: updates from the model thread; out: snapshots for the exporters.
//!
//! Bounded over all metrics together, counted in time series as Prometheus counts them. When the bound is near, per-partition
//! series are turned away first; what is turned away is counted. Gauges that nothing renews expire; counters and histograms
//! that were idle for an hour make room when the table is full. One lock a metric, held for an update or a copy, never for I/O.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::Nanos;

use super::catalogue::{self, CATALOGUE, Id, Kind, Metric, Unit};
use super::labels::Label;

/// Idle time after which a counter or histogram may be forgotten to make room.
const IDLE: Nanos = 3_600 * 1_000_000_000;
/// Between two searches for idle series while the table is full.
const SWEEP_EVERY: Nanos = 10 * 1_000_000_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Counter(u64),
    /// Counters of seconds.
    CounterF64(f64),
    Gauge(f64),
    Histogram(Buckets),
}

/// Counts of each bucket (not cumulative), one more than bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    pub counts: Box<[u64]>,
    pub sum: f64,
    /// The newest value of each bucket that has a span; empty while there is none.
    pub exemplars: Box<[Option<Exemplar>]>,
}

/// One value, and the span that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub value: f64,
    pub at: Nanos,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

impl Buckets {
    pub fn new(bounds: &[f64]) -> Buckets {
        Buckets {
            counts: vec![0; bounds.len() + 1].into(),
            sum: 0.0,
            exemplars: Box::default(),
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds one value.
    pub fn observe(&mut self, bounds: &[f64], value: f64) {
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Names the span of a value that is counted already.
    pub fn mark(&mut self, bounds: &[f64], exemplar: Exemplar) {
        if self.exemplars.is_empty() {
            self.exemplars = vec![None; self.counts.len()].into();
        }
        let at = bounds.partition_point(|bound| *bound < exemplar.value);
        if let Some(newest) = self.exemplars.get_mut(at) {
            *newest = Some(exemplar);
        }
    }

    /// Adds values that were counted elsewhere over the same bounds.
    pub fn add(&mut self, counts: &[u64], sum: f64) {
        self.counts
            .iter_mut()
            .zip(counts)
            .for_each(|(mine, n)| *mine += n);
        self.sum += sum;
    }
}

/// Since when a gauge counts seconds; its value is made when it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Since {
    /// Monotonic, ns.
    Event(Nanos),
    /// Wall clock, ms since the epoch.
    Wall(i64),
}

/// The clocks at the moment of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clocks {
    /// Monotonic, ns.
    pub event: Nanos,
    /// ms since the epoch; None: not known, so that ages by it are not shown.
    pub wall: Option<i64>,
}

impl Since {
    /// Never negative: clocks of other machines may be ahead.
    pub fn seconds(self, now: Clocks) -> Option<f64> {
        match self {
            Since::Event(at) => Some(now.event.saturating_sub(at) as f64 / 1e9),
            Since::Wall(at) => Some(now.wall?.saturating_sub(at).max(0) as f64 / 1e3),
        }
    }
}

#[derive(Debug)]
enum Held {
    Value(Value),
    Since(Since),
}

#[derive(Debug)]
struct Series {
    held: Held,
    updated: Nanos,
}

#[derive(Debug, Default)]
struct Family {
    series: HashMap<Box<[Label]>, Series>,
    /// When a series of this metric was last forgotten: what appears later began then.
    forgotten: Option<Nanos>,
}

/// One metric with all its series, in no order.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub metric: &'static Metric,
    pub series: Vec<(Box<[Label]>, Value)>,
    /// Series cannot have begun before this; None: since the agent started.
    pub since: Option<Nanos>,
}

#[derive(Debug)]
pub struct Registry {
    families: Vec<Mutex<Family>>,
    /// Updates turned away, by metric.
    dropped: Vec<AtomicU64>,
    series: AtomicUsize,
    swept: AtomicU64,
    max_series: usize,
    gauge_expiry: Nanos,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub fn new(max_series: usize, gauge_expiry: Nanos) -> Registry {
        Registry {
            families: CATALOGUE.iter().map(|_| Mutex::default()).collect(),
            dropped: CATALOGUE.iter().map(|_| AtomicU64::new(0)).collect(),
            series: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            max_series,
            gauge_expiry,
        }
    }

    /// Adds to a counter. Adding 0 makes no series.
    pub fn add(&self, id: Id, labels: &[Label], n: u64, now: Nanos) {
        if n == 0 {
            return;
        }
        self.update(id, labels, now, |held| {
            if let Held::Value(Value::Counter(total)) = held {
                *total = total.saturating_add(n);
            }
        });
    }

    /// Adds to a counter of seconds. Adding 0 makes no series.
    pub fn add_seconds(&self, id: Id, labels: &[Label], seconds: f64, now: Nanos) {
        if seconds <= 0.0 {
            return;
        }
        self.update(id, labels, now, |held| {
            if let Held::Value(Value::CounterF64(total)) = held {
                *total += seconds;
            }
        });
    }

    /// True when the series was not there before.
    pub fn set(&self, id: Id, labels: &[Label], to: f64, now: Nanos) -> bool {
        self.update(id, labels, now, |held| {
            *held = Held::Value(Value::Gauge(to))
        })
    }

    /// Sets a gauge that grows by itself.
    pub fn set_since(&self, id: Id, labels: &[Label], since: Since, now: Nanos) {
        self.update(id, labels, now, |held| *held = Held::Since(since));
    }

    /// Adds to a histogram.
    pub fn observe(&self, id: Id, labels: &[Label], now: Nanos, add: impl FnOnce(&mut Buckets)) {
        self.update(id, labels, now, |held| {
            if let Held::Value(Value::Histogram(buckets)) = held {
                add(buckets);
            }
        });
    }

    /// Names the span of a value that a histogram holds. Nothing without a series: a value that is not counted has no exemplar.
    pub fn mark(&self, id: Id, labels: &[Label], exemplar: Exemplar) {
        let (Some(family), Kind::Histogram(bounds)) =
            (self.families.get(id as usize), id.metric().kind)
        else {
            return;
        };
        if let Some(series) = lock(family).series.get_mut(labels)
            && let Held::Value(Value::Histogram(buckets)) = &mut series.held
        {
            buckets.mark(bounds, exemplar);
        }
    }

    /// Removes a gauge's series that is no longer true.
    pub fn remove(&self, id: Id, labels: &[Label]) {
        let Some(family) = self.families.get(id as usize) else {
            return;
        };
        let gone = lock(family).series.remove(labels).is_some();
        self.series
            .fetch_sub(usize::from(gone) * id.metric().weight(), Ordering::Relaxed);
    }

    /// The same of all series of a gauge whose labels are meant. Looks at each: for what is rare.
    pub fn remove_where(&self, id: Id, meant: impl Fn(&[Label]) -> bool) {
        let Some(family) = self.families.get(id as usize) else {
            return;
        };
        let mut family = lock(family);
        let before = family.series.len();
        family.series.retain(|labels, _| !meant(labels));
        let gone = before - family.series.len();
        self.series
            .fetch_sub(gone * id.metric().weight(), Ordering::Relaxed);
    }

    /// True when the series was made by this.
    fn update(&self, id: Id, labels: &[Label], now: Nanos, apply: impl FnOnce(&mut Held)) -> bool {
        let metric = id.metric();
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let Some(family) = self.families.get(id as usize) else {
            return false;
        };
        if let Some(series) = lock(family).series.get_mut(labels) {
            series.updated = now;
            apply(&mut series.held);
            return false;
        }
        if !self.reserve(metric, now) {
            if let Some(dropped) = self.dropped.get(id as usize) {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
            return false;
        }
        let mut held = Held::Value(match (metric.kind, metric.unit) {
            (Kind::Counter, Unit::Seconds) => Value::CounterF64(0.0),
            (Kind::Counter, _) => Value::Counter(0),
            (Kind::Gauge, _) => Value::Gauge(0.0),
            (Kind::Histogram(bounds), _) => Value::Histogram(Buckets::new(bounds)),
        });
        apply(&mut held);
        let series = Series { held, updated: now };
        lock(family).series.insert(labels.into(), series);
        true
    }

    /// Takes room for one more series of `metric`. Per-partition series leave the last tenth to the others.
    fn reserve(&self, metric: &Metric, now: Nanos) -> bool {
        let bound = if metric.per_partition() {
            self.max_series - self.max_series / 10
        } else {
            self.max_series
        };
        let fits = |taken: usize| {
            let taken = taken + metric.weight();
            (taken <= bound).then_some(taken)
        };
        if self
            .series
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
        {
            return true;
        }
        let swept = self.swept.load(Ordering::Relaxed);
        if now < swept.saturating_add(SWEEP_EVERY) && swept != 0 {
            return false;
        }
        self.swept.store(now, Ordering::Relaxed);
        self.forget(now, |_| IDLE);
        self.series
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    /// Forgets gauges that were not renewed. Call before a snapshot, with the time of the newest event.
    pub fn expire(&self, now: Nanos) {
        self.forget(now, |kind| {
            if kind == Kind::Gauge {
                self.gauge_expiry
            } else {
                Nanos::MAX
            }
        });
    }

    fn forget(&self, now: Nanos, after: impl Fn(Kind) -> Nanos) {
        for (family, metric) in self.families.iter().zip(&CATALOGUE) {
            let after = after(metric.kind);
            let mut family = lock(family);
            let before = family.series.len();
            family
                .series
                .retain(|_, series| now.saturating_sub(series.updated) < after);
            let gone = before - family.series.len();
            if gone > 0 {
                family.forgotten = Some(now);
                self.series
                    .fetch_sub(gone * metric.weight(), Ordering::Relaxed);
            }
        }
    }

    /// A copy of every metric kept here, in the order of the catalogue.
    pub fn snapshot(&self, now: Clocks) -> Vec<Snapshot> {
        let kept = self
            .families
            .iter()
            .zip(&CATALOGUE)
            .filter(|(_, metric)| metric.kept == catalogue::Kept::Table);
        kept.map(|(family, metric)| {
            let family = lock(family);
            let series = family
                .series
                .iter()
                .filter_map(|(labels, s)| {
                    let value = match &s.held {
                        Held::Value(value) => value.clone(),
                        Held::Since(since) => Value::Gauge(since.seconds(now)?),
                    };
                    Some((labels.clone(), value))
                })
                .collect();
            Snapshot {
                metric,
                series,
                since: family.forgotten,
            }
        })
        .collect()
    }

    /// (metric, updates turned away), without zeros.
    pub fn dropped(&self) -> Vec<(&'static str, u64)> {
        let counts = CATALOGUE
            .iter()
            .zip(&self.dropped)
            .map(|(m, n)| (m.name, n.load(Ordering::Relaxed)));
        counts.filter(|(_, n)| *n > 0).collect()
    }
}

#[cfg(test)]
mod tests;
