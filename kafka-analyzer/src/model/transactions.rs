//! Transactions of each transactional id. In: exchanges of their producers, in event time; out: how each transaction began, what is part of
//! it, how it ended, the span and the events of it, and the offsets that became committed with it.
//!
//! A transaction begins with the first request that the broker took: AddPartitionsToTxn or AddOffsetsToTxn in version 1 of the protocol,
//! Produce (v12 and later) or TxnOffsetCommit (v5 and later) in version 2 (KIP-890). It ends by EndTxn, by a newer producer, or by the coordinator,
//! which the next answer shows. What began before the agent looked has no beginning and no duration.

mod inputs;
mod open;
mod said;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid};
use crate::fact::detail::Producer;
use crate::fact::{self, Partition};
use crate::losses::Losses;
use crate::model::topics::Topics;
use crate::model::{Labels, PATIENCE};
use crate::observation::{Link, Observation, TransactionState};
use crate::settings::Settings;
use crate::trace::sampling::Sampler;

use inputs::Inputs;
use open::Open;
use said::{Said, What, said};

/// Transactional ids that are remembered.
const LINES_MOST: usize = 10_000;
/// Partitions, groups, offsets and links of all open transactions.
const PARTS_MOST: usize = 262_144;
const CONNECTIONS_MOST: usize = 65_536;
/// An id that no connection spoke of for so long is forgotten.
const RETENTION: Nanos = 3_600_000_000_000;
/// Between two observations of a transaction that goes on.
const PAUSE: Nanos = 1_000_000_000;
/// Brokers refuse longer timeouts by default (`transaction.max.timeout.ms`): for producers whose timeout was not seen.
const TIMEOUT_MOST: Nanos = 900_000_000_000;
/// Coordinators look for transactions that timed out every 10 s (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
const GRACE: Nanos = 10_000_000_000;

/// Cluster and transactional id.
type Key = (Arc<str>, Arc<str>);

/// Offsets that a transaction committed for a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PendingOffsets {
    pub group: Arc<str>,
    /// Topic, partition, the next offset to read; sorted.
    pub offsets: Vec<(Arc<str>, i32, i64)>,
}

#[derive(Debug)]
pub(super) struct Transactions {
    lines: HashMap<Key, Line>,
    /// When to look at a line; each line is in here once, at its `due`.
    schedule: BTreeSet<(Nanos, Key)>,
    /// Who speaks over which connection.
    connections: HashMap<ConnectionId, Key>,
    inputs: Inputs,
    /// Of all open transactions, see [`PARTS_MOST`].
    parts: usize,
    /// None: no spans are wanted.
    sampler: Option<Sampler>,
}

/// One transactional id.
#[derive(Debug)]
struct Line {
    /// Of its last exchange.
    labels: Labels,
    producer: Option<Producer>,
    timeout_ms: Option<u32>,
    /// The next transaction will be seen from its beginning on.
    whole: bool,
    open: Option<Open>,
    /// When the last transaction ended: what was asked before belongs to it.
    ended: Nanos,
    heard: Nanos,
    /// When it was last told of; something changed since.
    told: Option<Nanos>,
    dirty: bool,
    /// Its connections that are not closed. Its process is taken for alive while there is one.
    connections: usize,
    /// When the last of them closed.
    closed: Nanos,
    /// The producer of which was told that it was fenced.
    fenced: Option<(Pid, Option<Producer>)>,
    due: Nanos,
}

/// An exchange as the model knows it.
pub(super) struct Seen<'a> {
    pub labels: &'a Labels,
    pub exchange: &'a fact::Exchange,
    pub produced: &'a [(Arc<str>, Partition)],
    pub topics: &'a Topics,
    /// Its spans are those from here on.
    pub spans: usize,
}

/// What an exchange is handled with.
struct Turn<'a> {
    labels: &'a Labels,
    exchange: &'a fact::Exchange,
    /// It came over a connection that was not known to be of this producer.
    new_connection: bool,
    losses: &'a mut Losses,
    out: &'a mut Vec<Observation>,
}

