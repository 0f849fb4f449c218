//! Topics and partitions: CreateTopics, DeleteTopics, DeleteRecords, CreatePartitions, DescribeTopicPartitions.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    create_partitions_request as grow, create_partitions_response as grown,
    create_topics_request as create, create_topics_response as created,
    delete_records_request as empty, delete_records_response as emptied,
    delete_topics_request as delete, delete_topics_response as deleted,
    describe_topic_partitions_request as ask, describe_topic_partitions_response as tell,
};
use kafka_wire::api::Message;
use kafka_wire::api::n19_create_topics::*;
use kafka_wire::api::n20_delete_topics::*;
use kafka_wire::api::n21_delete_records::*;
use kafka_wire::api::n37_create_partitions::*;
use kafka_wire::api::n75_describe_topic_partitions::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn create_topics_requests() {
    // It knows v2 and newer: see `golden_topics` for v0 and v1, also of DeleteTopics.
    each_version(2..=7, |version, random| {
        let topics = random.many(3, |random| {
            let assignments = random.many(3, |random| {
                create::CreatableReplicaAssignment::default()
                    .with_partition_index(random.i32())
                    .with_broker_ids(random.many(3, |random| random.i32().into()))
                    .with_unknown_tagged_fields(random.tags(version >= 5))
            });
            let configs = random.many(3, |random| {
                create::CreatableTopicConfig::default()
                    .with_name(random.text())
                    .with_value(random.maybe())
                    .with_unknown_tagged_fields(random.tags(version >= 5))
            });
            create::CreatableTopic::default()
                .with_name(random.text().into())
                .with_num_partitions(random.i32())
                .with_replication_factor(random.i16())
                .with_assignments(assignments)
                .with_configs(configs)
                .with_unknown_tagged_fields(random.tags(version >= 5))
        });
        let body = oracle::CreateTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(random.i32())
            .with_validate_only(random.bool());
        let mut topics = Vec::new();
        for topic in &body.topics {
            let assignments = topic.assignments.iter();
            let configs = topic.configs.iter();
            topics.push(CreatableTopic {
                name: &topic.name,
                num_partitions: topic.num_partitions,
                replication_factor: topic.replication_factor,
                assignments: assignments
                    .map(|it| CreatableReplicaAssignment {
                        partition_index: it.partition_index,
                        broker_ids: it.broker_ids.iter().map(|id| id.0).collect(),
                    })
                    .collect(),
                configs: configs
                    .map(|it| CreatableTopicConfig {
                        name: &it.name,
                        value: text(&it.value),
                    })
                    .collect(),
            });
        }
        let expected = Message::CreateTopicsRequest(CreateTopicsRequest {
            topics,
            timeout_ms: body.timeout_ms,
            validate_only: body.validate_only,
        });
        exactly(Request, 19, version, &body, &expected);
    });
}

#[test]
fn create_topics_answers() {
    each_version(2..=7, |version, random| {
        let topics = random.many(3, |random| {
            let mut topic = created::CreatableTopicResult::default()
                .with_name(random.text().into())
                .with_error_code(random.error())
                .with_error_message(random.maybe())
                .with_unknown_tagged_fields(random.tags(version >= 5));
            if version >= 7 {
                topic.topic_id = random.uuid();
            }
            if version >= 5 {
                topic.topic_config_error_code = random.error();
                (topic.num_partitions, topic.replication_factor) = (random.i32(), random.i16());
                let config = |random: &mut Random| {
                    created::CreatableTopicConfigs::default()
                        .with_name(random.text())
                        .with_value(random.maybe())
                        .with_unknown_tagged_fields(random.tags(true))
                };
                topic.configs = random.bool().then(|| random.many(3, config));
            }
            topic
        });
        let body = oracle::CreateTopicsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(topics);
        let topics = body.topics.iter().map(|it| CreatableTopicResult {
            name: &it.name,
            topic_id: id(it.topic_id),
            error_code: it.error_code,
            error_message: text(&it.error_message),
            num_partitions: it.num_partitions,
            replication_factor: it.replication_factor,
        });
        let expected = Message::CreateTopicsResponse(CreateTopicsResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        let codes: Vec<_> = body.topics.iter().map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 19, version, &body, &expected);
    });
}

