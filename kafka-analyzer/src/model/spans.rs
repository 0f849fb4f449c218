//! Spans of sampled records. In: kept records with their labels; out: `send T` and `poll T`.
//!
//! The creation context of a record is its context header, else the ids of its address, so a `send T` and the `poll T` that links to it meet
//! on any two nodes. A record that brings a header gets a `send T` of ours as a child of that context, never its id a second time. A context that
//! is not sampled gets no span. Keys and headers are shown as the settings say; a value never comes here.

mod commit;
mod contexts;
mod work;

use std::sync::Arc;

use kafka_wire::record_batch::Headers;

use commit::CommitSpans;
use contexts::{Contexts, Sampled};
pub(super) use work::Work;

use crate::capture::{Nanos, Pid};
use crate::fact::detail::Commit;
use crate::fact::{self, Content, KeptRecord, Partition, Sample};
use crate::model::Labels;
use crate::model::causes::{Cause, under};
use crate::model::topics::Topics;
use crate::observation::{Link, Observation, Span, SpanKind};
use crate::settings::{Settings, SpanTree};
use crate::trace::address::{Address, SpanId, TraceId, own_ids, place};
use crate::trace::context::{Found, find};
use crate::trace::key::hashed;
use crate::trace::sampling::{Sampler, keeps_batch, keeps_record};

/// The OpenTelemetry SDKs' default.
const LINKS_MOST: usize = 128;
const SECRETS: [&str; 8] = [
    "authorization",
    "cookie",
    "token",
    "password",
    "passwd",
    "secret",
    "api-key",
    "apikey",
];
const MASK: &str = "***";

#[derive(Debug)]
pub(super) struct Spans {
    settings: Settings,
    sampler: Sampler,
    commits: CommitSpans,
    contexts: Contexts,
    /// Batches with records that get spans, but could not be read.
    unread: u64,
}

/// What calls of client libraries tell of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// They are not watched.
    None,
    /// They are not watched, and its commits tell.
    Commits,
    /// No hand-over lately.
    Some,
    /// Hand-overs: polls are told from these.
    HandOver,
}

/// A record with what its spans need.
struct Message<'a> {
    sample: &'a Sample,
    record: &'a KeptRecord,
    offset: Option<i64>,
    address: String,
    /// Ids of the address.
    own: (TraceId, SpanId),
    /// The application's context.
    context: Option<(TraceId, SpanId, String)>,
}

impl Message<'_> {
    /// Trace and span id of the creation context.
    fn creation(&self) -> (TraceId, SpanId) {
        match &self.context {
            Some((trace_id, span_id, _)) => (*trace_id, *span_id),
            None => self.own,
        }
    }
}

impl Spans {
    pub fn new(settings: &Settings) -> Spans {
        Spans {
            settings: settings.clone(),
            sampler: Sampler::new(settings.told()),
            commits: CommitSpans::new(settings),
            contexts: Contexts::new(settings.told()),
            unread: 0,
        }
    }

    /// How many batches were not opened since the last call.
    pub fn take_unread(&mut self) -> u64 {
        std::mem::take(&mut self.unread)
    }

