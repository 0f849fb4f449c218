//! Transactions: AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, WriteTxnMarkers, TxnOffsetCommit.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    add_partitions_to_txn_request as add, add_partitions_to_txn_response as added,
    txn_offset_commit_request as commit, txn_offset_commit_response as committed,
    write_txn_markers_request as mark, write_txn_markers_response as marked,
};
use kafka_wire::api::Message;
use kafka_wire::api::n24_add_partitions_to_txn::*;
use kafka_wire::api::n25_add_offsets_to_txn::*;
use kafka_wire::api::n26_end_txn::*;
use kafka_wire::api::n27_write_txn_markers::*;
use kafka_wire::api::n28_txn_offset_commit::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn add_partitions_to_txn_requests() {
    each_version(0..=5, |version, random| {
        let topics = |random: &mut Random| {
            random.many(3, |random| {
                add::AddPartitionsToTxnTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(version >= 3))
            })
        };
        let mut body = oracle::AddPartitionsToTxnRequest::default();
        if version >= 4 {
            body.transactions = random.many(3, |random| {
                add::AddPartitionsToTxnTransaction::default()
                    .with_transactional_id(random.text().into())
                    .with_producer_id(random.i64().into())
                    .with_producer_epoch(random.i16())
                    .with_verify_only(random.bool())
                    .with_topics(topics(random))
                    .with_unknown_tagged_fields(random.tags(true))
            });
        } else {
            body.v3_and_below_transactional_id = random.text().into();
            body.v3_and_below_producer_id = random.i64().into();
            body.v3_and_below_producer_epoch = random.i16();
            body.v3_and_below_topics = topics(random);
        }
        let old = AddPartitionsToTxnTransaction {
            transactional_id: &body.v3_and_below_transactional_id,
            producer_id: body.v3_and_below_producer_id.0,
            producer_epoch: body.v3_and_below_producer_epoch,
            verify_only: false,
            topics: added_topics(&body.v3_and_below_topics),
        };
        let new = body
            .transactions
            .iter()
            .map(|it| AddPartitionsToTxnTransaction {
                transactional_id: &it.transactional_id,
                producer_id: it.producer_id.0,
                producer_epoch: it.producer_epoch,
                verify_only: it.verify_only,
                topics: added_topics(&it.topics),
            });
        let transactions = if version >= 4 {
            new.collect()
        } else {
            vec![old]
        };
        let expected =
            Message::AddPartitionsToTxnRequest(AddPartitionsToTxnRequest { transactions });
        exactly(Request, 24, version, &body, &expected);
    });
}

fn added_topics(topics: &[add::AddPartitionsToTxnTopic]) -> Vec<AddPartitionsToTxnTopic<'_>> {
    let mut expected = Vec::new();
    for topic in topics {
        expected.push(AddPartitionsToTxnTopic {
            name: &topic.name,
            partitions: topic.partitions.clone(),
        });
    }
    expected
}

#[test]
fn add_partitions_to_txn_answers() {
    each_version(0..=5, |version, random| {
        let topics = |random: &mut Random| {
            random.many(3, |random| {
                let partitions = random.many(4, |random| {
                    added::AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(random.i32())
                        .with_partition_error_code(random.error())
                        .with_unknown_tagged_fields(random.tags(version >= 3))
                });
                added::AddPartitionsToTxnTopicResult::default()
                    .with_name(random.text().into())
                    .with_results_by_partition(partitions)
                    .with_unknown_tagged_fields(random.tags(version >= 3))
            })
        };
        let mut body =
            oracle::AddPartitionsToTxnResponse::default().with_throttle_time_ms(random.i32());
        if version >= 4 {
            body.error_code = random.error();
            body.results_by_transaction = random.many(3, |random| {
                added::AddPartitionsToTxnResult::default()
                    .with_transactional_id(random.text().into())
                    .with_topic_results(topics(random))
                    .with_unknown_tagged_fields(random.tags(true))
            });
        } else {
            body.results_by_topic_v3_and_below = topics(random);
        }
        let results = body.results_by_transaction.iter();
        let new = results.map(|it| AddPartitionsToTxnResult {
            transactional_id: Some(&it.transactional_id),
            topic_results: topic_results(&it.topic_results),
        });
        let old = AddPartitionsToTxnResult {
            transactional_id: None,
            topic_results: topic_results(&body.results_by_topic_v3_and_below),
        };
        let expected = AddPartitionsToTxnResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            results_by_transaction: if version >= 4 {
                new.collect()
            } else {
                vec![old]
            },
        };
        let mut codes = vec![body.error_code];
        for topic in expected
            .results_by_transaction
            .iter()
            .flat_map(|it| &it.topic_results)
        {
            codes.extend(
                topic
                    .results_by_partition
                    .iter()
                    .map(|it| it.partition_error_code),
            );
        }
        let expected = Message::AddPartitionsToTxnResponse(expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 24, version, &body, &expected);
    });
}

