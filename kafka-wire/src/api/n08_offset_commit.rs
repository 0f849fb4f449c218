//! OffsetCommit, versions 0–10. In: a body; out: which member commits which offsets, and what became of each.
//!
//! The metadata of commits, the application's own text, is stepped over.

use super::Message;
use crate::TopicRef;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequest<'a> {
    pub group_id: &'a str,
    /// Generation, or member epoch (KIP-848, v9+). −1: commits without a membership, and in v0.
    pub generation_id_or_member_epoch: i32,
    /// "": no membership, and in v0.
    pub member_id: &'a str,
    /// None before v7.
    pub group_instance_id: Option<&'a str>,
    /// Only v2–4; −1: the broker's own.
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequestTopic<'a> {
    /// An id from v10 on.
    pub topic: TopicRef<'a>,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    /// −1: unknown, and before v6.
    pub committed_leader_epoch: i32,
    /// Only v1; −1: the broker's time.
    pub commit_timestamp: i64,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = OffsetCommitRequest {
        group_id: reader.string()?,
        generation_id_or_member_epoch: if version >= 1 { reader.i32()? } else { -1 },
        member_id: if version >= 1 { reader.string()? } else { "" },
        group_instance_id: if version >= 7 {
            reader.nullable_string()?
        } else {
            None
        },
        retention_time_ms: if (2..=4).contains(&version) {
            reader.i64()?
        } else {
            -1
        },
        topics: reader.elements(|reader| {
            let topic = OffsetCommitRequestTopic {
                topic: reader.topic(version >= 10)?,
                partitions: reader.elements(|reader| partition(reader, version))?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::OffsetCommitRequest(request))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<OffsetCommitRequestPartition> {
    let partition = OffsetCommitRequestPartition {
        partition_index: reader.i32()?,
        committed_offset: reader.i64()?,
        committed_leader_epoch: if version >= 6 { reader.i32()? } else { -1 },
        commit_timestamp: if version == 1 { reader.i64()? } else { -1 },
    };
    reader.skip_string()?; // committed_metadata
    reader.tags()?;
    Ok(partition)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitResponse<'a> {
    /// 0 before v3.
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic<'a>>,
}

impl OffsetCommitResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitResponseTopic<'a> {
    /// An id from v10 on.
    pub topic: TopicRef<'a>,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = OffsetCommitResponse {
        throttle_time_ms: if version >= 3 { reader.i32()? } else { 0 },
        topics: reader.elements(|reader| {
            let topic = OffsetCommitResponseTopic {
                topic: reader.topic(version >= 10)?,
                partitions: reader.elements(|reader| {
                    let partition = OffsetCommitResponsePartition {
                        partition_index: reader.i32()?,
                        error_code: reader.i16()?,
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
    Ok(Message::OffsetCommitResponse(response))
}
