//! One goroutine or thread. In: its calls; out: what it holds, and which of its calls stand within others.
//!
//! `ReadMessage` calls `FetchMessage` and commits before it returns: such inner calls give nothing to the application. A call is inner when its task
//! asked twice before anything was handed over. A return that was lost puts the count wrong until the next request, where it is mended.

use std::sync::Arc;

use crate::capture::{ClientCall, Nanos};
use crate::model::processing::run::RunId;
use crate::observation::Signal;

/// Runs of one call that are put together before its last one is told.
const GATHERED_MOST: usize = 64;
const HELD_LEAST: usize = 64;
/// Rounds that show that a task waits for all work on what it got before it asks again. One may be the commit of every tenth message.
const ROUNDS: u8 = 2;

#[derive(Debug, Default)]
pub(super) struct Tasked {
    /// Requests that have not returned yet: 0, 1, or 2 for more.
    asks: u8,
    inner: bool,
    /// It asks: messages that it gets are handed to itself, not offered to others.
    pub asker: bool,
    /// Its last hand-over of messages to the application, until it asks again.
    pub handed: Option<Nanos>,
    /// Topic and partition of the first of these.
    pub handed_of: Option<(Arc<str>, i32)>,
    /// Its last request that is not within another.
    pub asked: Option<Nanos>,
    /// Of which consumer, when it said no more than that; 0: not known.
    pub asked_of: u64,
    /// What it got last, in order; some of it may be done.
    pub holding: Vec<RunId>,
    prune_at: usize,
    /// Some of it was read by an inner call.
    pub holds_inner: bool,
    /// It named messages last, and before that.
    ended: Nanos,
    ended_before: Nanos,
    /// Where.
    pub ended_in: Option<(Arc<str>, i32)>,
    /// Topic and partition of the claim that it works on.
    pub claim: Option<(Arc<str>, i32)>,
    /// It gave a message back last.
    pub freed: Nanos,
    /// It sent a record on to a dead-letter or retry topic, since it named a message.
    pub sent_on: Option<(Signal, Nanos)>,
    /// The messages that it settled within its transaction.
    pub part: Option<Vec<Settled>>,
    /// It ends its transaction.
    pub ending: Option<Nanos>,
    gathered: Vec<ClientCall>,
    /// It may stand within a call that began before hooks came, and what it gets may be read by that one.
    pub stranger: bool,
    /// It got messages since hooks came.
    pub got: bool,
    /// Requests in a row before which it had named all that it had got.
    rounds: u8,
    /// Something that it got was left to others, or somebody that it started outlived what it had in hand.
    pub lets_go: bool,
    /// When it was seen first and last.
    pub first: Nanos,
    pub seen: Nanos,
}

/// Topic, partition, offset of the first, and how many.
pub type Settled = (Arc<str>, i32, i64, u32);

impl Tasked {
    pub fn new(stranger: bool, first: Nanos) -> Tasked {
        Tasked {
            stranger,
            first,
            ..Tasked::default()
        }
    }

    /// Some of its calls were not seen: what is known of its habits stays.
    pub fn interrupted(&mut self, stranger: bool) {
        *self = Tasked {
            asker: self.asker,
            claim: self.claim.take(),
            ended_in: self.ended_in.take(),
            lets_go: self.lets_go,
            seen: self.seen,
            ..Tasked::new(stranger, self.first)
        };
    }

    /// True: within another request.
    pub fn asks(&mut self) -> bool {
        self.asker = true;
        self.ending = None;
        if self.inner {
            // The outer call never returned.
            (self.asks, self.inner) = (0, false);
        }
        self.asks = (self.asks + 1).min(2);
        self.asks > 1
    }

    /// A request returned, with messages or none. True: within another one, which may go on asking when there were none.
    pub fn returns(&mut self, messages: bool) -> bool {
        let inner = self.asks > 1;
        self.inner = inner && messages;
        self.asks = self.asks.saturating_sub(1);
        inner
    }

    /// It asks for more. `named`: all that it had got it has named itself.
    pub fn ends_round(&mut self, named: bool) {
        self.rounds = self.rounds.saturating_add(1);
        self.lets_go |= !named;
    }

    /// What it got before is done: what was started for a message is over when it asks for the next.
    pub fn is_thorough(&self) -> bool {
        self.rounds >= ROUNDS && !self.lets_go
    }

    /// It hands over what it did not ask for anew: one more of what it asked for before.
    pub fn goes_on(&self) -> bool {
        self.asker && self.asks == 0
    }

    /// It named messages before `time`: the runs of one call have one time.
    pub fn busy(&self, time: Nanos) -> Nanos {
        match self.ended < time {
            true => self.ended,
            false => self.ended_before,
        }
    }

    pub fn ends(&mut self, time: Nanos) {
        if time > self.ended {
            (self.ended_before, self.ended) = (self.ended, time);
        }
    }

    /// The runs of a call, once its last one is there.
    pub fn gather(&mut self, call: &ClientCall) -> Option<Vec<ClientCall>> {
        if self
            .gathered
            .first()
            .is_some_and(|first| first.time != call.time)
        {
            // The end of an earlier call was lost.
            self.gathered.clear();
        }
        if self.gathered.len() < GATHERED_MOST {
            self.gathered.push(call.clone());
        } else if let Some(last) = self.gathered.last_mut() {
            last.truncated = true;
        }
        call.complete.then(|| std::mem::take(&mut self.gathered))
    }

    /// The claim that it works on, as it began with it, or else as it named messages.
    pub fn works_in(&self) -> Option<(Arc<str>, i32)> {
        self.claim.clone().or_else(|| self.ended_in.clone())
    }

    /// Remembers what it got; now and then forgets what `is_open` does not know any more.
    pub fn hold(&mut self, run: RunId, is_open: impl Fn(RunId) -> bool) {
        self.holding.push(run);
        if self.holding.len() >= self.prune_at.max(HELD_LEAST) {
            self.holding.retain(|run| is_open(*run));
            self.prune_at = 2 * self.holding.len();
        }
    }

    /// Nothing is lost with it.
    pub fn is_idle(&self) -> bool {
        self.holding.is_empty()
            && self.asks == 0
            && self.gathered.is_empty()
            && self.claim.is_none()
    }
}
