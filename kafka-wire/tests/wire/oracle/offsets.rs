//! Offsets: ListOffsets, OffsetCommit, OffsetFetch.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    list_offsets_request as list, list_offsets_response as listed, offset_commit_request as commit,
    offset_commit_response as committed, offset_fetch_request as fetch,
    offset_fetch_response as fetched,
};
use kafka_wire::api::Message;
use kafka_wire::api::n02_list_offsets::*;
use kafka_wire::api::n08_offset_commit::*;
use kafka_wire::api::n09_offset_fetch::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn list_offsets_requests() {
    each_version(1..=10, |version, random| {
        let mut body = oracle::ListOffsetsRequest::default()
            .with_replica_id(random.i32().into())
            .with_topics(random.many(3, |random| {
                list::ListOffsetsTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        let mut partition = list::ListOffsetsPartition::default()
                            .with_partition_index(random.i32())
                            .with_timestamp(random.i64())
                            .with_unknown_tagged_fields(random.tags(version >= 6));
                        if version >= 4 {
                            partition.current_leader_epoch = random.i32();
                        }
                        partition
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 6))
            }));
        if version >= 2 {
            body.isolation_level = random.i8();
        }
        if version >= 10 {
            body.timeout_ms = random.i32();
        }
        let topics = body.topics.iter().map(|topic| ListOffsetsTopic {
            name: topic.name.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| ListOffsetsPartition {
                    partition_index: it.partition_index,
                    current_leader_epoch: it.current_leader_epoch,
                    timestamp: it.timestamp,
                    max_num_offsets: 1,
                })
                .collect(),
        });
        let expected = Message::ListOffsetsRequest(ListOffsetsRequest {
            replica_id: body.replica_id.0,
            isolation_level: body.isolation_level,
            topics: topics.collect(),
            timeout_ms: body.timeout_ms,
        });
        exactly(Request, 2, version, &body, &expected);
    });
}

#[test]
fn list_offsets_answers() {
    each_version(1..=10, |version, random| {
        let mut body =
            oracle::ListOffsetsResponse::default().with_topics(random.many(3, |random| {
                listed::ListOffsetsTopicResponse::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        let mut partition = listed::ListOffsetsPartitionResponse::default()
                            .with_partition_index(random.i32())
                            .with_error_code(random.error())
                            .with_timestamp(random.i64())
                            .with_offset(random.i64())
                            .with_unknown_tagged_fields(random.tags(version >= 6));
                        if version >= 4 {
                            partition.leader_epoch = random.i32();
                        }
                        partition
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 6))
            }));
        if version >= 2 {
            body.throttle_time_ms = random.i32();
        }
        let mut codes = Vec::new();
        let topics = body.topics.iter().map(|topic| ListOffsetsTopicResponse {
            name: topic.name.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    codes.push(it.error_code);
                    ListOffsetsPartitionResponse {
                        partition_index: it.partition_index,
                        error_code: it.error_code,
                        old_style_offsets: Vec::new(),
                        timestamp: it.timestamp,
                        offset: it.offset,
                        leader_epoch: it.leader_epoch,
                    }
                })
                .collect(),
        });
        let expected = Message::ListOffsetsResponse(ListOffsetsResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        exactly(Response, 2, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}

#[test]
fn offset_commit_requests() {
    each_version(2..=9, |version, random| {
        let mut body = oracle::OffsetCommitRequest::default()
            .with_group_id(random.text().into())
            .with_generation_id_or_member_epoch(random.i32())
            .with_member_id(random.text())
            .with_topics(random.many(3, |random| {
                commit::OffsetCommitRequestTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        let mut partition = commit::OffsetCommitRequestPartition::default()
                            .with_partition_index(random.i32())
                            .with_committed_offset(random.i64())
                            .with_committed_metadata(random.maybe())
                            .with_unknown_tagged_fields(random.tags(version >= 8));
                        if version >= 6 {
                            partition.committed_leader_epoch = random.i32();
                        }
                        partition
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 8))
            }));
        if version >= 7 {
            body.group_instance_id = random.maybe();
        }
        if version <= 4 {
            body.retention_time_ms = random.i64();
        }
        let topics = body.topics.iter().map(|topic| OffsetCommitRequestTopic {
            topic: TopicRef::Name(topic.name.as_str()),
            partitions: (topic.partitions.iter())
                .map(|it| OffsetCommitRequestPartition {
                    partition_index: it.partition_index,
                    committed_offset: it.committed_offset,
                    committed_leader_epoch: it.committed_leader_epoch,
                    commit_timestamp: -1,
                })
                .collect(),
        });
        let expected = Message::OffsetCommitRequest(OffsetCommitRequest {
            group_id: body.group_id.as_str(),
            generation_id_or_member_epoch: body.generation_id_or_member_epoch,
            member_id: &body.member_id,
            group_instance_id: text(&body.group_instance_id),
            retention_time_ms: body.retention_time_ms,
            topics: topics.collect(),
        });
        exactly(Request, 8, version, &body, &expected);
    });
}

