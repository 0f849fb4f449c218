//! ConsumerGroupDescribe (KIP-848), versions 0–1. In: a body; out: which groups were asked for, their epochs, members and assignments.
//!
//! Authorized operations are stepped over.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupDescribeRequest<'a> {
    pub group_ids: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let group_ids = reader.elements(Reader::string)?;
    reader.bool()?; // include_authorized_operations
    reader.tags()?;
    Ok(Message::ConsumerGroupDescribeRequest(
        ConsumerGroupDescribeRequest { group_ids },
    ))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupDescribeResponse<'a> {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup<'a>>,
}

impl ConsumerGroupDescribeResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let mut groups = self.groups.iter().map(|group| group.error_code);
        groups.find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub group_id: &'a str,
    /// `Empty`, `Assigning`, `Reconciling`, `Stable`, `Dead`; "" with an error.
    pub group_state: &'a str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: &'a str,
    pub members: Vec<Member<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    pub member_epoch: i32,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub subscribed_topic_names: Vec<&'a str>,
    pub subscribed_topic_regex: Option<&'a str>,
    /// `topic_partitions` of Kafka's `Assignment`, as the next.
    pub assignment: Vec<TopicPartitions<'a>>,
    pub target_assignment: Vec<TopicPartitions<'a>>,
    /// 0 classic, 1 consumer; −1 unknown, and in v0.
    pub member_type: i8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions<'a> {
    pub topic_id: Uuid,
    pub topic_name: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = ConsumerGroupDescribeResponse {
        throttle_time_ms: reader.i32()?,
        groups: reader.elements(|reader| group(reader, version))?,
    };
    reader.tags()?;
    Ok(Message::ConsumerGroupDescribeResponse(response))
}

fn group<'a>(reader: &mut Reader<'a>, version: i16) -> Read<DescribedGroup<'a>> {
    let group = DescribedGroup {
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        group_id: reader.string()?,
        group_state: reader.string()?,
        group_epoch: reader.i32()?,
        assignment_epoch: reader.i32()?,
        assignor_name: reader.string()?,
        members: reader.elements(|reader| member(reader, version))?,
    };
    reader.i32()?; // authorized_operations
    reader.tags()?;
    Ok(group)
}

fn member<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Member<'a>> {
    let member = Member {
        member_id: reader.string()?,
        instance_id: reader.nullable_string()?,
        rack_id: reader.nullable_string()?,
        member_epoch: reader.i32()?,
        client_id: reader.string()?,
        client_host: reader.string()?,
        subscribed_topic_names: reader.elements(Reader::string)?,
        subscribed_topic_regex: reader.nullable_string()?,
        assignment: assignment(reader)?,
        target_assignment: assignment(reader)?,
        member_type: if version >= 1 { reader.i8()? } else { -1 },
    };
    reader.tags()?;
    Ok(member)
}

fn assignment<'a>(reader: &mut Reader<'a>) -> Read<Vec<TopicPartitions<'a>>> {
    let topics = reader.elements(|reader| {
        let topic = TopicPartitions {
            topic_id: reader.uuid()?,
            topic_name: reader.string()?,
            partitions: reader.elements(Reader::i32)?,
        };
        reader.tags()?;
        Ok(topic)
    })?;
    reader.tags()?;
    Ok(topics)
}