#[test]
fn delete_topics() {
    each_version(1..=6, |version, random| {
        let mut body = oracle::DeleteTopicsRequest::default().with_timeout_ms(random.i32());
        if version >= 6 {
            body.topics = random.many(3, |random| {
                delete::DeleteTopicState::default()
                    .with_name(random.maybe().map(Into::into))
                    .with_topic_id(random.uuid())
                    .with_unknown_tagged_fields(random.tags(true))
            });
        } else {
            let names = random.many(3, Random::text);
            body.topic_names = names.into_iter().map(Into::into).collect();
        }
        let names = body.topic_names.iter().map(|name| DeleteTopicState {
            name: Some(name),
            topic_id: Uuid::ZERO,
        });
        let topics = body.topics.iter().map(|it| DeleteTopicState {
            name: it.name.as_ref().map(|name| name.as_str()),
            topic_id: id(it.topic_id),
        });
        let expected = Message::DeleteTopicsRequest(DeleteTopicsRequest {
            topics: names.chain(topics).collect(),
            timeout_ms: body.timeout_ms,
        });
        exactly(Request, 20, version, &body, &expected);

        let responses = random.many(3, |random| {
            let named = version < 6 || random.bool();
            let mut result = deleted::DeletableTopicResult::default()
                .with_name(named.then(|| random.text().into()))
                .with_error_code(random.error())
                .with_unknown_tagged_fields(random.tags(version >= 4));
            if version >= 6 {
                result.topic_id = random.uuid();
            }
            if version >= 5 {
                result.error_message = random.maybe();
            }
            result
        });
        let body = oracle::DeleteTopicsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_responses(responses);
        let responses = body.responses.iter().map(|it| DeletableTopicResult {
            name: it.name.as_ref().map(|name| name.as_str()),
            topic_id: id(it.topic_id),
            error_code: it.error_code,
            error_message: text(&it.error_message),
        });
        let expected = Message::DeleteTopicsResponse(DeleteTopicsResponse {
            throttle_time_ms: body.throttle_time_ms,
            responses: responses.collect(),
        });
        let codes: Vec<_> = body.responses.iter().map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 20, version, &body, &expected);
    });
}

#[test]
fn delete_records() {
    each_version(0..=2, |version, random| {
        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                empty::DeleteRecordsPartition::default()
                    .with_partition_index(random.i32())
                    .with_offset(random.i64())
                    .with_unknown_tagged_fields(random.tags(version >= 2))
            });
            empty::DeleteRecordsTopic::default()
                .with_name(random.text().into())
                .with_partitions(partitions)
        });
        let body = oracle::DeleteRecordsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(random.i32());
        let partition = |it: &empty::DeleteRecordsPartition| DeleteRecordsPartition {
            partition_index: it.partition_index,
            offset: it.offset,
        };
        let topics = body.topics.iter().map(|it| DeleteRecordsTopic {
            name: &it.name,
            partitions: it.partitions.iter().map(partition).collect(),
        });
        let expected = Message::DeleteRecordsRequest(DeleteRecordsRequest {
            topics: topics.collect(),
            timeout_ms: body.timeout_ms,
        });
        exactly(Request, 21, version, &body, &expected);

        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                emptied::DeleteRecordsPartitionResult::default()
                    .with_partition_index(random.i32())
                    .with_low_watermark(random.i64())
                    .with_error_code(random.error())
            });
            emptied::DeleteRecordsTopicResult::default()
                .with_name(random.text().into())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(random.tags(version >= 2))
        });
        let body = oracle::DeleteRecordsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(topics);
        let partition = |it: &emptied::DeleteRecordsPartitionResult| DeleteRecordsPartitionResult {
            partition_index: it.partition_index,
            low_watermark: it.low_watermark,
            error_code: it.error_code,
        };
        let topics = body.topics.iter().map(|it| DeleteRecordsTopicResult {
            name: &it.name,
            partitions: it.partitions.iter().map(partition).collect(),
        });
        let expected = Message::DeleteRecordsResponse(DeleteRecordsResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        let partitions = body.topics.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<_> = partitions.map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 21, version, &body, &expected);
    });
}

