//! Members of share groups: what they were given, and what they did with what they had.

mod conversation;

use conversation::messages::{metadata_request, metadata_response, text, topic_id};
use conversation::*;
use kafka_analyzer::fact::detail::Acknowledged;
use kafka_analyzer::fact::group::Member;
use kafka_analyzer::fact::{Detail, Says, Topic};
use kafka_analyzer::observation::{
    Batches, FetchedPartition, Observation, Reason, Signal, SizeCounts, SpanKind,
};
use kafka_analyzer::{Settings, StreamStage};
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as Done,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic,
};
use kafka_protocol::messages::share_fetch_response::{
    AcquiredRecords, PartitionData, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::*;
use kafka_protocol::records::Compression;
use kafka_wire::Uuid;

const ORDERS: u128 = 7;

/// Acknowledges (first, last, kinds) of partition 0.
fn fetch_request(acknowledged: &[(i64, i64, &[i8])]) -> ShareFetchRequest {
    let mut request = ShareFetchRequest::default();
    request.group_id = Some(GroupId(text("workers")));
    request.member_id = Some(text("member-1"));
    request.share_session_epoch = 3;
    let mut partition = FetchPartition::default();
    for (first, last, kinds) in acknowledged {
        let mut batch = AcknowledgementBatch::default();
        (batch.first_offset, batch.last_offset) = (*first, *last);
        batch.acknowledge_types = kinds.to_vec();
        partition.acknowledgement_batches.push(batch);
    }
    let mut topic = FetchTopic::default();
    (topic.topic_id, topic.partitions) = (topic_id(ORDERS), vec![partition]);
    request.topics = vec![topic];
    request
}

/// Batches 0–9 and 10–14 of partition 0; acquired (first, last, delivery count).
fn fetch_response(compression: Compression, acquired: &[(i64, i64, i16)]) -> ShareFetchResponse {
    let mut partition = PartitionData::default();
    let both = [
        batch(&records(0, 10), compression),
        batch(&records(10, 5), compression),
    ];
    partition.records = Some(both.concat().into());
    for (first, last, count) in acquired {
        let mut run = AcquiredRecords::default();
        (run.first_offset, run.last_offset, run.delivery_count) = (*first, *last, *count);
        partition.acquired_records.push(run);
    }
    let mut topic = ShareFetchableTopicResponse::default();
    (topic.topic_id, topic.partitions) = (topic_id(ORDERS), vec![partition]);
    let mut response = ShareFetchResponse::default();
    response.responses = vec![topic];
    response
}

fn greeted() -> Talk {
    let mut talk = Talk::new(1);
    let answer = metadata_response(&[("orders", ORDERS)]);
    talk.exchange(3, 12, 1, &metadata_request(), &answer);
    talk
}

fn observe(compression: Compression, acquired: &[(i64, i64, i16)]) -> Vec<Observation> {
    let mut talk = greeted();
    let answer = fetch_response(compression, acquired);
    talk.exchange(78, 1, 2, &fetch_request(&[]), &answer);
    run(&talk.events)
}

#[test]
fn what_was_acquired_is_consumed() {
    let observations = observe(Compression::None, &[(2, 4, 1), (10, 14, 2)]);
    let all = exchanges(&observations);
    let fetch = all[1];
    assert_eq!((&*fetch.group, &*fetch.api), ("workers", "ShareFetch"));
    assert_eq!((fetch.fetched_records, fetch.error), (Some(8), None));
    let [only] = &fetch.fetched[..] else {
        panic!("{:?}", fetch.fetched)
    };
    let mut average = SizeCounts::default();
    average.add(only.batches.average.sum / 8, 8);
    let expected = FetchedPartition {
        topic: "orders".into(),
        partition: 0,
        error: None,
        fetch_offset: None,
        high_watermark: None,
        records: 8,
        redelivered: 5,
        batches: Batches {
            records: vec![3, 5],
            bytes: only.batches.bytes.clone(),
            average,
            ..Batches::default()
        },
    };
    assert_eq!(*only, expected);
    assert_eq!(unsupported(&observations), []);
    let poll = spans(&observations, SpanKind::Poll)[0];
    let offsets: Vec<_> = poll.links.iter().map(|link| link.offset).collect();
    assert_eq!(offsets, [2, 3, 4, 10, 11, 12, 13, 14]);
}

#[test]
fn compressed_batches_count_alike() {
    for (acquired, expected) in [
        (&[(0, 14, 1)][..], 15),
        (&[(0, 9, 1)], 10),
        (&[(5, 12, 1)], 8),
        (&[], 0),
    ] {
        for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
            let observations = observe(compression, acquired);
            let found = fetched(&observations);
            assert_eq!(found, [("orders".to_owned(), 0, expected)], "{acquired:?}");
        }
    }
}

