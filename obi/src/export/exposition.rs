//! What `/metrics` serves. In: snapshots; out: OpenMetrics 1.0 text, or Prometheus text 0.0.4 made from it.
//!
//! Series are sorted, so that equal state gives equal bytes. Exemplars are woven in afterwards: the encoder takes only those that its own
//! histograms hold. Only OpenMetrics has a place for them.

use std::collections::HashMap;
use std::fmt::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry as Exposed, Unit as ExposedUnit};

use super::catalogue::{Kind, Shown, Unit};
use super::labels::Label;
use super::registry::{Exemplar, Snapshot, Value};

pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug)]
struct Rows(Vec<Snapshot>);

struct Labels<'a>(&'static [&'static str], &'a [Label]);

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().zip(self.1)).finish()
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        for (name, value) in self.0.iter().zip(self.1) {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            key.write_str(name)?;
            let mut text = key.encode_label_value()?;
            write!(text, "{value}")?;
            text.finish()?;
        }
        Ok(())
    }
}

impl Collector for Rows {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for Snapshot { metric, series, .. } in &self.0 {
            let unit = match metric.unit {
                Unit::One => None,
                Unit::Seconds => Some(ExposedUnit::Seconds),
                Unit::Bytes => Some(ExposedUnit::Bytes),
            };
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram(_) => MetricType::Histogram,
            };
            // The encoder adds unit and `_total` again.
            let base = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let base = unit
                .as_ref()
                .and_then(|u| base.strip_suffix(u.as_str())?.strip_suffix('_'))
                .unwrap_or(base);
            let help = format!("{}.", metric.help);
            let mut family = encoder.encode_descriptor(base, &help, unit.as_ref(), kind)?;
            for (labels, value) in series {
                if labels.is_empty() {
                    sample(&mut family, metric.kind, value)?;
                } else {
                    let labels = Labels(metric.labels, labels);
                    sample(&mut family.encode_family(&labels)?, metric.kind, value)?;
                }
            }
        }
        Ok(())
    }
}

fn sample(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (value, kind) {
        (Value::Counter(n), _) => encoder.encode_counter::<NoLabelSet, _, u64>(n, None),
        (Value::CounterF64(n), _) => encoder.encode_counter::<NoLabelSet, _, f64>(n, None),
        (Value::Gauge(n), _) => encoder.encode_gauge(n),
        (Value::Histogram(b), Kind::Histogram(bounds)) => {
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(b.counts.iter().copied()).collect();
            encoder.encode_histogram::<NoLabelSet>(b.sum, b.count(), &buckets, None)
        }
        (Value::Histogram(_), _) => Ok(()),
    }
}

/// OpenMetrics text, ending with `# EOF`. Metrics without series are left out. `wall_offset`: wall clock minus monotonic clock, ns;
/// without it there are no exemplars.
pub fn openmetrics(mut snapshots: Vec<Snapshot>, wall_offset: Option<i64>) -> String {
    snapshots.retain(|s| s.metric.shown == Shown::Everywhere && !s.series.is_empty());
    for snapshot in &mut snapshots {
        snapshot.series.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let marked = match wall_offset {
        Some(wall_offset) => marked(&snapshots, wall_offset),
        None => HashMap::new(),
    };
    let mut exposed = Exposed::default();
    exposed.register_collector(Box::new(Rows(snapshots)));
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = text::encode(&mut out, &exposed);
    if marked.is_empty() {
        out
    } else {
        woven(&out, &marked)
    }
}

/// By the name of its lines, and how many of these come before it: what follows the count of a bucket.
fn marked(snapshots: &[Snapshot], wall_offset: i64) -> HashMap<&'static str, Vec<(usize, String)>> {
    let mut out: HashMap<&'static str, Vec<(usize, String)>> = HashMap::new();
    for Snapshot { metric, series, .. } in snapshots {
        let mut line = 0;
        for (_, value) in series {
            let Value::Histogram(buckets) = value else {
                continue;
            };
            for (at, exemplar) in buckets.exemplars.iter().enumerate() {
                if let Some(exemplar) = exemplar {
                    let text = exemplar_text(exemplar, wall_offset);
                    out.entry(metric.name).or_default().push((line + at, text));
                }
            }
            line += buckets.counts.len();
        }
    }
    out
}

fn exemplar_text(exemplar: &Exemplar, wall_offset: i64) -> String {
    let mut text = " # {trace_id=\"".to_owned();
    let hex = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
    };
    hex(&mut text, &exemplar.trace_id);
    text.push_str("\",span_id=\"");
    hex(&mut text, &exemplar.span_id);
    let ms = exemplar.at.wrapping_add_signed(wall_offset) / 1_000_000;
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let _ = write!(text, "\"}} {:?} {seconds}.{ms:03}", exemplar.value);
    text
}

/// A line of a bucket begins with its metric's name, whatever its labels are: a line break in one of them is escaped.
fn woven(text: &str, marked: &HashMap<&'static str, Vec<(usize, String)>>) -> String {
    let mut out = String::with_capacity(text.len() + 128 * marked.len());
    let mut before: HashMap<&str, usize> = HashMap::new();
    for line in text.lines() {
        out.push_str(line);
        let name = line.split_once("_bucket{").map_or("", |(name, _)| name);
        if let Some((name, exemplars)) = marked.get_key_value(name) {
            let at = before.entry(name).or_default();
            if let Ok(found) = exemplars.binary_search_by_key(at, |(line, _)| *line)
                && let Some((_, text)) = exemplars.get(found)
            {
                out.push_str(text);
            }
            *at += 1;
        }
        out.push('\n');
    }
    out
}

/// The older text format, made from the other without exemplars: counters are declared with their `_total`; there are no units and no end mark.
pub fn plain(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if line.starts_with("# HELP ") {
            help = line;
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap_or((declared, ""));
            let total = if kind == "counter" { "_total" } else { "" };
            let text = help
                .strip_prefix("# HELP ")
                .and_then(|h| h.strip_prefix(name))
                .unwrap_or("");
            let _ = write!(
                out,
                "# HELP {name}{total}{text}\n# TYPE {name}{total} {kind}\n"
            );
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests;
