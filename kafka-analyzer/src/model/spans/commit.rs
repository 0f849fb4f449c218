//! Spans of commits. In: an answered commit, and the polls before it; out: `commit T`, linked to the last poll of each partition that it covers.
//!
//! A client may commit after every message: of more commits than there may be spans in a second, a part is chosen.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use super::{LINKS_MOST, empty_span};
use crate::fact::detail::Commit;
use crate::fact::{self, Partition, Topic};
use crate::model::Labels;
use crate::model::topics::Topics;
use crate::observation::{Link, Span, SpanKind};
use crate::settings::Settings;
use crate::trace::address::{SpanId, TraceId, own_ids};
use crate::trace::sampling::Sampler;

/// Partitions whose last poll is remembered; a full table starts again.
const POLLS_MOST: usize = 16_384;

type Name = Arc<str>;

#[derive(Debug)]
pub(super) struct CommitSpans {
    sampler: Sampler,
    polls: HashMap<(Name, Name, Name, i32), (TraceId, SpanId)>,
}

impl CommitSpans {
    pub fn new(settings: &Settings) -> CommitSpans {
        CommitSpans {
            sampler: Sampler::new(settings.told()),
            polls: HashMap::new(),
        }
    }

    pub fn polled(&mut self, span: &Span) {
        if span.group.is_empty() {
            return;
        }
        let name = Arc::clone;
        let key = (
            name(&span.cluster),
            name(&span.group),
            name(&span.topic),
            span.partition,
        );
        if self.polls.len() >= POLLS_MOST && !self.polls.contains_key(&key) {
            self.polls.clear();
        }
        self.polls.insert(key, (span.trace_id, span.span_id));
    }

    /// None: this one is not among those chosen. `chosen`: it is, with the message that it is for.
    pub fn span(
        &mut self,
        (labels, chosen): (&Labels, bool),
        exchange: &fact::Exchange,
        commit: &Commit,
        topics: &Topics,
    ) -> Option<Span> {
        let level = self.sampler.level(labels.origin.time, 1)?;
        let ids = commit_ids(labels, exchange, &commit.member.group);
        let mut hasher = SipHasher24::new();
        hasher.write(&ids.0);
        if !chosen && hasher.finish().trailing_zeros() < level {
            return None;
        }
        let mut offsets: Vec<(Name, i32, i64)> = commit
            .offsets
            .iter()
            .map(|offset| (topics.label(&offset.topic), offset.partition, offset.offset))
            .collect();
        offsets.sort_unstable();
        // Named after its topic, if it is one.
        let topic = match (offsets.first(), offsets.last()) {
            (Some((first, ..)), Some((last, ..))) if first == last => Arc::clone(first),
            _ => "".into(),
        };
        let partition = offsets.first().map_or(-1, |(_, index, _)| *index);
        let single = (offsets.len() == 1).then(|| offsets.first()).flatten();
        let empty = Partition::new(Topic::Name(Arc::clone(&topic)), partition);
        let mut span = empty_span(labels, exchange, &topic, &empty, SpanKind::Commit);
        (span.trace_id, span.span_id) = ids;
        span.group = Arc::clone(&commit.member.group);
        span.error = exchange.error;
        span.offset = single.map(|(.., offset)| *offset);
        if let Some(transaction) = &commit.transaction {
            span.transactional_id = Arc::clone(&transaction.transactional_id);
        }
        let polled = offsets.iter().filter_map(|(topic, index, offset)| {
            let name = Arc::clone;
            let key = (
                name(&labels.cluster),
                name(&span.group),
                name(topic),
                *index,
            );
            let (trace_id, span_id) = *self.polls.get(&key)?;
            Some(Link {
                trace_id,
                span_id,
                offset: offset.saturating_sub(1),
                key: None,
                tombstone: false,
            })
        });
        let links: Vec<Link> = polled.collect();
        let dropped = links.len().saturating_sub(LINKS_MOST);
        span.links_dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        span.links = links.into_iter().take(LINKS_MOST).collect();
        Some(span)
    }
}

/// What makes a commit unique is where and when it was captured.
fn commit_ids(labels: &Labels, exchange: &fact::Exchange, group: &str) -> (TraceId, SpanId) {
    own_ids(&[
        b"commit",
        labels.cluster.as_bytes(),
        labels.client_id.as_bytes(),
        group.as_bytes(),
        &exchange.began.to_be_bytes(),
        &labels.origin.time.to_be_bytes(),
        &labels.origin.connection.0.to_be_bytes(),
        &labels.origin.offset.to_be_bytes(),
    ])
}
