//! Fetch, both sides.

use kafka_protocol::messages::fetch_request as ask;
use kafka_protocol::messages::fetch_response as tell;
use kafka_wire::api::{FETCH, Message};
use kafka_wire::body::{Event, Side};

use super::*;

#[test]
fn requests() {
    each_version(4..=18, |version, random| {
        let mut request = ask::FetchRequest::default();
        if version >= 12 {
            request.cluster_id = random.maybe();
        }
        if version <= 14 {
            request.replica_id = random.i32().into();
        } else {
            request.replica_state.replica_id = random.i32().into();
            request.replica_state.replica_epoch = random.i64();
        }
        request.max_wait_ms = random.i32();
        request.min_bytes = random.i32();
        request.max_bytes = random.i32();
        request.isolation_level = random.i8();
        if version >= 7 {
            request.session_id = random.i32();
            request.session_epoch = random.i32();
            request.forgotten_topics_data = random.many(3, |random| {
                let mut topic = ask::ForgottenTopic::default();
                if version <= 12 {
                    topic.topic = random.text().into()
                } else {
                    topic.topic_id = random.uuid()
                };
                topic.partitions = random.many(4, Random::i32);
                topic
            });
        }
        if version >= 11 {
            request.rack_id = random.text();
        }
        request.topics = random.many(3, |random| {
            let mut topic = ask::FetchTopic::default();
            if version <= 12 {
                topic.topic = random.text().into()
            } else {
                topic.topic_id = random.uuid()
            };
            topic.partitions = random.many(4, |random| ask_partition(version, random));
            topic
        });
        message(Side::Request, FETCH, version, &request, |message| {
            let Message::FetchRequest(seen) = message else {
                panic!("{message:?}")
            };
            assert_eq!(seen.cluster_id, text(&request.cluster_id));
            let replica = if version <= 14 {
                request.replica_id
            } else {
                request.replica_state.replica_id
            };
            assert_eq!(seen.replica_id, replica.0);
            assert_eq!(
                (seen.max_wait_ms, seen.min_bytes),
                (request.max_wait_ms, request.min_bytes)
            );
            assert_eq!(
                (seen.max_bytes, seen.isolation_level),
                (request.max_bytes, request.isolation_level)
            );
            assert_eq!(
                (seen.session_id, seen.session_epoch),
                (request.session_id, request.session_epoch)
            );
            assert_eq!(seen.rack_id, &*request.rack_id);
            assert_eq!(seen.topics.len(), request.topics.len());
            for (seen, topic) in seen.topics.iter().zip(&request.topics) {
                topic_matches(seen.topic, &topic.topic, topic.topic_id, version);
                assert_eq!(seen.partitions.len(), topic.partitions.len());
                for (seen, partition) in seen.partitions.iter().zip(&topic.partitions) {
                    assert_eq!(seen.partition, partition.partition);
                    assert_eq!(seen.fetch_offset, partition.fetch_offset);
                    assert_eq!(seen.log_start_offset, partition.log_start_offset);
                    assert_eq!(seen.partition_max_bytes, partition.partition_max_bytes);
                }
            }
            assert_eq!(
                seen.forgotten_topics_data.len(),
                request.forgotten_topics_data.len()
            );
            for (seen, topic) in seen
                .forgotten_topics_data
                .iter()
                .zip(&request.forgotten_topics_data)
            {
                topic_matches(seen.topic, &topic.topic, topic.topic_id, version);
                assert_eq!(seen.partitions, topic.partitions);
            }
        });
    });
}

fn ask_partition(version: i16, random: &mut Random) -> ask::FetchPartition {
    let mut partition = ask::FetchPartition::default();
    partition.partition = random.i32();
    partition.fetch_offset = random.i64();
    partition.partition_max_bytes = random.i32();
    if version >= 5 {
        partition.log_start_offset = random.i64();
    }
    if version >= 9 {
        partition.current_leader_epoch = random.i32();
    }
    if version >= 12 {
        partition.last_fetched_epoch = random.i32();
    }
    if version >= 17 && random.bool() {
        partition.replica_directory_id = random.uuid();
    }
    if version >= 18 && random.bool() {
        partition.high_watermark = random.i64();
    }
    partition
}