#[test]
fn create_partitions() {
    each_version(0..=3, |version, random| {
        let topics = random.many(3, |random| {
            let assignments = random.many(3, |random| {
                grow::CreatePartitionsAssignment::default()
                    .with_broker_ids(random.many(3, |random| random.i32().into()))
                    .with_unknown_tagged_fields(random.tags(version >= 2))
            });
            grow::CreatePartitionsTopic::default()
                .with_name(random.text().into())
                .with_count(random.i32())
                .with_assignments(random.bool().then_some(assignments))
                .with_unknown_tagged_fields(random.tags(version >= 2))
        });
        let body = oracle::CreatePartitionsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(random.i32())
            .with_validate_only(random.bool());
        let topics = body.topics.iter().map(|it| CreatePartitionsTopic {
            name: &it.name,
            count: it.count,
        });
        let expected = Message::CreatePartitionsRequest(CreatePartitionsRequest {
            topics: topics.collect(),
            timeout_ms: body.timeout_ms,
            validate_only: body.validate_only,
        });
        exactly(Request, 37, version, &body, &expected);

        let results = random.many(3, |random| {
            grown::CreatePartitionsTopicResult::default()
                .with_name(random.text().into())
                .with_error_code(random.error())
                .with_error_message(random.maybe())
                .with_unknown_tagged_fields(random.tags(version >= 2))
        });
        let body = oracle::CreatePartitionsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_results(results);
        let results = body.results.iter().map(|it| CreatePartitionsTopicResult {
            name: &it.name,
            error_code: it.error_code,
            error_message: text(&it.error_message),
        });
        let expected = Message::CreatePartitionsResponse(CreatePartitionsResponse {
            throttle_time_ms: body.throttle_time_ms,
            results: results.collect(),
        });
        let codes: Vec<_> = body.results.iter().map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 37, version, &body, &expected);
    });
}

#[test]
fn describe_topic_partitions_requests() {
    each_version(0..=0, |version, random| {
        let topics = random.many(3, |random| {
            ask::TopicRequest::default()
                .with_name(random.text().into())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let cursor = random.bool().then(|| {
            ask::Cursor::default()
                .with_topic_name(random.text().into())
                .with_partition_index(random.i32())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(random.i32())
            .with_cursor(cursor);
        let request = DescribeTopicPartitionsRequest {
            topics: body.topics.iter().map(|it| it.name.as_str()).collect(),
            response_partition_limit: body.response_partition_limit,
            cursor: body.cursor.as_ref().map(|it| Cursor {
                topic_name: &it.topic_name,
                partition_index: it.partition_index,
            }),
        };
        let expected = Message::DescribeTopicPartitionsRequest(request);
        exactly(Request, 75, version, &body, &expected);
    });
}

fn tell_partition(random: &mut Random) -> tell::DescribeTopicPartitionsResponsePartition {
    let brokers = |random: &mut Random| random.many(3, |random| random.i32().into());
    tell::DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(random.error())
        .with_partition_index(random.i32())
        .with_leader_id(random.i32().into())
        .with_leader_epoch(random.i32())
        .with_replica_nodes(brokers(random))
        .with_isr_nodes(brokers(random))
        .with_eligible_leader_replicas(random.bool().then(|| brokers(random)))
        .with_last_known_elr(random.bool().then(|| brokers(random)))
        .with_offline_replicas(brokers(random))
        .with_unknown_tagged_fields(random.tags(true))
}

#[test]
fn describe_topic_partitions_answers() {
    each_version(0..=0, |version, random| {
        let topics = random.many(3, |random| {
            tell::DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(random.error())
                .with_name(random.maybe().map(Into::into))
                .with_topic_id(random.uuid())
                .with_is_internal(random.bool())
                .with_partitions(random.many(3, tell_partition))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let cursor = random.bool().then(|| {
            tell::Cursor::default()
                .with_topic_name(random.text().into())
                .with_partition_index(random.i32())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeTopicPartitionsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(topics)
            .with_next_cursor(cursor);
        let (mut topics, mut codes) = (Vec::new(), Vec::new());
        for topic in &body.topics {
            codes.push(topic.error_code);
            let partitions = topic.partitions.iter();
            codes.extend(partitions.clone().map(|it| it.error_code));
            let partitions = partitions.map(|it| DescribeTopicPartitionsResponsePartition {
                error_code: it.error_code,
                partition_index: it.partition_index,
                leader_id: it.leader_id.0,
                leader_epoch: it.leader_epoch,
                replica_nodes: it.replica_nodes.iter().map(|id| id.0).collect(),
                isr_nodes: it.isr_nodes.iter().map(|id| id.0).collect(),
            });
            topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: topic.error_code,
                name: topic.name.as_ref().map(|name| name.as_str()),
                topic_id: id(topic.topic_id),
                is_internal: topic.is_internal,
                partitions: partitions.collect(),
            });
        }
        let response = DescribeTopicPartitionsResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics,
            next_cursor: body.next_cursor.as_ref().map(|it| Cursor {
                topic_name: &it.topic_name,
                partition_index: it.partition_index,
            }),
        };
        let expected = Message::DescribeTopicPartitionsResponse(response);
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 75, version, &body, &expected);
    });
}
