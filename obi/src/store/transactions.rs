//! Transactions as they are now: `obi.transactions/1`, the answer to `obi kafka transactions`. What is not known is left out.
//!
//! Bounded: of transactional ids beyond the cap the one idle for longest is forgotten and counted. One that ended is shown for ten
//! minutes, an open one for an hour after the last word of it.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_analyzer::capture::Nanos;
use kafka_analyzer::observation;
use lru::LruCache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IDLE, Name, entry};
use crate::export::filter::Filter;
use crate::export::processes::Processes;

pub const SCHEMA: &str = "obi.transactions/1";

const IDS: NonZeroUsize = NonZeroUsize::new(5_000).unwrap();
const OPEN: Nanos = 6 * IDLE;

/// The newest transaction of each transactional id on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transactions {
    /// Always `obi.transactions/1`.
    pub schema: String,
    /// Sorted by cluster and transactional id.
    pub transactions: Vec<Transaction>,
    /// Transactional ids forgotten because their table was full.
    pub forgotten: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    pub cluster: String,
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// `ongoing`, `hanging`, `committed`, `aborted`, `fenced`, `timed_out`.
    pub state: String,
    /// From its begin to its end, or to now; absent when its begin was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// `transaction.timeout.ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Partitions written to: topic and partition.
    pub partitions: Vec<(String, i32)>,
    /// Groups whose offsets are part of it.
    pub groups: Vec<String>,
    pub records: u64,
    pub pid: u32,
    pub service: String,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug)]
struct State {
    ids: LruCache<(Name, Name), observation::Transaction>,
    forgotten: u64,
}

#[derive(Debug)]
pub struct Table(Mutex<State>);

impl Default for Table {
    fn default() -> Self {
        Table(Mutex::new(State {
            ids: LruCache::new(IDS),
            forgotten: 0,
        }))
    }
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn transaction(&self, t: &observation::Transaction) {
        let key = (t.cluster.clone(), t.transactional_id.clone());
        let mut guard = self.state();
        let state = &mut *guard;
        *entry(&mut state.ids, key, &mut state.forgotten, || t.clone()) = t.clone();
    }

    /// `now` is in event time.
    pub fn report(&self, now: Nanos, filter: &Filter, processes: &Processes) -> Transactions {
        let state = self.state();
        let shown = state.ids.iter().map(|(_, t)| t).filter(|t| {
            let idle = now.saturating_sub(t.origin.time);
            idle < if t.state.is_ended() { IDLE } else { OPEN }
        });
        let mut transactions: Vec<Transaction> =
            shown.map(|t| show(t, now, filter, processes)).collect();
        transactions.sort_by(|a, b| {
            (&a.cluster, &a.transactional_id).cmp(&(&b.cluster, &b.transactional_id))
        });
        Transactions {
            schema: SCHEMA.to_owned(),
            transactions,
            forgotten: state.forgotten,
        }
    }
}

fn show(
    t: &observation::Transaction,
    now: Nanos,
    filter: &Filter,
    processes: &Processes,
) -> Transaction {
    let partitions = t.partitions.iter().filter(|(topic, _)| filter.topic(topic));
    let groups = t.groups.iter().filter(|group| filter.group(group));
    let until = t.ended.unwrap_or(now);
    Transaction {
        cluster: t.cluster.to_string(),
        transactional_id: t.transactional_id.to_string(),
        producer_id: t.producer_id,
        producer_epoch: t.producer_epoch,
        state: t.state.as_str().to_owned(),
        age_seconds: t
            .began
            .map(|began| until.saturating_sub(began) as f64 / 1e9),
        timeout_ms: t.timeout_ms,
        partitions: partitions
            .map(|(topic, p)| (topic.to_string(), *p))
            .collect(),
        groups: groups.map(ToString::to_string).collect(),
        records: t.records,
        pid: t.pid,
        service: processes.get(t.pid).service.to_string(),
        client_id: t.client_id.to_string(),
        error: t.error.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use kafka_analyzer::observation::TransactionState;

    use super::*;
    use crate::export::examples::{SECOND, transaction};
    use crate::export::filter;

    #[test]
    fn the_newest_of_each_id_with_its_age() {
        let table = Table::default();
        let mut open = transaction(TransactionState::Ongoing);
        table.transaction(&open);
        open.state = TransactionState::Hanging;
        open.origin.time = 9 * SECOND;
        table.transaction(&open);
        let mut ended = transaction(TransactionState::Aborted);
        ended.transactional_id = "tx-0".into();
        ended.error = Some("INVALID_TXN_STATE");
        table.transaction(&ended);
        let mut early = transaction(TransactionState::Ongoing);
        early.transactional_id = "tx-2".into();
        early.began = None;
        table.transaction(&early);
        let filter = filter::of(&["other"], &["other"]).unwrap();
        let report = table.report(11 * SECOND, &filter, &Processes::default());
        let said: Vec<_> = report
            .transactions
            .iter()
            .map(|t| (t.transactional_id.as_str(), t.state.as_str(), t.age_seconds))
            .collect();
        assert_eq!(
            said,
            [
                ("tx-0", "aborted", Some(2.5)),
                ("tx-1", "hanging", Some(10.0)),
                ("tx-2", "ongoing", None)
            ]
        );
        let hidden = &report.transactions[0];
        assert_eq!((&hidden.partitions, &hidden.groups), (&vec![], &vec![]));
        assert_eq!(hidden.error.as_deref(), Some("INVALID_TXN_STATE"));
        // What ended goes first.
        let later = table.report(IDLE + 4 * SECOND, &Filter::default(), &Processes::default());
        let ids: Vec<_> = later
            .transactions
            .iter()
            .map(|t| t.transactional_id.as_str())
            .collect();
        assert_eq!(ids, ["tx-1", "tx-2"]);
        assert_eq!(
            later.transactions[0].partitions,
            [("orders".to_owned(), 0), ("orders".to_owned(), 1)]
        );
    }
}
