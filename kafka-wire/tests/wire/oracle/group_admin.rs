//! What administrators ask of groups: DescribeGroups, ListGroups, DeleteGroups, OffsetDelete.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    delete_groups_response as deleted, describe_groups_response as described,
    list_groups_response as listed, offset_delete_request as forget,
    offset_delete_response as forgotten,
};
use kafka_wire::api::Message;
use kafka_wire::api::n15_describe_groups::*;
use kafka_wire::api::n16_list_groups::*;
use kafka_wire::api::n42_delete_groups::*;
use kafka_wire::api::n47_offset_delete::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn describe_groups_requests() {
    each_version(0..=6, |version, random| {
        let mut body = oracle::DescribeGroupsRequest::default()
            .with_groups(random.many(3, |random| random.text().into()));
        if version >= 3 {
            body.include_authorized_operations = random.bool();
        }
        let expected = Message::DescribeGroupsRequest(DescribeGroupsRequest {
            groups: body.groups.iter().map(|group| group.as_str()).collect(),
        });
        exactly(Request, 15, version, &body, &expected);
    });
}

#[test]
fn describe_groups_answers() {
    each_version(0..=6, |version, random| {
        let member = |random: &mut Random| {
            let mut member = described::DescribedGroupMember::default()
                .with_member_id(random.text())
                .with_client_id(random.text())
                .with_client_host(random.text())
                .with_member_metadata(random.bytes(30).into())
                .with_member_assignment(random.bytes(30).into())
                .with_unknown_tagged_fields(random.tags(version >= 5));
            if version >= 4 {
                member.group_instance_id = random.maybe();
            }
            member
        };
        let mut body =
            oracle::DescribeGroupsResponse::default().with_groups(random.many(3, |random| {
                let mut group = described::DescribedGroup::default()
                    .with_error_code(random.error())
                    .with_group_id(random.text().into())
                    .with_group_state(random.text())
                    .with_protocol_type(random.text())
                    .with_protocol_data(random.text())
                    .with_members(random.many(3, member))
                    .with_unknown_tagged_fields(random.tags(version >= 5));
                if version >= 3 {
                    group.authorized_operations = random.i32();
                }
                if version >= 6 {
                    group.error_message = random.maybe();
                }
                group
            }));
        if version >= 1 {
            body.throttle_time_ms = random.i32();
        }
        let groups = body.groups.iter().map(|group| DescribedGroup {
            error_code: group.error_code,
            error_message: text(&group.error_message),
            group_id: group.group_id.as_str(),
            group_state: &group.group_state,
            protocol_type: &group.protocol_type,
            protocol_data: &group.protocol_data,
            members: (group.members.iter())
                .map(|it| DescribedGroupMember {
                    member_id: &it.member_id,
                    group_instance_id: text(&it.group_instance_id),
                    client_id: &it.client_id,
                    client_host: &it.client_host,
                    member_metadata: &it.member_metadata,
                    member_assignment: &it.member_assignment,
                })
                .collect(),
        });
        let expected = Message::DescribeGroupsResponse(DescribeGroupsResponse {
            throttle_time_ms: body.throttle_time_ms,
            groups: groups.collect(),
        });
        exactly(Response, 15, version, &body, &expected);
        let codes: Vec<_> = body.groups.iter().map(|group| group.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}

#[test]
fn list_groups() {
    each_version(0..=5, |version, random| {
        let mut body = oracle::ListGroupsRequest::default();
        if version >= 4 {
            body.states_filter = random.many(3, Random::text);
        }
        if version >= 5 {
            body.types_filter = random.many(3, Random::text);
        }
        let expected = Message::ListGroupsRequest(ListGroupsRequest {
            states_filter: body.states_filter.iter().map(|it| &**it).collect(),
            types_filter: body.types_filter.iter().map(|it| &**it).collect(),
        });
        exactly(Request, 16, version, &body, &expected);

        let mut body = oracle::ListGroupsResponse::default()
            .with_error_code(random.error())
            .with_groups(random.many(4, |random| {
                let mut group = listed::ListedGroup::default()
                    .with_group_id(random.text().into())
                    .with_protocol_type(random.text())
                    .with_unknown_tagged_fields(random.tags(version >= 3));
                if version >= 4 {
                    group.group_state = random.text();
                }
                if version >= 5 {
                    group.group_type = random.text();
                }
                group
            }));
        if version >= 1 {
            body.throttle_time_ms = random.i32();
        }
        let groups = body.groups.iter().map(|it| ListedGroup {
            group_id: it.group_id.as_str(),
            protocol_type: &it.protocol_type,
            group_state: &it.group_state,
            group_type: &it.group_type,
        });
        let expected = Message::ListGroupsResponse(ListGroupsResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            groups: groups.collect(),
        });
        exactly(Response, 16, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn delete_groups() {
    each_version(0..=2, |version, random| {
        let body = oracle::DeleteGroupsRequest::default()
            .with_groups_names(random.many(3, |random| random.text().into()));
        let expected = Message::DeleteGroupsRequest(DeleteGroupsRequest {
            groups_names: body.groups_names.iter().map(|it| it.as_str()).collect(),
        });
        exactly(Request, 42, version, &body, &expected);

        let body = oracle::DeleteGroupsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_results(random.many(3, |random| {
                deleted::DeletableGroupResult::default()
                    .with_group_id(random.text().into())
                    .with_error_code(random.error())
                    .with_unknown_tagged_fields(random.tags(version >= 2))
            }));
        let results = body.results.iter().map(|it| DeletableGroupResult {
            group_id: it.group_id.as_str(),
            error_code: it.error_code,
            error_message: None,
        });
        let expected = Message::DeleteGroupsResponse(DeleteGroupsResponse {
            throttle_time_ms: body.throttle_time_ms,
            results: results.collect(),
        });
        exactly(Response, 42, version, &body, &expected);
        let codes: Vec<_> = body.results.iter().map(|it| it.error_code).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}

#[test]
fn offset_delete() {
    each_version(0..=0, |version, random| {
        let body = oracle::OffsetDeleteRequest::default()
            .with_group_id(random.text().into())
            .with_topics(random.many(3, |random| {
                forget::OffsetDeleteRequestTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        forget::OffsetDeleteRequestPartition::default()
                            .with_partition_index(random.i32())
                    }))
            }));
        let topics = body.topics.iter().map(|topic| OffsetDeleteRequestTopic {
            name: topic.name.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| it.partition_index)
                .collect(),
        });
        let expected = Message::OffsetDeleteRequest(OffsetDeleteRequest {
            group_id: body.group_id.as_str(),
            topics: topics.collect(),
        });
        exactly(Request, 47, version, &body, &expected);

        let body = oracle::OffsetDeleteResponse::default()
            .with_error_code(random.error())
            .with_throttle_time_ms(random.i32())
            .with_topics(random.many(3, |random| {
                forgotten::OffsetDeleteResponseTopic::default()
                    .with_name(random.text().into())
                    .with_partitions(random.many(4, |random| {
                        forgotten::OffsetDeleteResponsePartition::default()
                            .with_partition_index(random.i32())
                            .with_error_code(random.error())
                    }))
            }));
        let mut codes = vec![body.error_code];
        let topics = body.topics.iter().map(|topic| OffsetDeleteResponseTopic {
            name: topic.name.as_str(),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    codes.push(it.error_code);
                    OffsetDeleteResponsePartition {
                        partition_index: it.partition_index,
                        error_code: it.error_code,
                    }
                })
                .collect(),
        });
        let expected = Message::OffsetDeleteResponse(OffsetDeleteResponse {
            error_code: body.error_code,
            throttle_time_ms: body.throttle_time_ms,
            topics: topics.collect(),
        });
        exactly(Response, 47, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}
