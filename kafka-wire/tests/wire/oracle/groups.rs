//! Groups of the classic kind: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    join_group_request as join, join_group_response as joined, leave_group_request as leave,
    leave_group_response as left, sync_group_request as sync,
};
use kafka_wire::api::Message;
use kafka_wire::api::n11_join_group::*;
use kafka_wire::api::n12_heartbeat::*;
use kafka_wire::api::n13_leave_group::*;
use kafka_wire::api::n14_sync_group::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn join_group_requests() {
    each_version(0..=9, |version, random| {
        let mut body = oracle::JoinGroupRequest::default()
            .with_group_id(random.text().into())
            .with_session_timeout_ms(random.i32())
            .with_member_id(random.text())
            .with_protocol_type(random.text())
            .with_protocols(random.many(3, |random| {
                join::JoinGroupRequestProtocol::default()
                    .with_name(random.text())
                    .with_metadata(random.bytes(40).into())
                    .with_unknown_tagged_fields(random.tags(version >= 6))
            }));
        if version >= 1 {
            body.rebalance_timeout_ms = random.i32();
        }
        if version >= 5 {
            body.group_instance_id = random.maybe();
        }
        if version >= 8 {
            body.reason = random.maybe();
        }
        let protocols = body.protocols.iter().map(|it| JoinGroupRequestProtocol {
            name: &it.name,
            metadata: &it.metadata,
        });
        let expected = Message::JoinGroupRequest(JoinGroupRequest {
            group_id: body.group_id.as_str(),
            session_timeout_ms: body.session_timeout_ms,
            rebalance_timeout_ms: body.rebalance_timeout_ms,
            member_id: &body.member_id,
            group_instance_id: text(&body.group_instance_id),
            protocol_type: &body.protocol_type,
            protocols: protocols.collect(),
            reason: text(&body.reason),
        });
        exactly(Request, 11, version, &body, &expected);
    });
}

