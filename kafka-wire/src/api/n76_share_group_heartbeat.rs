//! ShareGroupHeartbeat, versions 0–1 (KIP-932; v0 was early access). In: a body; out: who is in which share group, and what it is assigned.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupHeartbeatRequest<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    /// 0: joins. −1: leaves.
    pub member_epoch: i32,
    /// None: unchanged.
    pub rack_id: Option<&'a str>,
    /// None: unchanged.
    pub subscribed_topic_names: Option<Vec<&'a str>>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = ShareGroupHeartbeatRequest {
        group_id: reader.string()?,
        member_id: reader.string()?,
        member_epoch: reader.i32()?,
        rack_id: reader.nullable_string()?,
        subscribed_topic_names: reader.nullable_array(Reader::string)?,
    };
    reader.tags()?;
    Ok(Message::ShareGroupHeartbeatRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupHeartbeatResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    /// None with an error.
    pub member_id: Option<&'a str>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// None: unchanged.
    pub assignment: Option<Vec<TopicPartitions>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = ShareGroupHeartbeatResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        member_id: reader.nullable_string()?,
        member_epoch: reader.i32()?,
        heartbeat_interval_ms: reader.i32()?,
        assignment: reader.nullable_struct(|reader| {
            let assignment = reader.elements(|reader| {
                let topic = TopicPartitions {
                    topic_id: reader.uuid()?,
                    partitions: reader.elements(Reader::i32)?,
                };
                reader.tags()?;
                Ok(topic)
            })?;
            reader.tags()?;
            Ok(assignment)
        })?,
    };
    reader.tags()?;
    Ok(Message::ShareGroupHeartbeatResponse(response))
}
