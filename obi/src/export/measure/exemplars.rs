//! Spans of exchanges to exemplars. In: a span; out: the value of a histogram that the span is about is marked with its ids.
//!
//! Counting comes first and is never sampled; a span that names no series of its own, or whose series is not there, marks nothing.
//! Work on messages brings its span's ids along: see [`super::processing`].

use kafka_analyzer::observation::{Span, SpanKind};

use super::{Label, Measure};
use crate::export::catalogue::Id;
use crate::export::processes::Processes;
use crate::export::registry::Exemplar;

impl Measure {
    pub fn span(&self, span: &Span, processes: &Processes) {
        if !matches!(span.span, SpanKind::Send | SpanKind::Commit) {
            return;
        }
        let exemplar = Exemplar {
            value: span.ended.saturating_sub(span.began) as f64 / 1e9,
            at: span.ended,
            trace_id: span.trace_id,
            span_id: span.span_id,
        };
        let cluster = Label::text(&span.cluster);
        let service = Label::text(&processes.get(span.pid).service);
        if span.span == SpanKind::Commit {
            let labels = [cluster, service, Label::text(&span.group)];
            return self
                .registry
                .mark(Id::OffsetCommitDuration, &labels, exemplar);
        }
        let labels = [
            cluster.clone(),
            service.clone(),
            Label::text(&span.client_id),
            Label::text(&span.topic),
        ];
        self.registry.mark(Id::ProducerDuration, &labels, exemplar);
        let labels = [cluster, service, Label::Text("Produce".into())];
        self.registry.mark(Id::RequestDuration, &labels, exemplar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::exposition;
    use crate::export::measure::tests::{batches, exchange, measure, produced};
    use crate::export::otlp::tests::span;
    use crate::export::registry::Clocks;

    #[test]
    fn a_send_marks_the_values_of_its_request() {
        let (measure, processes) = (measure(&[], true), Processes::default());
        let service = "unknown".into();
        let mut sent = exchange(0, "Produce");
        sent.produced = vec![produced("orders", 1, None, batches(&[2], "lz4", 90))];
        (sent.began, sent.ended, sent.response_bytes) = (0, 3_000_000, Some(60));
        let mut span = span(7, SpanKind::Send);
        (span.began, span.ended) = (0, 3_000_000);
        span.client_id = sent.client_id.clone();
        measure.span(&span, &processes);
        measure.exchange(&sent, &service);
        let shown = || {
            let snapshots = measure.registry.snapshot(Clocks::default());
            let text = exposition::openmetrics(snapshots, Some(1_000_000_000_000));
            let lines = text.lines().filter(|line| line.contains(" # {"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        // Nothing was counted when the span came.
        assert_eq!(shown(), Vec::<String>::new());
        measure.span(&span, &processes);
        let ids = format!(
            "trace_id=\"{}\",span_id=\"{}\"",
            "01".repeat(16),
            "02".repeat(8)
        );
        let of = "cluster=\"c1\",service=\"unknown\"";
        assert_eq!(
            shown(),
            [
                format!(
                    "kafka_producer_duration_seconds_bucket{{le=\"0.005\",{of},client_id=\"{}\",topic=\"orders\"}} 1 # {{{ids}}} 0.003 1000.003",
                    sent.client_id
                ),
                format!(
                    "kafka_request_duration_seconds_bucket{{le=\"0.005\",{of},api=\"Produce\"}} 1 # {{{ids}}} 0.003 1000.003"
                ),
            ]
        );
    }
}