impl Transactions {
    pub fn new(settings: &Settings) -> Transactions {
        Transactions {
            lines: HashMap::new(),
            schedule: BTreeSet::new(),
            connections: HashMap::new(),
            inputs: Inputs::default(),
            parts: 0,
            sampler: settings
                .spans
                .then(|| Sampler::new(settings.spans_per_second)),
        }
    }

    /// Takes an exchange. Returns the offsets that are committed with it.
    pub fn exchange(
        &mut self,
        seen: &Seen<'_>,
        losses: &mut Losses,
        out: &mut Vec<Observation>,
    ) -> Vec<PendingOffsets> {
        let (labels, exchange) = (seen.labels, seen.exchange);
        let spans = out.get(seen.spans..).unwrap_or_default();
        let links = self.inputs.exchange(seen, spans, losses);
        let Some(said) = said(exchange, seen.produced, seen.topics) else {
            return Vec::new();
        };
        let key = (Arc::clone(&labels.cluster), Arc::clone(said.id));
        if !self.lines.contains_key(&key) {
            if !said.is_answered() {
                return Vec::new();
            }
            if self.lines.len() >= LINES_MOST {
                losses.add("transaction_table_full", 1);
                return Vec::new();
            }
            self.lines.insert(key.clone(), Line::new(labels));
            self.inputs.watch(labels);
        }
        let new_connection = self.heard(&key, labels.origin.connection, losses);
        let Some(mut line) = self.lines.remove(&key) else {
            return Vec::new();
        };
        line.heard = line.heard.max(exchange.ended);
        let before = line.weight();
        let mut turn = Turn {
            labels,
            exchange,
            new_connection,
            losses,
            out,
        };
        let committed = self.turn(&key, &mut line, said, links, &mut turn);
        self.weigh(before, line.weight());
        if line.dirty && line.may_tell(exchange.ended) {
            line.tell(&key, exchange.ended, out);
        }
        self.put(key, line);
        committed
    }

    fn turn(
        &mut self,
        key: &Key,
        line: &mut Line,
        said: Said<'_>,
        links: Vec<Link>,
        turn: &mut Turn<'_>,
    ) -> Vec<PendingOffsets> {
        let now = turn.exchange.ended;
        if said.fenced.is_some() {
            self.refused(key, line, &said, turn);
            return Vec::new();
        }
        if !said.is_init() && turn.exchange.began < line.ended {
            turn.losses
                .add("transaction_late", u64::from(said.is_answered()));
            return Vec::new();
        }
        if let What::Init { timeout_ms, given } = said.what {
            if let Some(given) = given {
                self.initialized(key, line, given, timeout_ms, turn);
            }
            return Vec::new();
        }
        if said.is_accepted() && !self.is_current(key, line, &said, turn) {
            return Vec::new();
        }
        match said.what {
            What::Part(part) if part.accepted => {
                let began = (line.whole && part.begins).then_some(turn.exchange.began);
                let open = line
                    .open
                    .get_or_insert_with(|| Open::new(began, turn.exchange.began));
                open.began_earlier(turn.exchange.began);
                let room = PARTS_MOST.saturating_sub(self.parts);
                open.add(part, links, room, turn.losses);
                line.changed(turn.labels);
            }
            What::End {
                accepted: true,
                committed,
                next,
            } => {
                if line.open.is_none() && line.whole {
                    // It ended already, or there was nothing in it.
                    line.producer = next.or(line.producer);
                    return Vec::new();
                }
                let open = line
                    .open
                    .get_or_insert_with(|| Open::new(None, turn.exchange.began));
                let offsets = if committed {
                    open.take_offsets()
                } else {
                    Vec::new()
                };
                let state = if committed {
                    TransactionState::Committed
                } else {
                    TransactionState::Aborted
                };
                line.labels = turn.labels.clone();
                self.end(key, line, state, now, turn.out);
                line.whole = true;
                line.producer = next.or(line.producer);
                return offsets;
            }
            _ => {}
        }
        if let Some(error) = said.error {
            self.failed(key, line, error, turn);
        }
        Vec::new()
    }

