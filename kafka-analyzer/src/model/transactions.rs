//! Transactions of each transactional id. In: exchanges of their producers, in event time; out: how each transaction began, what is part of
//! it, how it ended, the span and the events of it, and the offsets that became committed with it.
//!
//! A transaction begins with the first request that the broker took: AddPartitionsToTxn or AddOffsetsToTxn in version 1 of the protocol,
//! Produce (v12 and later) or TxnOffsetCommit (v5 and later) in version 2 (KIP-890). It ends by EndTxn, by a newer producer, or by the coordinator,
//! which the next answer shows. What began before the agent looked has no beginning and no duration.

mod inputs;
mod line;
mod markers;
mod open;
mod said;
mod tell;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid};
use crate::fact::{self, Partition};
use crate::losses::Losses;
use crate::model::topics::Topics;
use crate::model::{Labels, PATIENCE};
use crate::observation::{Observation, TransactionState};
use crate::settings::Settings;
use crate::trace::sampling::Sampler;

use inputs::Inputs;
use line::{GRACE, Line, RETENTION};
use said::said;
use turn::Turn;

/// Transactional ids that are remembered.
const LINES_MOST: usize = 10_000;
/// Partitions, groups, offsets and links of all open transactions.
const PARTS_MOST: usize = 262_144;
const CONNECTIONS_MOST: usize = 65_536;

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
    /// Of a cluster and a producer id.
    producers: HashMap<(Arc<str>, i64), Key>,
    inputs: Inputs,
    /// Of all open transactions, see [`PARTS_MOST`].
    parts: usize,
    /// None: no spans are wanted.
    sampler: Option<Sampler>,
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

impl Transactions {
    pub fn new(settings: &Settings) -> Transactions {
        Transactions {
            lines: HashMap::new(),
            schedule: BTreeSet::new(),
            connections: HashMap::new(),
            producers: HashMap::new(),
            inputs: Inputs::default(),
            parts: 0,
            sampler: settings.spans.then(|| Sampler::new(settings.told())),
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

    /// Client libraries of a process handed messages over: what its transactions may be made of.
    pub fn polled(
        &mut self,
        cluster: &Arc<str>,
        pid: Pid,
        spans: &[Observation],
        losses: &mut Losses,
    ) {
        self.inputs.polled(cluster, pid, spans, losses);
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
            if line.hangs_on(due) || line.dirty && line.may_tell(due) {
                line.tell(&key, due, out);
            }
            self.weigh(before, line.weight());
            if line.heard.saturating_add(RETENTION) <= due {
                if line.open.is_none() && line.connections == 0 {
                    self.index(&key, &mut line, None);
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
        let id = line.producer.map(|producer| producer.id);
        self.index(&key, &mut line, id);
        let due = line.next_due();
        if due != line.due {
            self.schedule.remove(&(line.due, key.clone()));
            self.schedule.insert((due, key.clone()));
            line.due = due;
        }
        self.lines.insert(key, line);
    }
}
