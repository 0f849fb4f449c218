//! The one list of all metrics. In: nothing; out: name, type, unit, labels and meaning of each, for the exporters and for
//! `docs/metrics.md`, which is generated from here.
//!
//! Only metrics that this version fills are listed. A name has one meaning; to change one is a breaking change.

mod list;

pub use list::CATALOGUE;

/// Index into [`CATALOGUE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    MessagesProduced,
    ProducedBytes,
    ProducerDuration,
    ProducerErrors,
    ProducerBatchSize,
    MessageSize,
    CompressionRatio,
    MessagesConsumed,
    MessagesDelivered,
    FetchedBytes,
    FetchBatchSize,
    ConsumerLag,
    ConsumerPositionLag,
    ConsumerDeliveredLag,
    ConsumerLagSeconds,
    ConsumerLagObservedAge,
    PartitionHighWatermark,
    ConsumerCommittedOffset,
    OffsetCommitDuration,
    OffsetCommits,
    ConsumerRebalances,
    ConsumerRebalanceDuration,
    ConsumerGroupMembers,
    ConsumerPartitionAssignments,
    ProcessingDuration,
    ProcessingErrors,
    ConsumerPollInterval,
    ConsumerMaxPollInterval,
    Transactions,
    TransactionDuration,
    TransactionsHanging,
    ClientInfo,
    RequestDuration,
    RequestErrors,
    Throttle,
    OperationDuration,
    SentMessages,
    ConsumedMessages,
    ProcessDuration,
    StreamGaps,
    UndecodableFrames,
    BuildInfo,
    Events,
    Bytes,
    EventsLost,
    SeriesDropped,
    RecentTracesDropped,
    UnresolvedTopics,
    Hooks,
    TargetCost,
    SampledShare,
    Processes,
    RingBytes,
    ProcessCpu,
    ProcessMemory,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets; one more bucket is above.
    Histogram(&'static [f64]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    One,
    Seconds,
    Bytes,
}

/// Who shows a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `/metrics` and OTLP.
    Everywhere,
    /// Only OTLP: OpenTelemetry's own names.
    Otlp,
}

/// Where the values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the series table, from observations.
    Table,
    /// Read from the agent itself at each export.
    Agent,
}

#[derive(Debug)]
pub struct Metric {
    pub id: Id,
    /// As Prometheus shows it, `_total` included.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// Completes "one observation is ...".
    pub observation: &'static str,
    pub shown: Shown,
    pub kept: Kept,
}

/// Upper bounds, seconds.
pub const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds that OpenTelemetry advises for operation durations, seconds.
pub const OTEL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Upper bounds, records.
pub const RECORDS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0,
];
/// Upper bounds, uncompressed / compressed.
pub const RATIO: &[f64] = &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];
/// Upper bounds, bytes: those of `kafka_analyzer::observation::SIZE_BOUNDS`.
pub const BYTES: &[f64] = &[
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];

impl Id {
    pub fn metric(self) -> &'static Metric {
        &CATALOGUE[self as usize]
    }
}

impl Metric {
    /// Has one series for each partition: the first to be turned away when the table fills.
    pub fn per_partition(&self) -> bool {
        self.labels
            .iter()
            .any(|label| *label == "partition" || label.ends_with(".partition.id"))
    }

    /// Time series that one label set costs: a histogram shows each bucket, the sum and the count.
    pub fn weight(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram(bounds) => bounds.len() + 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind::Counter;
    use super::*;

    #[test]
    fn order_names_and_units() {
        for (at, metric) in CATALOGUE.iter().enumerate() {
            assert_eq!(metric.id as usize, at, "{}", metric.name);
            let base = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            if metric.shown == Shown::Everywhere {
                assert_eq!(
                    metric.kind == Counter,
                    metric.name.ends_with("_total"),
                    "{}",
                    metric.name
                );
                assert_eq!(
                    metric.unit == Unit::Seconds,
                    base.ends_with("_seconds"),
                    "{}",
                    metric.name
                );
                assert_eq!(
                    metric.unit == Unit::Bytes,
                    base.ends_with("_bytes"),
                    "{}",
                    metric.name
                );
            }
        }
        let sizes: Vec<f64> = kafka_analyzer::observation::SIZE_BOUNDS
            .iter()
            .map(|b| *b as f64)
            .collect();
        assert_eq!(BYTES, sizes);
    }
}
