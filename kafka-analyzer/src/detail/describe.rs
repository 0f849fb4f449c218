//! What tools of administrators are told of groups: DescribeGroups, ConsumerGroupDescribe; and that they delete them. In: request and answer;
//! out: groups with all their members, and groups that are no more.

use kafka_wire::api::Message;
use kafka_wire::api::{n15_describe_groups as classic, n69_consumer_group_describe as consumer};

use crate::detail::groups;
use crate::fact::Detail;
use crate::fact::group::{Described, DescribedMember, GroupKind};
use crate::names::Names;

pub(super) fn asked(message: &Message<'_>, names: &mut Names) -> Option<Detail> {
    match message {
        Message::DescribeGroupsRequest(_) | Message::ConsumerGroupDescribeRequest(_) => {
            Some(Detail::Described(Vec::new()))
        }
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
