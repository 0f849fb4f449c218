//! What is told of a transaction. In: its line; out: observations, the span at its end, events.

use std::sync::Arc;

use crate::capture::Nanos;
use crate::model::Labels;
use crate::model::spans::blank;
use crate::model::transactions::open::Open;
use crate::model::transactions::{Key, Line};
use crate::observation::{
    Event, EventKind, Observation, Origin, Span, SpanKind, Transaction, TransactionState,
};
use crate::trace::address::{SpanId, TraceId, own_ids};
use crate::trace::sampling::Sampler;

pub(super) type Ids = (TraceId, SpanId);

impl Line {
    /// How it stands.
    pub fn tell(&mut self, key: &Key, now: Nanos, out: &mut Vec<Observation>) {
        self.dirty = false;
        let Some(open) = &self.open else {
            return;
        };
        let state = if open.hanging {
            TransactionState::Hanging
        } else {
            TransactionState::Ongoing
        };
        self.told = Some(now);
        let mut origin = self.labels.origin;
        if open.hanging {
            // Nothing new is heard of it.
            origin.time = origin.time.max(now);
        }
        let observation = self.transaction(key, open, state, origin, None);
        out.push(Observation::Transaction(observation));
    }

    /// It is open for longer than its timeout, and its process lives.
    pub fn tell_hanging(&mut self, key: &Key, now: Nanos, out: &mut Vec<Observation>) {
        let timeout_ms = self.timeout_ms;
        let Some(open) = self.open.as_mut().filter(|open| !open.hanging) else {
            return;
        };
        open.hanging = true;
        let since = now.saturating_sub(open.seen) / 1_000_000;
        let timeout = timeout_ms.map_or("not seen".to_owned(), |ms| format!("{ms} ms"));
        let id = &key.1;
        let message =
            format!("transaction of {id} is open for {since} ms, its timeout is {timeout}");
        self.labels.origin.time = self.labels.origin.time.max(now);
        let labels = &self.labels;
        let event = event(key, labels, EventKind::HangingTransaction, None, message);
        self.tell(key, now, out);
        out.push(Observation::Event(event));
    }

    /// The open transaction ended.
    pub fn tell_end(
        &mut self,
        key: &Key,
        state: TransactionState,
        now: Nanos,
        sampler: Option<&mut Sampler>,
        out: &mut Vec<Observation>,
    ) -> Option<Ids> {
        let open = self.open.take()?;
        (self.told, self.dirty) = (Some(now), false);
        let mut origin = self.labels.origin;
        origin.time = origin.time.max(now);
        let observation = self.transaction(key, &open, state, origin, Some(now));
        let span = sampler.and_then(|sampler| span(key, &self.labels, &observation, open, sampler));
        out.push(Observation::Transaction(observation));
        let span = span?;
        let ids = (span.trace_id, span.span_id);
        out.push(Observation::Span(span));
        Some(ids)
    }

    /// Another producer took the id while a transaction was open.
    pub fn tell_taken_over(
        &mut self,
        key: &Key,
        now: Nanos,
        by: &Labels,
        span: Option<Ids>,
        out: &mut Vec<Observation>,
    ) {
        self.fenced = Some((self.labels.pid, self.producer));
        let id = &key.1;
        let message = if by.pid == self.labels.pid {
            format!("another producer took {id} while a transaction was open")
        } else {
            let pid = by.pid;
            format!("process {pid} took {id} while a transaction was open")
        };
        let mut event = event(key, &self.labels, EventKind::Fencing, None, message);
        event.origin.time = event.origin.time.max(now);
        event.span = span;
        out.push(Observation::Event(event));
    }

    fn transaction(
        &self,
        key: &Key,
        open: &Open,
        state: TransactionState,
        origin: Origin,
        ended: Option<Nanos>,
    ) -> Transaction {
        Transaction {
            origin,
            pid: self.labels.pid,
            cluster: Arc::clone(&key.0),
            client_id: Arc::clone(&self.labels.client_id),
            transactional_id: Arc::clone(&key.1),
            producer_id: self.producer.map_or(-1, |producer| producer.id),
            producer_epoch: self.producer.map_or(-1, |producer| producer.epoch),
            state,
            timeout_ms: self.timeout_ms,
            began: open.began,
            ended,
            partitions: open.partitions.iter().cloned().collect(),
            groups: open.groups.iter().cloned().collect(),
            records: open.records,
            error: open.error,
        }
    }
}

/// A producer was refused because there is a newer one.
pub(super) fn fenced(
    key: &Key,
    labels: &Labels,
    error: Option<&'static str>,
    span: Option<Ids>,
    out: &mut Vec<Observation>,
) {
    let (id, pid) = (&key.1, labels.pid);
    let message = format!("the producer of {id} in process {pid} was fenced");
    let mut event = event(key, labels, EventKind::Fencing, error, message);
    event.span = span;
    out.push(Observation::Event(event));
}

fn event(
    key: &Key,
    labels: &Labels,
    kind: EventKind,
    error: Option<&'static str>,
    message: String,
) -> Event {
    Event {
        origin: labels.origin,
        pid: labels.pid,
        cluster: Arc::clone(&key.0),
        event: kind,
        client_id: Arc::clone(&labels.client_id),
        group: "".into(),
        transactional_id: Arc::clone(&key.1),
        server: labels.server,
        error,
        reason: None,
        message,
        span: None,
    }
}

/// Of a transaction that was seen from its beginning on; above the rate of spans some are left out.
fn span(
    key: &Key,
    labels: &Labels,
    told: &Transaction,
    open: Open,
    sampler: &mut Sampler,
) -> Option<Span> {
    let (began, ended) = (told.began?, told.ended?);
    let (trace_id, span_id) = own_ids(&[
        b"transaction",
        key.0.as_bytes(),
        key.1.as_bytes(),
        &told.producer_id.to_be_bytes(),
        &told.producer_epoch.to_be_bytes(),
        &began.to_be_bytes(),
        &ended.to_be_bytes(),
        &told.origin.connection.0.to_be_bytes(),
        &told.origin.offset.to_be_bytes(),
    ]);
    let level = sampler.level(ended, 1)?;
    if u64::from_be_bytes(span_id).leading_zeros() < level {
        return None;
    }
    let error = match told.state {
        TransactionState::Committed => None,
        TransactionState::TimedOut => told.error.or(Some("TIMEOUT")),
        _ => told.error.or(Some("ABORTED")),
    };
    let group = match &told.groups[..] {
        [only] => Arc::clone(only),
        _ => "".into(),
    };
    Some(Span {
        origin: told.origin,
        pid: told.pid,
        trace_id,
        span_id,
        links: open.links,
        links_dropped: open.links_dropped,
        error,
        message_count: Some(told.records),
        client_id: Arc::clone(&told.client_id),
        group,
        transactional_id: Arc::clone(&told.transactional_id),
        cluster: Arc::clone(&told.cluster),
        ..blank(labels, SpanKind::Transaction, (began, ended))
    })
}
