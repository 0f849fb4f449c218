//! Observations to metrics. In: one observation; out: updates of the series tables, exactly as the catalogue defines them.
//!
//! Nothing is inferred here: what an observation does not say is not counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_analyzer::observation::{
    Batches, CaptureGap, Exchange, FetchedPartition, PartitionProgress, ProducedPartition,
    SizeCounts, Unsupported,
};

use super::catalogue::{Id, OTEL_SECONDS, RATIO, RECORDS, SECONDS};
use super::filter::Filter;
use super::labels::Label;
use super::registry::Registry;

mod clients;
mod exemplars;
mod groups;
mod processing;
mod transactions;

/// Kafka's API key of Fetch.
const FETCH: i16 = 1;
/// Share groups (KIP-932).
const SHARE_FETCH: i16 = 78;

/// Where updates go and what is let through.
#[derive(Debug)]
pub struct Measure {
    pub registry: Registry,
    pub filter: Filter,
    /// Also fill OpenTelemetry's own metrics, which only OTLP shows.
    pub otel: bool,
    pub assigned: groups::Assigned,
    pub software: clients::Software,
    pub hanging: transactions::Hanging,
}

/// What all updates of one exchange share.
struct Of<'a> {
    x: &'a Exchange,
    cluster: Label,
    service: Label,
    client_id: Label,
    group: Label,
    /// `server.address` and `server.port`.
    server: [Label; 2],
    /// None: not answered, so there is no duration.
    seconds: Option<f64>,
}

/// One topic of an exchange.
#[derive(Default)]
struct Topic {
    records: u64,
    error: Option<&'static str>,
}

impl Measure {
    pub fn exchange(&self, x: &Exchange, service: &Arc<str>) {
        let of = Of {
            x,
            cluster: Label::text(&x.cluster),
            service: Label::text(service),
            client_id: Label::text(&x.client_id),
            group: Label::text(&x.group),
            server: if self.otel {
                server(x.server)
            } else {
                [Label::Absent, Label::Absent]
            },
            seconds: x
                .response_bytes
                .map(|_| x.ended.saturating_sub(x.began) as f64 / 1e9),
        };
        let now = x.origin.time;
        let api = Label::text(&x.api);
        if let Some(seconds) = of.seconds {
            let labels = [of.cluster.clone(), of.service.clone(), api.clone()];
            self.registry
                .observe(Id::RequestDuration, &labels, now, |b| {
                    b.observe(SECONDS, seconds)
                });
        }
        if let Some(error) = x.error {
            let labels = [
                of.cluster.clone(),
                of.service.clone(),
                api.clone(),
                Label::Word(error),
            ];
            self.registry.add(Id::RequestErrors, &labels, 1, now);
        }
        if let Some(ms) = x.throttle_ms {
            let labels = [of.cluster.clone(), of.service.clone(), api];
            self.registry
                .add_seconds(Id::Throttle, &labels, f64::from(ms) / 1e3, now);
        }
        self.produced(&of);
        let fetches = matches!(x.api_key, FETCH | SHARE_FETCH) && x.response_bytes.is_some();
        if fetches && self.filter.group(&x.group) {
            self.fetched(&of);
        }
    }

    fn produced(&self, of: &Of<'_>) {
        let now = of.x.origin.time;
        let mut topics: BTreeMap<&Arc<str>, Topic> = BTreeMap::new();
        for p in of.x.produced.iter().filter(|p| self.filter.topic(&p.topic)) {
            let sum = topics.entry(&p.topic).or_default();
            sum.error = sum.error.or(p.error);
            self.produced_partition(of, p);
        }
        for (topic, sum) in topics {
            let topic = Label::text(topic);
            self.client_info(of, "producer", Label::Text("".into()), &topic);
            let Some(seconds) = of.seconds else { continue };
            let labels = [
                of.cluster.clone(),
                of.service.clone(),
                of.client_id.clone(),
                topic.clone(),
            ];
            self.registry
                .observe(Id::ProducerDuration, &labels, now, |b| {
                    b.observe(SECONDS, seconds)
                });
            self.operation(
                of,
                ["send", "send"],
                topic,
                Label::Absent,
                sum.error,
                seconds,
            );
        }
    }

    fn produced_partition(&self, of: &Of<'_>, p: &ProducedPartition) {
        let now = of.x.origin.time;
        let topic = Label::text(&p.topic);
        let records = p.batches.records.iter().map(|n| u64::from(*n)).sum();
        let labels = |last: Label| {
            [
                of.cluster.clone(),
                of.service.clone(),
                of.client_id.clone(),
                topic.clone(),
                last,
            ]
        };
        if self.otel {
            let [address, port] = of.server.clone();
            let labels = [
                of.service.clone(),
                Label::Word("send"),
                topic.clone(),
                p.partition.into(),
                p.error.into(),
                address,
                port,
            ];
            self.registry.add(Id::SentMessages, &labels, records, now);
        }
        if let Some(error) = p.error {
            self.registry.add(
                Id::ProducerErrors,
                &labels(Label::Word(error)),
                records,
                now,
            );
            return;
        }
        self.registry.add(
            Id::MessagesProduced,
            &labels(p.partition.into()),
            records,
            now,
        );
        for (codec, bytes) in &p.batches.bytes {
            let labels = [
                of.cluster.clone(),
                of.service.clone(),
                topic.clone(),
                Label::Word(codec),
            ];
            self.registry.add(Id::ProducedBytes, &labels, *bytes, now);
        }
        if !p.batches.records.is_empty() {
            let labels = [of.cluster.clone(), of.service.clone(), topic.clone()];
            self.registry
                .observe(Id::ProducerBatchSize, &labels, now, |b| {
                    p.batches
                        .records
                        .iter()
                        .for_each(|n| b.observe(RECORDS, f64::from(*n)));
                });
        }
        self.sizes(of, &topic, &p.batches);
    }

