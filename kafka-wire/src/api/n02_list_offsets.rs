//! ListOffsets, versions 0–11. In: a body; out: which offsets were asked for by time, and where they lie.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsRequest<'a> {
    /// −1: a consumer.
    pub replica_id: i32,
    /// 0 read uncommitted (always before v2), 1 read committed.
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic<'a>>,
    /// 0 before v10.
    pub timeout_ms: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsTopic<'a> {
    pub name: &'a str,
    pub partitions: Vec<ListOffsetsPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    /// −1: unknown, and before v4.
    pub current_leader_epoch: i32,
    /// −1 the end, −2 the start, −3 the largest timestamp (v7+), −4 the local start (v8+), −5 the last tiered one (v9+), −6 the first that is
    /// not tiered (v11+).
    pub timestamp: i64,
    /// 1 from v1 on.
    pub max_num_offsets: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ListOffsetsRequest {
        replica_id: reader.i32()?,
        isolation_level: if version >= 2 { reader.i8()? } else { 0 },
        topics: reader.elements(|reader| {
            let topic = ListOffsetsTopic {
                name: reader.string()?,
                partitions: reader.elements(|reader| partition(reader, version))?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
        timeout_ms: if version >= 10 { reader.i32()? } else { 0 },
    };
    reader.tags()?;
    Ok(Message::ListOffsetsRequest(request))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<ListOffsetsPartition> {
    let partition = ListOffsetsPartition {
        partition_index: reader.i32()?,
        current_leader_epoch: if version >= 4 { reader.i32()? } else { -1 },
        timestamp: reader.i64()?,
        max_num_offsets: if version == 0 { reader.i32()? } else { 1 },
    };
    reader.tags()?;
    Ok(partition)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsResponse<'a> {
    /// 0 before v2.
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse<'a>>,
}

impl ListOffsetsResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsTopicResponse<'a> {
    pub name: &'a str,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    /// Starts of segments, the newest first; empty from v1 on.
    pub old_style_offsets: Vec<i64>,
    /// −1: none, and in v0.
    pub timestamp: i64,
    /// −1: none, and in v0.
    pub offset: i64,
    /// −1 before v4.
    pub leader_epoch: i32,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = ListOffsetsResponse {
        throttle_time_ms: if version >= 2 { reader.i32()? } else { 0 },
        topics: reader.elements(|reader| {
            let topic = ListOffsetsTopicResponse {
                name: reader.string()?,
                partitions: reader.elements(|reader| found(reader, version))?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::ListOffsetsResponse(response))
}

fn found(reader: &mut Reader<'_>, version: i16) -> Read<ListOffsetsPartitionResponse> {
    let partition = ListOffsetsPartitionResponse {
        partition_index: reader.i32()?,
        error_code: reader.i16()?,
        old_style_offsets: if version == 0 {
            reader.elements(Reader::i64)?
        } else {
            Vec::new()
        },
        timestamp: if version >= 1 { reader.i64()? } else { -1 },
        offset: if version >= 1 { reader.i64()? } else { -1 },
        leader_epoch: if version >= 4 { reader.i32()? } else { -1 },
    };
    reader.tags()?;
    Ok(partition)
}
