//! Transactions to metrics. In: a transaction as it is now; out: counts and durations of those that ended.

use kafka_analyzer::observation::Transaction;

use super::{Label, Measure};
use crate::export::catalogue::{Id, SECONDS};
use crate::export::processes::Processes;

impl Measure {
    pub fn transaction(&self, transaction: &Transaction, processes: &Processes) {
        if !transaction.state.is_ended() {
            return;
        }
        let now = transaction.origin.time;
        let labels = [
            Label::text(&transaction.cluster),
            Label::text(&processes.get(transaction.pid).service),
            Label::Word(transaction.state.as_str()),
        ];
        self.registry.add(Id::Transactions, &labels, 1, now);
        if let (Some(began), Some(ended)) = (transaction.began, transaction.ended) {
            let seconds = ended.saturating_sub(began) as f64 / 1e9;
            self.registry
                .observe(Id::TransactionDuration, &labels, now, |b| {
                    b.observe(SECONDS, seconds)
                });
        }
    }
}
