//! Commits of offsets. In: OffsetCommit, TxnOffsetCommit, OffsetFetch and ListOffsets exchanges; out: commits as observations, and what is committed.
//!
//! Offsets sent inside a transaction hold once it is committed, not before: `transactions` tells when. Whether a client commits by itself cannot be read: clients that
//! do so commit at one interval (`auto.commit.interval.ms`), so a steady interval of a second or more is taken as that.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::error_code;

use crate::capture::{Nanos, Pid};
use crate::fact::Detail;
use crate::fact::detail::{Commit, GroupOffsets, LogEnd, LogEndKind};
use crate::model::groups::Hearing;
use crate::model::lag::{Ends, Lags};
use crate::observation::{self, Event, EventKind, Observation};

type Name = Arc<str>;

/// Clients whose intervals are remembered, and groups whose failures were told.
const MOST: usize = 16_384;
/// Shortest interval of automatic commits that is believed.
const AUTOMATIC_LEAST: Nanos = 900_000_000;
/// Commits at one interval in a row that make a rule.
const STEADY: u32 = 3;
/// One event a second tells of failures; all are counted.
const QUIET: Nanos = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Commits {
    rhythms: HashMap<(Pid, Name, Name), Rhythm>,
    failed: HashMap<(Name, Name), Nanos>,
}

#[derive(Debug, Default)]
struct Rhythm {
    last: Nanos,
    interval: Nanos,
    steady: u32,
    uneven: u32,
}