#[test]
fn offset_commit_answers() {
    each_version(2..=9, |version, random| {
        let mut body =
            oracle::OffsetCommitResponse::default().with_topics(random.many(3, |random| {
                committed::OffsetCommitResponseTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        committed::OffsetCommitResponsePartition::default()
                            .with_partition_index(random.i32())
                            .with_error_code(random.error())
                            .with_unknown_tagged_fields(random.tags(version >= 8))
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 8))
            }));
        if version >= 3 {
            body.throttle_time_ms = random.i32();
        }
        let mut codes = Vec::new();
        let topics = body.topics.iter().map(|topic| OffsetCommitResponseTopic {
            topic: TopicRef::Name(topic.name.as_str()),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    codes.push(it.error_code);
                    OffsetCommitResponsePartition {
                        partition_index: it.partition_index,
                        error_code: it.error_code,
                    }
                })
                .collect(),
        });
        let expected = Message::OffsetCommitResponse(OffsetCommitResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        exactly(Response, 8, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}

#[test]
fn offset_fetch_requests_of_one_group() {
    each_version(1..=7, |version, random| {
        let topics = |random: &mut Random| {
            random.many(3, |random| {
                fetch::OffsetFetchRequestTopic::default()
                    .with_name(random.text().into())
                    .with_partition_indexes(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(version >= 6))
            })
        };
        let all = version >= 2 && random.bool();
        let mut body = oracle::OffsetFetchRequest::default()
            .with_group_id(random.text().into())
            .with_topics((!all).then(|| topics(random)));
        if version >= 7 {
            body.require_stable = random.bool();
        }
        let topics = body.topics.as_ref().map(|topics| {
            let topics = topics.iter().map(|topic| OffsetFetchRequestTopic {
                topic: TopicRef::Name(topic.name.as_str()),
                partition_indexes: topic.partition_indexes.clone(),
            });
            topics.collect()
        });
        let group = OffsetFetchRequestGroup {
            group_id: body.group_id.as_str(),
            member_id: None,
            member_epoch: -1,
            topics,
        };
        let expected = Message::OffsetFetchRequest(OffsetFetchRequest {
            groups: vec![group],
            require_stable: body.require_stable,
        });
        exactly(Request, 9, version, &body, &expected);
    });
}

#[test]
fn offset_fetch_requests_of_many_groups() {
    each_version(8..=9, |version, random| {
        let topics = |random: &mut Random| {
            random.many(3, |random| {
                fetch::OffsetFetchRequestTopics::default()
                    .with_name(random.text().into())
                    .with_partition_indexes(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            })
        };
        let body = oracle::OffsetFetchRequest::default()
            .with_require_stable(random.bool())
            .with_groups(random.many(3, |random| {
                let mut group = fetch::OffsetFetchRequestGroup::default()
                    .with_group_id(random.text().into())
                    .with_topics(random.bool().then(|| topics(random)))
                    .with_unknown_tagged_fields(random.tags(true));
                if version >= 9 {
                    group.member_id = random.maybe();
                    group.member_epoch = random.i32();
                }
                group
            }));
        let groups = body.groups.iter().map(|group| OffsetFetchRequestGroup {
            group_id: group.group_id.as_str(),
            member_id: text(&group.member_id),
            member_epoch: group.member_epoch,
            topics: group.topics.as_ref().map(|topics| {
                let topics = topics.iter().map(|topic| OffsetFetchRequestTopic {
                    topic: TopicRef::Name(topic.name.as_str()),
                    partition_indexes: topic.partition_indexes.clone(),
                });
                topics.collect()
            }),
        });
        let expected = Message::OffsetFetchRequest(OffsetFetchRequest {
            groups: groups.collect(),
            require_stable: body.require_stable,
        });
        exactly(Request, 9, version, &body, &expected);
    });
}

#[test]
fn offset_fetch_answers_of_one_group() {
    each_version(1..=7, |version, random| {
        let mut body =
            oracle::OffsetFetchResponse::default().with_topics(random.many(3, |random| {
                fetched::OffsetFetchResponseTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        let mut partition = fetched::OffsetFetchResponsePartition::default()
                            .with_partition_index(random.i32())
                            .with_committed_offset(random.i64())
                            .with_metadata(random.maybe())
                            .with_error_code(random.error())
                            .with_unknown_tagged_fields(random.tags(version >= 6));
                        if version >= 5 {
                            partition.committed_leader_epoch = random.i32();
                        }
                        partition
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 6))
            }));
        if version >= 2 {
            body.error_code = random.error();
        }
        if version >= 3 {
            body.throttle_time_ms = random.i32();
        }
        let mut codes = Vec::new();
        let topics = body.topics.iter().map(|topic| OffsetFetchResponseTopic {
            topic: TopicRef::Name(topic.name.as_str()),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    codes.push(it.error_code);
                    OffsetFetchResponsePartition {
                        partition_index: it.partition_index,
                        committed_offset: it.committed_offset,
                        committed_leader_epoch: it.committed_leader_epoch,
                        error_code: it.error_code,
                    }
                })
                .collect(),
        });
        let group = OffsetFetchResponseGroup {
            group_id: None,
            topics: topics.collect(),
            error_code: body.error_code,
        };
        codes.push(body.error_code);
        let expected = Message::OffsetFetchResponse(OffsetFetchResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups: vec![group],
        });
        exactly(Response, 9, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}

