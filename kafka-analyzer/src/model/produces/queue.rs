//! Calls of one process that wait for their records. In: calls in order, records in order of their partitions; out: which call made which record.
//!
//! A record may be of each call before it whose topic, partition and sizes fit. Records of one partition come in the order of their calls, but
//! those of several may overtake each other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::names::{Name, name};
use super::{EXPIRY, Sent, root};
use crate::capture::{ClientCall, Nanos, Pid};
use crate::losses::Losses;
use crate::model::causes::{Cause, Doer};
use crate::observation::{Observation, Span};

/// Calls looked at for a record.
pub(super) const SEEN_MOST: usize = 1024;
const CALLS_MOST: usize = 8192;
/// After all calls were met by records, so long one more record says that they were met wrongly.
const CONFIRMED: Nanos = 500_000_000;
/// A match that is not confirmed by then counts for nothing.
const UNCONFIRMED: Nanos = 5_000_000_000;
const MATCHED_MOST: usize = 4096;
/// Two tasks that call within this time may overtake each other on the way to their library's queue.
const RACE: Nanos = 20_000_000;

/// Of key and value of a record; None: not known.
pub(super) type Sizes = (Option<u32>, Option<u32>);

/// Records of one partition of a request.
pub(in crate::model) struct Wire<'a> {
    pub pid: Pid,
    pub topic: &'a Arc<str>,
    pub partition: i32,
    /// The topic has no other.
    pub only: bool,
    pub began: Nanos,
    pub time: Nanos,
    /// Sizes of key and value of all records, where they are known; None: too many.
    pub sizes: Option<Vec<(Option<u32>, Option<u32>)>>,
    /// The broker took them: refused ones may come again.
    pub accepted: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Called {
    pub doer: Doer,
    cause: Cause,
    /// "" = not known.
    pub topic: Arc<str>,
    partition: i32,
    name: Name,
    key_len: Option<u32>,
    value_len: Option<u32>,
}

#[derive(Debug)]
struct Matched {
    span: Box<Span>,
    called: Called,
    at: Nanos,
    /// When it holds.
    due: Option<Nanos>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// In their order.
    calls: BTreeMap<u64, Called>,
    number: u64,
    /// The last call of each message by its name.
    names: HashMap<Name, u64>,
    /// Calls that have a cause.
    caused: usize,
    matched: VecDeque<Matched>,
    /// Matches count for nothing before all calls are gone.
    unsure: bool,
}

impl Called {
    pub fn sent(self, span: Box<Span>, fits: bool) -> Sent {
        // The application's own context wins.
        if !fits || span.parent.is_some() {
            return root(span);
        }
        Sent {
            span: Observation::Span(*span),
            doer: self.doer,
            cause: self.cause,
        }
    }

    pub fn has_cause(&self) -> bool {
        !matches!(self.cause, Cause::Unknown | Cause::Unsampled)
    }

    fn may_be(&self, wire: &Wire<'_>, sizes: Sizes) -> bool {
        self.fits(wire.topic, wire.partition, wire.began, sizes)
    }

    fn fits(&self, topic: &Arc<str>, partition: i32, began: Nanos, (key, value): Sizes) -> bool {
        let same = |called: Option<u32>, record: Option<u32>| {
            called.is_none() || record.is_none() || called == record
        };
        self.doer.time <= began
            && (self.topic.is_empty() || self.topic == *topic)
            && (self.partition < 0 || self.partition == partition)
            && same(self.key_len, key)
            && same(self.value_len, value)
    }
}

impl Queue {
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Some call that waits has a cause.
    pub fn is_caused(&self) -> bool {
        self.caused > 0
    }

    /// `told`: what becomes of each is told by its address.
    pub fn push(&mut self, call: &ClientCall, doer: Doer, cause: Cause, told: bool) {
        let full = self.calls.len() >= CALLS_MOST;
        if full && let Some((oldest, _)) = self.calls.first_key_value() {
            let oldest = *oldest;
            self.remove(oldest);
        }
        if call.fault || call.truncated || call.count > 1 || full {
            // Which messages it hands over is not known, or another's.
            self.unsure = true;
        }
        self.number += 1;
        if call.message != 0
            && let Some(before) = self.names.insert(name(call), self.number)
            && told
        {
            // What became of the message that stood there was not seen.
            self.remove(before);
        }
        let called = Called {
            doer,
            cause,
            topic: Arc::clone(&call.topic),
            partition: call.partition,
            name: name(call),
            key_len: call.key_len,
            value_len: call.value_len,
        };
        self.caused += usize::from(called.has_cause());
        self.calls.insert(self.number, called);
    }

    /// A message of the same name was handed over, and is not acknowledged yet.
    pub fn holds(&self, call: &ClientCall) -> bool {
        self.names.contains_key(&name(call))
    }

    /// What was matched and what waits counts for nothing until all calls are gone.
    pub fn doubt(&mut self) {
        self.unsure = true;
    }

