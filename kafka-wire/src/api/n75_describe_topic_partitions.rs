//! DescribeTopicPartitions, version 0 (KIP-966). In: a body; out: topics with their names and ids, and who leads their partitions.
//!
//! Eligible leaders, last known ones, offline replicas and authorized operations are stepped over.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsRequest<'a> {
    /// Names. Empty: all.
    pub topics: Vec<&'a str>,
    pub response_partition_limit: i32,
    /// Where the answer is to begin.
    pub cursor: Option<Cursor<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor<'a> {
    pub topic_name: &'a str,
    pub partition_index: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = DescribeTopicPartitionsRequest {
        topics: reader.elements(|reader| {
            let name = reader.string()?;
            reader.tags()?;
            Ok(name)
        })?,
        response_partition_limit: reader.i32()?,
        cursor: reader.nullable_struct(cursor)?,
    };
    reader.tags()?;
    Ok(Message::DescribeTopicPartitionsRequest(request))
}

fn cursor<'a>(reader: &mut Reader<'a>) -> Read<Cursor<'a>> {
    let cursor = Cursor {
        topic_name: reader.string()?,
        partition_index: reader.i32()?,
    };
    reader.tags()?;
    Ok(cursor)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    /// What comes next, if the limit was reached.
    pub next_cursor: Option<Cursor<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponseTopic<'a> {
    pub error_code: i16,
    pub name: Option<&'a str>,
    /// Zero with an error.
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    /// −1: none.
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = DescribeTopicPartitionsResponse {
        throttle_time_ms: reader.i32()?,
        topics: reader.elements(topic)?,
        next_cursor: reader.nullable_struct(cursor)?,
    };
    reader.tags()?;
    Ok(Message::DescribeTopicPartitionsResponse(response))
}

fn topic<'a>(reader: &mut Reader<'a>) -> Read<DescribeTopicPartitionsResponseTopic<'a>> {
    let topic = DescribeTopicPartitionsResponseTopic {
        error_code: reader.i16()?,
        name: reader.nullable_string()?,
        topic_id: reader.uuid()?,
        is_internal: reader.bool()?,
        partitions: reader.elements(partition)?,
    };
    reader.i32()?; // topic_authorized_operations
    reader.tags()?;
    Ok(topic)
}

fn partition(reader: &mut Reader<'_>) -> Read<DescribeTopicPartitionsResponsePartition> {
    let partition = DescribeTopicPartitionsResponsePartition {
        error_code: reader.i16()?,
        partition_index: reader.i32()?,
        leader_id: reader.i32()?,
        leader_epoch: reader.i32()?,
        replica_nodes: reader.elements(Reader::i32)?,
        isr_nodes: reader.elements(Reader::i32)?,
    };
    reader.skip_array(4)?; // eligible_leader_replicas
    reader.skip_array(4)?; // last_known_elr
    reader.skip_array(4)?; // offline_replicas
    reader.tags()?;
    Ok(partition)
}

impl DescribeTopicPartitionsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        let of_topic = |topic: &DescribeTopicPartitionsResponseTopic<'_>| {
            let partitions = topic.partitions.iter();
            [topic.error_code]
                .into_iter()
                .chain(partitions.map(|partition| partition.error_code))
                .find(|code| *code != 0)
        };
        self.topics.iter().find_map(of_topic)
    }
}
