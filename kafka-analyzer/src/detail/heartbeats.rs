//! Members of the newer groups: ConsumerGroupHeartbeat (KIP-848), ShareGroupHeartbeat (KIP-932). In: request and answer; out: who is a member
//! and what it was given.

use std::sync::Arc;

use kafka_wire::Uuid;
use kafka_wire::api::Message;

use crate::detail::text;
use crate::fact::group::{Assignment, GroupHeartbeat, GroupKind, HeartbeatAnswer, Member};
use crate::fact::{Detail, Topic};
use crate::names::Names;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    let heartbeat = match message {
        Message::ConsumerGroupHeartbeatRequest(request) => GroupHeartbeat {
            kind: GroupKind::Consumer,
            member: Member {
                group: names.get(request.group_id),
                member_id: names.get(request.member_id),
                instance_id: request.instance_id.map(|id| names.get(id)),
                epoch: request.member_epoch,
            },
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            topics: topics(request.subscribed_topic_names.as_deref(), names),
            pattern: request
                .subscribed_topic_regex
                .map(|pattern| text(pattern, names)),
            assignor: request.server_assignor.map(|name| text(name, names)),
            answer: None,
        },
        Message::ShareGroupHeartbeatRequest(request) => GroupHeartbeat {
            kind: GroupKind::Share,
            member: Member {
                group: names.get(request.group_id),
                member_id: names.get(request.member_id),
                instance_id: None,
                epoch: request.member_epoch,
            },
            rebalance_timeout_ms: -1,
            topics: topics(request.subscribed_topic_names.as_deref(), names),
            pattern: None,
            assignor: None,
            answer: None,
        },
        _ => return None,
    };
    Some(Detail::GroupHeartbeat(Box::new(heartbeat)))
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    let Detail::GroupHeartbeat(heartbeat) = detail else {
        return;
    };
    heartbeat.answer = match message {
        Message::ConsumerGroupHeartbeatResponse(answer) if answer.error_code == 0 => {
            let given = answer.assignment.as_deref();
            Some(HeartbeatAnswer {
                member_id: answer.member_id.map(|id| names.get(id)),
                epoch: answer.member_epoch,
                heartbeat_interval_ms: answer.heartbeat_interval_ms,
                assignment: given
                    .map(|given| assignment(given.iter().map(|t| (t.topic_id, &t.partitions)))),
            })
        }
        Message::ShareGroupHeartbeatResponse(answer) if answer.error_code == 0 => {
            let given = answer.assignment.as_deref();
            Some(HeartbeatAnswer {
                member_id: answer.member_id.map(|id| names.get(id)),
                epoch: answer.member_epoch,
                heartbeat_interval_ms: answer.heartbeat_interval_ms,
                assignment: given
                    .map(|given| assignment(given.iter().map(|t| (t.topic_id, &t.partitions)))),
            })
        }
        _ => None,
    };
}

fn topics(names_of: Option<&[&str]>, names: &mut Names) -> Option<Vec<Arc<str>>> {
    names_of.map(|topics| topics.iter().map(|topic| names.get(topic)).collect())
}

fn assignment<'a>(topics: impl Iterator<Item = (Uuid, &'a Vec<i32>)>) -> Assignment {
    topics
        .map(|(id, partitions)| (Topic::Id(id), partitions.clone()))
        .collect()
}
