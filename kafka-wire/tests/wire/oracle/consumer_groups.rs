//! Groups of the new kind (KIP-848): ConsumerGroupHeartbeat, ConsumerGroupDescribe.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    consumer_group_describe_response as described, consumer_group_heartbeat_request as beat,
    consumer_group_heartbeat_response as beaten,
};
use kafka_wire::api::Message;
use kafka_wire::api::n68_consumer_group_heartbeat::*;
use kafka_wire::api::n69_consumer_group_describe::{
    self as describe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member,
};
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn heartbeats() {
    each_version(0..=1, |version, random| {
        let names = |random: &mut Random| random.many(3, |random| random.text().into());
        let topics = |random: &mut Random| {
            random.many(3, |random| {
                beat::TopicPartitions::default()
                    .with_topic_id(random.uuid())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            })
        };
        let mut body = oracle::ConsumerGroupHeartbeatRequest::default()
            .with_group_id(random.text().into())
            .with_member_id(random.text())
            .with_member_epoch(random.i32())
            .with_instance_id(random.maybe())
            .with_rack_id(random.maybe())
            .with_rebalance_timeout_ms(random.i32())
            .with_subscribed_topic_names(random.bool().then(|| names(random)))
            .with_server_assignor(random.maybe())
            .with_topic_partitions(random.bool().then(|| topics(random)));
        if version >= 1 {
            body.subscribed_topic_regex = random.maybe();
        }
        let names = body.subscribed_topic_names.as_ref();
        let topics = body.topic_partitions.as_ref().map(|topics| {
            let topics = topics.iter().map(|it| TopicPartitions {
                topic_id: Uuid(it.topic_id.into_bytes()),
                partitions: it.partitions.clone(),
            });
            topics.collect()
        });
        let expected = Message::ConsumerGroupHeartbeatRequest(ConsumerGroupHeartbeatRequest {
            group_id: body.group_id.as_str(),
            member_id: &body.member_id,
            member_epoch: body.member_epoch,
            instance_id: text(&body.instance_id),
            rack_id: text(&body.rack_id),
            rebalance_timeout_ms: body.rebalance_timeout_ms,
            subscribed_topic_names: names
                .map(|names| names.iter().map(|name| name.as_str()).collect()),
            subscribed_topic_regex: text(&body.subscribed_topic_regex),
            server_assignor: text(&body.server_assignor),
            topic_partitions: topics,
        });
        exactly(Request, 68, version, &body, &expected);
    });
}