    /// The only call that a record may be of, if there is one: all others before it were acknowledged.
    pub fn only(&mut self, span: &Span, sizes: Sizes) -> Option<Called> {
        if self.unsure || self.calls.len() > SEEN_MOST {
            return None;
        }
        let calls = self.calls.iter();
        let mut fits =
            calls.filter(|(_, called)| called.fits(&span.topic, span.partition, span.began, sizes));
        let (number, _) = fits.next()?;
        let number = fits.next().is_none().then_some(*number)?;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<Called> {
        let called = self.calls.remove(&number)?;
        self.caused = self.caused.saturating_sub(usize::from(called.has_cause()));
        if self.names.get(&called.name) == Some(&number) {
            self.names.remove(&called.name);
        }
        Some(called)
    }

    /// The call that handed the message over.
    pub fn take(&mut self, call: &ClientCall) -> Option<Called> {
        let number = self.names.get(&name(call)).copied()?;
        let called = self.remove(number)?;
        if self.calls.is_empty() && self.matched.is_empty() {
            self.unsure = false;
        }
        let topic = called.topic.is_empty() || call.topic.is_empty() || called.topic == call.topic;
        let known = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        let sizes = known(called.key_len, call.key_len) && known(called.value_len, call.value_len);
        (topic && sizes && called.doer.time <= call.time).then_some(called)
    }

    /// Records were written: returns spans that need not wait.
    pub fn wrote(
        &mut self,
        wire: &Wire<'_>,
        spans: Vec<(usize, Box<Span>)>,
        losses: &mut Losses,
    ) -> Vec<Sent> {
        if !wire.accepted {
            return spans.into_iter().map(|(_, span)| root(span)).collect();
        }
        let mut found = Vec::new();
        let mut sent = Vec::new();
        match &wire.sizes {
            Some(sizes) => {
                for size in sizes {
                    found.push(self.find(wire, *size));
                }
            }
            None => self.lose(wire.topic, wire.began),
        }
        let unmatched = found.iter().filter(|found| found.is_none()).count();
        if unmatched > 0 || wire.sizes.is_none() {
            self.resync(&mut sent, losses);
        }
        for (at, span) in spans {
            let called = found.get_mut(at).and_then(Option::take);
            match called.filter(|called| !self.unsure && called.has_cause()) {
                Some(called) if self.matched.len() < MATCHED_MOST => {
                    self.matched.push_back(Matched {
                        span,
                        called,
                        at: wire.time,
                        due: None,
                    });
                }
                _ => sent.push(root(span)),
            }
        }
        self.rest(wire.time);
        sent
    }

    /// The call that a record is of: the first that fits, if no other could be it.
    fn find(&mut self, wire: &Wire<'_>, size: (Option<u32>, Option<u32>)) -> Option<Called> {
        let calls = self.calls.iter().take(SEEN_MOST);
        let mut fits = calls.filter(|(_, called)| called.may_be(wire, size));
        let (number, first) = fits.next()?;
        let placed = |other: &Called| wire.only || other.partition >= 0 && first.partition >= 0;
        let in_order = |other: &Called| {
            let apart = first.doer.time.saturating_add(RACE) <= other.doer.time;
            placed(other) && (apart || other.doer.task == first.doer.task)
        };
        let same = |other: &Called| match first.cause {
            Cause::Later(..) => false,
            _ => other.cause == first.cause,
        };
        if fits.any(|(_, other)| !in_order(other) && !same(other)) {
            self.unsure = true;
        }
        let number = *number;
        self.remove(number)
    }

    /// Of calls about a topic (no name: of any) up to `time` it is not known which became of which.
    pub fn lose(&mut self, topic: &Arc<str>, time: Nanos) {
        let lost = self.calls.iter().filter(|(_, called)| {
            let same = called.topic.is_empty() || topic.is_empty() || called.topic == *topic;
            called.doer.time <= time && same
        });
        for number in lost.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.remove(number);
        }
    }

    /// The order is lost: what was matched counts for nothing.
    fn resync(&mut self, sent: &mut Vec<Sent>, losses: &mut Losses) {
        self.unsure = true;
        losses.add("produce_unmatched", self.matched.len() as u64);
        sent.extend(self.matched.drain(..).map(|matched| root(matched.span)));
    }

    /// All calls were met: what was matched holds, if nothing comes after it.
    fn rest(&mut self, now: Nanos) {
        if !self.calls.is_empty() {
            return;
        }
        self.unsure = false;
        for matched in self.matched.iter_mut().rev() {
            if matched.due.is_some() {
                break;
            }
            matched.due = Some(now.saturating_add(CONFIRMED));
        }
    }

    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Sent>, losses: &mut Losses) {
        while let Some((number, called)) = self.calls.first_key_value() {
            if called.doer.time.saturating_add(EXPIRY) > now {
                break;
            }
            losses.add("produce_call_expired", u64::from(called.has_cause()));
            let number = *number;
            self.remove(number);
            self.rest(now);
        }
        while let Some(first) = self.matched.front() {
            let holds = first.due.is_some_and(|due| due <= now);
            let over = first.due.is_none() && first.at.saturating_add(UNCONFIRMED) <= now;
            if !holds && !over {
                break;
            }
            if let Some(matched) = self.matched.pop_front() {
                losses.add("produce_unmatched", u64::from(over));
                out.push(matched.called.sent(matched.span, holds));
            }
        }
    }

    /// Its process ended: no record will come any more. What was matched holds if all calls were met.
    pub fn into_last(self) -> Vec<Sent> {
        let met = self.calls.is_empty();
        let matched = self.matched.into_iter();
        matched
            .map(|matched| matched.called.sent(matched.span, met))
            .collect()
    }

    pub fn into_roots(self) -> Vec<Sent> {
        let matched = self.matched.into_iter();
        matched.map(|matched| root(matched.span)).collect()
    }
}
