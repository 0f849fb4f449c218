//! One transactional id: its producer, the transaction that is open, when to look at it again. In: what its exchanges say; out: answers about its times.

use crate::capture::{Nanos, Pid};
use crate::fact::detail::Producer;
use crate::model::transactions::open::Open;
use crate::model::{Labels, PATIENCE};

/// An id that no connection spoke of for so long is forgotten.
pub(super) const RETENTION: Nanos = 3_600_000_000_000;
/// Between two observations of a transaction that goes on.
const PAUSE: Nanos = 1_000_000_000;
/// One that hangs is told again, so that what is not told any more may be forgotten.
const AGAIN: Nanos = 60_000_000_000;
/// Brokers refuse longer timeouts by default (`transaction.max.timeout.ms`): for producers whose timeout was not seen.
const TIMEOUT_MOST: Nanos = 900_000_000_000;
/// Coordinators look for transactions that timed out every 10 s (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
pub(super) const GRACE: Nanos = 10_000_000_000;

/// One transactional id.
#[derive(Debug)]
pub(super) struct Line {
    /// Of its last exchange.
    pub labels: Labels,
    pub producer: Option<Producer>,
    pub timeout_ms: Option<u32>,
    /// The next transaction will be seen from its beginning on.
    pub whole: bool,
    pub open: Option<Open>,
    /// When the last transaction ended: what was asked before belongs to it.
    pub ended: Nanos,
    pub heard: Nanos,
    /// When it was last told of; something changed since.
    pub told: Option<Nanos>,
    pub dirty: bool,
    /// Its connections that are not closed. Its process is taken for alive while there is one.
    pub connections: usize,
    /// When the last of them closed.
    pub closed: Nanos,
    /// The producer of which was told that it was fenced.
    pub fenced: Option<(Pid, Option<Producer>)>,
    pub due: Nanos,
    /// The producer id under which markers find it.
    pub indexed: Option<i64>,
}

impl Line {
    pub fn new(labels: &Labels) -> Line {
        Line {
            labels: labels.clone(),
            producer: None,
            timeout_ms: None,
            whole: false,
            open: None,
            ended: 0,
            heard: 0,
            told: None,
            dirty: false,
            connections: 0,
            closed: 0,
            fenced: None,
            due: 0,
            indexed: None,
        }
    }

    /// Things held.
    pub fn weight(&self) -> usize {
        self.open.as_ref().map_or(0, Open::weight)
    }

    pub fn changed(&mut self, labels: &Labels) {
        self.labels = labels.clone();
        self.dirty = true;
    }

    pub fn may_tell(&self, now: Nanos) -> bool {
        self.told
            .is_none_or(|told| told.saturating_add(PAUSE) <= now)
    }

    /// When the open transaction is over its timeout.
    pub fn limit(&self) -> Option<Nanos> {
        let timeout = match self.timeout_ms {
            Some(ms) => u64::from(ms).saturating_mul(1_000_000),
            None => TIMEOUT_MOST,
        };
        let open = self.open.as_ref()?;
        Some(open.seen.saturating_add(timeout))
    }

    pub fn is_over(&self, now: Nanos) -> bool {
        self.limit().is_some_and(|limit| limit <= now)
    }

    /// It hangs, and that was told a while ago.
    pub fn hangs_on(&self, now: Nanos) -> bool {
        let hanging = self.open.as_ref().is_some_and(|open| open.hanging);
        hanging
            && self
                .told
                .is_none_or(|told| told.saturating_add(AGAIN) <= now)
    }

    pub fn next_due(&self) -> Nanos {
        let pause = self.told.unwrap_or(0).saturating_add(PAUSE);
        let tell = self.dirty.then_some(pause);
        let hanging = self.open.as_ref().is_some_and(|open| open.hanging);
        let limit = self.limit().map(|limit| match self.connections {
            0 => limit.saturating_add(GRACE).max(self.closed),
            _ if hanging => self.told.unwrap_or(0).saturating_add(AGAIN),
            // By then the model knows whether they closed before.
            _ => limit.saturating_add(PATIENCE),
        });
        let forget = self.heard.saturating_add(RETENTION);
        [tell, limit, Some(forget)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Nanos::MAX)
    }
}
