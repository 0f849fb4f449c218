//! What a process with a transactional producer consumed. In: `poll T` spans and the offsets that its transactions commit; out: links from a
//! transaction to the messages that it was made of, and to those that it made.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::capture::Pid;
use crate::fact::Detail;
use crate::losses::Losses;
use crate::model::Labels;
use crate::model::transactions::Seen;
use crate::observation::{Link, Observation, SpanKind};

/// Of one partition: as many as a transaction can link to.
const LINKS_MOST: usize = 128;
const LINKS_MOST_ALL: usize = 16_384;
const PROCESSES_MOST: usize = 10_000;

/// Cluster, process, topic and partition.
type Key = (Arc<str>, Pid, Arc<str>, i32);

#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// Clusters and processes that have a transactional producer.
    watched: HashSet<(Arc<str>, Pid)>,
    consumed: HashMap<Key, VecDeque<Link>>,
    links: usize,
}

impl Inputs {
    pub fn watch(&mut self, labels: &Labels) {
        if self.watched.len() >= PROCESSES_MOST {
            self.watched.clear();
        }
        self.watched
            .insert((Arc::clone(&labels.cluster), labels.pid));
    }

    /// Links that an exchange adds to its transaction; `spans` are those of the exchange.
    pub fn exchange(
        &mut self,
        seen: &Seen<'_>,
        spans: &[Observation],
        losses: &mut Losses,
    ) -> Vec<Link> {
        if seen.exchange.transactional_id.is_some() {
            let made = creations(spans, SpanKind::Send);
            return made.into_iter().map(|(_, _, link)| link).collect();
        }
        let (cluster, pid) = (&seen.labels.cluster, seen.labels.pid);
        self.polled(cluster, pid, spans, losses);
        let mut links = Vec::new();
        if let Some(Detail::Commit(commit)) = seen.exchange.detail.as_deref()
            && commit.transaction.is_some()
        {
            let taken = commit.offsets.iter().filter(|it| it.error.is_none());
            for it in taken.filter(|_| seen.exchange.response_bytes.is_some()) {
                let topic = seen.topics.label(&it.topic);
                let key = (Arc::clone(cluster), pid, topic, it.partition);
                self.take(&key, it.offset, &mut links);
            }
        }
        links
    }

    /// A process got messages, of which these spans tell.
    pub fn polled(
        &mut self,
        cluster: &Arc<str>,
        pid: Pid,
        spans: &[Observation],
        losses: &mut Losses,
    ) {
        if !spans.is_empty() && self.watched.contains(&(Arc::clone(cluster), pid)) {
            for (topic, partition, link) in creations(spans, SpanKind::Poll) {
                let key = (Arc::clone(cluster), pid, topic, partition);
                self.consumed(key, link, losses);
            }
        }
    }

    fn consumed(&mut self, key: Key, link: Link, losses: &mut Losses) {
        if self.links >= LINKS_MOST_ALL {
            losses.add("transaction_inputs_full", self.links as u64);
            self.consumed.clear();
            self.links = 0;
        }
        let links = self.consumed.entry(key).or_default();
        if links.len() >= LINKS_MOST {
            links.pop_front();
            self.links -= 1;
        }
        links.push_back(link);
        self.links += 1;
    }

    /// What was consumed before `offset`.
    fn take(&mut self, key: &Key, offset: i64, into: &mut Vec<Link>) {
        let Some(links) = self.consumed.get_mut(key) else {
            return;
        };
        let before = links.len();
        links.retain(|link| {
            let later = link.offset >= offset;
            if !later {
                into.push(link.clone());
            }
            later
        });
        self.links -= before - links.len();
        if links.is_empty() {
            self.consumed.remove(key);
        }
    }
}

/// Creation contexts of the messages that spans are about, with topic and partition. Their keys stay with their own spans.
fn creations(spans: &[Observation], kind: SpanKind) -> Vec<(Arc<str>, i32, Link)> {
    let mut found = Vec::new();
    for observation in spans {
        let Observation::Span(span) = observation else {
            continue;
        };
        if span.span != kind || span.error.is_some() {
            continue;
        }
        if span.links.is_empty() {
            let link = Link {
                trace_id: span.trace_id,
                span_id: span.parent.unwrap_or(span.span_id),
                offset: span.offset.unwrap_or(-1),
                key: None,
                tombstone: span.tombstone,
            };
            found.push((Arc::clone(&span.topic), span.partition, link));
        }
        found.extend(span.links.iter().map(|link| {
            let link = Link {
                key: None,
                ..link.clone()
            };
            (Arc::clone(&span.topic), span.partition, link)
        }));
    }
    found
}
