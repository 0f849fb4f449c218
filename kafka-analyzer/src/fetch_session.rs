//! Where each partition of a Fetch answer was asked from. In: Fetch requests; out: fetch offsets by topic and partition.
//!
//! Incremental requests (KIP-227) list only what changed: the rest is remembered for the connection. A connection joined in the middle of a
//! session learns each partition's offset when the client next lists it, which it does after every answer with data.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::api::n01_fetch::FetchRequest;

use crate::capture::Nanos;
use crate::fact::Topic;
use crate::names::Names;

/// Partitions remembered for a connection.
const MOST: usize = 20_000;

/// Sessions of up to so many partitions are shared whenever they change.
const SHARED_MOST: usize = 256;
const SHARED_EVERY: Nanos = 1_000_000_000;

pub(crate) type Offsets = HashMap<(Topic, i32), i64>;

/// What a Fetch answer is read with.
#[derive(Clone, Debug)]
pub(crate) struct FetchAsked {
    pub offsets: Arc<Offsets>,
    pub read_committed: bool,
    /// The model is to be told all of `offsets`.
    pub share: bool,
    /// A follower (or a tool that acts as one): nothing is consumed.
    pub replica: bool,
}

#[derive(Debug, Default)]
pub(crate) struct FetchSession {
    offsets: Arc<Offsets>,
    /// Where the last answer was cut off inside of a batch.
    cuts: Offsets,
    /// When the model was given them last.
    shared: Nanos,
}

impl FetchSession {
    /// Takes the next request, written from `began` on; `forgot` counts partitions over the cap.
    pub fn request(
        &mut self,
        request: &FetchRequest<'_>,
        began: Nanos,
        names: &mut Names,
        forgot: &mut u64,
    ) -> FetchAsked {
        if request.session_epoch <= 0 {
            self.offsets = Arc::default();
        }
        if !request.topics.is_empty() || !request.forgotten_topics_data.is_empty() {
            let offsets = Arc::make_mut(&mut self.offsets);
            for topic in &request.forgotten_topics_data {
                let name = names.topic(topic.topic);
                for partition in &topic.partitions {
                    offsets.remove(&(name.clone(), *partition));
                }
            }
            for topic in &request.topics {
                let name = names.topic(topic.topic);
                for partition in &topic.partitions {
                    let key = (name.clone(), partition.partition);
                    if offsets.len() < MOST || offsets.contains_key(&key) {
                        offsets.insert(key, partition.fetch_offset);
                    } else {
                        *forgot += 1;
                    }
                }
            }
        }
        // What the model holds must be copied before the next change: large sessions are shared once a second.
        let changed = !request.topics.is_empty() && self.offsets.len() <= SHARED_MOST;
        let share = changed || began >= self.shared.saturating_add(SHARED_EVERY);
        if share {
            self.shared = began;
        }
        FetchAsked {
            share,
            offsets: Arc::clone(&self.offsets),
            read_committed: request.isolation_level == 1,
            replica: request.replica_id >= 0,
        }
    }

    /// Partitions that were cut off, of which this fetch goes on behind the cut.
    pub fn resumed(&self, asked: &FetchAsked) -> Offsets {
        let behind = |(key, at): &(&(Topic, i32), &i64)| {
            asked.offsets.get(key).is_some_and(|offset| offset > at)
        };
        let cuts = self.cuts.iter().filter(behind);
        cuts.map(|(key, at)| (key.clone(), *at)).collect()
    }

    /// An answer told of this partition that it was cut off there, or that it was not.
    pub fn answered(&mut self, key: (Topic, i32), cut: Option<i64>) {
        match cut {
            Some(at) if self.cuts.len() < MOST || self.cuts.contains_key(&key) => {
                self.cuts.insert(key, at);
            }
            _ => drop(self.cuts.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::TopicRef;
    use kafka_wire::api::n01_fetch::{FetchPartition, FetchTopic, ForgottenTopic};

    fn request<'a>(epoch: i32, listed: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest<'a> {
        let topic = TopicRef::Name("orders");
        let partitions = listed
            .iter()
            .map(|(partition, fetch_offset)| FetchPartition {
                partition: *partition,
                fetch_offset: *fetch_offset,
                log_start_offset: -1,
                partition_max_bytes: 1,
            })
            .collect();
        FetchRequest {
            cluster_id: None,
            replica_id: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 0,
            isolation_level: 1,
            session_id: 5,
            session_epoch: epoch,
            topics: vec![FetchTopic { topic, partitions }],
            forgotten_topics_data: vec![ForgottenTopic {
                topic,
                partitions: forgotten.to_vec(),
            }],
            rack_id: "",
        }
    }

    #[test]
    fn incremental_requests_change_what_is_remembered() {
        let (mut session, mut names, mut forgot) = (FetchSession::default(), Names::default(), 0);
        let mut asked = |request: FetchRequest<'_>| {
            let asked = session.request(&request, 0, &mut names, &mut forgot);
            let mut offsets: Vec<_> = asked
                .offsets
                .iter()
                .map(|((_, partition), offset)| (*partition, *offset))
                .collect();
            offsets.sort();
            offsets
        };
        assert_eq!(
            asked(request(0, &[(0, 10), (1, 20)], &[])),
            [(0, 10), (1, 20)]
        );
        assert_eq!(asked(request(1, &[(1, 25)], &[])), [(0, 10), (1, 25)]);
        assert_eq!(asked(request(2, &[(2, 0)], &[0])), [(1, 25), (2, 0)]);
        assert_eq!(asked(request(-1, &[(3, 7)], &[])), [(3, 7)]);
        assert_eq!(forgot, 0);
    }
}
