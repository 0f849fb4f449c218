//! Share groups: ShareFetch and ShareAcknowledge (KIP-932). In: request and answer; out: which member asks, and what became of what it had.
//!
//! What was fetched is in `share`; the broker's word on acknowledgements of a ShareFetch comes in its streamed answer.

use std::collections::HashSet;

use kafka_wire::Uuid;
use kafka_wire::api::Message;
use kafka_wire::api::n78_share_fetch::AcknowledgementBatch;

use crate::fact::detail::Acknowledged;
use crate::fact::group::Member;
use crate::fact::{Detail, Topic};
use crate::names::Names;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    let mut acknowledged = Vec::new();
    let (group, member_id) = match message {
        Message::ShareFetchRequest(request) => {
            for topic in &request.topics {
                for partition in &topic.partitions {
                    let at = (topic.topic_id, partition.partition_index);
                    runs(at, &partition.acknowledgement_batches, &mut acknowledged);
                }
            }
            (request.group_id, request.member_id)
        }
        Message::ShareAcknowledgeRequest(request) => {
            for topic in &request.topics {
                for partition in &topic.partitions {
                    let at = (topic.topic_id, partition.partition_index);
                    runs(at, &partition.acknowledgement_batches, &mut acknowledged);
                }
            }
            (request.group_id, request.member_id)
        }
        _ => return None,
    };
    Some(Detail::Share {
        member: Member {
            group: names.get(group?),
            member_id: names.get(member_id.unwrap_or_default()),
            instance_id: None,
            // What the request has is the epoch of its session.
            epoch: -1,
        },
        acknowledged,
    })
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>) {
    let (Detail::Share { acknowledged, .. }, Message::ShareAcknowledgeResponse(answer)) =
        (detail, message)
    else {
        return;
    };
    if answer.error_code != 0 {
        acknowledged.clear();
        return;
    }
    let mut refused = HashSet::new();
    for topic in &answer.responses {
        let partitions = topic.partitions.iter().filter(|it| it.error_code != 0);
        refused.extend(partitions.map(|it| (Topic::Id(topic.topic_id), it.partition_index)));
    }
    acknowledged.retain(|it| !refused.contains(&(it.topic.clone(), it.partition)));
}

/// One for each run of offsets that were acknowledged alike.
fn runs(
    (topic, partition): (Uuid, i32),
    batches: &[AcknowledgementBatch],
    into: &mut Vec<Acknowledged>,
) {
    for batch in batches {
        let mut first = batch.first_offset;
        let kinds: Vec<&[i8]> = batch.acknowledge_types.chunk_by(|a, b| a == b).collect();
        for (at, alike) in kinds.iter().enumerate() {
            let last = if at + 1 == kinds.len() {
                // One kind stands for all.
                batch.last_offset
            } else {
                first.saturating_add(alike.len() as i64 - 1)
            };
            if last < first {
                break;
            }
            into.extend(alike.first().map(|kind| Acknowledged {
                topic: Topic::Id(topic),
                partition,
                offsets: (first, last),
                kind: *kind,
            }));
            first = last.saturating_add(1);
        }
    }
}
