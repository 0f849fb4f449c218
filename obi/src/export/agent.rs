//! The agent's own figures as rows of the catalogue. In: [`Telemetry`], the series table and the process's own /proc; out:
//! snapshots beside those of the table. What was never measured makes no row.

use std::sync::atomic::Ordering;

use kafka_analyzer::capture::Source;
use rustix::time::{ClockId, clock_gettime};

use super::catalogue::Id;
use super::labels::Label;
use super::registry::{Registry, Snapshot, Value};
use crate::budget::Group;
use crate::store::traces::Dropped;
use crate::telemetry::Telemetry;

fn rows(id: Id, series: impl IntoIterator<Item = (Vec<Label>, Value)>) -> Snapshot {
    let series = series
        .into_iter()
        .map(|(labels, value)| (labels.into_boxed_slice(), value))
        .collect();
    Snapshot {
        metric: id.metric(),
        series,
        since: None,
    }
}

fn text(value: &str) -> Label {
    Label::text(&value.into())
}

/// All metrics that are [`Kept::Agent`](super::catalogue::Kept::Agent), in the order of the catalogue.
pub fn snapshot(telemetry: &Telemetry, registry: &Registry, dropped: Dropped) -> Vec<Snapshot> {
    let by_source = |read: fn(&crate::telemetry::SourceCount) -> u64| {
        Source::ALL.map(|source| {
            (
                vec![Label::Word(source.as_str())],
                Value::Counter(read(telemetry.source(source))),
            )
        })
    };
    let gauge = |n: u64| (Vec::new(), Value::Gauge(n as f64));
    let build = (
        vec![
            Label::Word(env!("CARGO_PKG_VERSION")),
            Label::Word(std::env::consts::ARCH),
        ],
        Value::Gauge(1.0),
    );
    let ring_bytes = telemetry.ring_bytes.load(Ordering::Relaxed);
    vec![
        rows(Id::BuildInfo, [build]),
        rows(
            Id::Events,
            by_source(|s| s.events.load(Ordering::Relaxed))
                .into_iter()
                .chain([(
                    vec![Label::Word("calls")],
                    Value::Counter(telemetry.calls.load(Ordering::Relaxed)),
                )]),
        ),
        rows(Id::Bytes, by_source(|s| s.bytes.load(Ordering::Relaxed))),
        rows(
            Id::EventsLost,
            telemetry
                .lost_totals()
                .into_iter()
                .map(|(reason, n)| (vec![Label::Word(reason)], Value::Counter(n))),
        ),
        rows(
            Id::SeriesDropped,
            registry
                .dropped()
                .into_iter()
                .map(|(name, n)| (vec![Label::Word(name)], Value::Counter(n))),
        ),
        rows(
            Id::RecentTracesDropped,
            [("trace", dropped.traces), ("span", dropped.spans)]
                .map(|(what, n)| (vec![Label::Word(what)], Value::Counter(n))),
        ),
        rows(
            Id::UnresolvedTopics,
            [gauge(telemetry.unresolved_topics.load(Ordering::Relaxed))],
        ),
        rows(
            Id::Hooks,
            telemetry
                .hooks()
                .into_iter()
                .map(|((library, hook, state), n)| {
                    (
                        vec![text(&library), text(&hook), Label::Word(state)],
                        Value::Gauge(n as f64),
                    )
                }),
        ),
        rows(
            Id::TargetCost,
            telemetry.costs().services.iter().map(|cost| {
                let seconds = Value::CounterF64(cost.seconds.total());
                (vec![text(&cost.service)], seconds)
            }),
        ),
        rows(
            Id::SampledShare,
            telemetry.costs().services.iter().flat_map(|cost| {
                let shares = [
                    (Group::EachMessage.name(), cost.sampled_share),
                    ("records", cost.records_share),
                ];
                let service = text(&cost.service);
                shares.into_iter().filter_map(move |(hook, share)| {
                    let labels = vec![service.clone(), Label::Word(hook)];
                    Some((labels, Value::Gauge(share?)))
                })
            }),
        ),
        rows(
            Id::Processes,
            telemetry
                .processes()
                .into_iter()
                .map(|(state, n)| (vec![Label::Word(state)], Value::Gauge(n as f64))),
        ),
        rows(Id::RingBytes, (ring_bytes > 0).then(|| gauge(ring_bytes))),
        rows(
            Id::ProcessCpu,
            [(Vec::new(), Value::CounterF64(cpu_seconds()))],
        ),
        rows(Id::ProcessMemory, resident_bytes().map(gauge)),
    ]
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Second field of /proc/self/statm, in pages.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