#[test]
fn offset_fetch_answers_of_many_groups() {
    each_version(8..=9, |version, random| {
        let body = oracle::OffsetFetchResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_groups(random.many(3, |random| {
                fetched::OffsetFetchResponseGroup::default()
                    .with_group_id(random.text().into())
                    .with_error_code(random.error())
                    .with_topics(random.many(3, |random| {
                        fetched::OffsetFetchResponseTopics::default()
                            .with_name(random.text().into())
                            .with_partitions(random.many(4, |random| {
                                fetched::OffsetFetchResponsePartitions::default()
                                    .with_partition_index(random.i32())
                                    .with_committed_offset(random.i64())
                                    .with_committed_leader_epoch(random.i32())
                                    .with_metadata(random.maybe())
                                    .with_error_code(random.error())
                                    .with_unknown_tagged_fields(random.tags(true))
                            }))
                            .with_unknown_tagged_fields(random.tags(true))
                    }))
                    .with_unknown_tagged_fields(random.tags(true))
            }));
        let mut codes = Vec::new();
        let groups = body.groups.iter().map(|group| {
            let topics = group.topics.iter().map(|topic| OffsetFetchResponseTopic {
                topic: TopicRef::Name(topic.name.as_str()),
                partitions: (topic.partitions.iter())
                    .map(|it| {
                        codes.push(it.error_code);
                        OffsetFetchResponsePartition {
                            partition_index: it.partition_index,
                            committed_offset: it.committed_offset,
                            committed_leader_epoch: it.committed_leader_epoch,
                            error_code: it.error_code,
                        }
                    })
                    .collect(),
            });
            let topics = topics.collect();
            codes.push(group.error_code);
            OffsetFetchResponseGroup {
                group_id: Some(group.group_id.as_str()),
                topics,
                error_code: group.error_code,
            }
        });
        let expected = Message::OffsetFetchResponse(OffsetFetchResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups: groups.collect(),
        });
        exactly(Response, 9, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}
