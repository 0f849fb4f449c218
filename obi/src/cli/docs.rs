//! `obi docs FILE`: the generated files of the repository. A test holds each committed file equal to what is printed here.

use clap::ValueEnum;

use super::exit::{self, Exit};
use crate::config::Config;
use crate::export::catalogue::{CATALOGUE, Kept, Kind, Metric, Shown};
use crate::export::reasons::REASONS;
use crate::store::clients::Clients;
use crate::store::events::Events;
use crate::store::groups::report::Groups;
use crate::store::stats;
use crate::store::topics::report::Topics;
use crate::store::traces::report::Traces;
use crate::store::transactions::Transactions;

#[derive(Debug, clap::Args)]
pub struct Args {
    file: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum File {
    /// docs/metrics.md
    Metrics,
    /// config/schema/obi.config.json
    ConfigSchema,
    /// config/schema/obi.kafka.stats.1.json
    StatsSchema,
    /// config/schema/obi.doctor.1.json
    DoctorSchema,
    /// config/schema/obi.groups.1.json
    GroupsSchema,
    /// config/schema/obi.topics.1.json
    TopicsSchema,
    /// config/schema/obi.clients.1.json
    ClientsSchema,
    /// config/schema/obi.transactions.1.json
    TransactionsSchema,
    /// config/schema/obi.events.1.json
    EventsSchema,
    /// config/schema/obi.traces.1.json
    TracesSchema,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    exit::print(&text(args.file)?)
}

fn text(file: File) -> anyhow::Result<String> {
    let pretty =
        |schema: schemars::Schema| serde_json::to_string_pretty(&schema).map(|text| text + "\n");
    Ok(match file {
        File::Metrics => metrics(),
        File::ConfigSchema => pretty(Config::schema())?,
        File::StatsSchema => pretty(stats::schema())?,
        File::DoctorSchema => pretty(schemars::schema_for!(crate::doctor::Report))?,
        File::GroupsSchema => pretty(schemars::schema_for!(Groups))?,
        File::TopicsSchema => pretty(schemars::schema_for!(Topics))?,
        File::ClientsSchema => pretty(schemars::schema_for!(Clients))?,
        File::TransactionsSchema => pretty(schemars::schema_for!(Transactions))?,
        File::EventsSchema => pretty(schemars::schema_for!(Events))?,
        File::TracesSchema => pretty(schemars::schema_for!(Traces))?,
    })
}

fn metrics() -> String {
    let mut out = String::from(INTRODUCTION);
    let section = |out: &mut String, title: &str, pick: &dyn Fn(&Metric) -> bool| {
        out.push_str(&format!("\n## {title}\n\n| metric | type | labels | meaning | one observation is |\n|---|---|---|---|---|\n"));
        for m in CATALOGUE.iter().filter(|m| pick(m)) {
            let kind = match m.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let labels = m
                .labels
                .iter()
                .map(|l| format!("`{l}`"))
                .collect::<Vec<_>>()
                .join(" ");
            out.push_str(&format!(
                "| `{}` | {kind} | {labels} | {} | {} |\n",
                m.name, m.help, m.observation
            ));
        }
    };
    let own = |m: &Metric| m.kept == Kept::Agent || m.name.starts_with("obi_");
    section(&mut out, "Kafka", &|m| {
        m.shown == Shown::Everywhere && !own(m)
    });
    section(&mut out, "Only by OTLP", &|m| m.shown == Shown::Otlp);
    section(&mut out, "The agent itself", &own);
    out.push_str("\n## Reasons of `obi_events_lost_total`\n\nWithout a value above 0 whose effect is on counts, all counts are exact.\n\n");
    out.push_str("| reason | effect | one is |\n|---|---|---|\n");
    for (reason, spoils, one) in REASONS {
        out.push_str(&format!("| `{reason}` | {} | {one} |\n", spoils.as_str()));
    }
    out.push_str("\n## Buckets\n\nUpper bounds; one more bucket is above.\n\n");
    for m in CATALOGUE.iter() {
        if let Kind::Histogram(bounds) = m.kind {
            let bounds = bounds
                .iter()
                .map(f64::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            out.push_str(&format!("- `{}`: {bounds}\n", m.name));
        }
    }
    out
}

const INTRODUCTION: &str = "\
# Metrics

Generated from `obi/src/export/catalogue.rs` by `obi docs metrics`; a test compares the two.

`GET /metrics` serves OpenMetrics or Prometheus text, as the `Accept` header asks. With OTLP the same metrics are sent, each
service as a resource of its own (`service.name` in place of the label `service`), beside OpenTelemetry's own.

- `cluster` is Kafka's cluster id, `unknown` when it was not seen within 5 s; `service` is the watched process's
  `OTEL_SERVICE_NAME`, else `service.name` of its `OTEL_RESOURCE_ATTRIBUTES`, else the name of its executable or script.
- `topic`, `partition`, `group` and `client_id` are as Kafka has them; a topic whose id never got a name is `id:<uuid>`; `group` is
  `\"\"` while it is not known. Values above 256 bytes are cut.
- Only the client end of a connection counts: a broker on the same node counts nothing twice, and replication counts nothing.
- Unknown is absent, never 0. A counter only grows; a gauge that nothing renewed for 10 minutes (`gauge_expiry_seconds`) is gone.
- At most 20,000 series are kept (`max_series`). Per-partition series are turned away first, and what is turned away is counted in
  `obi_series_dropped_total`. When the table is full, series that were idle for an hour make room.
- Buckets of processing, producer, offset commit and Produce request durations carry exemplars in OpenMetrics: `trace_id` and `span_id` of the newest
  value that has a span ([spans.md](spans.md)).
";

#[cfg(test)]
mod tests {
    use super::*;

    /// On a difference: `cargo run -p obi --bin obi -- docs <file> > <path>`.
    #[test]
    fn committed_files_are_the_generated_ones() {
        for (file, path) in [
            (File::Metrics, "docs/metrics.md"),
            (File::ConfigSchema, "config/schema/obi.config.json"),
            (File::StatsSchema, "config/schema/obi.kafka.stats.1.json"),
            (File::DoctorSchema, "config/schema/obi.doctor.1.json"),
            (File::GroupsSchema, "config/schema/obi.groups.1.json"),
            (File::TopicsSchema, "config/schema/obi.topics.1.json"),
            (File::ClientsSchema, "config/schema/obi.clients.1.json"),
            (
                File::TransactionsSchema,
                "config/schema/obi.transactions.1.json",
            ),
            (File::EventsSchema, "config/schema/obi.events.1.json"),
            (File::TracesSchema, "config/schema/obi.traces.1.json"),
        ] {
            let full = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(&full).unwrap_or_default();
            assert!(
                committed == text(file).unwrap(),
                "{path} is out of date: cargo run -p obi --bin obi -- docs ... > {path}"
            );
        }
    }

    #[test]
    fn the_committed_configuration_fits_the_schema() {
        let yaml = include_str!("../../../config/obi.yaml");
        let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        let schema = serde_json::to_value(Config::schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert_eq!(
            validator
                .iter_errors(&value)
                .map(|e| e.to_string())
                .collect::<Vec<_>>(),
            Vec::<String>::new()
        );
        assert!(!validator.is_valid(&serde_json::json!({"exports": {}})));
    }
}
