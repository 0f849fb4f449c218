//! The one list of all metrics. In: nothing; out: name, type, unit, labels and meaning of each, for the exporters and for
//! `docs/metrics.md`, which is generated from here.
//!
//! Only metrics that this version fills are listed. A name has one meaning; to change one is a breaking change.

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
    FetchedBytes,
    FetchBatchSize,
    ConsumerPositionLag,
    PartitionHighWatermark,
    RequestDuration,
    RequestErrors,
    OperationDuration,
    SentMessages,
    ConsumedMessages,
    StreamGaps,
    UndecodableFrames,
    BuildInfo,
    Events,
    Bytes,
    EventsLost,
    SeriesDropped,
    UnresolvedTopics,
    Hooks,
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

const fn table(
    id: Id,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
    observation: &'static str,
) -> Metric {
    Metric {
        id,
        name,
        kind,
        unit,
        labels,
        help,
        observation,
        shown: Shown::Everywhere,
        kept: Kept::Table,
    }
}

const fn otlp(metric: Metric) -> Metric {
    Metric {
        shown: Shown::Otlp,
        ..metric
    }
}

const fn agent(
    id: Id,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
    observation: &'static str,
) -> Metric {
    Metric {
        id,
        name,
        kind,
        unit,
        labels,
        help,
        observation,
        shown: Shown::Everywhere,
        kept: Kept::Agent,
    }
}

use Kind::{Counter, Gauge, Histogram};

