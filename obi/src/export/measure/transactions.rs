//! Transactions to metrics. In: a transaction as it is now; out: counts and durations of those that ended, how many hang.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use kafka_analyzer::capture::Nanos;
use kafka_analyzer::observation::{Transaction, TransactionState};
use lru::LruCache;

use super::{Label, Measure};
use crate::export::catalogue::{Id, SECONDS};
use crate::export::processes::Processes;

const CAP: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// The model tells of each once a minute while it hangs.
const RENEWED: Nanos = 180 * 1_000_000_000;

/// The transactions that hang, by cluster and transactional id: their service, and when they were told of. Beyond the cap the oldest is forgotten.
#[derive(Debug)]
pub struct Hanging(Mutex<LruCache<(Label, Label), (Label, Nanos)>>);

impl Default for Hanging {
    fn default() -> Self {
        Hanging(Mutex::new(LruCache::new(CAP)))
    }
}

impl Measure {
    pub fn transaction(&self, transaction: &Transaction, processes: &Processes) {
        let cluster = Label::text(&transaction.cluster);
        let service = Label::text(&processes.get(transaction.pid).service);
        self.hanging(transaction, &cluster, &service);
        if !transaction.state.is_ended() {
            return;
        }
        let now = transaction.origin.time;
        let labels = [cluster, service, Label::Word(transaction.state.as_str())];
        self.registry.add(Id::Transactions, &labels, 1, now);
        if let (Some(began), Some(ended)) = (transaction.began, transaction.ended) {
            let seconds = ended.saturating_sub(began) as f64 / 1e9;
            self.registry
                .observe(Id::TransactionDuration, &labels, now, |b| {
                    b.observe(SECONDS, seconds)
                });
        }
    }

    fn hanging(&self, transaction: &Transaction, cluster: &Label, service: &Label) {
        let now = transaction.origin.time;
        let key = (cluster.clone(), Label::text(&transaction.transactional_id));
        let mut table = self
            .hanging
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let service = if transaction.state == TransactionState::Hanging {
            table.put(key, (service.clone(), now));
            service.clone()
        } else {
            // It is counted under the service that hung, whoever ended it.
            let Some((service, _)) = table.pop(&key) else {
                return;
            };
            service
        };
        let alike = table.iter().filter(|((of, _), (by, renewed))| {
            (of, by) == (cluster, &service) && renewed.saturating_add(RENEWED) > now
        });
        let count = alike.count() as f64;
        self.registry.set(
            Id::TransactionsHanging,
            &[cluster.clone(), service],
            count,
            now,
        );
    }
}