#[test]
fn answers_to_heartbeats() {
    each_version(0..=1, |version, random| {
        let assignment = |random: &mut Random| {
            let topics = random.many(3, |random| {
                beaten::TopicPartitions::default()
                    .with_topic_id(random.uuid())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            });
            beaten::Assignment::default()
                .with_topic_partitions(topics)
                .with_unknown_tagged_fields(random.tags(true))
        };
        let body = oracle::ConsumerGroupHeartbeatResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_error_message(random.maybe())
            .with_member_id(random.maybe())
            .with_member_epoch(random.i32())
            .with_heartbeat_interval_ms(random.i32())
            .with_assignment(random.bool().then(|| assignment(random)));
        let assignment = body.assignment.as_ref().map(|assignment| {
            let topics = assignment
                .topic_partitions
                .iter()
                .map(|it| TopicPartitions {
                    topic_id: Uuid(it.topic_id.into_bytes()),
                    partitions: it.partitions.clone(),
                });
            topics.collect()
        });
        let expected = Message::ConsumerGroupHeartbeatResponse(ConsumerGroupHeartbeatResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            error_message: text(&body.error_message),
            member_id: text(&body.member_id),
            member_epoch: body.member_epoch,
            heartbeat_interval_ms: body.heartbeat_interval_ms,
            assignment,
        });
        exactly(Response, 68, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn describe_requests() {
    each_version(0..=1, |version, random| {
        let body = oracle::ConsumerGroupDescribeRequest::default()
            .with_group_ids(random.many(3, |random| random.text().into()))
            .with_include_authorized_operations(random.bool());
        let expected = Message::ConsumerGroupDescribeRequest(ConsumerGroupDescribeRequest {
            group_ids: body.group_ids.iter().map(|it| it.as_str()).collect(),
        });
        exactly(Request, 69, version, &body, &expected);
    });
}

fn assignment(random: &mut Random) -> described::Assignment {
    let topics = random.many(2, |random| {
        described::TopicPartitions::default()
            .with_topic_id(random.uuid())
            .with_topic_name(random.text().into())
            .with_partitions(random.many(3, Random::i32))
            .with_unknown_tagged_fields(random.tags(true))
    });
    described::Assignment::default()
        .with_topic_partitions(topics)
        .with_unknown_tagged_fields(random.tags(true))
}

fn assigned(assignment: &described::Assignment) -> Vec<describe::TopicPartitions<'_>> {
    let topics = assignment.topic_partitions.iter();
    topics
        .map(|it| describe::TopicPartitions {
            topic_id: Uuid(it.topic_id.into_bytes()),
            topic_name: it.topic_name.as_str(),
            partitions: it.partitions.clone(),
        })
        .collect()
}

fn member(version: i16, random: &mut Random) -> described::Member {
    let mut member = described::Member::default()
        .with_member_id(random.text())
        .with_instance_id(random.maybe())
        .with_rack_id(random.maybe())
        .with_member_epoch(random.i32())
        .with_client_id(random.text())
        .with_client_host(random.text())
        .with_subscribed_topic_names(random.many(2, |random| random.text().into()))
        .with_subscribed_topic_regex(random.maybe())
        .with_assignment(assignment(random))
        .with_target_assignment(assignment(random))
        .with_unknown_tagged_fields(random.tags(true));
    if version >= 1 {
        member.member_type = random.i8();
    }
    member
}

#[test]
fn describe_answers() {
    each_version(0..=1, |version, random| {
        let body = oracle::ConsumerGroupDescribeResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_groups(random.many(2, |random| {
                described::DescribedGroup::default()
                    .with_error_code(random.error())
                    .with_error_message(random.maybe())
                    .with_group_id(random.text().into())
                    .with_group_state(random.text())
                    .with_group_epoch(random.i32())
                    .with_assignment_epoch(random.i32())
                    .with_assignor_name(random.text())
                    .with_members(random.many(2, |random| member(version, random)))
                    .with_authorized_operations(random.i32())
                    .with_unknown_tagged_fields(random.tags(true))
            }));
        let groups = body.groups.iter().map(|group| DescribedGroup {
            error_code: group.error_code,
            error_message: text(&group.error_message),
            group_id: group.group_id.as_str(),
            group_state: &group.group_state,
            group_epoch: group.group_epoch,
            assignment_epoch: group.assignment_epoch,
            assignor_name: &group.assignor_name,
            members: (group.members.iter())
                .map(|it| Member {
                    member_id: &it.member_id,
                    instance_id: text(&it.instance_id),
                    rack_id: text(&it.rack_id),
                    member_epoch: it.member_epoch,
                    client_id: &it.client_id,
                    client_host: &it.client_host,
                    subscribed_topic_names: (it.subscribed_topic_names.iter())
                        .map(|name| name.as_str())
                        .collect(),
                    subscribed_topic_regex: text(&it.subscribed_topic_regex),
                    assignment: assigned(&it.assignment),
                    target_assignment: assigned(&it.target_assignment),
                    member_type: it.member_type,
                })
                .collect(),
        });
        let expected = Message::ConsumerGroupDescribeResponse(ConsumerGroupDescribeResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups: groups.collect(),
        });
        exactly(Response, 69, version, &body, &expected);
        let codes: Vec<_> = body.groups.iter().map(|group| group.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}
