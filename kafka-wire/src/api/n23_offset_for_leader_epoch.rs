//! OffsetForLeaderEpoch, versions 0–4. In: a body; out: at which offset a leader epoch ended, by which consumers and followers find out that a
//! log was truncated.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderEpochRequest<'a> {
    /// −1: a consumer; −2: not said, and before v3.
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderTopic<'a> {
    pub topic: &'a str,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    /// −1: unknown, and before v2.
    pub current_leader_epoch: i32,
    /// The epoch asked for.
    pub leader_epoch: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = OffsetForLeaderEpochRequest {
        replica_id: if version >= 3 { reader.i32()? } else { -2 },
        topics: reader.elements(|reader| {
            let topic = OffsetForLeaderTopic {
                topic: reader.string()?,
                partitions: reader.elements(|reader| {
                    let partition = OffsetForLeaderPartition {
                        partition: reader.i32()?,
                        current_leader_epoch: if version >= 2 { reader.i32()? } else { -1 },
                        leader_epoch: reader.i32()?,
                    };
                    reader.tags()?;
                    Ok(partition)
                })?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::OffsetForLeaderEpochRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderEpochResponse<'a> {
    /// 0 before v2.
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult<'a>>,
}

impl OffsetForLeaderEpochResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetForLeaderTopicResult<'a> {
    pub topic: &'a str,
    pub partitions: Vec<EpochEndOffset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    /// The largest epoch up to the one asked for; −1: none, and in v0.
    pub leader_epoch: i32,
    /// −1: unknown.
    pub end_offset: i64,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = OffsetForLeaderEpochResponse {
        throttle_time_ms: if version >= 2 { reader.i32()? } else { 0 },
        topics: reader.elements(|reader| {
            let topic = OffsetForLeaderTopicResult {
                topic: reader.string()?,
                partitions: reader.elements(|reader| {
                    let partition = EpochEndOffset {
                        error_code: reader.i16()?,
                        partition: reader.i32()?,
                        leader_epoch: if version >= 1 { reader.i32()? } else { -1 },
                        end_offset: reader.i64()?,
                    };
                    reader.tags()?;
                    Ok(partition)
                })?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::OffsetForLeaderEpochResponse(response))
}