#[test]
fn join_group_answers() {
    each_version(0..=9, |version, random| {
        let mut body = oracle::JoinGroupResponse::default()
            .with_error_code(random.error())
            .with_generation_id(random.i32())
            .with_protocol_name(Some(random.text()))
            .with_leader(random.text())
            .with_member_id(random.text())
            .with_members(random.many(4, |random| {
                let mut member = joined::JoinGroupResponseMember::default()
                    .with_member_id(random.text())
                    .with_metadata(random.bytes(40).into())
                    .with_unknown_tagged_fields(random.tags(version >= 6));
                if version >= 5 {
                    member.group_instance_id = random.maybe();
                }
                member
            }));
        if version >= 2 {
            body.throttle_time_ms = random.i32();
        }
        if version >= 7 {
            (body.protocol_type, body.protocol_name) = (random.maybe(), random.maybe());
        }
        if version >= 9 {
            body.skip_assignment = random.bool();
        }
        let members = body.members.iter().map(|it| JoinGroupResponseMember {
            member_id: &it.member_id,
            group_instance_id: text(&it.group_instance_id),
            metadata: &it.metadata,
        });
        let expected = Message::JoinGroupResponse(JoinGroupResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            generation_id: body.generation_id,
            protocol_type: text(&body.protocol_type),
            protocol_name: text(&body.protocol_name),
            leader: &body.leader,
            skip_assignment: body.skip_assignment,
            member_id: &body.member_id,
            members: members.collect(),
        });
        exactly(Response, 11, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn sync_group() {
    each_version(0..=5, |version, random| {
        let mut body = oracle::SyncGroupRequest::default()
            .with_group_id(random.text().into())
            .with_generation_id(random.i32())
            .with_member_id(random.text())
            .with_assignments(random.many(3, |random| {
                sync::SyncGroupRequestAssignment::default()
                    .with_member_id(random.text())
                    .with_assignment(random.bytes(40).into())
                    .with_unknown_tagged_fields(random.tags(version >= 4))
            }));
        if version >= 3 {
            body.group_instance_id = random.maybe();
        }
        if version >= 5 {
            (body.protocol_type, body.protocol_name) = (random.maybe(), random.maybe());
        }
        let assignments = body
            .assignments
            .iter()
            .map(|it| SyncGroupRequestAssignment {
                member_id: &it.member_id,
                assignment: &it.assignment,
            });
        let expected = Message::SyncGroupRequest(SyncGroupRequest {
            group_id: body.group_id.as_str(),
            generation_id: body.generation_id,
            member_id: &body.member_id,
            group_instance_id: text(&body.group_instance_id),
            protocol_type: text(&body.protocol_type),
            protocol_name: text(&body.protocol_name),
            assignments: assignments.collect(),
        });
        exactly(Request, 14, version, &body, &expected);

        let mut body = oracle::SyncGroupResponse::default()
            .with_error_code(random.error())
            .with_assignment(random.bytes(60).into());
        if version >= 1 {
            body.throttle_time_ms = random.i32();
        }
        if version >= 5 {
            (body.protocol_type, body.protocol_name) = (random.maybe(), random.maybe());
        }
        let expected = Message::SyncGroupResponse(SyncGroupResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            protocol_type: text(&body.protocol_type),
            protocol_name: text(&body.protocol_name),
            assignment: &body.assignment,
        });
        exactly(Response, 14, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn heartbeat() {
    each_version(0..=4, |version, random| {
        let mut body = oracle::HeartbeatRequest::default()
            .with_group_id(random.text().into())
            .with_generation_id(random.i32())
            .with_member_id(random.text());
        if version >= 3 {
            body.group_instance_id = random.maybe();
        }
        let expected = Message::HeartbeatRequest(HeartbeatRequest {
            group_id: body.group_id.as_str(),
            generation_id: body.generation_id,
            member_id: &body.member_id,
            group_instance_id: text(&body.group_instance_id),
        });
        exactly(Request, 12, version, &body, &expected);

        let mut body = oracle::HeartbeatResponse::default().with_error_code(random.error());
        if version >= 1 {
            body.throttle_time_ms = random.i32();
        }
        let expected = Message::HeartbeatResponse(HeartbeatResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
        });
        exactly(Response, 12, version, &body, &expected);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
    });
}

#[test]
fn leave_group_requests() {
    each_version(0..=5, |version, random| {
        let mut body = oracle::LeaveGroupRequest::default().with_group_id(random.text().into());
        if version >= 3 {
            body.members = random.many(3, |random| {
                let mut member = leave::MemberIdentity::default()
                    .with_member_id(random.text())
                    .with_group_instance_id(random.maybe())
                    .with_unknown_tagged_fields(random.tags(version >= 4));
                if version >= 5 {
                    member.reason = random.maybe();
                }
                member
            });
        } else {
            body.member_id = random.text();
        }
        let old = MemberIdentity {
            member_id: &body.member_id,
            group_instance_id: None,
            reason: None,
        };
        let new = body.members.iter().map(|it| MemberIdentity {
            member_id: &it.member_id,
            group_instance_id: text(&it.group_instance_id),
            reason: text(&it.reason),
        });
        let expected = Message::LeaveGroupRequest(LeaveGroupRequest {
            group_id: body.group_id.as_str(),
            members: if version >= 3 {
                new.collect()
            } else {
                vec![old]
            },
        });
        exactly(Request, 13, version, &body, &expected);
    });
}

#[test]
fn leave_group_answers() {
    each_version(0..=5, |version, random| {
        let mut body = oracle::LeaveGroupResponse::default().with_error_code(random.error());
        if version >= 1 {
            body.throttle_time_ms = random.i32();
        }
        if version >= 3 {
            body.members = random.many(3, |random| {
                left::MemberResponse::default()
                    .with_member_id(random.text())
                    .with_group_instance_id(random.maybe())
                    .with_error_code(random.error())
                    .with_unknown_tagged_fields(random.tags(version >= 4))
            });
        }
        let members = body.members.iter().map(|it| MemberResponse {
            member_id: &it.member_id,
            group_instance_id: text(&it.group_instance_id),
            error_code: it.error_code,
        });
        let expected = Message::LeaveGroupResponse(LeaveGroupResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            members: members.collect(),
        });
        exactly(Response, 13, version, &body, &expected);
        let codes = body.members.iter().map(|it| it.error_code);
        let codes: Vec<_> = [body.error_code].into_iter().chain(codes).collect();
        answers(&expected, Some(body.throttle_time_ms), &codes);
    });
}
