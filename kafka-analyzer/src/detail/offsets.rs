//! Offsets: OffsetCommit, TxnOffsetCommit, OffsetFetch, ListOffsets, OffsetDelete. In: request and answer; out: what is committed and where logs end.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::TopicRef;
use kafka_wire::api::Message;
use kafka_wire::api::n02_list_offsets::ListOffsetsRequest;
use kafka_wire::api::n08_offset_commit::OffsetCommitRequest;
use kafka_wire::api::n09_offset_fetch::OffsetFetchResponseGroup;
use kafka_wire::api::n28_txn_offset_commit::TxnOffsetCommitRequest;

use crate::error::error_name;
use crate::fact::detail::{
    Commit, CommittedOffset, GroupOffsets, LogEnd, LogEndKind, Producer, TransactionRef,
};
use crate::fact::group::Member;
use crate::fact::{Detail, Topic};
use crate::names::Names;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    match message {
        Message::OffsetCommitRequest(request) => Some(Detail::Commit(commit(request, names))),
        Message::TxnOffsetCommitRequest(request) => {
            Some(Detail::Commit(transactional(request, names)))
        }
        Message::OffsetFetchRequest(request) => {
            let groups = request.groups.iter().map(|group| GroupOffsets {
                group: names.get(group.group_id),
                offsets: Vec::new(),
            });
            Some(Detail::CommittedRead(groups.collect()))
        }
        Message::ListOffsetsRequest(request) => Some(Detail::LogEnds(wanted_ends(request, names))),
        _ => None,
    }
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    match (detail, message) {
        (Detail::Commit(commit), Message::OffsetCommitResponse(answer)) => {
            let codes = answer.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|p| (topic.topic, p.partition_index, p.error_code))
            });
            refuse(commit, codes, names);
        }
        (Detail::Commit(commit), Message::TxnOffsetCommitResponse(answer)) => {
            let codes = answer.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|p| (topic.topic, p.partition_index, p.error_code))
            });
            refuse(commit, codes, names);
        }
        (Detail::CommittedRead(groups), Message::OffsetFetchResponse(answer)) => {
            let asked = groups.iter().enumerate().rev();
            let at: HashMap<Arc<str>, usize> = asked
                .map(|(at, group)| (Arc::clone(&group.group), at))
                .collect();
            for told in answer.groups.iter().filter(|told| told.error_code == 0) {
                // Old versions ask for one group and do not repeat its name.
                let group = told.group_id.map_or(Some(&0), |id| at.get(id));
                if let Some(group) = group.and_then(|at| groups.get_mut(*at)) {
                    read(group, told, names);
                }
            }
        }
        (Detail::LogEnds(ends), Message::ListOffsetsResponse(answer)) => {
            let mut offsets = HashMap::new();
            for topic in &answer.topics {
                let name = Topic::Name(names.get(topic.name));
                for partition in topic.partitions.iter().filter(|p| p.error_code == 0) {
                    let newest = partition.old_style_offsets.first();
                    let offset = newest.copied().unwrap_or(partition.offset);
                    offsets.insert((name.clone(), partition.partition_index), offset);
                }
            }
            ends.retain_mut(|end| {
                let told = offsets.get(&(end.topic.clone(), end.partition));
                end.offset = told.copied().unwrap_or(-1);
                end.offset >= 0
            });
        }
        _ => {}
    }
}

fn commit(request: &OffsetCommitRequest<'_>, names: &mut Names) -> Commit {
    let mut offsets = Vec::new();
    for topic in &request.topics {
        let name = names.topic(topic.topic);
        offsets.extend(topic.partitions.iter().map(|partition| CommittedOffset {
            topic: name.clone(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            error: None,
        }));
    }
    Commit {
        member: Member {
            group: names.get(request.group_id),
            member_id: names.get(request.member_id),
            instance_id: request.group_instance_id.map(|id| names.get(id)),
            epoch: request.generation_id_or_member_epoch,
        },
        transaction: None,
        offsets,
    }
}

fn transactional(request: &TxnOffsetCommitRequest<'_>, names: &mut Names) -> Commit {
    let mut offsets = Vec::new();
    for topic in &request.topics {
        let name = names.topic(topic.topic);
        offsets.extend(topic.partitions.iter().map(|partition| CommittedOffset {
            topic: name.clone(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            error: None,
        }));
    }
    Commit {
        member: Member {
            group: names.get(request.group_id),
            member_id: names.get(request.member_id),
            instance_id: request.group_instance_id.map(|id| names.get(id)),
            epoch: request.generation_id_or_member_epoch,
        },
        transaction: Some(TransactionRef {
            transactional_id: names.get(request.transactional_id),
            producer: Producer {
                id: request.producer_id,
                epoch: request.producer_epoch,
            },
        }),
        offsets,
    }
}

/// `codes` are (topic, partition, error code).
fn refuse<'a>(
    commit: &mut Commit,
    codes: impl Iterator<Item = (TopicRef<'a>, i32, i16)>,
    names: &mut Names,
) {
    let refused = codes.filter(|(.., code)| *code != 0);
    let errors: HashMap<(Topic, i32), i16> = refused
        .map(|(topic, index, code)| ((names.topic(topic), index), code))
        .collect();
    for offset in &mut commit.offsets {
        let code = errors.get(&(offset.topic.clone(), offset.partition));
        offset.error = code.and_then(|code| error_name(*code));
    }
}

fn read(group: &mut GroupOffsets, told: &OffsetFetchResponseGroup<'_>, names: &mut Names) {
    for topic in &told.topics {
        let name = names.topic(topic.topic);
        let known = topic.partitions.iter().filter(|p| p.error_code == 0);
        group.offsets.extend(known.map(|partition| {
            let offset = Some(partition.committed_offset).filter(|offset| *offset >= 0);
            (name.clone(), partition.partition_index, offset)
        }));
    }
}

/// Followers ask for other ends; times other than the two ends say nothing of lag.
fn wanted_ends(request: &ListOffsetsRequest<'_>, names: &mut Names) -> Vec<LogEnd> {
    let mut ends = Vec::new();
    if request.replica_id >= 0 {
        return ends;
    }
    for topic in &request.topics {
        for partition in &topic.partitions {
            let which = match (partition.timestamp, request.isolation_level) {
                (LATEST, 0) => LogEndKind::HighWatermark,
                (LATEST, _) => LogEndKind::LastStable,
                (EARLIEST, _) => LogEndKind::Start,
                _ => continue,
            };
            ends.push(LogEnd {
                topic: Topic::Name(names.get(topic.name)),
                partition: partition.partition_index,
                which,
                offset: -1,
            });
        }
    }
    ends
}
