//! Groups: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, ConsumerGroupHeartbeat, the describing APIs. In: request and answer; out: who is a
//! member of what, and what each was given.
//!
//! Subscriptions and assignments are read only where the protocol type is `consumer` (or the version does not say): what Connect and the
//! schema registry put there has another form.

use kafka_wire::api::Message;
use kafka_wire::api::n11_join_group::{JoinGroupRequest, JoinGroupResponse};
use kafka_wire::api::n14_sync_group::SyncGroupRequest;
use kafka_wire::consumer_protocol as protocol;
use std::sync::Arc;

use crate::detail::text;
use crate::error::error_name;
use crate::fact::Detail;
use crate::fact::group::{Assignment, Join, Joined, JoinedMember, Leaver, Member, Sync};
use crate::names::Names;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    match message {
        Message::JoinGroupRequest(request) => Some(Detail::Join(Box::new(join(request, names)))),
        Message::SyncGroupRequest(request) => Some(Detail::Sync(Box::new(sync(request, names)))),
        Message::HeartbeatRequest(request) => Some(Detail::Heartbeat(Member {
            group: names.get(request.group_id),
            member_id: names.get(request.member_id),
            instance_id: request.group_instance_id.map(|id| names.get(id)),
            epoch: request.generation_id,
        })),
        Message::LeaveGroupRequest(request) => Some(Detail::Leave {
            group: names.get(request.group_id),
            members: request
                .members
                .iter()
                .map(|member| Leaver {
                    member_id: names.get(member.member_id),
                    instance_id: member.group_instance_id.map(|id| names.get(id)),
                    reason: member.reason.map(|reason| text(reason, names)),
                    error: None,
                })
                .collect(),
        }),
        _ => None,
    }
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    match (detail, message) {
        (Detail::Join(join), Message::JoinGroupResponse(answer)) => {
            // A new member is told its id along with MEMBER_ID_REQUIRED (KIP-394).
            if !answer.member_id.is_empty() {
                join.member.member_id = names.get(answer.member_id);
            }
            if answer.error_code == 0 {
                join.joined = Some(joined(answer, names));
            }
        }
        (Detail::Sync(sync), Message::SyncGroupResponse(answer)) => {
            if let Some(kind) = answer.protocol_type {
                sync.protocol_type = Some(names.get(kind));
            }
            if let Some(name) = answer.protocol_name {
                sync.protocol = Some(names.get(name));
            }
            if answer.error_code == 0 && may_be_consumer(sync.protocol_type.as_deref()) {
                sync.own = assignment(answer.assignment, names);
            }
        }
        (Detail::Leave { members, .. }, Message::LeaveGroupResponse(answer)) => {
            for member in members.iter_mut() {
                let told = answer.members.iter().find(|told| {
                    told.member_id == &*member.member_id
                        && told.group_instance_id == member.instance_id.as_deref()
                });
                let code = told.map_or(answer.error_code, |told| told.error_code);
                member.error = error_name(code);
            }
        }
        _ => {}
    }
}

fn join(request: &JoinGroupRequest<'_>, names: &mut Names) -> Join {
    let is_consumer = request.protocol_type == CONSUMER;
    let first = request.protocols.first();
    Join {
        member: Member {
            group: names.get(request.group_id),
            member_id: names.get(request.member_id),
            instance_id: request.group_instance_id.map(|id| names.get(id)),
            epoch: -1,
        },
        is_new: request.member_id.is_empty(),
        protocol_type: names.get(request.protocol_type),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| names.get(protocol.name))
            .collect(),
        topics: first
            .filter(|_| is_consumer)
            .and_then(|protocol| subscription(protocol.metadata, names)),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        reason: request.reason.map(|reason| text(reason, names)),
        joined: None,
    }
}

fn joined(answer: &JoinGroupResponse<'_>, names: &mut Names) -> Joined {
    Joined {
        generation: answer.generation_id,
        member_id: names.get(answer.member_id),
        leader: names.get(answer.leader),
        protocol: answer
            .protocol_name
            .filter(|name| !name.is_empty())
            .map(|name| names.get(name)),
        members: answer
            .members
            .iter()
            .map(|member| JoinedMember {
                member_id: names.get(member.member_id),
                instance_id: member.group_instance_id.map(|id| names.get(id)),
            })
            .collect(),
    }
}

fn sync(request: &SyncGroupRequest<'_>, names: &mut Names) -> Sync {
    let readable = may_be_consumer(request.protocol_type);
    let assignments = request.assignments.iter().filter(|_| readable);
    Sync {
        member: Member {
            group: names.get(request.group_id),
            member_id: names.get(request.member_id),
            instance_id: request.group_instance_id.map(|id| names.get(id)),
            epoch: request.generation_id,
        },
        protocol_type: request.protocol_type.map(|kind| names.get(kind)),
        protocol: request.protocol_name.map(|name| names.get(name)),
        assignments: assignments
            .filter_map(|given| {
                let assignment = assignment(given.assignment, names)?;
                Some((names.get(given.member_id), assignment))
            })
            .collect(),
        own: None,
    }
}

fn may_be_consumer(protocol_type: Option<&str>) -> bool {
    protocol_type.is_none_or(|kind| kind == CONSUMER)
}

fn subscription(metadata: &[u8], names: &mut Names) -> Option<Vec<Arc<str>>> {
    let read = protocol::Subscription::parse(metadata).ok()?;
    Some(read.topics.iter().map(|topic| names.get(topic)).collect())
}

pub(super) fn assignment(bytes: &[u8], names: &mut Names) -> Option<Assignment> {
    let read = protocol::Assignment::parse(bytes).ok()?;
    let topics = read.assigned_partitions.iter();
    Some(
        topics
            .map(|topic| (names.get(topic.topic).into(), topic.partitions.clone()))
            .collect(),
    )
}
