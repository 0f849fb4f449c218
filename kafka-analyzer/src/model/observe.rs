//! A fact with its labels leaves. In: exchanges, clients and refusals that waited for nothing more; out: observations, and what the other tables
//! learn of them.

use std::sync::Arc;

use kafka_wire::api;

use super::causes::{Cause, Doer};
use super::spans::Calls;
use super::transactions::Seen;
use super::{Labels, Model, UNKNOWN, api_name, security};
use crate::fact::detail::Commit;
use crate::fact::{self, Detail, Fact, Says};
use crate::observation::{
    self, EventKind, Exchange, FetchedPartition, Observation, ProducedPartition, SpanKind,
};

impl Model {
    pub(super) fn observe(&mut self, fact: Fact, out: &mut Vec<Observation>) {
        let (client_id, server) = match &fact.says {
            Says::Exchange(exchange) => (Arc::clone(&exchange.client_id), exchange.server),
            Says::Client(client) => (Arc::clone(&client.client_id), client.server),
            Says::AuthenticationFailed(failure) => (Arc::clone(&failure.client_id), failure.server),
            _ => return,
        };
        let cluster = self
            .cluster(&fact, &client_id, server)
            .cloned()
            .unwrap_or_else(|| UNKNOWN.into());
        let server = self.server(&fact, server);
        let labels = Labels {
            origin: fact.origin,
            pid: fact.pid,
            cluster,
            client_id,
            server,
        };
        match fact.says {
            Says::Exchange(exchange) => self.exchange(labels, *exchange, out),
            Says::AuthenticationFailed(failure) => {
                out.push(Observation::Event(security::event(labels, &failure)));
            }
            Says::Client(client) => out.push(Observation::Client(observation::Client {
                origin: labels.origin,
                pid: labels.pid,
                client_id: labels.client_id,
                cluster: labels.cluster,
                software: client.software,
                mechanism: client.mechanism,
                server: labels.server,
                source: client.source,
                closed: client.closed,
            })),
            _ => {}
        }
    }

    fn exchange(
        &mut self,
        labels: Labels,
        mut exchange: fact::Exchange,
        out: &mut Vec<Observation>,
    ) {
        let is_fetch = matches!(exchange.api_key, api::FETCH | api::SHARE_FETCH)
            && exchange.response_bytes.is_some();
        let fetched_records = (is_fetch && exchange.decoded && !exchange.replica)
            .then(|| exchange.fetched.iter().map(|p| p.records).sum());
        let group = self.group_of(&labels, &exchange);
        let told = out.len();
        self.hear(&labels, &exchange, &group, out);
        self.read_by(&labels, &exchange, &group);
        self.hear_unhooked(&labels, &exchange);
        if self.unhooked.is_full() {
            self.say_unhooked(labels.origin.time, out);
        }
        let mut produced = self.named(std::mem::take(&mut exchange.produced));
        let mut fetched = self.named(std::mem::take(&mut exchange.fetched));
        let consumed = if exchange.replica {
            &mut [][..]
        } else {
            &mut fetched[..]
        };
        self.producers
            .exchange(&labels, &exchange, &produced, &mut self.losses, out);
        out.push(Observation::Exchange(Exchange {
            origin: labels.origin,
            pid: labels.pid,
            cluster: Arc::clone(&labels.cluster),
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(&group),
            api_key: exchange.api_key,
            api: api_name(exchange.api_key),
            api_version: exchange.api_version,
            correlation_id: exchange.correlation_id,
            began: exchange.began,
            ended: exchange.ended,
            request_bytes: exchange.request_bytes,
            response_bytes: exchange.response_bytes,
            error: exchange.error,
            throttle_ms: exchange.throttle_ms,
            server: labels.server,
            produced: produced.iter_mut().map(produced_partition).collect(),
            fetched: consumed.iter_mut().map(fetched_partition).collect(),
            fetched_records,
        }));
        let consumed = fetched.iter().filter(|_| !exchange.replica);
        for (_, partition) in produced.iter().chain(consumed) {
            let uncounted = partition
                .samples
                .iter()
                .filter(|sample| sample.is_uncounted());
            self.losses
                .add("batch_not_counted", uncounted.count() as u64);
        }
        let spans = out.len();
        let mut sent = Vec::new();
        if self.settings.spans {
            sent = self.spans.produced(&labels, &exchange, &produced, out);
            if !exchange.replica {
                let calls = self.processing.calls(labels.pid, labels.origin.time);
                let calls = match calls {
                    Calls::None if self.unhooked.commits(labels.pid) => Calls::Commits,
                    calls => calls,
                };
                // A window that is shut tells of none.
                let awaited = calls != Calls::None && !self.processing.is_away(labels.pid);
                let of = (&group, calls, awaited);
                let gone = self.spans.fetched(&labels, &exchange, of, &fetched, out);
                self.losses.add("span_contexts_full", gone);
            }
            if let Some(Detail::Commit(commit)) = exchange.detail.as_deref() {
                let cause = self.cause_of_commit(&labels, &exchange, commit);
                self.spans
                    .committed((&labels, &cause), &exchange, commit, &self.topics, out);
                name_span(out, told, spans);
            }
            let unread = self.spans.take_unread();
            // A request that was cut by the end of its connection was never whole.
            if exchange.error != Some("CONNECTION_CLOSED") {
                self.losses.add("batch_not_opened", unread);
            }
        }
        let seen = Seen {
            labels: &labels,
            exchange: &exchange,
            produced: &produced,
            topics: &self.topics,
            spans,
        };
        let ended = self.transactions.exchange(&seen, &mut self.losses, out);
        if !sent.is_empty() || !produced.is_empty() {
            self.match_sent(&labels, &exchange, &produced, (spans, sent), out);
        }
        for of_group in ended {
            let group = &of_group.group;
            for (topic, index, offset) in of_group.offsets {
                let began = exchange.began;
                self.settle_unhooked(&labels, group, (&topic, index, offset), began);
                let losses = &mut self.losses;
                self.lags
                    .committed(&labels, group, &topic, index, Some(offset), losses);
            }
        }
    }

