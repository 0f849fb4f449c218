//! Share groups: ShareGroupHeartbeat, ShareFetch, ShareAcknowledge. The oracle knows v1 only: see `golden_share` for the others.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    share_acknowledge_request as ack, share_acknowledge_response as acked,
    share_fetch_request as ask, share_fetch_response as tell,
    share_group_heartbeat_response as beat,
};
use kafka_wire::api::Message;
use kafka_wire::api::n76_share_group_heartbeat::*;
use kafka_wire::api::n78_share_fetch::*;
use kafka_wire::api::n79_share_acknowledge::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn heartbeats() {
    each_version(1..=1, |version, random| {
        let body = oracle::ShareGroupHeartbeatRequest::default()
            .with_group_id(random.text().into())
            .with_member_id(random.text())
            .with_member_epoch(random.i32())
            .with_rack_id(random.maybe())
            .with_subscribed_topic_names(random.bool().then(|| {
                let names = random.many(3, Random::text);
                names.into_iter().map(Into::into).collect()
            }));
        let names = body.subscribed_topic_names.as_ref();
        let expected = Message::ShareGroupHeartbeatRequest(ShareGroupHeartbeatRequest {
            group_id: &body.group_id,
            member_id: &body.member_id,
            member_epoch: body.member_epoch,
            rack_id: text(&body.rack_id),
            subscribed_topic_names: names.map(|it| it.iter().map(|name| &***name).collect()),
        });
        exactly(Request, 76, version, &body, &expected);

        let assignment = random.bool().then(|| {
            let topics = random.many(3, |random| {
                beat::TopicPartitions::default()
                    .with_topic_id(random.uuid())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            });
            beat::Assignment::default()
                .with_topic_partitions(topics)
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareGroupHeartbeatResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_error_message(random.maybe())
            .with_member_id(random.maybe())
            .with_member_epoch(random.i32())
            .with_heartbeat_interval_ms(random.i32())
            .with_assignment(assignment);
        let topic = |it: &beat::TopicPartitions| TopicPartitions {
            topic_id: id(it.topic_id),
            partitions: it.partitions.clone(),
        };
        let assignment = body.assignment.as_ref();
        let expected = Message::ShareGroupHeartbeatResponse(ShareGroupHeartbeatResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            error_message: text(&body.error_message),
            member_id: text(&body.member_id),
            member_epoch: body.member_epoch,
            heartbeat_interval_ms: body.heartbeat_interval_ms,
            assignment: assignment.map(|it| it.topic_partitions.iter().map(topic).collect()),
        });
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 76, version, &body, &expected);
    });
}

#[test]
fn fetch_requests() {
    each_version(1..=1, |version, random| {
        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                let batches = random.many(3, |random| {
                    ask::AcknowledgementBatch::default()
                        .with_first_offset(random.i64())
                        .with_last_offset(random.i64())
                        .with_acknowledge_types(random.many(5, Random::i8))
                        .with_unknown_tagged_fields(random.tags(true))
                });
                ask::FetchPartition::default()
                    .with_partition_index(random.i32())
                    .with_acknowledgement_batches(batches)
                    .with_unknown_tagged_fields(random.tags(true))
            });
            ask::FetchTopic::default()
                .with_topic_id(random.uuid())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(random.tags(true))
        });
        let forgotten = random.many(3, |random| {
            ask::ForgottenTopic::default()
                .with_topic_id(random.uuid())
                .with_partitions(random.many(4, Random::i32))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareFetchRequest::default()
            .with_group_id(random.maybe().map(Into::into))
            .with_member_id(random.maybe())
            .with_share_session_epoch(random.i32())
            .with_max_wait_ms(random.i32())
            .with_min_bytes(random.i32())
            .with_max_bytes(random.i32())
            .with_max_records(random.i32())
            .with_batch_size(random.i32())
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten);
        let batch = |it: &ask::AcknowledgementBatch| AcknowledgementBatch {
            first_offset: it.first_offset,
            last_offset: it.last_offset,
            acknowledge_types: it.acknowledge_types.clone(),
        };
        let partition = |it: &ask::FetchPartition| FetchPartition {
            partition_index: it.partition_index,
            partition_max_bytes: 0,
            acknowledgement_batches: it.acknowledgement_batches.iter().map(batch).collect(),
        };
        let topics = body.topics.iter().map(|it| FetchTopic {
            topic_id: id(it.topic_id),
            partitions: it.partitions.iter().map(partition).collect(),
        });
        let forgotten = body.forgotten_topics_data.iter().map(|it| ForgottenTopic {
            topic_id: id(it.topic_id),
            partitions: it.partitions.clone(),
        });
        let expected = Message::ShareFetchRequest(ShareFetchRequest {
            group_id: body.group_id.as_ref().map(|it| it.as_str()),
            member_id: text(&body.member_id),
            share_session_epoch: body.share_session_epoch,
            max_wait_ms: body.max_wait_ms,
            min_bytes: body.min_bytes,
            max_bytes: body.max_bytes,
            max_records: body.max_records,
            batch_size: body.batch_size,
            share_acquire_mode: 0,
            is_renew_ack: false,
            topics: topics.collect(),
            forgotten_topics_data: forgotten.collect(),
        });
        exactly(Request, 78, version, &body, &expected);
    });
}