/// In the order of [`Id`].
pub static CATALOGUE: [Metric; 30] = [
    table(
        Id::MessagesProduced,
        "kafka_messages_produced_total",
        Counter,
        Unit::One,
        &["cluster", "service", "client_id", "topic", "partition"],
        "Records that the broker acknowledged",
        "a record acknowledged without error (acks=0: written)",
    ),
    table(
        Id::ProducedBytes,
        "kafka_produced_bytes_total",
        Counter,
        Unit::Bytes,
        &["cluster", "service", "topic", "codec"],
        "Bytes of acknowledged record batches as they went over the wire",
        "a byte of record batches on the wire, acknowledged",
    ),
    table(
        Id::ProducerDuration,
        "kafka_producer_duration_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["cluster", "service", "client_id", "topic"],
        "Time from the first byte of a Produce request written to the last byte of its answer read",
        "a Produce request and topic that was answered (never with acks=0)",
    ),
    table(
        Id::ProducerErrors,
        "kafka_producer_errors_total",
        Counter,
        Unit::One,
        &["cluster", "service", "client_id", "topic", "error_type"],
        "Records that the broker refused or never answered for",
        "a record in a refused partition, or outstanding when the connection closed",
    ),
    table(
        Id::ProducerBatchSize,
        "kafka_producer_batch_size",
        Histogram(RECORDS),
        Unit::One,
        &["cluster", "service", "topic"],
        "Records of a record batch",
        "an acknowledged record batch: its records",
    ),
    table(
        Id::MessageSize,
        "kafka_message_size_bytes",
        Histogram(BYTES),
        Unit::Bytes,
        &["cluster", "service", "topic", "basis"],
        "Uncompressed size of a record",
        "a record acknowledged or received, under exactly one basis: exact (its own size) or batch_avg (the average of its batch, which was not opened)",
    ),
    table(
        Id::CompressionRatio,
        "kafka_compression_ratio",
        Histogram(RATIO),
        Unit::One,
        &["cluster", "service", "topic", "codec"],
        "Uncompressed size over compressed size",
        "a compressed batch that was opened, acknowledged or received",
    ),
    table(
        Id::MessagesConsumed,
        "kafka_messages_consumed_total",
        Counter,
        Unit::One,
        &[
            "cluster",
            "service",
            "client_id",
            "group",
            "topic",
            "partition",
        ],
        "Records delivered to the client on the wire",
        "a record at or after the fetch offset; no control records, none of aborted transactions under read_committed",
    ),
    table(
        Id::FetchedBytes,
        "kafka_fetched_bytes_total",
        Counter,
        Unit::Bytes,
        &["cluster", "service", "topic", "codec"],
        "Bytes of record batches received",
        "a byte of record batches received",
    ),
    table(
        Id::FetchBatchSize,
        "kafka_fetch_batch_size",
        Histogram(RECORDS),
        Unit::One,
        &["cluster", "service", "group", "topic"],
        "Records of one topic in a Fetch answer",
        "a Fetch answer and topic with records; an answer without records: topic \"\", value 0",
    ),
    table(
        Id::ConsumerPositionLag,
        "kafka_consumer_position_lag",
        Gauge,
        Unit::One,
        &["cluster", "group", "topic", "partition"],
        "High watermark minus next fetch offset; smaller than the lag of commits by what the client has prefetched",
        "the last value seen",
    ),
    table(
        Id::PartitionHighWatermark,
        "kafka_partition_high_watermark",
        Gauge,
        Unit::One,
        &["cluster", "topic", "partition"],
        "High watermark of a partition as the broker told a client of this node",
        "the last value seen",
    ),
    table(
        Id::RequestDuration,
        "kafka_request_duration_seconds",
        Histogram(SECONDS),
        Unit::Seconds,
        &["cluster", "service", "api"],
        "Time from the first byte of a request written to the last byte of its answer read",
        "an answered exchange of any API; a Fetch includes the broker's wait for data",
    ),
    table(
        Id::RequestErrors,
        "kafka_request_errors_total",
        Counter,
        Unit::One,
        &["cluster", "service", "api", "error_type"],
        "Requests that failed",
        "an exchange of any API whose answer holds an error code (the first one names it), or that was never answered (CONNECTION_CLOSED, TIMEOUT)",
    ),
    otlp(table(
        Id::OperationDuration,
        "messaging.client.operation.duration",
        Histogram(OTEL_SECONDS),
        Unit::Seconds,
        &[
            "service",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.destination.name",
            "messaging.consumer.group.name",
            "error.type",
            "server.address",
            "server.port",
        ],
        "Duration of messaging operation initiated by a producer or consumer client",
        "a Produce (send) or Fetch (poll) exchange and topic that was answered",
    )),
    otlp(table(
        Id::SentMessages,
        "messaging.client.sent.messages",
        Counter,
        Unit::One,
        &[
            "service",
            "messaging.operation.name",
            "messaging.destination.name",
            "messaging.destination.partition.id",
            "error.type",
            "server.address",
            "server.port",
        ],
        "Number of messages producer attempted to send to the broker",
        "a record sent, refused ones included (error.type)",
    )),
    otlp(table(
        Id::ConsumedMessages,
        "messaging.client.consumed.messages",
        Counter,
        Unit::One,
        &[
            "service",
            "messaging.operation.name",
            "messaging.destination.name",
            "messaging.destination.partition.id",
            "messaging.consumer.group.name",
            "server.address",
            "server.port",
        ],
        "Number of messages that were delivered to the application",
        "a record received on the wire, counted as kafka_messages_consumed_total",
    )),
    table(
        Id::StreamGaps,
        "obi_stream_gaps_total",
        Counter,
        Unit::One,
        &["reason"],
        "Holes in the streams of Kafka clients",
        "a run of bytes that exists and was not captured, after the first request seen on the connection",
    ),
    table(
        Id::UndecodableFrames,
        "obi_undecodable_frames_total",
        Counter,
        Unit::One,
        &["api", "version", "reason"],
        "Kafka frames that were timed and counted but not understood",
        "a frame not understood",
    ),
    agent(
        Id::BuildInfo,
        "obi_build_info",
        Gauge,
        Unit::One,
        &["version", "arch"],
        "The running agent",
        "always 1",
    ),
    agent(
        Id::Events,
        "obi_events_total",
        Counter,
        Unit::One,
        &["source"],
        "Events taken from the kernel",
        "an event with data, by where the plaintext was taken",
    ),
    agent(
        Id::Bytes,
        "obi_bytes_total",
        Counter,
        Unit::Bytes,
        &["source"],
        "Payload bytes copied from the kernel",
        "a byte copied",
    ),
    agent(
        Id::EventsLost,
        "obi_events_lost_total",
        Counter,
        Unit::One,
        &["reason"],
        "What was lost on the way, by reason",
        "an event, record or span lost",
    ),
    agent(
        Id::SeriesDropped,
        "obi_series_dropped_total",
        Counter,
        Unit::One,
        &["metric"],
        "Updates turned away because the series table is full",
        "an update that found no room for its series",
    ),
    agent(
        Id::UnresolvedTopics,
        "obi_unresolved_topics",
        Gauge,
        Unit::One,
        &[],
        "Topic ids seen whose name is not known",
        "the number now",
    ),
    agent(
        Id::Hooks,
        "obi_hooks",
        Gauge,
        Unit::One,
        &["library", "hook", "state"],
        "Hooks planned, by what became of them",
        "the number now",
    ),
    agent(
        Id::Processes,
        "obi_processes",
        Gauge,
        Unit::One,
        &["state"],
        "Processes looked at, by what became of them",
        "the number now",
    ),
    agent(
        Id::RingBytes,
        "obi_ring_bytes",
        Gauge,
        Unit::Bytes,
        &[],
        "Size of all kernel ring buffers together",
        "the size now",
    ),
    agent(
        Id::ProcessCpu,
        "process_cpu_seconds_total",
        Counter,
        Unit::Seconds,
        &[],
        "CPU time of the agent, user and system",
        "a second of CPU time",
    ),
    agent(
        Id::ProcessMemory,
        "process_resident_memory_bytes",
        Gauge,
        Unit::Bytes,
        &[],
        "Resident memory of the agent; mapped ring buffers count twice",
        "the size now",
    ),
];

#[cfg(test)]
mod tests {
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
