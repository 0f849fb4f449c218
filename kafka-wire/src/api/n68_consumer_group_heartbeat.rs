//! ConsumerGroupHeartbeat (KIP-848), versions 0–1. In: a body; out: what a member wants and has, its epoch, and what it shall have.
//!
//! Members and coordinator send only what changed: None is "as before", which is not the same as empty.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatRequest<'a> {
    pub group_id: &'a str,
    /// "" in v0 of a member that joins: the coordinator then names it.
    pub member_id: &'a str,
    /// 0 joins, −1 leaves, −2 leaves to come back with its instance id.
    pub member_epoch: i32,
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    /// −1: as before.
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Vec<&'a str>>,
    /// None in v0, too.
    pub subscribed_topic_regex: Option<&'a str>,
    pub server_assignor: Option<&'a str>,
    /// What the member has.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: reader.string()?,
        member_id: reader.string()?,
        member_epoch: reader.i32()?,
        instance_id: reader.nullable_string()?,
        rack_id: reader.nullable_string()?,
        rebalance_timeout_ms: reader.i32()?,
        subscribed_topic_names: reader.nullable_array(Reader::string)?,
        subscribed_topic_regex: if version >= 1 {
            reader.nullable_string()?
        } else {
            None
        },
        server_assignor: reader.nullable_string()?,
        topic_partitions: reader.nullable_array(topic_partitions)?,
    };
    reader.tags()?;
    Ok(Message::ConsumerGroupHeartbeatRequest(request))
}

fn topic_partitions(reader: &mut Reader<'_>) -> Read<TopicPartitions> {
    let topic = TopicPartitions {
        topic_id: reader.uuid()?,
        partitions: reader.elements(Reader::i32)?,
    };
    reader.tags()?;
    Ok(topic)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    /// None with an error.
    pub member_id: Option<&'a str>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// The whole of what the member shall have: `topic_partitions` of Kafka's `Assignment`.
    pub assignment: Option<Vec<TopicPartitions>>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let response = ConsumerGroupHeartbeatResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        member_id: reader.nullable_string()?,
        member_epoch: reader.i32()?,
        heartbeat_interval_ms: reader.i32()?,
        assignment: assignment(reader)?,
    };
    reader.tags()?;
    Ok(Message::ConsumerGroupHeartbeatResponse(response))
}

/// A struct that may be null: a byte, below 0 for null, comes first.
fn assignment(reader: &mut Reader<'_>) -> Read<Option<Vec<TopicPartitions>>> {
    if reader.i8()? < 0 {
        return Ok(None);
    }
    let topics = reader.elements(topic_partitions)?;
    reader.tags()?;
    Ok(Some(topics))
}
