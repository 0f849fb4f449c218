//! What tools of administrators are told of groups: DescribeGroups, ConsumerGroupDescribe, ShareGroupDescribe, StreamsGroupDescribe; and that they
//! delete them. In: request and answer; out: groups with all their members, and groups that are no more.

use kafka_wire::api::Message;
use kafka_wire::api::{n15_describe_groups as classic, n69_consumer_group_describe as consumer};
use kafka_wire::api::{n77_share_group_describe as share, n89_streams_group_describe as streams};

use crate::detail::groups;
use crate::fact::Detail;
use crate::fact::Topic;
use crate::fact::group::{Assignment, Described, DescribedMember, GroupKind};
use crate::names::Names;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    match message {
        Message::DescribeGroupsRequest(_)
        | Message::ConsumerGroupDescribeRequest(_)
        | Message::ShareGroupDescribeRequest(_)
        | Message::StreamsGroupDescribeRequest(_) => Some(Detail::Described(Vec::new())),
        Message::DeleteGroupsRequest(request) => {
            let groups = request.groups_names.iter().map(|group| names.get(group));
            Some(Detail::GroupsDeleted(groups.collect()))
        }
        Message::OffsetDeleteRequest(request) => {
            let mut partitions = Vec::new();
            for topic in &request.topics {
                let name = names.get(topic.name);
                let indexes = topic.partitions.iter();
                partitions.extend(indexes.map(|index| (name.clone().into(), *index)));
            }
            Some(Detail::OffsetsDeleted {
                group: names.get(request.group_id),
                partitions,
            })
        }
        _ => None,
    }
}

pub(super) fn answered(detail: &mut Detail, message: &Message<'_>, names: &mut Names) {
    match (detail, message) {
        (Detail::Described(groups), Message::DescribeGroupsResponse(answer)) => {
            let known = answer.groups.iter().filter(|group| group.error_code == 0);
            groups.extend(known.map(|group| of_classic(group, names)));
        }
        (Detail::Described(groups), Message::ConsumerGroupDescribeResponse(answer)) => {
            let known = answer.groups.iter().filter(|group| group.error_code == 0);
            groups.extend(known.map(|group| of_consumer(group, names)));
        }
        (Detail::Described(groups), Message::ShareGroupDescribeResponse(answer)) => {
            let known = answer.groups.iter().filter(|group| group.error_code == 0);
            groups.extend(known.map(|group| of_share(group, names)));
        }
        (Detail::Described(groups), Message::StreamsGroupDescribeResponse(answer)) => {
            let known = answer.groups.iter().filter(|group| group.error_code == 0);
            groups.extend(known.map(|group| of_streams(group, names)));
        }
        (Detail::GroupsDeleted(groups), Message::DeleteGroupsResponse(answer)) => {
            groups.retain(|group| {
                let mut told = answer.results.iter();
                told.any(|told| told.group_id == &**group && told.error_code == 0)
            });
        }
        (Detail::OffsetsDeleted { partitions, .. }, Message::OffsetDeleteResponse(answer)) => {
            if answer.error_code != 0 {
                partitions.clear();
            }
            for topic in &answer.topics {
                let name = names.get(topic.name).into();
                for refused in topic.partitions.iter().filter(|p| p.error_code != 0) {
                    partitions
                        .retain(|(of, index)| (of, *index) != (&name, refused.partition_index));
                }
            }
        }
        _ => {}
    }
}

fn of_classic(group: &classic::DescribedGroup<'_>, names: &mut Names) -> Described {
    let is_consumer = group.protocol_type == groups::CONSUMER;
    let members = group.members.iter().map(|member| DescribedMember {
        member_id: names.get(member.member_id),
        instance_id: member.group_instance_id.map(|id| names.get(id)),
        client_id: names.get(member.client_id),
        host: names.get(member.client_host),
        assignment: is_consumer
            .then(|| groups::assignment(member.member_assignment, names))
            .flatten(),
    });
    let members = members.collect();
    Described {
        kind: GroupKind::Classic,
        group: names.get(group.group_id),
        state: names.get(group.group_state),
        protocol_type: names.get(group.protocol_type),
        assignor: names.get(group.protocol_data),
        epoch: -1,
        members,
    }
}