fn topic_results(
    topics: &[added::AddPartitionsToTxnTopicResult],
) -> Vec<AddPartitionsToTxnTopicResult<'_>> {
    let mut expected = Vec::new();
    for topic in topics {
        let results = topic.results_by_partition.iter();
        expected.push(AddPartitionsToTxnTopicResult {
            name: &topic.name,
            results_by_partition: results
                .map(|it| AddPartitionsToTxnPartitionResult {
                    partition_index: it.partition_index,
                    partition_error_code: it.partition_error_code,
                })
                .collect(),
        });
    }
    expected
}

#[test]
fn add_offsets_to_txn() {
    each_version(0..=4, |version, random| {
        let body = oracle::AddOffsetsToTxnRequest::default()
            .with_transactional_id(random.text().into())
            .with_producer_id(random.i64().into())
            .with_producer_epoch(random.i16())
            .with_group_id(random.text().into());
        let expected = Message::AddOffsetsToTxnRequest(AddOffsetsToTxnRequest {
            transactional_id: &body.transactional_id,
            producer_id: body.producer_id.0,
            producer_epoch: body.producer_epoch,
            group_id: &body.group_id,
        });
        exactly(Request, 25, version, &body, &expected);

        let body = oracle::AddOffsetsToTxnResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error());
        let expected = Message::AddOffsetsToTxnResponse(AddOffsetsToTxnResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
        });
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 25, version, &body, &expected);
    });
}

#[test]
fn end_txn() {
    each_version(0..=5, |version, random| {
        let body = oracle::EndTxnRequest::default()
            .with_transactional_id(random.text().into())
            .with_producer_id(random.i64().into())
            .with_producer_epoch(random.i16())
            .with_committed(random.bool());
        let expected = Message::EndTxnRequest(EndTxnRequest {
            transactional_id: &body.transactional_id,
            producer_id: body.producer_id.0,
            producer_epoch: body.producer_epoch,
            committed: body.committed,
        });
        exactly(Request, 26, version, &body, &expected);

        let mut body = oracle::EndTxnResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error());
        if version >= 5 {
            (body.producer_id, body.producer_epoch) = (random.i64().into(), random.i16());
        }
        let expected = Message::EndTxnResponse(EndTxnResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            producer_id: if version >= 5 { body.producer_id.0 } else { -1 },
            producer_epoch: if version >= 5 {
                body.producer_epoch
            } else {
                -1
            },
        });
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 26, version, &body, &expected);
    });
}

#[test]
fn write_txn_markers() {
    // It knows v1 only: see `golden_transactions` for v0 and v2.
    each_version(1..=1, |version, random| {
        let body =
            oracle::WriteTxnMarkersRequest::default().with_markers(random.many(3, |random| {
                let topics = random.many(3, |random| {
                    mark::WritableTxnMarkerTopic::default()
                        .with_name(random.text().into())
                        .with_partition_indexes(random.many(4, Random::i32))
                        .with_unknown_tagged_fields(random.tags(true))
                });
                mark::WritableTxnMarker::default()
                    .with_producer_id(random.i64().into())
                    .with_producer_epoch(random.i16())
                    .with_transaction_result(random.bool())
                    .with_topics(topics)
                    .with_coordinator_epoch(random.i32())
                    .with_unknown_tagged_fields(random.tags(true))
            }));
        let mut markers = Vec::new();
        for marker in &body.markers {
            let topics = marker.topics.iter().map(|it| WritableTxnMarkerTopic {
                name: &it.name,
                partition_indexes: it.partition_indexes.clone(),
            });
            markers.push(WritableTxnMarker {
                producer_id: marker.producer_id.0,
                producer_epoch: marker.producer_epoch,
                transaction_result: marker.transaction_result,
                topics: topics.collect(),
                coordinator_epoch: marker.coordinator_epoch,
                transaction_version: 0,
            });
        }
        let expected = Message::WriteTxnMarkersRequest(WriteTxnMarkersRequest { markers });
        exactly(Request, 27, version, &body, &expected);

        let body =
            oracle::WriteTxnMarkersResponse::default().with_markers(random.many(3, |random| {
                let topics = random.many(3, |random| {
                    let partitions = random.many(3, |random| {
                        marked::WritableTxnMarkerPartitionResult::default()
                            .with_partition_index(random.i32())
                            .with_error_code(random.error())
                            .with_unknown_tagged_fields(random.tags(true))
                    });
                    marked::WritableTxnMarkerTopicResult::default()
                        .with_name(random.text().into())
                        .with_partitions(partitions)
                });
                marked::WritableTxnMarkerResult::default()
                    .with_producer_id(random.i64().into())
                    .with_topics(topics)
            }));
        let mut codes = Vec::new();
        let mut markers = Vec::new();
        for marker in &body.markers {
            let mut topics = Vec::new();
            for topic in &marker.topics {
                let partitions = topic.partitions.iter();
                codes.extend(partitions.clone().map(|it| it.error_code));
                topics.push(WritableTxnMarkerTopicResult {
                    name: &topic.name,
                    partitions: partitions
                        .map(|it| WritableTxnMarkerPartitionResult {
                            partition_index: it.partition_index,
                            error_code: it.error_code,
                        })
                        .collect(),
                });
            }
            markers.push(WritableTxnMarkerResult {
                producer_id: marker.producer_id.0,
                topics,
            });
        }
        let expected = Message::WriteTxnMarkersResponse(WriteTxnMarkersResponse { markers });
        answers(&expected, None, &codes);
        exactly(Response, 27, version, &body, &expected);
    });
}