/// Details of the exchanges after the first.
fn details(talk: &Talk) -> Vec<Detail> {
    let mut stage = StreamStage::new(&Settings::default());
    let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
    for event in &talk.events {
        stage.event(&event.event(), &mut facts, &mut verdicts);
    }
    let found = facts.into_iter().filter_map(|fact| match fact.says {
        Says::Exchange(exchange) => exchange.detail.map(|detail| *detail),
        _ => None,
    });
    found.collect()
}

#[test]
fn acknowledgements_are_told_by_runs() {
    let mut talk = greeted();
    let request = fetch_request(&[(0, 9, &[1]), (10, 14, &[1, 1, 0, 2, 2])]);
    let answer = fetch_response(Compression::None, &[(0, 14, 1)]);
    talk.exchange(78, 1, 2, &request, &answer);
    let mut request = ShareAcknowledgeRequest::default();
    request.group_id = Some(GroupId(text("workers")));
    request.member_id = Some(text("member-1"));
    let mut batch = Done::default();
    (
        batch.first_offset,
        batch.last_offset,
        batch.acknowledge_types,
    ) = (3, 3, vec![3]);
    let mut partition = AcknowledgePartition::default();
    partition.acknowledgement_batches = vec![batch];
    let mut topic = AcknowledgeTopic::default();
    (topic.topic_id, topic.partitions) = (topic_id(ORDERS), vec![partition]);
    request.topics = vec![topic];
    talk.exchange(79, 1, 3, &request, &ShareAcknowledgeResponse::default());
    let mut refused = ShareAcknowledgeResponse::default();
    refused.error_code = 25;
    talk.exchange(79, 1, 4, &request, &refused);

    let member = Member {
        group: "workers".into(),
        member_id: "member-1".into(),
        instance_id: None,
        epoch: -1,
    };
    let run = |first: i64, last: i64, kind: i8| Acknowledged {
        topic: Topic::Id(Uuid(ORDERS.to_be_bytes())),
        partition: 0,
        offsets: (first, last),
        kind,
    };
    let of = |acknowledged: Vec<Acknowledged>| Detail::Share {
        member: member.clone(),
        acknowledged,
    };
    let expected = [
        of(vec![
            run(0, 9, 1),
            run(10, 11, 1),
            run(12, 12, 0),
            run(13, 14, 2),
        ]),
        of(vec![run(3, 3, 3)]),
        of(vec![]),
    ];
    assert_eq!(details(&talk), expected);
}

/// Signal, offset, messages.
fn given_back(talk: &Talk) -> Vec<(Signal, i64, u32)> {
    let observations = run(&talk.events);
    let given = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::ProcessingError(it) => {
                assert_eq!((&*it.group, &*it.topic), ("workers", "orders"));
                Some((it.signal, it.offset, it.count))
            }
            _ => None,
        });
    given.collect()
}

#[test]
fn what_was_released_and_rejected_was_not_processed() {
    let given: &[(i64, i64, &[i8])] = &[(0, 3, &[1]), (4, 8, &[2]), (10, 14, &[3, 3, 0, 1, 2])];
    let request = fetch_request(given);
    let mut talk = greeted();
    let taken = fetch_response(Compression::None, &[]);
    talk.exchange(78, 1, 2, &request, &taken);
    assert_eq!(
        given_back(&talk),
        [
            (Signal::Release, 4, 5),
            (Signal::Reject, 10, 2),
            (Signal::Release, 14, 1)
        ]
    );
    // The broker took none of them: of the partition, and of the request.
    for of_partition in [true, false] {
        let mut refused = fetch_response(Compression::None, &[]);
        if of_partition {
            refused.responses[0].partitions[0].acknowledge_error_code = 121;
        } else {
            refused.error_code = 122;
        }
        let mut talk = greeted();
        talk.exchange(78, 1, 2, &request, &refused);
        assert_eq!(given_back(&talk), []);
    }
}

#[test]
fn a_member_is_at_work_with_its_next_fetch() {
    let mut talk = greeted();
    let mut request = ShareGroupHeartbeatRequest::default();
    request.group_id = GroupId(text("workers"));
    request.member_id = text("member-1");
    request.subscribed_topic_names = Some(vec![TopicName(text("orders"))]);
    let mut topic = TopicPartitions::default();
    (topic.topic_id, topic.partitions) = (topic_id(ORDERS), vec![0]);
    let mut assignment = Assignment::default();
    assignment.topic_partitions = vec![topic];
    let mut answer = ShareGroupHeartbeatResponse::default();
    (answer.member_id, answer.member_epoch) = (Some(text("member-1")), 1);
    answer.assignment = Some(assignment);
    talk.exchange(76, 1, 2, &request, &answer);
    // A session that goes on repeats no partition, and nothing is there to be had.
    let mut fetch = fetch_request(&[]);
    fetch.topics.clear();
    talk.exchange(78, 1, 3, &fetch, &ShareFetchResponse::default());
    let observations = run(&talk.events);
    let rebalances: Vec<_> = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Rebalance(it) => Some((it.reason, it.duration_ns.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(
        rebalances,
        [(Reason::FirstJoin, false), (Reason::FirstJoin, true)]
    );
}