    /// `send T` of each sampled record, also of refused ones. Returns the partition of each, and the record's place in it.
    pub fn produced(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        produced: &[(Arc<str>, Partition)],
        out: &mut Vec<Observation>,
    ) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (index, (topic, partition)) in produced.iter().enumerate() {
            for message in self.messages(labels, topic, partition, false) {
                let mut span =
                    self.message_span(labels, exchange, topic, partition, SpanKind::Send, &message);
                (span.trace_id, span.span_id) = message.own;
                if let Some((trace_id, span_id, state)) = &message.context {
                    span.trace_id = *trace_id;
                    span.parent = Some(*span_id);
                    span.trace_state.clone_from(state);
                }
                let at = message.sample.records_before as usize;
                let delta = usize::try_from(message.record.offset_delta).unwrap_or(usize::MAX);
                places.push((index, at.saturating_add(delta)));
                out.push(Observation::Span(span));
            }
        }
        places
    }

    /// `poll T` of each topic and partition with sampled records, unless hand-overs will tell. Returns how many records found no room to wait for these.
    pub fn fetched(
        &mut self,
        labels: &Labels,
        exchange: &fact::Exchange,
        (group, calls, awaited): (&Arc<str>, Calls, bool),
        fetched: &[(Arc<str>, Partition)],
        out: &mut Vec<Observation>,
    ) -> u64 {
        let from = out.len();
        let mut gone = 0;
        for (topic, partition) in fetched {
            let messages = self.messages(labels, topic, partition, true);
            for message in &messages {
                let mut sampled = self.sampled(labels, exchange, (topic, partition), message);
                sampled.polled = calls != Calls::HandOver;
                sampled.awaited = awaited;
                let offset = sampled.link.offset;
                match calls {
                    Calls::None if group.is_empty() => {
                        self.contexts.keep_early(labels.pid, offset, sampled)
                    }
                    _ => gone += self.contexts.keep(labels.pid, offset, sampled),
                }
            }
            if calls == Calls::HandOver {
                continue;
            }
            match self.settings.span_tree {
                SpanTree::Children => {
                    for message in &messages {
                        let mut span = self.message_span(
                            labels,
                            exchange,
                            topic,
                            partition,
                            SpanKind::Poll,
                            message,
                        );
                        let delta = message.record.offset_delta.to_be_bytes();
                        let base = message.sample.header.base_offset.to_be_bytes();
                        span.span_id =
                            poll_ids(labels, exchange, topic, partition, &[&base, &delta]).1;
                        let (trace_id, parent) = message.creation();
                        (span.trace_id, span.parent) = (trace_id, Some(parent));
                        out.push(Observation::Span(span));
                    }
                }
                SpanTree::Links | SpanTree::Both if !messages.is_empty() => {
                    out.push(Observation::Span(
                        self.poll(labels, exchange, topic, partition, &messages),
                    ));
                }
                SpanTree::Links | SpanTree::Both => {}
            }
        }
        for observation in out.iter_mut().skip(from) {
            if let Observation::Span(span) = observation {
                span.group = Arc::clone(group);
                self.commits.polled(span);
            }
        }
        gone
    }

    /// What its spans will say, when calls tell of it.
    fn sampled(
        &self,
        labels: &Labels,
        exchange: &fact::Exchange,
        (topic, partition): (&Arc<str>, &Partition),
        message: &Message<'_>,
    ) -> Sampled {
        let kind = SpanKind::Process;
        let mut span = self.message_span(labels, exchange, topic, partition, kind, message);
        (span.trace_id, span.span_id) = message.creation();
        if let Some((_, _, state)) = &message.context {
            span.trace_state.clone_from(state);
        }
        // It is about the application, not about the broker.
        span.server = None;
        Sampled {
            span,
            link: self.link(message),
            linked_only: message.context.is_none() && message.record.truncated,
            polled: false,
            awaited: false,
        }
    }

    /// The first call of a process was seen. Returns how many records found no room.
    pub fn watched(&mut self, pid: Pid) -> u64 {
        self.contexts.watched(pid)
    }

    /// No call tells any more of what this process was given until now.
    pub fn unwatched(&mut self, pid: Pid) {
        self.contexts.unwatched(pid);
    }

    /// Records that wait for calls, and at most.
    pub fn table(&self) -> (&'static str, usize, usize) {
        ("span_contexts", self.contexts.len(), self.contexts.most())
    }

    /// `commit T` of an answered commit, linked to the polls that it covers, under the message that it is for.
    pub fn committed(
        &mut self,
        (labels, cause): (&Labels, &Cause),
        exchange: &fact::Exchange,
        commit: &Commit,
        topics: &Topics,
        out: &mut Vec<Observation>,
    ) {
        if exchange.response_bytes.is_some() {
            let chosen = matches!(cause, Cause::Span(..));
            let span = self
                .commits
                .span((labels, chosen), exchange, commit, topics)
                .map(Observation::Span);
            out.extend(span.and_then(|span| under(span, cause)));
        }
    }

    fn poll(
        &self,
        labels: &Labels,
        exchange: &fact::Exchange,
        topic: &Arc<str>,
        partition: &Partition,
        messages: &[Message<'_>],
    ) -> Span {
        let single = messages.first().filter(|_| partition.records == 1);
        let mut span = match single {
            Some(message) => {
                self.message_span(labels, exchange, topic, partition, SpanKind::Poll, message)
            }
            None => self.batch_span(labels, exchange, topic, partition, messages),
        };
        (span.trace_id, span.span_id) = poll_ids(labels, exchange, topic, partition, &[]);
        if let Some(message) = single
            && self.settings.span_tree == SpanTree::Both
        {
            let (trace_id, parent) = message.creation();
            (span.trace_id, span.parent) = (trace_id, Some(parent));
        }
        span.links = messages
            .iter()
            .take(LINKS_MOST)
            .map(|message| self.link(message))
            .collect();
        span.links_dropped = u32::try_from(messages.len() - span.links.len()).unwrap_or(u32::MAX);
        span
    }

    fn link(&self, message: &Message<'_>) -> Link {
        let (trace_id, span_id) = message.creation();
        Link {
            trace_id,
            span_id,
            offset: message.offset.unwrap_or(-1),
            key: self.key(message.record),
            tombstone: message.record.value_len.is_none(),
        }
    }

    /// Records of a partition that get a span.
    fn messages<'a>(
        &mut self,
        labels: &Labels,
        topic: &Arc<str>,
        partition: &'a Partition,
        is_fetch: bool,
    ) -> Vec<Message<'a>> {
        let mut messages = Vec::new();
        let Some(level) = self.sampler.level(labels.origin.time, partition.records) else {
            return messages;
        };
        for sample in &partition.samples {
            let base_offset = sample.base_offset(partition, is_fetch);
            let of_batch = sample.header.records_count.max(1) as u64;
            let index = partition.index;
            let first = place(&sample.header, base_offset, 0);
            if !first.is_none_or(|first| keeps_batch(level, of_batch, index, first)) {
                continue;
            }
            let Content::Records(records) = &sample.content else {
                self.unread += 1;
                continue;
            };
            for record in records {
                let place = place(&sample.header, base_offset, record.offset_delta);
                if !place.is_none_or(|place| keeps_record(level, of_batch, index, place)) {
                    continue;
                }
                let context = match find(
                    Headers {
                        raw: &record.headers,
                    }
                    .iter(),
                ) {
                    Found::None => None,
                    Found::Context(context) if context.sampled => {
                        Some((context.trace_id, context.span_id, context.trace_state))
                    }
                    Found::Context(_) | Found::Denied => continue,
                };
                let (own, address) = match place {
                    Some(place) => {
                        let address = Address {
                            cluster: &labels.cluster,
                            topic,
                            partition: index,
                            place,
                        };
                        (address.ids(), address.to_string())
                    }
                    None => (
                        placeless(labels, topic, partition, sample, record),
                        "none".to_owned(),
                    ),
                };
                let offset =
                    base_offset.map(|base| base.saturating_add(i64::from(record.offset_delta)));
                messages.push(Message {
                    sample,
                    record,
                    offset,
                    address,
                    own,
                    context,
                });
            }
        }
        messages
    }

    fn message_span(
        &self,
        labels: &Labels,
        exchange: &fact::Exchange,
        topic: &Arc<str>,
        partition: &Partition,
        kind: SpanKind,
        message: &Message<'_>,
    ) -> Span {
        let (sample, record) = (message.sample, message.record);
        let mut span = empty_span(labels, exchange, topic, partition, kind);
        span.offset = message.offset;
        span.key = self.key(record);
        span.tombstone = record.value_len.is_none();
        span.body_size = record.value_len.map(u64::from);
        span.envelope_size = Some(u64::from(record.size));
        span.codec = sample.header.codec.name();
        span.timestamp_ms = timestamp(partition, sample, record);
        span.headers = self.headers(record);
        span.headers_read = !record.truncated;
        span.address.clone_from(&message.address);
        span
    }

    fn batch_span(
        &self,
        labels: &Labels,
        exchange: &fact::Exchange,
        topic: &Arc<str>,
        partition: &Partition,
        messages: &[Message<'_>],
    ) -> Span {
        let mut span = empty_span(labels, exchange, topic, partition, SpanKind::Poll);
        span.message_count = Some(partition.records);
        span.offset = messages.first().and_then(|message| message.offset);
        span.codec = messages
            .first()
            .map_or("none", |message| message.sample.header.codec.name());
        span.headers_read = messages.iter().all(|message| !message.record.truncated);
        span
    }

    fn key(&self, record: &KeptRecord) -> Option<String> {
        let key = record
            .key
            .as_deref()
            .filter(|_| self.settings.capture_key)?;
        if self.settings.hash_keys {
            return Some(hashed(key));
        }
        std::str::from_utf8(key).ok().map(str::to_owned)
    }

    fn headers(&self, record: &KeptRecord) -> Vec<(String, String)> {
        if !self.settings.capture_headers {
            return Vec::new();
        }
        let shown =
            |(name, value): (&str, Option<&[u8]>)| (name.to_owned(), header_text(name, value));
        Headers {
            raw: &record.headers,
        }
        .iter()
        .map(shown)
        .collect()
    }
}

