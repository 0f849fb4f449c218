//! The application's work to metrics. In: hand-overs, durations, signs of trouble, poll intervals; out: updates of the series tables.

use kafka_analyzer::observation::{
    Delivered, PollInterval, Processing, ProcessingBasis, ProcessingError,
};

use super::{Label, Measure};
use crate::export::catalogue::{Id, OTEL_SECONDS, SECONDS};
use crate::export::processes::Processes;
use crate::export::registry::Exemplar;

impl Measure {
    pub fn processing(&self, work: &Processing, processes: &Processes) {
        if !self.filter.both(&work.group, &work.topic) {
            return;
        }
        let now = work.origin.time;
        let service = Label::text(&processes.get(work.pid).service);
        let seconds = work.ended.saturating_sub(work.began) as f64 / 1e9;
        let exemplar = work.span.map(|(trace_id, span_id)| Exemplar {
            value: seconds,
            at: now,
            trace_id,
            span_id,
        });
        let labels = [
            Label::text(&work.cluster),
            service.clone(),
            Label::text(&work.group),
            Label::text(&work.topic),
            Label::Word(work.basis.as_str()),
        ];
        self.registry
            .observe(Id::ProcessingDuration, &labels, now, |b| {
                b.observe(SECONDS, seconds);
                exemplar.into_iter().for_each(|it| b.mark(SECONDS, it));
            });
        // There it could not be said that it is an upper bound.
        if self.otel && work.basis != ProcessingBasis::Commit {
            let labels = [
                service,
                Label::Word("process"),
                Label::text(&work.topic),
                work.partition.into(),
                Label::known(&work.group),
                work.error.map(|signal| signal.as_str()).into(),
            ];
            self.registry
                .observe(Id::ProcessDuration, &labels, now, |b| {
                    b.observe(OTEL_SECONDS, seconds);
                    exemplar.into_iter().for_each(|it| b.mark(OTEL_SECONDS, it));
                });
        }
    }

    pub fn delivered(&self, delivered: &Delivered, processes: &Processes) {
        if self.filter.both(&delivered.group, &delivered.topic) {
            let labels = [
                Label::text(&delivered.cluster),
                Label::text(&processes.get(delivered.pid).service),
                Label::text(&delivered.group),
                Label::text(&delivered.topic),
            ];
            let (count, now) = (u64::from(delivered.count), delivered.origin.time);
            self.registry
                .add(Id::MessagesDelivered, &labels, count, now);
        }
    }

    pub fn processing_error(&self, error: &ProcessingError, processes: &Processes) {
        if self.filter.both(&error.group, &error.topic) {
            let labels = [
                Label::text(&error.cluster),
                Label::text(&processes.get(error.pid).service),
                Label::text(&error.group),
                Label::text(&error.topic),
                Label::Word(error.signal.as_str()),
            ];
            let (count, now) = (u64::from(error.count), error.origin.time);
            self.registry.add(Id::ProcessingErrors, &labels, count, now);
        }
    }

    pub fn poll_interval(&self, interval: &PollInterval, processes: &Processes) {
        if !self.filter.group(&interval.group) {
            return;
        }
        let labels = [
            Label::text(&interval.cluster),
            Label::text(&processes.get(interval.pid).service),
            Label::text(&interval.group),
        ];
        let (seconds, now) = (interval.nanos as f64 / 1e9, interval.origin.time);
        self.registry
            .observe(Id::ConsumerPollInterval, &labels, now, |b| {
                b.observe(OTEL_SECONDS, seconds)
            });
        if let Some(ms) = interval.limit_ms {
            let limit = f64::from(ms) / 1e3;
            self.registry
                .set(Id::ConsumerMaxPollInterval, &labels, limit, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_analyzer::observation::Signal;

    use super::*;
    use crate::export::examples::{delivered, poll_interval, processing, processing_error};
    use crate::export::exposition;
    use crate::export::measure::tests::measure;
    use crate::export::registry::Clocks;

    fn lines(measure: &Measure) -> Vec<String> {
        let text = exposition::openmetrics(measure.registry.snapshot(Clocks::default()), None);
        let wanted = |line: &&str| {
            !line.starts_with('#') && (!line.contains("_bucket") || line.contains("le=\"0.05\""))
        };
        text.lines().filter(wanted).map(str::to_owned).collect()
    }

    #[test]
    fn work_is_counted_under_its_labels() {
        let (measure, processes) = (measure(&[], true), Processes::default());
        let mut failed = processing("g", "orders");
        failed.error = Some(Signal::Panic);
        measure.processing(&processing("g", "orders"), &processes);
        measure.processing(&failed, &processes);
        measure.delivered(&delivered("g", "orders"), &processes);
        measure.processing_error(&processing_error("g", "orders"), &processes);
        measure.poll_interval(&poll_interval("g"), &processes);
        let of = "cluster=\"c1\",service=\"unknown\",group=\"g\"";
        let topic = format!("{of},topic=\"orders\"");
        let work = format!("{topic},basis=\"message\"");
        let mut want = vec![
            format!("kafka_messages_delivered_total{{{topic}}} 3"),
            format!("kafka_processing_duration_seconds_sum{{{work}}} 0.08"),
            format!("kafka_processing_duration_seconds_count{{{work}}} 2"),
            format!("kafka_processing_duration_seconds_bucket{{le=\"0.05\",{work}}} 2"),
            format!("kafka_processing_errors_total{{{topic},signal=\"dead_letter\"}} 1"),
            format!("kafka_consumer_poll_interval_seconds_sum{{{of}}} 0.04"),
            format!("kafka_consumer_poll_interval_seconds_count{{{of}}} 1"),
            format!("kafka_consumer_poll_interval_seconds_bucket{{le=\"0.05\",{of}}} 1"),
            format!("kafka_consumer_max_poll_interval_seconds{{{of}}} 300.0"),
        ];
        let mut got = lines(&measure);
        want.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, want);
    }

    #[test]
    fn filters_hold_here_too() {
        let (measure, processes) = (measure(&["payments"], true), Processes::default());
        measure.processing(&processing("g", "orders"), &processes);
        measure.delivered(&delivered("g", "orders"), &processes);
        measure.processing_error(&processing_error("g", "orders"), &processes);
        assert_eq!(lines(&measure), Vec::<String>::new());
    }
}