#[test]
fn fetch_answers() {
    each_version(1..=1, |version, random| {
        let topics = random.many(3, |random| {
            tell::ShareFetchableTopicResponse::default()
                .with_topic_id(random.uuid())
                .with_partitions(random.many(3, tell_partition))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let nodes = random.many(2, |random| {
            tell::NodeEndpoint::default()
                .with_host(random.text())
                .with_rack(random.maybe())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareFetchResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_error_message(random.maybe())
            .with_acquisition_lock_timeout_ms(random.i32())
            .with_responses(topics)
            .with_node_endpoints(nodes)
            .with_unknown_tagged_fields(random.tags(true));
        let mut topics = body.responses.iter();
        let mut partitions = body.responses.iter().flat_map(|topic| &topic.partitions);
        let all = body.responses.iter().flat_map(|topic| &topic.partitions);
        let mut acquired = all.flat_map(|partition| &partition.acquired_records);
        let mut ended = false;
        decode(Response, 78, version, &body, |event| match event {
            Event::ShareFetch {
                throttle_ms,
                error_code,
                acquisition_lock_timeout_ms,
            } => {
                assert_eq!(throttle_ms, body.throttle_time_ms);
                assert_eq!(error_code, body.error_code);
                assert_eq!(
                    acquisition_lock_timeout_ms,
                    body.acquisition_lock_timeout_ms
                );
            }
            Event::Topic(topic) => {
                let expected = topics.next().expect("a topic");
                assert_eq!(topic, TopicRef::Id(id(expected.topic_id)));
            }
            Event::Partition(seen) => {
                let expected = partitions.next().expect("a partition");
                assert_eq!(seen.index, expected.partition_index);
                assert_eq!(seen.error_code, expected.error_code);
                assert_eq!(seen.acknowledge_error_code, expected.acknowledge_error_code);
                assert_eq!((seen.high_watermark, seen.last_stable_offset), (-1, -1));
                assert_eq!(seen.aborted.pairs, []);
                let records = expected.records.as_ref();
                assert_eq!(seen.records_len, records.map(|it| it.len() as u32));
            }
            Event::PartitionEnd { complete } => assert!(complete),
            Event::Acquired(seen) => {
                let expected = acquired.next().expect("a run");
                assert_eq!(seen.first_offset, expected.first_offset);
                assert_eq!(seen.last_offset, expected.last_offset);
                assert_eq!(seen.delivery_count, expected.delivery_count);
            }
            Event::End { complete } => ended = complete,
            other => panic!("v{version}: {other:?}"),
        });
        assert!(ended && topics.next().is_none() && partitions.next().is_none());
        assert!(acquired.next().is_none());
    });
}

fn tell_partition(random: &mut Random) -> tell::PartitionData {
    let acquired = random.many(3, |random| {
        tell::AcquiredRecords::default()
            .with_first_offset(random.i64())
            .with_last_offset(random.i64())
            .with_delivery_count(random.i16())
            .with_unknown_tagged_fields(random.tags(true))
    });
    let leader = tell::LeaderIdAndEpoch::default()
        .with_leader_epoch(random.i32())
        .with_unknown_tagged_fields(random.tags(true));
    // Shorter than a batch: what a cut answer has.
    let records = random.bool().then(|| random.bytes(16).into());
    tell::PartitionData::default()
        .with_partition_index(random.i32())
        .with_error_code(random.error())
        .with_error_message(random.maybe())
        .with_acknowledge_error_code(random.error())
        .with_acknowledge_error_message(random.maybe())
        .with_current_leader(leader)
        .with_records(records)
        .with_acquired_records(acquired)
        .with_unknown_tagged_fields(random.tags(true))
}

#[test]
fn acknowledge_requests() {
    each_version(1..=1, |version, random| {
        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                let batches = random.many(3, |random| {
                    ack::AcknowledgementBatch::default()
                        .with_first_offset(random.i64())
                        .with_last_offset(random.i64())
                        .with_acknowledge_types(random.many(5, Random::i8))
                        .with_unknown_tagged_fields(random.tags(true))
                });
                ack::AcknowledgePartition::default()
                    .with_partition_index(random.i32())
                    .with_acknowledgement_batches(batches)
                    .with_unknown_tagged_fields(random.tags(true))
            });
            ack::AcknowledgeTopic::default()
                .with_topic_id(random.uuid())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareAcknowledgeRequest::default()
            .with_group_id(random.maybe().map(Into::into))
            .with_member_id(random.maybe())
            .with_share_session_epoch(random.i32())
            .with_topics(topics);
        let batch = |it: &ack::AcknowledgementBatch| AcknowledgementBatch {
            first_offset: it.first_offset,
            last_offset: it.last_offset,
            acknowledge_types: it.acknowledge_types.clone(),
        };
        let partition = |it: &ack::AcknowledgePartition| AcknowledgePartition {
            partition_index: it.partition_index,
            acknowledgement_batches: it.acknowledgement_batches.iter().map(batch).collect(),
        };
        let topics = body.topics.iter().map(|it| AcknowledgeTopic {
            topic_id: id(it.topic_id),
            partitions: it.partitions.iter().map(partition).collect(),
        });
        let expected = Message::ShareAcknowledgeRequest(ShareAcknowledgeRequest {
            group_id: body.group_id.as_ref().map(|it| it.as_str()),
            member_id: text(&body.member_id),
            share_session_epoch: body.share_session_epoch,
            is_renew_ack: false,
            topics: topics.collect(),
        });
        exactly(Request, 79, version, &body, &expected);
    });
}

#[test]
fn acknowledge_answers() {
    each_version(1..=1, |version, random| {
        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                acked::PartitionData::default()
                    .with_partition_index(random.i32())
                    .with_error_code(random.error())
                    .with_error_message(random.maybe())
                    .with_current_leader(
                        acked::LeaderIdAndEpoch::default()
                            .with_leader_epoch(random.i32())
                            .with_unknown_tagged_fields(random.tags(true)),
                    )
                    .with_unknown_tagged_fields(random.tags(true))
            });
            acked::ShareAcknowledgeTopicResponse::default()
                .with_topic_id(random.uuid())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(random.tags(true))
        });
        let nodes = random.many(2, |random| {
            acked::NodeEndpoint::default()
                .with_host(random.text())
                .with_rack(random.maybe())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareAcknowledgeResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_error_message(random.maybe())
            .with_responses(topics)
            .with_node_endpoints(nodes);
        let mut codes = vec![body.error_code];
        let mut responses = Vec::new();
        for topic in &body.responses {
            codes.extend(topic.partitions.iter().map(|it| it.error_code));
            let partitions = topic.partitions.iter().map(|it| PartitionData {
                partition_index: it.partition_index,
                error_code: it.error_code,
                error_message: text(&it.error_message),
            });
            responses.push(ShareAcknowledgeTopicResponse {
                topic_id: id(topic.topic_id),
                partitions: partitions.collect(),
            });
        }
        let expected = Message::ShareAcknowledgeResponse(ShareAcknowledgeResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            error_message: text(&body.error_message),
            acquisition_lock_timeout_ms: 0,
            responses,
        });
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 79, version, &body, &expected);
    });
}