#[test]
fn answers() {
    each_version(4..=18, |version, random| {
        let mut answer = tell::FetchResponse::default();
        answer.throttle_time_ms = random.i32();
        if version >= 7 {
            answer.error_code = random.i16();
            answer.session_id = random.i32();
        }
        if version >= 16 {
            answer.node_endpoints = random.many(2, |random| {
                let mut node = tell::NodeEndpoint::default();
                (node.host, node.port, node.rack) = (random.text(), random.i32(), random.maybe());
                node
            });
        }
        answer.responses = random.many(3, |random| {
            let mut topic = tell::FetchableTopicResponse::default();
            if version <= 12 {
                topic.topic = random.text().into()
            } else {
                topic.topic_id = random.uuid()
            };
            topic.partitions = random.many(4, |random| tell_partition(version, random));
            topic
        });
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let mut topics = answer.responses.iter();
        let mut ended = false;
        decode(
            Side::Response,
            FETCH,
            version,
            &answer,
            |event| match event {
                Event::Fetch {
                    throttle_ms,
                    error_code,
                    session_id,
                } => {
                    assert_eq!(throttle_ms, answer.throttle_time_ms);
                    assert_eq!(
                        (error_code, session_id),
                        (answer.error_code, answer.session_id)
                    );
                }
                Event::Topic(seen) => {
                    let topic = topics.next().expect("a topic");
                    topic_matches(seen, &topic.topic, topic.topic_id, version);
                }
                Event::Partition(seen) => {
                    let partition = partitions.next().expect("a partition");
                    assert_eq!(
                        (seen.index, seen.error_code),
                        (partition.partition_index, partition.error_code)
                    );
                    assert_eq!(seen.high_watermark, partition.high_watermark);
                    assert_eq!(seen.last_stable_offset, partition.last_stable_offset);
                    assert_eq!(seen.log_start_offset, partition.log_start_offset);
                    assert_eq!(
                        seen.preferred_read_replica,
                        partition.preferred_read_replica.0
                    );
                    assert_eq!(
                        seen.records_len,
                        partition
                            .records
                            .as_ref()
                            .map(|records| records.len() as u32)
                    );
                    let aborted = partition.aborted_transactions.iter().flatten();
                    assert_eq!(
                        seen.aborted.pairs,
                        aborted
                            .map(|it| (it.producer_id.0, it.first_offset))
                            .collect::<Vec<_>>()
                    );
                }
                Event::PartitionEnd { complete } => assert!(complete),
                Event::End { complete } => ended = complete,
                other => panic!("v{version}: {other:?}"),
            },
        );
        assert!(ended && topics.next().is_none() && partitions.next().is_none());
    });
}

fn tell_partition(version: i16, random: &mut Random) -> tell::PartitionData {
    let mut partition = tell::PartitionData::default();
    partition.partition_index = random.i32();
    partition.error_code = random.i16();
    partition.high_watermark = random.i64();
    partition.last_stable_offset = random.i64();
    if version >= 5 {
        partition.log_start_offset = random.i64();
    }
    if version >= 11 {
        partition.preferred_read_replica = random.i32().into();
    }
    partition.aborted_transactions = if random.bool() {
        Some(random.many(3, |random| {
            let mut aborted = tell::AbortedTransaction::default();
            (aborted.producer_id, aborted.first_offset) = (random.i64().into(), random.i64());
            aborted
        }))
    } else {
        None
    };
    if version >= 12 && random.bool() {
        (
            partition.diverging_epoch.epoch,
            partition.current_leader.leader_epoch,
        ) = (random.i32(), random.i32());
        partition.snapshot_id.end_offset = random.i64();
    }
    // Shorter than a batch: what a cut answer has.
    partition.records = if random.bool() {
        Some(random.bytes(16).into())
    } else {
        None
    };
    partition
}
