//! Members of the newer groups: ConsumerGroupHeartbeat (KIP-848), ShareGroupHeartbeat (KIP-932), StreamsGroupHeartbeat (KIP-1071). In: request
//! and answer; out: who is a member and what it was given.

use std::sync::Arc;

use kafka_wire::Uuid;
use kafka_wire::api::Message;
use kafka_wire::api::n88_streams_group_heartbeat as streams;

use crate::detail::text;
use crate::fact::group::{
    Assignment, GroupHeartbeat, GroupKind, HeartbeatAnswer, Member, Subtopology,
};
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
            topology: None,
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
            topology: None,
            answer: None,
        },
        Message::StreamsGroupHeartbeatRequest(request) => {
            let topology = request.topology.as_ref();
            let topology = topology.map(|told| subtopologies(&told.subtopologies, names));
            GroupHeartbeat {
                kind: GroupKind::Streams,
                member: Member {
                    group: names.get(request.group_id),
                    member_id: names.get(request.member_id),
                    instance_id: request.instance_id.map(|id| names.get(id)),
                    epoch: request.member_epoch,
                },
                rebalance_timeout_ms: request.rebalance_timeout_ms,
                topics: topology.as_ref().map(|told| {
                    let topics = told.iter().flat_map(|(_, topics)| topics);
                    topics.map(Arc::clone).collect()
                }),
                pattern: None,
                assignor: None,
                topology,
                answer: None,
            }
        }
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
                tasks: None,
                not_ready: false,
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
                tasks: None,
                not_ready: false,
            })
        }
        Message::StreamsGroupHeartbeatResponse(answer) if answer.error_code == 0 => {
            let tasks = answer.active_tasks.as_deref();
            let status = answer.status.iter().flatten();
            Some(HeartbeatAnswer {
                member_id: Some(answer.member_id)
                    .filter(|id| !id.is_empty())
                    .map(|id| names.get(id)),
                epoch: answer.member_epoch,
                heartbeat_interval_ms: answer.heartbeat_interval_ms,
                assignment: None,
                tasks: tasks.map(|tasks| {
                    let of = |task: &streams::TaskIds<'_>| {
                        (names.get(task.subtopology_id), task.partitions.clone())
                    };
                    tasks.iter().map(of).collect()
                }),
                not_ready: status
                    .map(|status| status.status_code)
                    .any(|code| NOT_READY.contains(&code)),
            })
        }
        _ => None,
    };
}

/// Source topics are missing, do not fit each other, or internal topics are missing.
const NOT_READY: [i8; 3] = [1, 2, 3];

/// What the tasks of each subtopology read. One that reads by a pattern is left out: its topics are not named.
fn subtopologies(told: &[streams::Subtopology<'_>], names: &mut Names) -> Vec<Subtopology> {
    let mut all = Vec::new();
    for part in told {
        if !part.source_topic_regex.is_empty() {
            continue;
        }
        let repartitioned = part
            .repartition_source_topics
            .iter()
            .map(|topic| topic.name);
        let topics = part.source_topics.iter().copied().chain(repartitioned);
        let topics = topics.map(|topic| names.get(topic)).collect();
        all.push((names.get(part.subtopology_id), topics));
    }
    all
}

fn topics(names_of: Option<&[&str]>, names: &mut Names) -> Option<Vec<Arc<str>>> {
    names_of.map(|topics| topics.iter().map(|topic| names.get(topic)).collect())
}

fn assignment<'a>(topics: impl Iterator<Item = (Uuid, &'a Vec<i32>)>) -> Assignment {
    topics
        .map(|(id, partitions)| (Topic::Id(id), partitions.clone()))
        .collect()
}
