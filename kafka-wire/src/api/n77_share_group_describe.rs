//! ShareGroupDescribe, versions 0–1 (KIP-932; v0 was early access). In: a body; out: the members of share groups and what each is assigned.
//!
//! Authorized operations are stepped over.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupDescribeRequest<'a> {
    pub group_ids: Vec<&'a str>,
    pub include_authorized_operations: bool,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = ShareGroupDescribeRequest {
        group_ids: reader.elements(Reader::string)?,
        include_authorized_operations: reader.bool()?,
    };
    reader.tags()?;
    Ok(Message::ShareGroupDescribeRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupDescribeResponse<'a> {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub group_id: &'a str,
    pub group_state: &'a str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: &'a str,
    pub members: Vec<Member<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub member_id: &'a str,
    pub rack_id: Option<&'a str>,
    pub member_epoch: i32,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub subscribed_topic_names: Vec<&'a str>,
    pub assignment: Vec<TopicPartitions<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions<'a> {
    pub topic_id: Uuid,
    pub topic_name: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = ShareGroupDescribeResponse {
        throttle_time_ms: reader.i32()?,
        groups: reader.elements(group)?,
    };
    reader.tags()?;
    Ok(Message::ShareGroupDescribeResponse(response))
}

fn group<'a>(reader: &mut Reader<'a>) -> Read<DescribedGroup<'a>> {
    let group = DescribedGroup {
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        group_id: reader.string()?,
        group_state: reader.string()?,
        group_epoch: reader.i32()?,
        assignment_epoch: reader.i32()?,
        assignor_name: reader.string()?,
        members: reader.elements(member)?,
    };
    reader.i32()?; // authorized_operations
    reader.tags()?;
    Ok(group)
}

fn member<'a>(reader: &mut Reader<'a>) -> Read<Member<'a>> {
    let member = Member {
        member_id: reader.string()?,
        rack_id: reader.nullable_string()?,
        member_epoch: reader.i32()?,
        client_id: reader.string()?,
        client_host: reader.string()?,
        subscribed_topic_names: reader.elements(Reader::string)?,
        assignment: reader.elements(|reader| {
            let topic = TopicPartitions {
                topic_id: reader.uuid()?,
                topic_name: reader.string()?,
                partitions: reader.elements(Reader::i32)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?; // of the assignment
    reader.tags()?;
    Ok(member)
}

impl ShareGroupDescribeResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.groups
            .iter()
            .map(|group| group.error_code)
            .find(|code| *code != 0)
    }
}
