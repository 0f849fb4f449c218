//! Creation contexts of the sampled records that a process fetched. In: what a `poll T` of each would say; out: the same, once the application
//! is given the record, or is done with it.
//!
//! Kept for processes whose client libraries are watched, and for members of groups, whose commits may tell; the oldest go first, of which the spans are then
//! missing and counted. A few of other processes are kept, too: of a library that is not seen to ask, the first call comes after the answer that brought its messages.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::capture::Pid;
use crate::observation::{Link, Span};

const MOST: usize = 65_536;
/// Of fewer spans a second fewer wait: so many seconds of them.
const SECONDS: usize = 120;
/// Keys, headers and addresses in them.
const BYTES_MOST: usize = 16 << 20;
/// Those of processes of which no call was seen.
const EARLY_MOST: usize = 2048;
const EARLY_SECONDS: usize = 5;
const EARLY_BYTES_MOST: usize = 1 << 20;

type Key = (Pid, Arc<str>, i32);

/// A record that gets spans.
#[derive(Clone, Debug)]
pub(in crate::model) struct Sampled {
    /// What is known of the record; ids are those of its creation context, `parent` of it the span's.
    pub span: Span,
    pub link: Link,
    /// Headers were cut: whether there is a context in them is not known, so it is no parent.
    pub linked_only: bool,
    /// A `poll T` was made of it.
    pub polled: bool,
    /// A `process T` is to come.
    pub awaited: bool,
}

#[derive(Debug)]
pub(super) struct Contexts {
    most: usize,
    early_most: usize,
    records: HashMap<Key, BTreeMap<i64, Box<Sampled>>>,
    /// In the order in which they came.
    order: VecDeque<(Key, i64)>,
    bytes: usize,
    early: VecDeque<(Pid, i64, Sampled)>,
    early_bytes: usize,
}

impl Contexts {
    /// Of a process of which no call was seen yet, and may never be.
    pub fn keep_early(&mut self, pid: Pid, offset: i64, sampled: Sampled) {
        self.early_bytes += weight(&sampled);
        self.early.push_back((pid, offset, sampled));
        while self.early.len() > self.early_most || self.early_bytes > EARLY_BYTES_MOST {
            let Some((_, _, gone)) = self.early.pop_front() else {
                break;
            };
            self.early_bytes = self.early_bytes.saturating_sub(weight(&gone));
        }
    }

    /// The first call of a process. Returns how many had to go.
    pub fn watched(&mut self, pid: Pid) -> u64 {
        let mut gone = 0;
        for (of, offset, sampled) in std::mem::take(&mut self.early) {
            if of == pid {
                self.early_bytes = self.early_bytes.saturating_sub(weight(&sampled));
                gone += self.keep(pid, offset, sampled);
            } else {
                self.early.push_back((of, offset, sampled));
            }
        }
        gone
    }

    /// `a_second`: how many get spans, about.
    pub fn new(a_second: u32) -> Contexts {
        Contexts {
            most: MOST.min(a_second as usize * SECONDS),
            early_most: EARLY_MOST.min(a_second as usize * EARLY_SECONDS),
            records: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            early: VecDeque::new(),
            early_bytes: 0,
        }
    }

    /// Returns how many had to go.
    pub fn keep(&mut self, pid: Pid, offset: i64, sampled: Sampled) -> u64 {
        let topic = Arc::clone(&sampled.span.topic);
        let key = (pid, topic, sampled.span.partition);
        let weight = weight(&sampled);
        let records = self.records.entry(key.clone()).or_default();
        match records.insert(offset, Box::new(sampled)) {
            // Fetched again.
            Some(before) => self.bytes = self.bytes.saturating_sub(self::weight(&before)),
            None => self.order.push_back((key, offset)),
        }
        self.bytes += weight;
        let mut gone = 0;
        while self.order.len() > self.most || self.bytes > BYTES_MOST {
            let Some((key, offset)) = self.order.pop_front() else {
                break;
            };
            gone += u64::from(self.forget(&key, offset));
        }
        gone
    }

    /// Of what this process was given nothing more is to come: it ended, or its hooks went. Who is forgotten now is not missed.
    pub fn unwatched(&mut self, pid: Pid) {
        let of = self.records.iter_mut().filter(|((of, ..), _)| *of == pid);
        for sampled in of.flat_map(|(_, records)| records.values_mut()) {
            sampled.awaited = false;
        }
    }

    /// Those with these offsets, in order.
    pub fn within(
        &mut self,
        pid: Pid,
        topic: &Arc<str>,
        partition: i32,
        offsets: (i64, i64),
    ) -> impl Iterator<Item = &mut Sampled> {
        let records = self.records.get_mut(&(pid, Arc::clone(topic), partition));
        let range = offsets.0..=offsets.1.max(offsets.0);
        let found = records
            .into_iter()
            .flat_map(move |records| records.range_mut(range.clone()));
        found.map(|(_, sampled)| &mut **sampled)
    }

    pub fn len(&self) -> usize {
        self.order.len() + self.early.len()
    }

    pub const fn most(&self) -> usize {
        self.most + self.early_most
    }

    fn forget(&mut self, key: &Key, offset: i64) -> bool {
        let Some(records) = self.records.get_mut(key) else {
            return false;
        };
        let gone = records.remove(&offset);
        if records.is_empty() {
            self.records.remove(key);
        }
        if let Some(gone) = &gone {
            self.bytes = self.bytes.saturating_sub(weight(gone));
        }
        gone.is_some_and(|gone| gone.awaited)
    }
}

fn weight(sampled: &Sampled) -> usize {
    let span = &sampled.span;
    let key = span.key.as_ref().map_or(0, String::len);
    let headers = span
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len());
    // The key stands in the link, too.
    2 * key + headers.sum::<usize>() + span.address.len() + span.trace_state.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::model::spans::blank;
    use crate::observation::SpanKind;

    fn awaited(pid: Pid, offset: i64) -> Sampled {
        let span = Span {
            topic: "orders".into(),
            ..blank(&Labels::example(1, pid), SpanKind::Process, (1, 2))
        };
        let link = Link {
            trace_id: span.trace_id,
            span_id: span.span_id,
            offset,
            key: None,
            tombstone: false,
        };
        Sampled {
            span,
            link,
            linked_only: false,
            polled: false,
            awaited: true,
        }
    }

    #[test]
    fn only_what_was_still_to_come_is_missed() {
        let mut contexts = Contexts::new(1);
        let most = contexts.most as i64;
        let fill = |contexts: &mut Contexts, pid, offsets: std::ops::Range<i64>| -> u64 {
            offsets
                .map(|offset| contexts.keep(pid, offset, awaited(pid, offset)))
                .sum()
        };
        assert_eq!(fill(&mut contexts, 1, 0..most), 0);
        assert_eq!(fill(&mut contexts, 2, 0..10), 10);
        // The first process ends: its records make room, and nobody misses them.
        contexts.unwatched(1);
        assert_eq!(fill(&mut contexts, 2, 10..most), 0);
        // The second one's are waited for.
        assert_eq!(fill(&mut contexts, 2, most..most + 7), 7);
        assert_eq!(contexts.order.len() as i64, most);
    }
}