    /// A producer got its id and epoch: what another one left open is over.
    fn initialized(
        &mut self,
        key: &Key,
        line: &mut Line,
        given: Producer,
        timeout_ms: Option<u32>,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.exchange.ended;
        if now < line.ended {
            return;
        }
        if line.open.is_some() {
            // A client gives a transaction up like this when the coordinator would not take its EndTxn.
            let same_process = line.labels.pid == turn.labels.pid;
            if same_process && (!turn.new_connection || line.connections <= 1) {
                self.end(key, line, TransactionState::Aborted, now, turn.out);
            } else {
                let span = self.end(key, line, TransactionState::Fenced, now, turn.out);
                line.tell_taken_over(key, now, turn.labels, span, turn.out);
            }
        } else {
            line.fenced = None;
        }
        line.labels = turn.labels.clone();
        line.producer = Some(given);
        line.timeout_ms = timeout_ms;
        line.whole = true;
        line.ended = line.ended.max(turn.exchange.began);
    }

    /// Is this of the producer that the line is at? A newer one, which was not seen to begin, takes its place.
    fn is_current(
        &mut self,
        key: &Key,
        line: &mut Line,
        said: &Said<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(producer) = said.producer else {
            return true;
        };
        let Some(known) = line.producer.filter(|known| *known != producer) else {
            line.producer = Some(producer);
            return true;
        };
        if known.id == producer.id && known.epoch > producer.epoch {
            turn.losses.add("transaction_late", 1);
            return false;
        }
        if line.open.is_some() && line.labels.pid != turn.labels.pid {
            let now = turn.exchange.ended;
            let span = self.end(key, line, TransactionState::Fenced, now, turn.out);
            line.tell_taken_over(key, now, turn.labels, span, turn.out);
        } else if line.open.take().is_some() {
            // How it ended was not seen.
            turn.losses.add("transaction_end_unseen", 1);
        }
        line.labels = turn.labels.clone();
        line.producer = Some(producer);
        line.whole = false;
        true
    }

    /// The broker knows a newer producer than this one: because there is one, or because it ended the transaction itself.
    fn refused(&mut self, key: &Key, line: &mut Line, said: &Said<'_>, turn: &mut Turn<'_>) {
        let now = turn.exchange.ended;
        let zombie = match (said.producer, line.producer) {
            (Some(said), Some(known)) if said.id == known.id => said.epoch < known.epoch,
            (Some(said), Some(known)) if said != known => line.labels.pid != turn.labels.pid,
            _ => line.labels.pid != turn.labels.pid,
        };
        let mut span = None;
        if !zombie && let Some(open) = &mut line.open {
            open.error = said.fenced;
            let state = if line.is_over(now) {
                TransactionState::TimedOut
            } else {
                TransactionState::Fenced
            };
            line.labels = turn.labels.clone();
            span = self.end(key, line, state, now, turn.out);
            if state == TransactionState::TimedOut {
                line.fenced = Some((turn.labels.pid, said.producer));
            }
        }
        let told = line.fenced.is_some_and(|(pid, producer)| {
            pid == turn.labels.pid && (said.producer.is_none() || said.producer == producer)
        });
        if !told {
            line.fenced = Some((turn.labels.pid, said.producer));
            tell::fenced(key, turn.labels, said.fenced, span, turn.out);
        }
    }

    /// Another error. One that the client does not simply try again stays with the transaction.
    fn failed(&mut self, key: &Key, line: &mut Line, error: &'static str, turn: &mut Turn<'_>) {
        let over = line.is_over(turn.exchange.ended);
        let Some(open) = line.open.as_mut().filter(|_| said::is_lasting(error)) else {
            return;
        };
        open.error.get_or_insert(error);
        line.changed(turn.labels);
        if over && said::shows_abort(error) {
            self.end(
                key,
                line,
                TransactionState::TimedOut,
                turn.exchange.ended,
                turn.out,
            );
        }
    }

    /// Ends the open transaction. Returns the ids of its span, if it got one.
    fn end(
        &mut self,
        key: &Key,
        line: &mut Line,
        state: TransactionState,
        now: Nanos,
        out: &mut Vec<Observation>,
    ) -> Option<tell::Ids> {
        line.ended = line.ended.max(now);
        line.tell_end(key, state, now, self.sampler.as_mut(), out)
    }

