//! Metrics in OpenTelemetry's form. In: snapshots of the catalogue; out: requests of bounded size, cumulative, a resource a service.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;

use super::Metrics;
use super::attributes::{SCHEMA_URL, int, scope, text};
use super::resource;
use crate::export::catalogue::{Kind, Metric, Shown, Unit};
use crate::export::labels::Label;
use crate::export::registry::{Exemplar, Snapshot, Value};

/// Exemplars are shown for so long, ns.
const FRESH: u64 = 60_000_000_000;
/// Metrics that carry this label belong to the service that it names.
const SERVICE: &str = "service";

/// What is known of one service (None: the agent), by metric.
type Services = BTreeMap<Option<String>, Vec<otlp::Metric>>;

/// `started` and `now` in ns since the epoch; `limit` in bytes, about.
pub fn requests(
    metrics: Metrics,
    started: u64,
    now: u64,
    limit: usize,
) -> Vec<ExportMetricsServiceRequest> {
    let mut done = Vec::new();
    let mut services = Services::new();
    let mut bytes = 0;
    for snapshot in metrics.snapshots {
        let began = snapshot.since.map_or(started, |at| {
            at.wrapping_add_signed(metrics.wall_offset).max(started)
        });
        let Snapshot { metric, series, .. } = snapshot;
        for (labels, value) in series {
            let service = service(metric, &labels);
            bytes += add(
                services.entry(service).or_default(),
                metric,
                &labels,
                value,
                [began, now],
                metrics.wall_offset,
            );
            if bytes >= limit {
                done.push(request(std::mem::take(&mut services)));
                bytes = 0;
            }
        }
    }
    if !services.is_empty() {
        done.push(request(services));
    }
    done
}

fn service(metric: &Metric, labels: &[Label]) -> Option<String> {
    let at = metric.labels.iter().position(|label| *label == SERVICE)?;
    labels.get(at).map(ToString::to_string)
}

/// Adds one point to the metric at the end of the list, or begins it. Gives its size, about.
fn add(
    metrics: &mut Vec<otlp::Metric>,
    metric: &'static Metric,
    labels: &[Label],
    value: Value,
    [began, now]: [u64; 2],
    wall_offset: i64,
) -> usize {
    if metrics.last().is_none_or(|last| last.name != metric.name) {
        metrics.push(empty(metric));
    }
    let attributes = attributes(metric, labels);
    let size = 64 + attributes.iter().map(|a| a.key.len() + 40).sum::<usize>();
    let number = |value: Number| otlp::NumberDataPoint {
        attributes: attributes.clone(),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(value),
        ..otlp::NumberDataPoint::default()
    };
    match (metrics.last_mut().and_then(|m| m.data.as_mut()), value) {
        (Some(Data::Sum(sum)), Value::Counter(n)) => sum
            .data_points
            .push(number(Number::AsInt(n.try_into().unwrap_or(i64::MAX)))),
        (Some(Data::Sum(sum)), Value::CounterF64(n)) => {
            sum.data_points.push(number(Number::AsDouble(n)))
        }
        (Some(Data::Gauge(gauge)), Value::Gauge(n)) => {
            gauge.data_points.push(otlp::NumberDataPoint {
                start_time_unix_nano: 0,
                ..number(Number::AsDouble(n))
            });
        }
        (Some(Data::Histogram(histogram)), Value::Histogram(buckets)) => {
            let bounds = if let Kind::Histogram(bounds) = metric.kind {
                bounds
            } else {
                &[]
            };
            histogram.data_points.push(otlp::HistogramDataPoint {
                attributes,
                start_time_unix_nano: began,
                time_unix_nano: now,
                count: buckets.count(),
                sum: Some(buckets.sum),
                explicit_bounds: bounds.to_vec(),
                bucket_counts: buckets.counts.into_vec(),
                exemplars: exemplars(&buckets.exemplars, now, wall_offset),
                ..otlp::HistogramDataPoint::default()
            });
            return size + 16 * bounds.len();
        }
        // A value of another kind than the catalogue says cannot be made by the tables.
        _ => return 0,
    }
    size
}

/// None that is old: it was sent before.
fn exemplars(newest: &[Option<Exemplar>], now: u64, wall_offset: i64) -> Vec<otlp::Exemplar> {
    let shown = newest.iter().flatten().map(|newest| otlp::Exemplar {
        time_unix_nano: newest.at.wrapping_add_signed(wall_offset),
        trace_id: newest.trace_id.to_vec(),
        span_id: newest.span_id.to_vec(),
        value: Some(otlp::exemplar::Value::AsDouble(newest.value)),
        ..otlp::Exemplar::default()
    });
    let fresh = |it: &otlp::Exemplar| it.time_unix_nano.saturating_add(FRESH) >= now;
    shown.filter(fresh).collect()
}

fn empty(metric: &Metric) -> otlp::Metric {
    let cumulative = otlp::AggregationTemporality::Cumulative as i32;
    let data = match metric.kind {
        Kind::Counter => Data::Sum(otlp::Sum {
            data_points: Vec::new(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(otlp::Gauge::default()),
        Kind::Histogram(_) => Data::Histogram(otlp::Histogram {
            data_points: Vec::new(),
            aggregation_temporality: cumulative,
        }),
    };
    let unit = match metric.unit {
        Unit::One if metric.shown == Shown::Otlp => "{message}",
        Unit::One => "1",
        Unit::Seconds => "s",
        Unit::Bytes => "By",
    };
    otlp::Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..otlp::Metric::default()
    }
}

fn attributes(metric: &Metric, labels: &[Label]) -> Vec<KeyValue> {
    let named = metric
        .labels
        .iter()
        .zip(labels)
        .filter(|(name, _)| **name != SERVICE);
    let mut out: Vec<KeyValue> = named
        .filter_map(|(name, label)| match label {
            Label::Absent => None,
            // The conventions want the partition as text.
            Label::Number(n)
                if !name.ends_with("partition.id")
                    && *name != "partition"
                    && *name != "version" =>
            {
                Some(int(name, *n))
            }
            label => Some(text(name, label.to_string())),
        })
        .collect();
    if metric.shown == Shown::Otlp {
        out.push(text("messaging.system", "kafka"));
    }
    out
}

fn request(services: Services) -> ExportMetricsServiceRequest {
    let resource_metrics = services
        .into_iter()
        .map(|(service, metrics)| otlp::ResourceMetrics {
            resource: Some(
                service.map_or_else(resource::of_agent, |service| resource::of_service(&service)),
            ),
            scope_metrics: vec![otlp::ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        });
    ExportMetricsServiceRequest {
        resource_metrics: resource_metrics.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemplar_is_shown_while_it_is_fresh() {
        let newest = Exemplar {
            value: 0.04,
            at: 5,
            trace_id: [1; 16],
            span_id: [2; 8],
        };
        let [shown] = &exemplars(&[None, Some(newest)], FRESH + 15, 10)[..] else {
            panic!("fresh");
        };
        assert_eq!(
            (shown.time_unix_nano, &shown.span_id[..]),
            (15, &[2; 8][..])
        );
        assert_eq!(exemplars(&[Some(newest)], FRESH + 16, 10), []);
        assert_eq!(exemplars(&[], 0, 0), []);
    }
}