impl Commits {
    pub fn hear(&mut self, detail: &Detail, lags: &mut Lags, hearing: &mut Hearing<'_>) {
        match detail {
            Detail::Commit(commit) => self.commit(commit, lags, hearing),
            Detail::CommittedRead(groups) => read(groups, lags, hearing),
            Detail::LogEnds(ends) => log_ends(ends, lags, hearing),
            Detail::OffsetsDeleted { group, partitions } => {
                for (topic, index) in partitions {
                    let topic = hearing.topics.label(topic);
                    lags.forget(&hearing.labels.cluster, group, Some((&topic, *index)));
                }
            }
            Detail::GroupsDeleted(groups) => {
                for group in groups {
                    lags.forget(&hearing.labels.cluster, group, None);
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self, commit: &Commit, lags: &mut Lags, hearing: &mut Hearing<'_>) {
        let (labels, exchange) = (hearing.labels, hearing.exchange);
        let group = &commit.member.group;
        let refused = commit
            .offsets
            .iter()
            .filter(|offset| offset.error.is_some());
        let refused = refused.count();
        // An error of the whole exchange (closed, timed out, a code above all partitions) refuses all.
        let whole = exchange.error.filter(|_| refused == 0);
        let mut records = Some(0);
        for offset in commit
            .offsets
            .iter()
            .filter(|o| o.error.is_none() && whole.is_none())
        {
            let topic = hearing.topics.label(&offset.topic);
            hearing
                .consumers
                .reads(labels.pid, &labels.client_id, group, &topic);
            // Those of a transaction hold when it ends.
            let before = match &commit.transaction {
                Some(_) => None,
                None => lags.committed(
                    labels,
                    group,
                    &topic,
                    offset.partition,
                    Some(offset.offset),
                    hearing.losses,
                ),
            };
            let moved = before.and_then(|before| offset.offset.checked_sub(before));
            let moved = moved.and_then(|moved| u64::try_from(moved).ok());
            records = records
                .zip(moved)
                .map(|(sum, moved): (u64, u64)| sum.saturating_add(moved));
        }
        let error = exchange.error;
        let automatic = self.automatic(commit, hearing);
        let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        hearing.out.push(Observation::Commit(observation::Commit {
            origin: labels.origin,
            pid: labels.pid,
            cluster: Arc::clone(&labels.cluster),
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(group),
            server: labels.server,
            began: exchange.began,
            ended: exchange.ended,
            answered: exchange.response_bytes.is_some(),
            error,
            retriable: error.is_some_and(error_code::is_retriable_name),
            partitions: len(commit.offsets.len()),
            refused: if whole.is_some() {
                len(commit.offsets.len())
            } else {
                len(refused)
            },
            records: records.filter(|_| error.is_none()),
            automatic,
            transactional_id: commit
                .transaction
                .as_ref()
                .map(|transaction| Arc::clone(&transaction.transactional_id)),
        }));
        if let Some(error) = error {
            self.failure(group, error, hearing);
        }
    }

    fn automatic(&mut self, commit: &Commit, hearing: &Hearing<'_>) -> Option<bool> {
        if commit.transaction.is_some() {
            return Some(false);
        }
        let labels = hearing.labels;
        let key = (
            labels.pid,
            Arc::clone(&labels.client_id),
            Arc::clone(&commit.member.group),
        );
        if self.rhythms.len() >= MOST && !self.rhythms.contains_key(&key) {
            // Only the guess starts again.
            self.rhythms.clear();
        }
        self.rhythms
            .entry(key)
            .or_default()
            .beat(hearing.exchange.began)
    }

    fn failure(&mut self, group: &Name, error: &'static str, hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let key = (Arc::clone(&labels.cluster), Arc::clone(group));
        let time = labels.origin.time;
        let said = self.failed.get(&key).copied();
        if said.is_some_and(|said| time < said.saturating_add(QUIET)) {
            return;
        }
        if self.failed.len() >= MOST {
            self.failed.clear();
        }
        self.failed.insert(key, time);
        hearing.out.push(Observation::Event(Event {
            origin: labels.origin,
            pid: labels.pid,
            cluster: Arc::clone(&labels.cluster),
            event: EventKind::CommitFailure,
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(group),
            transactional_id: "".into(),
            server: labels.server,
            error: Some(error),
            reason: None,
            message: format!("group {group} could not commit its offsets: {error}"),
            span: None,
        }));
    }
}

impl Rhythm {
    fn beat(&mut self, time: Nanos) -> Option<bool> {
        let since = time.saturating_sub(self.last);
        let first = self.last == 0;
        self.last = time;
        if first {
            return None;
        }
        // Within a tenth: timers are late, never early by much.
        let alike = since.abs_diff(self.interval) <= self.interval / 10;
        self.interval = since;
        if alike && since >= AUTOMATIC_LEAST {
            (self.steady, self.uneven) = (self.steady.saturating_add(1), 0);
        } else {
            (self.steady, self.uneven) = (0, self.uneven.saturating_add(1));
        }
        match (self.steady, self.uneven) {
            (steady, _) if steady >= STEADY => Some(true),
            (_, uneven) if uneven >= STEADY => Some(false),
            _ => None,
        }
    }
}

fn read(groups: &[GroupOffsets], lags: &mut Lags, hearing: &mut Hearing<'_>) {
    for told in groups {
        for (topic, index, offset) in &told.offsets {
            let topic = hearing.topics.label(topic);
            lags.committed(
                hearing.labels,
                &told.group,
                &topic,
                *index,
                *offset,
                hearing.losses,
            );
        }
    }
}

fn log_ends(ends: &[LogEnd], lags: &mut Lags, hearing: &mut Hearing<'_>) {
    for end in ends {
        let told = Some(end.offset);
        let ends = match end.which {
            LogEndKind::HighWatermark => Ends {
                high_watermark: told,
                log_start: None,
            },
            LogEndKind::Start => Ends {
                high_watermark: None,
                log_start: told,
            },
            // The end of what read_committed may see is at most the high watermark: it says nothing of lag.
            LogEndKind::LastStable => continue,
        };
        let topic: Name = hearing.topics.label(&end.topic);
        lags.ends(
            hearing.labels,
            &topic,
            end.partition,
            ends,
            (&[], 0),
            hearing.losses,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_interval_is_automatic_and_an_uneven_one_is_not() {
        const SECOND: Nanos = 1_000_000_000;
        let told = |times: &[Nanos]| {
            let mut rhythm = Rhythm::default();
            times.iter().map(|time| rhythm.beat(*time)).last().flatten()
        };
        let every_five = [5, 10, 15, 20, 25].map(|n| n * SECOND + n * 1_000_000);
        assert_eq!(told(&every_five), Some(true));
        assert_eq!(told(&every_five[..4]), None, "too early to tell");
        assert_eq!(told(&[1, 3, 4, 9, 10].map(|n| n * SECOND)), Some(false));
        assert_eq!(
            told(&[1, 2, 3, 4, 5, 6].map(|n| n * SECOND / 100)),
            Some(false),
            "too often"
        );
    }
}
