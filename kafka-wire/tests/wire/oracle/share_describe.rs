//! What a tool asks of share groups: ShareGroupDescribe v1, DescribeShareGroupOffsets v0. See `golden_share_describe` for the others.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    describe_share_group_offsets_request as ask, describe_share_group_offsets_response as tell,
    share_group_describe_response as group,
};
use kafka_wire::api::Message;
use kafka_wire::api::n77_share_group_describe::*;
use kafka_wire::api::n90_describe_share_group_offsets::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn groups() {
    each_version(1..=1, |version, random| {
        let ids = random.many(3, Random::text);
        let body = oracle::ShareGroupDescribeRequest::default()
            .with_group_ids(ids.into_iter().map(Into::into).collect())
            .with_include_authorized_operations(random.bool());
        let expected = Message::ShareGroupDescribeRequest(ShareGroupDescribeRequest {
            group_ids: body.group_ids.iter().map(|it| it.as_str()).collect(),
            include_authorized_operations: body.include_authorized_operations,
        });
        exactly(Request, 77, version, &body, &expected);

        let groups = random.many(3, |random| {
            group::DescribedGroup::default()
                .with_error_code(random.error())
                .with_error_message(random.maybe())
                .with_group_id(random.text().into())
                .with_group_state(random.text())
                .with_group_epoch(random.i32())
                .with_assignment_epoch(random.i32())
                .with_assignor_name(random.text())
                .with_members(random.many(3, tell_member))
                .with_authorized_operations(random.i32())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::ShareGroupDescribeResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_groups(groups);
        let expected = body.groups.iter().map(|it| DescribedGroup {
            error_code: it.error_code,
            error_message: text(&it.error_message),
            group_id: &it.group_id,
            group_state: &it.group_state,
            group_epoch: it.group_epoch,
            assignment_epoch: it.assignment_epoch,
            assignor_name: &it.assignor_name,
            members: it.members.iter().map(member).collect(),
        });
        let expected = Message::ShareGroupDescribeResponse(ShareGroupDescribeResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups: expected.collect(),
        });
        let codes: Vec<_> = body.groups.iter().map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 77, version, &body, &expected);
    });
}

fn tell_member(random: &mut Random) -> group::Member {
    let topics = random.many(3, |random| {
        group::TopicPartitions::default()
            .with_topic_id(random.uuid())
            .with_topic_name(random.text().into())
            .with_partitions(random.many(4, Random::i32))
            .with_unknown_tagged_fields(random.tags(true))
    });
    let assignment = group::Assignment::default()
        .with_topic_partitions(topics)
        .with_unknown_tagged_fields(random.tags(true));
    let names = random.many(3, Random::text);
    group::Member::default()
        .with_member_id(random.text())
        .with_rack_id(random.maybe())
        .with_member_epoch(random.i32())
        .with_client_id(random.text())
        .with_client_host(random.text())
        .with_subscribed_topic_names(names.into_iter().map(Into::into).collect())
        .with_assignment(assignment)
        .with_unknown_tagged_fields(random.tags(true))
}

fn member(it: &group::Member) -> Member<'_> {
    let topics = it.assignment.topic_partitions.iter();
    let names = it.subscribed_topic_names.iter();
    Member {
        member_id: &it.member_id,
        rack_id: text(&it.rack_id),
        member_epoch: it.member_epoch,
        client_id: &it.client_id,
        client_host: &it.client_host,
        subscribed_topic_names: names.map(|name| name.as_str()).collect(),
        assignment: topics
            .map(|topic| TopicPartitions {
                topic_id: id(topic.topic_id),
                topic_name: &topic.topic_name,
                partitions: topic.partitions.clone(),
            })
            .collect(),
    }
}