    /// Everything up to `now` was told: what is due by itself.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        while let Some((due, key)) = self
            .schedule
            .first()
            .filter(|(due, _)| *due <= now)
            .cloned()
        {
            let Some(mut line) = self.lines.remove(&key) else {
                self.schedule.remove(&(due, key));
                continue;
            };
            let before = line.weight();
            match line.limit() {
                Some(limit) if line.connections == 0 && limit.saturating_add(GRACE) <= due => {
                    self.end(&key, &mut line, TransactionState::TimedOut, due, out);
                }
                Some(limit) if line.connections > 0 && limit.saturating_add(PATIENCE) <= due => {
                    line.tell_hanging(&key, due, out);
                }
                _ => {}
            }
            if line.dirty && line.may_tell(due) {
                line.tell(&key, due, out);
            }
            self.weigh(before, line.weight());
            if line.heard.saturating_add(RETENTION) <= due {
                if line.open.is_none() && line.connections == 0 {
                    self.schedule.remove(&(due, key));
                    continue;
                }
                line.heard = due;
            }
            self.put(key, line);
        }
    }

    /// The capture ended: what changed is told.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        let mut lines: Vec<_> = self.lines.iter_mut().filter(|(_, l)| l.dirty).collect();
        lines.sort_by(|a, b| a.0.cmp(b.0));
        for (key, line) in lines {
            line.tell(key, line.labels.origin.time, out);
        }
    }

    /// A connection is closed, and nothing more will be heard of it.
    pub fn closed(&mut self, connection: ConnectionId, now: Nanos) {
        let Some(key) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(mut line) = self.lines.remove(&key) {
            line.connections = line.connections.saturating_sub(1);
            line.closed = line.closed.max(now);
            self.put(key, line);
        }
    }

    /// Remembers over which connections the line's producer speaks. True: this one is new.
    fn heard(&mut self, key: &Key, connection: ConnectionId, losses: &mut Losses) -> bool {
        let known = self.connections.get(&connection);
        if known == Some(key) {
            return false;
        }
        if known.is_none() && self.connections.len() >= CONNECTIONS_MOST {
            // Its end will not be noticed: the process is taken for alive.
            losses.add("transaction_connections_full", 1);
        } else if let Some(other) = self.connections.insert(connection, key.clone())
            && let Some(mut line) = self.lines.remove(&other)
        {
            line.connections = line.connections.saturating_sub(1);
            self.put(other, line);
        }
        if let Some(line) = self.lines.get_mut(key) {
            line.connections += 1;
        }
        true
    }

    fn weigh(&mut self, before: usize, after: usize) {
        self.parts = self.parts.saturating_sub(before).saturating_add(after);
    }

    fn put(&mut self, key: Key, mut line: Line) {
        let due = line.next_due();
        if due != line.due {
            self.schedule.remove(&(line.due, key.clone()));
            self.schedule.insert((due, key.clone()));
            line.due = due;
        }
        self.lines.insert(key, line);
    }
}

impl Line {
    fn new(labels: &Labels) -> Line {
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
        }
    }

    /// Things held.
    fn weight(&self) -> usize {
        self.open.as_ref().map_or(0, Open::weight)
    }

    fn changed(&mut self, labels: &Labels) {
        self.labels = labels.clone();
        self.dirty = true;
    }

    fn may_tell(&self, now: Nanos) -> bool {
        self.told
            .is_none_or(|told| told.saturating_add(PAUSE) <= now)
    }

    /// When the open transaction is over its timeout.
    fn limit(&self) -> Option<Nanos> {
        let timeout = match self.timeout_ms {
            Some(ms) => u64::from(ms).saturating_mul(1_000_000),
            None => TIMEOUT_MOST,
        };
        let open = self.open.as_ref()?;
        Some(open.seen.saturating_add(timeout))
    }

    fn is_over(&self, now: Nanos) -> bool {
        self.limit().is_some_and(|limit| limit <= now)
    }

    fn next_due(&self) -> Nanos {
        let pause = self.told.unwrap_or(0).saturating_add(PAUSE);
        let tell = self.dirty.then_some(pause);
        let hanging = self.open.as_ref().is_some_and(|open| open.hanging);
        let limit = self.limit().map(|limit| match self.connections {
            0 => limit.saturating_add(GRACE).max(self.closed),
            // Told already: nothing more is due before its connections close.
            _ if hanging => Nanos::MAX,
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