    fn fetched(&self, of: &Of<'_>) {
        let now = of.x.origin.time;
        let labels = |topic: Label| {
            [
                of.cluster.clone(),
                of.service.clone(),
                of.group.clone(),
                topic,
            ]
        };
        let mut topics: BTreeMap<&Arc<str>, Topic> = BTreeMap::new();
        for p in of.x.fetched.iter().filter(|p| self.filter.topic(&p.topic)) {
            let sum = topics.entry(&p.topic).or_default();
            sum.records += p.records;
            sum.error = sum.error.or(p.error);
            self.fetched_partition(of, p);
        }
        // What filters hide, a replica fetched or nobody understood does not make an answer empty.
        if of.x.fetched_records == Some(0) {
            self.registry
                .observe(Id::FetchBatchSize, &labels(Label::Word("")), now, |b| {
                    b.observe(RECORDS, 0.0)
                });
        }
        for (topic, sum) in topics {
            let topic = Label::text(topic);
            self.client_info(of, "consumer", of.group.clone(), &topic);
            if sum.records > 0 {
                self.registry
                    .observe(Id::FetchBatchSize, &labels(topic.clone()), now, |b| {
                        b.observe(RECORDS, sum.records as f64)
                    });
            }
            if let Some(seconds) = of.seconds {
                self.operation(
                    of,
                    ["poll", "receive"],
                    topic,
                    Label::known(&of.x.group),
                    sum.error,
                    seconds,
                );
            }
        }
    }

    fn fetched_partition(&self, of: &Of<'_>, p: &FetchedPartition) {
        let now = of.x.origin.time;
        let topic = Label::text(&p.topic);
        let labels = [
            of.cluster.clone(),
            of.service.clone(),
            of.client_id.clone(),
            of.group.clone(),
            topic.clone(),
            p.partition.into(),
        ];
        self.registry
            .add(Id::MessagesConsumed, &labels, p.records, now);
        if self.otel {
            let [address, port] = of.server.clone();
            let group = Label::known(&of.x.group);
            let labels = [
                of.service.clone(),
                Label::Word("poll"),
                topic.clone(),
                p.partition.into(),
                group,
                address,
                port,
            ];
            self.registry
                .add(Id::ConsumedMessages, &labels, p.records, now);
        }
        for (codec, bytes) in &p.batches.bytes {
            let labels = [
                of.cluster.clone(),
                of.service.clone(),
                topic.clone(),
                Label::Word(codec),
            ];
            self.registry.add(Id::FetchedBytes, &labels, *bytes, now);
        }
        self.sizes(of, &topic, &p.batches);
    }

    fn sizes(&self, of: &Of<'_>, topic: &Label, batches: &Batches) {
        let now = of.x.origin.time;
        let size = |basis: &'static str, sizes: &SizeCounts| {
            if sizes.count > 0 {
                let labels = [
                    of.cluster.clone(),
                    of.service.clone(),
                    topic.clone(),
                    Label::Word(basis),
                ];
                self.registry.observe(Id::MessageSize, &labels, now, |b| {
                    b.add(&sizes.buckets, sizes.sum as f64)
                });
            }
        };
        size("exact", &batches.exact);
        size("batch_avg", &batches.average);
        for (codec, ratio) in &batches.ratios {
            let labels = [
                of.cluster.clone(),
                of.service.clone(),
                topic.clone(),
                Label::Word(codec),
            ];
            self.registry
                .observe(Id::CompressionRatio, &labels, now, |b| {
                    b.observe(RATIO, *ratio)
                });
        }
    }

    /// `[name, type]` is the pair of `messaging.operation.*`.
    fn operation(
        &self,
        of: &Of<'_>,
        [name, kind]: [&'static str; 2],
        topic: Label,
        group: Label,
        error: Option<&'static str>,
        seconds: f64,
    ) {
        if !self.otel {
            return;
        }
        let [address, port] = of.server.clone();
        let labels = [
            of.service.clone(),
            Label::Word(name),
            Label::Word(kind),
            topic,
            group,
            error.into(),
            address,
            port,
        ];
        self.registry
            .observe(Id::OperationDuration, &labels, of.x.origin.time, |b| {
                b.observe(OTEL_SECONDS, seconds)
            });
    }

    pub fn progress(&self, p: &PartitionProgress) {
        if let (Some(high_watermark), true) = (p.high_watermark, self.filter.topic(&p.topic)) {
            let labels = [
                Label::text(&p.cluster),
                Label::text(&p.topic),
                p.partition.into(),
            ];
            self.registry.set(
                Id::PartitionHighWatermark,
                &labels,
                high_watermark as f64,
                p.origin.time,
            );
        }
    }

    pub fn unsupported(&self, u: &Unsupported) {
        let labels = [
            Label::text(&u.api),
            Label::Number(u.api_version.into()),
            Label::Word(u.reason),
        ];
        self.registry
            .add(Id::UndecodableFrames, &labels, 1, u.origin.time);
    }

    pub fn gap(&self, gap: &CaptureGap) {
        self.registry.add(
            Id::StreamGaps,
            &[Label::Word(gap.reason.as_str())],
            1,
            gap.origin.time,
        );
    }
}

fn server(address: Option<SocketAddr>) -> [Label; 2] {
    match address {
        Some(a) => [
            Label::Text(a.ip().to_canonical().to_string().into()),
            Label::Number(a.port().into()),
        ],
        None => [Label::Absent, Label::Absent],
    }
}

#[cfg(test)]
pub(crate) mod tests;