/// Text if it is text, else hex digits; a null value is empty.
fn header_text(name: &str, value: Option<&[u8]>) -> String {
    let lower = name.to_ascii_lowercase().replace('_', "-");
    if SECRETS.iter().any(|secret| lower.contains(secret)) {
        return MASK.to_owned();
    }
    let value = value.unwrap_or_default();
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .iter()
            .fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

fn timestamp(partition: &Partition, sample: &Sample, record: &KeptRecord) -> Option<i64> {
    let of_producer = if sample.header.is_log_append_time() {
        sample.header.max_timestamp
    } else {
        sample
            .header
            .base_timestamp
            .saturating_add(record.timestamp_delta)
    };
    partition
        .log_append_time
        .or(Some(of_producer))
        .filter(|time| *time >= 0)
}

fn empty_span(
    labels: &Labels,
    exchange: &fact::Exchange,
    topic: &Arc<str>,
    partition: &Partition,
    span: SpanKind,
) -> Span {
    Span {
        error: partition.error,
        topic: Arc::clone(topic),
        partition: partition.index,
        transactional_id: exchange.transactional_id.clone().unwrap_or_default(),
        ..blank(labels, span, (exchange.began, exchange.ended))
    }
}

/// Says no more than who did it, and when.
pub(super) fn blank(labels: &Labels, span: SpanKind, (began, ended): (Nanos, Nanos)) -> Span {
    Span {
        origin: labels.origin,
        span,
        pid: labels.pid,
        trace_id: [0; 16],
        span_id: [0; 8],
        parent: None,
        trace_state: String::new(),
        links: Vec::new(),
        links_dropped: 0,
        began,
        ended,
        error: None,
        topic: "".into(),
        partition: -1,
        offset: None,
        key: None,
        tombstone: false,
        body_size: None,
        envelope_size: None,
        message_count: None,
        codec: "none",
        timestamp_ms: None,
        client_id: Arc::clone(&labels.client_id),
        group: "".into(),
        transactional_id: "".into(),
        cluster: Arc::clone(&labels.cluster),
        server: labels.server,
        headers: Vec::new(),
        headers_read: true,
        address: "none".to_owned(),
        task: None,
    }
}

/// A `poll T` is ours alone: what makes it unique is where and when it was captured.
fn poll_ids(
    labels: &Labels,
    exchange: &fact::Exchange,
    topic: &Arc<str>,
    partition: &Partition,
    more: &[&[u8]],
) -> (TraceId, SpanId) {
    let parts: [&[u8]; 9] = [
        b"poll",
        labels.cluster.as_bytes(),
        labels.client_id.as_bytes(),
        topic.as_bytes(),
        &partition.index.to_be_bytes(),
        &exchange.began.to_be_bytes(),
        &labels.origin.time.to_be_bytes(),
        &labels.origin.connection.0.to_be_bytes(),
        &labels.origin.offset.to_be_bytes(),
    ];
    own_ids(&[&parts[..], more].concat())
}

/// A record without an address (acks=0, no producer id): nobody else can derive its ids.
fn placeless(
    labels: &Labels,
    topic: &Arc<str>,
    partition: &Partition,
    sample: &Sample,
    record: &KeptRecord,
) -> (TraceId, SpanId) {
    own_ids(&[
        b"send",
        labels.cluster.as_bytes(),
        labels.client_id.as_bytes(),
        topic.as_bytes(),
        &partition.index.to_be_bytes(),
        &labels.origin.time.to_be_bytes(),
        &labels.origin.connection.0.to_be_bytes(),
        &labels.origin.offset.to_be_bytes(),
        &sample.records_before.to_be_bytes(),
        &record.offset_delta.to_be_bytes(),
    ])
}