fn of_consumer(group: &consumer::DescribedGroup<'_>, names: &mut Names) -> Described {
    let members = group.members.iter().map(|member| DescribedMember {
        member_id: names.get(member.member_id),
        instance_id: member.instance_id.map(|id| names.get(id)),
        client_id: names.get(member.client_id),
        host: names.get(member.client_host),
        assignment: Some(
            member
                .assignment
                .iter()
                .map(|topic| (names.get(topic.topic_name).into(), topic.partitions.clone()))
                .collect(),
        ),
    });
    let members = members.collect();
    Described {
        kind: GroupKind::Consumer,
        group: names.get(group.group_id),
        state: names.get(group.group_state),
        protocol_type: names.get(groups::CONSUMER),
        assignor: names.get(group.assignor_name),
        epoch: group.group_epoch,
        members,
    }
}

fn of_share(group: &share::DescribedGroup<'_>, names: &mut Names) -> Described {
    let members = group.members.iter().map(|member| DescribedMember {
        member_id: names.get(member.member_id),
        instance_id: None,
        client_id: names.get(member.client_id),
        host: names.get(member.client_host),
        assignment: Some(
            member
                .assignment
                .iter()
                .map(|topic| (names.get(topic.topic_name).into(), topic.partitions.clone()))
                .collect(),
        ),
    });
    let members = members.collect();
    Described {
        kind: GroupKind::Share,
        group: names.get(group.group_id),
        state: names.get(group.group_state),
        protocol_type: names.get("share"),
        assignor: names.get(group.assignor_name),
        epoch: group.group_epoch,
        members,
    }
}

fn of_streams(group: &streams::DescribedGroup<'_>, names: &mut Names) -> Described {
    let topology = group.topology.as_ref();
    let parts = topology.and_then(|topology| topology.subtopologies.as_deref());
    let members = group.members.iter().map(|member| DescribedMember {
        member_id: names.get(member.member_id),
        instance_id: member.instance_id.map(|id| names.get(id)),
        client_id: names.get(member.client_id),
        host: names.get(member.client_host),
        assignment: partitions(&member.assignment, parts.unwrap_or_default(), names),
    });
    let members = members.collect();
    Described {
        kind: GroupKind::Streams,
        group: names.get(group.group_id),
        state: names.get(group.group_state),
        protocol_type: names.get("streams"),
        assignor: names.get(group.assignor_name.unwrap_or_default()),
        epoch: group.group_epoch,
        members,
    }
}

/// What the active tasks of a Streams member read; None: one is of no subtopology that was told.
fn partitions(
    given: &streams::Assignment<'_>,
    parts: &[streams::Subtopology<'_>],
    names: &mut Names,
) -> Option<Assignment> {
    let mut all = Assignment::new();
    for task in &given.active_tasks {
        let mut found = parts.iter();
        let part = found.find(|part| part.subtopology_id == task.subtopology_id)?;
        let repartitioned = part
            .repartition_source_topics
            .iter()
            .map(|topic| topic.name);
        for topic in part.source_topics.iter().copied().chain(repartitioned) {
            all.push((Topic::Name(names.get(topic)), task.partitions.clone()));
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::api::n88_streams_group_heartbeat::{TaskIds, TopicInfo};

    #[test]
    fn tasks_of_a_streams_member_are_partitions() {
        let part = |subtopology_id, source_topics, repartitioned: Option<&'static str>| {
            streams::Subtopology {
                subtopology_id,
                source_topics,
                repartition_sink_topics: Vec::new(),
                state_changelog_topics: Vec::new(),
                repartition_source_topics: repartitioned
                    .map(|name| TopicInfo {
                        name,
                        partitions: 0,
                        replication_factor: 0,
                    })
                    .into_iter()
                    .collect(),
            }
        };
        let parts = [
            part("0", vec!["orders"], None),
            part("1", Vec::new(), Some("counts")),
        ];
        let task = |subtopology_id, partitions| TaskIds {
            subtopology_id,
            partitions,
        };
        let given = |active_tasks| streams::Assignment {
            active_tasks,
            standby_tasks: vec![task("0", vec![7])],
            warmup_tasks: Vec::new(),
        };
        let mut names = Names::default();
        let of_both = given(vec![task("1", vec![2]), task("0", vec![0, 1])]);
        assert_eq!(
            partitions(&of_both, &parts, &mut names),
            Some(vec![
                (Topic::Name("counts".into()), vec![2]),
                (Topic::Name("orders".into()), vec![0, 1]),
            ])
        );
        let unknown = given(vec![task("9", vec![2])]);
        assert_eq!(partitions(&unknown, &parts, &mut names), None);
    }
}