#[test]
fn txn_offset_commit_requests() {
    // It knows up to v5: see `golden_transactions` for v6.
    each_version(0..=5, |version, random| {
        let mut body = oracle::TxnOffsetCommitRequest::default()
            .with_transactional_id(random.text().into())
            .with_group_id(random.text().into())
            .with_producer_id(random.i64().into())
            .with_producer_epoch(random.i16());
        if version >= 3 {
            body.generation_id = random.i32();
            (body.member_id, body.group_instance_id) = (random.text(), random.maybe());
        }
        body.topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                commit::TxnOffsetCommitRequestPartition::default()
                    .with_partition_index(random.i32())
                    .with_committed_offset(random.i64())
                    .with_committed_leader_epoch(if version >= 2 { random.i32() } else { -1 })
                    .with_committed_metadata(random.maybe())
                    .with_unknown_tagged_fields(random.tags(version >= 3))
            });
            commit::TxnOffsetCommitRequestTopic::default()
                .with_name(random.text().into())
                .with_partitions(partitions)
                .with_unknown_tagged_fields(random.tags(version >= 3))
        });
        let mut topics = Vec::new();
        for topic in &body.topics {
            let partitions = topic.partitions.iter();
            topics.push(TxnOffsetCommitRequestTopic {
                topic: TopicRef::Name(&topic.name),
                partitions: partitions
                    .map(|it| TxnOffsetCommitRequestPartition {
                        partition_index: it.partition_index,
                        committed_offset: it.committed_offset,
                        committed_leader_epoch: it.committed_leader_epoch,
                    })
                    .collect(),
            });
        }
        let expected = Message::TxnOffsetCommitRequest(TxnOffsetCommitRequest {
            transactional_id: &body.transactional_id,
            group_id: &body.group_id,
            producer_id: body.producer_id.0,
            producer_epoch: body.producer_epoch,
            generation_id_or_member_epoch: if version >= 3 { body.generation_id } else { -1 },
            member_id: &body.member_id,
            group_instance_id: text(&body.group_instance_id),
            topics,
        });
        exactly(Request, 28, version, &body, &expected);
    });
}

#[test]
fn txn_offset_commit_answers() {
    each_version(0..=5, |version, random| {
        let topics = random.many(3, |random| {
            let partitions = random.many(3, |random| {
                committed::TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(random.i32())
                    .with_error_code(random.error())
                    .with_unknown_tagged_fields(random.tags(version >= 3))
            });
            committed::TxnOffsetCommitResponseTopic::default()
                .with_name(random.text().into())
                .with_partitions(partitions)
        });
        let body = oracle::TxnOffsetCommitResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(topics);
        let (mut topics, mut codes) = (Vec::new(), Vec::new());
        for topic in &body.topics {
            let partitions = topic.partitions.iter();
            codes.extend(partitions.clone().map(|it| it.error_code));
            topics.push(TxnOffsetCommitResponseTopic {
                topic: TopicRef::Name(&topic.name),
                partitions: partitions
                    .map(|it| TxnOffsetCommitResponsePartition {
                        partition_index: it.partition_index,
                        error_code: it.error_code,
                    })
                    .collect(),
            });
        }
        let expected = Message::TxnOffsetCommitResponse(TxnOffsetCommitResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics,
        });
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 28, version, &body, &expected);
    });
}
