//! Any history of commits and log ends: the last lag said of each group and partition is what both offsets make it, for any number of shards.

mod conversation;

use std::collections::{BTreeMap, BTreeSet};

use conversation::messages::text;
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::observation::{LagBasis, Observation};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::*;
use proptest::prelude::*;

const CONNECTIONS: usize = 4;
const GROUPS: [&str; 3] = ["billing", "audit", "search"];
const MILLISECOND: u64 = 1_000_000;
/// A commit with an error code that the broker gave.
const REFUSED: i16 = 25;

/// (group, partition).
type Place = (String, i32);
/// (offset, high watermark, messages).
type Behind = (i64, i64, u64);

#[derive(Clone, Debug)]
struct Step {
    connection: usize,
    /// All steps together take less than the 5 s after which a lower log end would be believed.
    wait: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Commit {
        group: usize,
        offsets: BTreeMap<i32, i64>,
        refused: bool,
    },
    LogEnd {
        partition: i32,
        offset: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offsets = prop::collection::btree_map(0..4_i32, 0..1000_i64, 1..3);
    let commit = (0..GROUPS.len(), offsets, prop::bool::weighted(0.1));
    let commit = commit.prop_map(|(group, offsets, refused)| What::Commit {
        group,
        offsets,
        refused,
    });
    let end =
        (0..5_i32, 0..1000_i64).prop_map(|(partition, offset)| What::LogEnd { partition, offset });
    let step = (
        0..CONNECTIONS,
        0..40 * MILLISECOND,
        prop_oneof![commit, end],
    )
        .prop_map(|(connection, wait, what)| Step {
            connection,
            wait,
            what,
        });
    prop::collection::vec(step, 1..80)
}

fn captured(steps: &[Step]) -> Vec<Captured> {
    let mut talks: Vec<Talk> = (1..=CONNECTIONS as u64).map(Talk::new).collect();
    talks.iter_mut().for_each(Talk::greet);
    let mut clock = MILLISECOND;
    for (n, step) in steps.iter().enumerate() {
        let talk = &mut talks[step.connection];
        clock += step.wait;
        talk.clock = clock;
        let id = 10 + n as i32;
        match &step.what {
            What::Commit {
                group,
                offsets,
                refused,
            } => commit(talk, id, GROUPS[*group], offsets, *refused),
            What::LogEnd { partition, offset } => log_end(talk, id, *partition, *offset),
        }
        clock = talk.clock;
    }
    let mut events: Vec<Captured> = talks.into_iter().flat_map(|talk| talk.events).collect();
    events.sort_by_key(|event| match event {
        Captured::Opened { time, .. } => *time,
        Captured::Data { ended, .. } => *ended,
        _ => 0,
    });
    events
}

fn commit(
    talk: &mut Talk,
    id: i32,
    group: &'static str,
    offsets: &BTreeMap<i32, i64>,
    refused: bool,
) {
    let mut asked = OffsetCommitRequestTopic::default();
    asked.name = text("orders").into();
    let mut told = OffsetCommitResponseTopic::default();
    told.name = text("orders").into();
    for (index, offset) in offsets {
        let mut partition = OffsetCommitRequestPartition::default();
        (partition.partition_index, partition.committed_offset) = (*index, *offset);
        asked.partitions.push(partition);
        let mut partition = OffsetCommitResponsePartition::default();
        partition.partition_index = *index;
        partition.error_code = if refused { REFUSED } else { 0 };
        told.partitions.push(partition);
    }
    let mut request = OffsetCommitRequest::default();
    request.group_id = text(group).into();
    request.topics = vec![asked];
    let mut answer = OffsetCommitResponse::default();
    answer.topics = vec![told];
    talk.exchange(8, 8, id, &request, &answer);
}

fn log_end(talk: &mut Talk, id: i32, index: i32, offset: i64) {
    let mut partition = ListOffsetsPartition::default();
    (partition.partition_index, partition.timestamp) = (index, -1);
    let mut asked = ListOffsetsTopic::default();
    asked.name = text("orders").into();
    asked.partitions = vec![partition];
    let mut request = ListOffsetsRequest::default();
    request.replica_id = BrokerId(-1);
    request.topics = vec![asked];
    let mut partition = ListOffsetsPartitionResponse::default();
    (partition.partition_index, partition.offset) = (index, offset);
    let mut told = ListOffsetsTopicResponse::default();
    told.name = text("orders").into();
    told.partitions = vec![partition];
    let mut answer = ListOffsetsResponse::default();
    answer.topics = vec![told];
    talk.exchange(2, 7, id, &request, &answer);
}

/// From the history itself.
fn expected(steps: &[Step]) -> BTreeMap<Place, Behind> {
    let mut committed: BTreeMap<Place, i64> = BTreeMap::new();
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for step in steps {
        match &step.what {
            What::Commit { refused: true, .. } => {}
            What::Commit { group, offsets, .. } => {
                for (index, offset) in offsets {
                    committed.insert((GROUPS[*group].to_owned(), *index), *offset);
                }
            }
            What::LogEnd { partition, offset } => {
                let end = ends.entry(*partition).or_insert(*offset);
                *end = (*end).max(*offset);
            }
        }
    }
    let known = committed.into_iter().filter_map(|(place, offset)| {
        let end = *ends.get(&place.1)?;
        let behind = (offset, end, (end - offset).max(0) as u64);
        Some((place, behind))
    });
    known.collect()
}

/// The last one said of each.
fn lags(observations: &[Observation]) -> BTreeMap<Place, Behind> {
    let mut last = BTreeMap::new();
    for observation in observations {
        if let Observation::Lag(lag) = observation {
            assert_eq!(lag.basis, LagBasis::Committed, "nobody fetched");
            assert_eq!((&*lag.topic, &*lag.cluster), ("orders", CLUSTER));
            last.insert(
                (lag.group.to_string(), lag.partition),
                (lag.offset, lag.high_watermark, lag.messages),
            );
        }
    }
    last
}

fn json(observations: &[Observation]) -> Vec<String> {
    let all = observations.iter();
    all.map(|one| serde_json::to_string(one).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_last_lag_is_what_the_offsets_make_it(steps in steps()) {
        prop_assert_eq!(lags(&run(&captured(&steps))), expected(&steps));
    }

    #[test]
    fn shards_say_the_same(steps in steps()) {
        let events = captured(&steps);
        let one = json(&run(&events));
        let four = json(&run_with(&Settings::default(), &events, 4).0);
        prop_assert_eq!(one, four);
    }

    /// No group says more than once in a second of event time how far it is behind.
    #[test]
    fn a_second_has_one_lag(steps in steps()) {
        let mut seen = BTreeSet::new();
        for observation in run(&captured(&steps)) {
            if let Observation::Lag(lag) = observation {
                prop_assert!(seen.insert((lag.origin.time, lag.group, lag.partition)));
            }
        }
    }
}
