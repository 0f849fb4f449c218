//! Observations as lines of JSON: `obi replay --output json`. In: observations in any order; out: lines sorted by (time, connection,
//! stream offset), so that equal captures give equal bytes. The agent's own figures are not in here.
//!
//! Holds all lines until the end, because an observation that waited for its labels comes late.

use std::io::Write;

use kafka_analyzer::observation::{Observation, Origin};
use serde::Serialize;

pub const SCHEMA: &str = "obi.observation/1";

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    observation: &'a Observation,
}

/// What was observed so far.
#[derive(Debug, Default)]
pub struct Lines(Vec<(Origin, String)>);

impl Lines {
    pub fn add(&mut self, observation: &Observation) -> serde_json::Result<()> {
        let line = serde_json::to_string(&Line {
            schema: SCHEMA,
            observation,
        })?;
        self.0.push((observation.origin(), line));
        Ok(())
    }

    /// Writes all lines. Those of one origin stay in the order in which they were added.
    pub fn write(mut self, out: &mut impl Write) -> std::io::Result<()> {
        self.0.sort_by_key(|(origin, _)| *origin);
        for (_, line) in &self.0 {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use kafka_analyzer::capture::{ConnectionId, GapReason};
    use kafka_analyzer::observation::{
        Basis, CaptureGap, Client, Event, EventKind, Lag, LagBasis, LagUnknown, Link,
        PartitionProgress, Processing, ProcessingBasis, Reason, Signal, SpanKind, TransactionState,
        Unsupported,
    };
    use serde_json::Value;

    use super::*;
    use crate::export::examples::{
        commit, committed, delivered, event, group, lag, member, poll_interval, processing,
        processing_error, producer, query, rebalance, request, transaction,
    };
    use crate::export::measure::tests::{batches, exchange, fetched, produced};
    use crate::export::otlp::tests::span;

    fn at(time: u64, offset: u64) -> Origin {
        Origin {
            time,
            connection: ConnectionId(1),
            offset,
        }
    }

    fn gap(time: u64, offset: u64, bytes: u64) -> Observation {
        Observation::CaptureGap(CaptureGap {
            origin: at(time, offset),
            pid: 7,
            reason: GapReason::RingFull,
            bytes,
        })
    }

    #[test]
    fn lines_are_sorted_and_begin_with_their_schema() {
        let mut lines = Lines::default();
        for observation in [gap(2, 0, 1), gap(1, 9, 2), gap(1, 3, 3), gap(1, 3, 4)] {
            lines.add(&observation).unwrap();
        }
        let mut out = Vec::new();
        lines.write(&mut out).unwrap();
        let line = |time: u64, offset: u64, bytes: u64| {
            format!(
                "{{\"schema\":\"obi.observation/1\",\"kind\":\"capture_gap\",\"origin\":{{\"time\":{time},\"connection\":1,\"offset\":{offset}}},\"pid\":7,\"reason\":\"ring_full\",\"bytes\":{bytes}}}\n"
            )
        };
        let want = [line(1, 3, 3), line(1, 3, 4), line(1, 9, 2), line(2, 0, 1)].concat();
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn every_kind_fits_the_committed_schema() {
        let mut sent = exchange(0, "Produce");
        sent.produced = vec![produced(
            "orders",
            1,
            Some("NOT_LEADER_OR_FOLLOWER"),
            batches(&[2], "lz4", 90),
        )];
        let mut got = exchange(1, "Fetch");
        got.fetched = vec![fetched("orders", 1, 2, batches(&[2], "zstd", 90))];
        got.fetched_records = Some(2);
        got.fetched[0].batches.ratios = vec![("zstd", 2.5)];
        let mut poll = span(7, SpanKind::Poll);
        poll.links = vec![Link {
            trace_id: [1; 16],
            span_id: [2; 8],
            offset: 3,
            key: Some("k".into()),
            tombstone: true,
        }];
        poll.parent = Some([3; 8]);
        let mut in_transaction = span(7, SpanKind::Transaction);
        in_transaction.transactional_id = "tx-1".into();
        let mut failed = processing("g", "orders");
        failed.error = Some(Signal::Panic);
        let by_commit = Processing {
            basis: ProcessingBasis::Commit,
            task: None,
            ..processing("g", "orders")
        };
        let (cluster, topic) = ("c1", "orders");
        let all = [
            Observation::Exchange(sent),
            Observation::Exchange(got),
            Observation::Span(span(7, SpanKind::Send)),
            Observation::Span(poll),
            Observation::Span(in_transaction),
            Observation::Request(request()),
            Observation::Query(query()),
            Observation::Client(Client {
                origin: at(1, 0),
                pid: 7,
                client_id: "id".into(),
                cluster: cluster.into(),
                software: Some(("librdkafka".into(), "2.11.1".into())),
                mechanism: None,
                server: Some("10.0.0.1:9093".parse().unwrap()),
                source: "openssl",
                closed: false,
            }),
            Observation::PartitionProgress(PartitionProgress {
                origin: at(1, 0),
                cluster: cluster.into(),
                topic: topic.into(),
                partition: 0,
                high_watermark: Some(4),
                log_start_offset: None,
            }),
            Observation::Lag(Lag {
                oldest_timestamp_ms: Some(1_700_000_000_000),
                ..lag("g", 0, LagBasis::Committed, 3)
            }),
            Observation::LagUnknown(LagUnknown {
                origin: at(1, 0),
                cluster: cluster.into(),
                group: "g".into(),
                topic: topic.into(),
                partition: 0,
                basis: LagBasis::Delivered,
            }),
            Observation::CommittedOffset(committed("g", 0, 60)),
            Observation::Commit(commit("g")),
            Observation::Rebalance(rebalance("g", Reason::MemberLeft, Some(5))),
            Observation::Group(group(
                "g",
                Some((Basis::Local, 1)),
                vec![member("m", 7, &[0])],
            )),
            Observation::Transaction(transaction(TransactionState::TimedOut)),
            Observation::Producer(producer("orders")),
            Observation::Processing(failed),
            Observation::Processing(by_commit),
            Observation::Delivered(delivered("g", "orders")),
            Observation::ProcessingError(processing_error("g", "orders")),
            Observation::PollInterval(poll_interval("g")),
            Observation::Event(Event {
                reason: Some(Reason::PollIntervalExceeded),
                ..event(EventKind::Rebalance)
            }),
            Observation::Unsupported(Unsupported {
                origin: at(1, 0),
                pid: 7,
                api: "Fetch".into(),
                api_version: 99,
                reason: "unknown_version",
            }),
            gap(1, 0, 5),
        ];
        let schema: Value = serde_json::from_str(include_str!(
            "../../../config/schema/obi.observation.1.json"
        ))
        .unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let words = Reason::ALL.map(|reason| Observation::Rebalance(rebalance("g", reason, None)));
        let spans = [SpanKind::SendBatch, SpanKind::Create, SpanKind::Commit]
            .map(|kind| Observation::Span(span(7, kind)));
        for observation in all.iter().chain(&words).chain(&spans) {
            let line: Value = serde_json::to_value(Line {
                schema: SCHEMA,
                observation,
            })
            .unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&line)
                .map(|e| format!("{} at {}", e, e.instance_path))
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{line}");
        }
        let mut wrong = serde_json::to_value(Line {
            schema: SCHEMA,
            observation: all.last().unwrap(),
        })
        .unwrap();
        wrong["extra"] = Value::from(1);
        assert!(!validator.is_valid(&wrong));
    }
}
