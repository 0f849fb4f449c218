//! Brokers and logs: DescribeCluster, BrokerRegistration, OffsetForLeaderEpoch.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    broker_registration_request as registration, describe_cluster_response as described,
    offset_for_leader_epoch_request as ask, offset_for_leader_epoch_response as told,
};
use kafka_wire::api::Message;
use kafka_wire::api::n23_offset_for_leader_epoch::*;
use kafka_wire::api::n60_describe_cluster::*;
use kafka_wire::api::n62_broker_registration::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn describe_cluster() {
    each_version(0..=2, |version, random| {
        let mut body = oracle::DescribeClusterRequest::default()
            .with_include_cluster_authorized_operations(random.bool());
        if version >= 1 {
            body.endpoint_type = random.i8();
        }
        if version >= 2 {
            body.include_fenced_brokers = random.bool();
        }
        let expected = Message::DescribeClusterRequest(DescribeClusterRequest {
            endpoint_type: body.endpoint_type,
            include_fenced_brokers: body.include_fenced_brokers,
        });
        exactly(Request, 60, version, &body, &expected);

        let mut body = oracle::DescribeClusterResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_error_message(random.maybe())
            .with_cluster_id(random.text())
            .with_controller_id(random.i32().into())
            .with_cluster_authorized_operations(random.i32())
            .with_brokers(random.many(4, |random| {
                let mut broker = described::DescribeClusterBroker::default()
                    .with_broker_id(random.i32().into())
                    .with_host(random.text())
                    .with_port(random.i32())
                    .with_rack(random.maybe())
                    .with_unknown_tagged_fields(random.tags(true));
                if version >= 2 {
                    broker.is_fenced = random.bool();
                }
                broker
            }));
        if version >= 1 {
            body.endpoint_type = random.i8();
        }
        let brokers = body.brokers.iter().map(|it| DescribeClusterBroker {
            broker_id: it.broker_id.0,
            host: &it.host,
            port: it.port,
            rack: text(&it.rack),
            is_fenced: it.is_fenced,
        });
        let expected = Message::DescribeClusterResponse(DescribeClusterResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            error_message: text(&body.error_message),
            endpoint_type: body.endpoint_type,
            cluster_id: &body.cluster_id,
            controller_id: body.controller_id.0,
            brokers: brokers.collect(),
        });
        exactly(Response, 60, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn broker_registration() {
    each_version(0..=4, |version, random| {
        let mut body = oracle::BrokerRegistrationRequest::default()
            .with_broker_id(random.i32().into())
            .with_cluster_id(random.text())
            .with_rack(random.maybe())
            .with_listeners(random.many(4, |random| {
                registration::Listener::default()
                    .with_name(random.text())
                    .with_host(random.text())
                    .with_port(random.i32() as u16)
                    .with_security_protocol(random.i16())
                    .with_unknown_tagged_fields(random.tags(true))
            }))
            .with_features(random.many(4, |random| {
                registration::Feature::default()
                    .with_name(random.text())
                    .with_max_supported_version(random.i16())
                    .with_unknown_tagged_fields(random.tags(true))
            }));
        if version >= 1 {
            body.is_migrating_zk_broker = random.bool();
        }
        if version >= 2 {
            body.log_dirs = random.many(3, |_| uuid::Uuid::from_u128(9));
        }
        if version >= 3 {
            body.previous_broker_epoch = random.i64();
        }
        let listeners = body.listeners.iter().map(|it| Listener {
            name: &it.name,
            host: &it.host,
            port: it.port,
            security_protocol: it.security_protocol,
        });
        let expected = Message::BrokerRegistrationRequest(BrokerRegistrationRequest {
            broker_id: body.broker_id.0,
            cluster_id: &body.cluster_id,
            listeners: listeners.collect(),
        });
        exactly(Request, 62, version, &body, &expected);
    });
}

#[test]
fn offset_for_leader_epoch_requests() {
    each_version(2..=4, |version, random| {
        let mut body =
            oracle::OffsetForLeaderEpochRequest::default().with_topics(random.many(3, |random| {
                ask::OffsetForLeaderTopic::default()
                    .with_topic(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        ask::OffsetForLeaderPartition::default()
                            .with_partition(random.i32())
                            .with_current_leader_epoch(random.i32())
                            .with_leader_epoch(random.i32())
                            .with_unknown_tagged_fields(random.tags(version >= 4))
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 4))
            }));
        if version >= 3 {
            body.replica_id = random.i32().into();
        }
        let topics = body.topics.iter().map(|topic| OffsetForLeaderTopic {
            topic: topic.topic.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| OffsetForLeaderPartition {
                    partition: it.partition,
                    current_leader_epoch: it.current_leader_epoch,
                    leader_epoch: it.leader_epoch,
                })
                .collect(),
        });
        let expected = Message::OffsetForLeaderEpochRequest(OffsetForLeaderEpochRequest {
            replica_id: body.replica_id.0,
            topics: topics.collect(),
        });
        exactly(Request, 23, version, &body, &expected);
    });
}

#[test]
fn offset_for_leader_epoch_answers() {
    each_version(2..=4, |version, random| {
        let body = oracle::OffsetForLeaderEpochResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_topics(random.many(3, |random| {
                told::OffsetForLeaderTopicResult::default()
                    .with_topic(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        told::EpochEndOffset::default()
                            .with_error_code(random.error())
                            .with_partition(random.i32())
                            .with_leader_epoch(random.i32())
                            .with_end_offset(random.i64())
                            .with_unknown_tagged_fields(random.tags(version >= 4))
                    }))
                    .with_unknown_tagged_fields(random.tags(version >= 4))
            }));
        let mut codes = Vec::new();
        let topics = body.topics.iter().map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    codes.push(it.error_code);
                    EpochEndOffset {
                        error_code: it.error_code,
                        partition: it.partition,
                        leader_epoch: it.leader_epoch,
                        end_offset: it.end_offset,
                    }
                })
                .collect(),
        });
        let expected = Message::OffsetForLeaderEpochResponse(OffsetForLeaderEpochResponse {
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        exactly(Response, 23, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}