    /// The message that the commit is for: the call that named it waits for the answer, or made the request itself; else what the task that commits has
    /// in hand. A commit in the background is for none.
    fn cause_of_commit(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        commit: &Commit,
    ) -> Cause {
        let (pid, topics) = (labels.pid, &self.topics);
        let offsets = commit.offsets.iter();
        let offsets = offsets.map(|it| (topics.label(&it.topic), it.partition, it.offset));
        if let Some((cause, (task, time))) = self.causes.committed(pid, offsets) {
            let waits = self.processing.has_not_asked_since(pid, task, time);
            if time <= exchange.began && (waits || exchange.task == Some(task)) {
                return cause.clone();
            }
        }
        let doer = Doer {
            pid,
            task: exchange.task,
            parent: None,
            time: exchange.began,
        };
        match self.cause(doer) {
            Cause::Later(..) => Cause::Unknown,
            cause => cause,
        }
    }

    pub(super) fn shows(&self, topic: &str) -> bool {
        self.settings.internal_topics || !topic.starts_with("__")
    }

    /// Partitions with the names of their topics, internal ones left out.
    fn named(&self, partitions: Vec<fact::Partition>) -> Vec<(Arc<str>, fact::Partition)> {
        let named = partitions
            .into_iter()
            .map(|partition| (self.topics.label(&partition.topic), partition));
        named.filter(|(topic, _)| self.shows(topic)).collect()
    }
}

/// A failed commit was told (from `told` on) before its span was made (from `spans` on): the event names it, if it got one.
fn name_span(out: &mut [Observation], told: usize, spans: usize) {
    let Some((before, after)) = out.split_at_mut_checked(spans) else {
        return;
    };
    let mut commits = after.iter().filter_map(|made| match made {
        Observation::Span(span) if span.span == SpanKind::Commit => Some(span),
        _ => None,
    });
    let ids = commits.next().map(|span| (span.trace_id, span.span_id));
    for observation in before.iter_mut().skip(told) {
        if let Observation::Event(event) = observation
            && event.event == EventKind::CommitFailure
        {
            event.span = ids;
        }
    }
}

/// Takes the batches: nobody needs them after it.
fn produced_partition((topic, partition): &mut (Arc<str>, fact::Partition)) -> ProducedPartition {
    ProducedPartition {
        topic: Arc::clone(topic),
        partition: partition.index,
        error: partition.error,
        base_offset: partition.base_offset,
        batches: std::mem::take(&mut partition.batches),
    }
}

/// Takes the batches: nobody needs them after it.
fn fetched_partition((topic, partition): &mut (Arc<str>, fact::Partition)) -> FetchedPartition {
    FetchedPartition {
        topic: Arc::clone(topic),
        partition: partition.index,
        error: partition.error,
        fetch_offset: partition.fetch_offset,
        high_watermark: partition.high_watermark,
        records: partition.records,
        redelivered: partition.redelivered,
        batches: std::mem::take(&mut partition.batches),
    }
}