#[test]
fn offset_requests() {
    each_version(0..=0, |version, random| {
        let groups = random.many(3, |random| {
            let topics = random.many(3, |random| {
                ask::DescribeShareGroupOffsetsRequestTopic::default()
                    .with_topic_name(random.text().into())
                    .with_partitions(random.many(4, Random::i32))
                    .with_unknown_tagged_fields(random.tags(true))
            });
            ask::DescribeShareGroupOffsetsRequestGroup::default()
                .with_group_id(random.text().into())
                .with_topics(random.bool().then_some(topics))
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeShareGroupOffsetsRequest::default().with_groups(groups);
        let mut groups = Vec::new();
        for group in &body.groups {
            let topics = group.topics.as_ref();
            groups.push(DescribeShareGroupOffsetsRequestGroup {
                group_id: &group.group_id,
                topics: topics.map(|it| it.iter().map(asked_topic).collect()),
            });
        }
        let request = DescribeShareGroupOffsetsRequest { groups };
        let expected = Message::DescribeShareGroupOffsetsRequest(request);
        exactly(Request, 90, version, &body, &expected);
    });
}

fn asked_topic(
    it: &ask::DescribeShareGroupOffsetsRequestTopic,
) -> DescribeShareGroupOffsetsRequestTopic<'_> {
    DescribeShareGroupOffsetsRequestTopic {
        topic_name: &it.topic_name,
        partitions: it.partitions.clone(),
    }
}

#[test]
fn offset_answers() {
    each_version(0..=0, |version, random| {
        let groups = random.many(3, |random| {
            let topics = random.many(3, |random| {
                tell::DescribeShareGroupOffsetsResponseTopic::default()
                    .with_topic_name(random.text().into())
                    .with_topic_id(random.uuid())
                    .with_partitions(random.many(3, tell_partition))
                    .with_unknown_tagged_fields(random.tags(true))
            });
            tell::DescribeShareGroupOffsetsResponseGroup::default()
                .with_group_id(random.text().into())
                .with_topics(topics)
                .with_error_code(random.error())
                .with_error_message(random.maybe())
                .with_unknown_tagged_fields(random.tags(true))
        });
        let body = oracle::DescribeShareGroupOffsetsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_groups(groups);
        let (mut groups, mut codes) = (Vec::new(), Vec::new());
        for group in &body.groups {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            codes.extend(partitions.map(|it| it.error_code));
            codes.push(group.error_code);
            groups.push(DescribeShareGroupOffsetsResponseGroup {
                group_id: &group.group_id,
                topics: group.topics.iter().map(topic).collect(),
                error_code: group.error_code,
                error_message: text(&group.error_message),
            });
        }
        let response = DescribeShareGroupOffsetsResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups,
        };
        let expected = Message::DescribeShareGroupOffsetsResponse(response);
        answers(&expected, Some(body.throttle_time_ms), &codes);
        exactly(Response, 90, version, &body, &expected);
    });
}

fn tell_partition(random: &mut Random) -> tell::DescribeShareGroupOffsetsResponsePartition {
    tell::DescribeShareGroupOffsetsResponsePartition::default()
        .with_partition_index(random.i32())
        .with_start_offset(random.i64())
        .with_leader_epoch(random.i32())
        .with_error_code(random.error())
        .with_error_message(random.maybe())
        .with_unknown_tagged_fields(random.tags(true))
}

fn topic(
    it: &tell::DescribeShareGroupOffsetsResponseTopic,
) -> DescribeShareGroupOffsetsResponseTopic<'_> {
    let partitions = it.partitions.iter();
    DescribeShareGroupOffsetsResponseTopic {
        topic_name: &it.topic_name,
        topic_id: id(it.topic_id),
        partitions: partitions
            .map(|it| DescribeShareGroupOffsetsResponsePartition {
                partition_index: it.partition_index,
                start_offset: it.start_offset,
                leader_epoch: it.leader_epoch,
                lag: -1,
                error_code: it.error_code,
                error_message: text(&it.error_message),
            })
            .collect(),
    }
}
