//! Markers that a coordinator's broker writes into other brokers' partitions: where logs end by them, and which transactions.

mod conversation;

use conversation::messages::text;
use conversation::transactions::*;
use conversation::*;
use kafka_analyzer::observation::{EventKind, Observation, TransactionState};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::*;

use TransactionState::*;

/// Producer id, epoch, committed, and partitions of `orders` with the broker's error codes.
type Marker<'a> = (i64, i16, bool, &'a [(i32, i16)]);

fn markers(told: &[Marker<'_>]) -> (WriteTxnMarkersRequest, WriteTxnMarkersResponse) {
    let mut request = WriteTxnMarkersRequest::default();
    let mut answer = WriteTxnMarkersResponse::default();
    for (id, epoch, committed, partitions) in told {
        let mut marker = WritableTxnMarker::default();
        (marker.producer_id, marker.producer_epoch) = (ProducerId(*id), *epoch);
        marker.transaction_result = *committed;
        let mut topic = WritableTxnMarkerTopic::default();
        topic.name = text("orders").into();
        topic.partition_indexes = partitions.iter().map(|(index, _)| *index).collect();
        marker.topics = vec![topic];
        request.markers.push(marker);
        let mut topic = WritableTxnMarkerTopicResult::default();
        topic.name = text("orders").into();
        for (index, error) in *partitions {
            let mut partition = WritableTxnMarkerPartitionResult::default();
            (partition.partition_index, partition.error_code) = (*index, *error);
            topic.partitions.push(partition);
        }
        let mut result = WritableTxnMarkerResult::default();
        result.producer_id = ProducerId(*id);
        result.topics = vec![topic];
        answer.markers.push(result);
    }
    (request, answer)
}

/// A client is told where `orders` ends.
fn log_end(talk: &mut Talk, id: i32, index: i32, offset: i64) {
    let mut partition = ListOffsetsPartition::default();
    (partition.partition_index, partition.timestamp) = (index, -1);
    let mut asked = ListOffsetsTopic::default();
    (asked.name, asked.partitions) = (text("orders").into(), vec![partition]);
    let mut request = ListOffsetsRequest::default();
    (request.replica_id, request.topics) = (BrokerId(-1), vec![asked]);
    let mut partition = ListOffsetsPartitionResponse::default();
    (partition.partition_index, partition.offset) = (index, offset);
    let mut told = ListOffsetsTopicResponse::default();
    (told.name, told.partitions) = (text("orders").into(), vec![partition]);
    let mut answer = ListOffsetsResponse::default();
    answer.topics = vec![told];
    talk.exchange(2, 7, id, &request, &answer);
}

fn by_time(talks: Vec<Talk>) -> Vec<Captured> {
    let mut all: Vec<Captured> = talks.into_iter().flat_map(|talk| talk.events).collect();
    all.sort_by_key(|event| match event {
        Captured::Opened { time, .. } => *time,
        Captured::Data { ended, .. } => *ended,
        _ => 0,
    });
    all
}

/// The last end said of each partition.
fn ends(observations: &[Observation]) -> Vec<(i32, Option<i64>)> {
    let mut ends = std::collections::BTreeMap::new();
    for observation in observations {
        if let Observation::PartitionProgress(told) = observation {
            ends.insert(told.partition, told.high_watermark);
        }
    }
    ends.into_iter().collect()
}

#[test]
fn a_marker_moves_the_end_of_a_log_that_was_known_before_it() {
    let mut app = Talk::new(1);
    app.greet();
    // A broker asks nobody for its cluster; it tells its controller.
    let (mut registering, mut broker) = (Talk::silent(200), Talk::silent(201));
    let mut registration = BrokerRegistrationRequest::default();
    registration.cluster_id = text(CLUSTER);
    let answer = BrokerRegistrationResponse::default();
    registering.exchange(62, 4, 1, &registration, &answer);
    app.clock = SECOND;
    for index in 0..3 {
        log_end(&mut app, 10 + index, index, 100);
    }
    // Two transactions end in partition 0; partition 2 does not take its marker, and of 3 nothing is known.
    broker.clock = 2 * SECOND;
    let (asked, told) = markers(&[
        (7, 0, true, &[(0, 0), (2, 6), (3, 0)]),
        (8, 0, false, &[(0, 0)]),
    ]);
    broker.exchange(27, 1, 5, &asked, &told);
    // While this one is written, a client is told an end that may count it.
    broker.clock = 3 * SECOND;
    let (asked, told) = markers(&[(9, 0, true, &[(1, 0)])]);
    broker.ask(27, 1, 6, &asked);
    app.clock = 4 * SECOND;
    log_end(&mut app, 20, 1, 101);
    broker.clock = 5 * SECOND;
    broker.tell(1, 6, &told);
    let observations = run(&by_time(vec![app, registering, broker]));
    assert_eq!(
        ends(&observations),
        [(0, Some(102)), (1, Some(101)), (2, Some(100))]
    );
}

#[test]
fn a_marker_of_a_newer_epoch_ends_what_is_over_its_timeout() {
    // After the timeout; before it, a client may have ended it itself; of the same epoch, the client did.
    let cases = [
        (20, 1, vec![Ongoing, Hanging, TimedOut]),
        (2, 1, vec![Ongoing, Hanging]),
        // Once more after a minute.
        (20, 0, vec![Ongoing, Hanging, Hanging]),
    ];
    for (after, epoch, expected) in cases {
        let mut app = Producing::new(1, "tx", true);
        app.init(5_000, (7, 0));
        app.produce("orders", 0, &app.records(0, 2), 0);
        let mut broker = Talk::new(200);
        broker.greet();
        broker.clock = app.talk.clock + after * SECOND;
        let (asked, told) = markers(&[(7, epoch, false, &[(0, 0)])]);
        broker.exchange(27, 1, 5, &asked, &told);
        if expected.contains(&TimedOut) {
            // That it is shut out is no news any more.
            app.talk.clock = broker.clock + SECOND;
            app.produce("orders", 0, &app.records(2, 1), 47);
        }
        let observations = run(&by_time(vec![app.talk, broker]));
        let all = transactions(&observations);
        let states: Vec<_> = all.iter().map(|told| told.state).collect();
        assert_eq!(states, expected, "after {after} s, epoch {epoch}");
        let kinds: Vec<_> = events(&observations).iter().map(|it| it.event).collect();
        assert_eq!(kinds, [EventKind::HangingTransaction]);
    }
}
