//! What coordinators write into partitions when a transaction ends, seen where a broker is on the node. In: WriteTxnMarkers exchanges; out: the end
//! of transactions that timed out.
//!
//! Nothing else: a commit and an abort by the client are told by its own EndTxn, which these markers overtake.

use std::sync::Arc;

use crate::capture::Nanos;
use crate::fact::detail::Marker;
use crate::model::Labels;
use crate::model::transactions::line::Line;
use crate::model::transactions::{Key, Transactions};
use crate::observation::{Observation, TransactionState};

impl Transactions {
    /// Brokers took these markers.
    pub fn marked(
        &mut self,
        labels: &Labels,
        markers: &[Marker],
        now: Nanos,
        out: &mut Vec<Observation>,
    ) {
        for marker in markers.iter().filter(|marker| !marker.committed) {
            let id = (Arc::clone(&labels.cluster), marker.producer.id);
            let Some(key) = self.producers.get(&id).cloned() else {
                continue;
            };
            let Some(mut line) = self.lines.remove(&key) else {
                continue;
            };
            let before = line.weight();
            // The coordinator shuts the producer out with a newer epoch when it ends what is open for too long.
            let newer = line
                .producer
                .is_some_and(|known| known.epoch < marker.producer.epoch);
            if newer && line.is_over(now) {
                self.end(&key, &mut line, TransactionState::TimedOut, now, out);
                line.fenced = Some((line.labels.pid, line.producer));
            }
            self.weigh(before, line.weight());
            self.put(key, line);
        }
    }

    /// Markers find the line by this producer id from now on.
    pub(super) fn index(&mut self, key: &Key, line: &mut Line, id: Option<i64>) {
        if line.indexed == id {
            return;
        }
        let cluster = &key.0;
        if let Some(old) = line.indexed {
            self.producers.remove(&(Arc::clone(cluster), old));
        }
        if let Some(new) = id {
            self.producers
                .insert((Arc::clone(cluster), new), key.clone());
        }
        line.indexed = id;
    }
}
