//! What one exchange does to its transaction. In: what it says; out: the transaction as it is now, and what there is to tell.

use crate::capture::Nanos;
use crate::fact;
use crate::fact::detail::Producer;
use crate::losses::Losses;
use crate::model::Labels;
use crate::model::transactions::line::Line;
use crate::model::transactions::open::Open;
use crate::model::transactions::said::{self, Said, What};
use crate::model::transactions::{Key, PARTS_MOST, PendingOffsets, Transactions, tell};
use crate::observation::{Link, Observation, TransactionState};

/// What an exchange is handled with.
pub(super) struct Turn<'a> {
    pub labels: &'a Labels,
    pub exchange: &'a fact::Exchange,
    /// It came over a connection that was not known to be of this producer.
    pub new_connection: bool,
    pub losses: &'a mut Losses,
    pub out: &'a mut Vec<Observation>,
}

impl Transactions {
    /// Returns the offsets that are committed with it.
    pub(super) fn turn(
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
    pub(super) fn end(
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
}
