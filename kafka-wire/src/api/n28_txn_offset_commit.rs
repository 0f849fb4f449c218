//! TxnOffsetCommit, versions 0–6. In: a body; out: the offsets a transaction commits for a group, and what became of each.
//!
//! The commit's metadata is stepped over.

use super::Message;
use crate::TopicRef;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequest<'a> {
    pub transactional_id: &'a str,
    pub group_id: &'a str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// −1: the producer knows of no group, and before v3.
    pub generation_id_or_member_epoch: i32,
    /// "" before v3.
    pub member_id: &'a str,
    /// None before v3.
    pub group_instance_id: Option<&'a str>,
    pub topics: Vec<TxnOffsetCommitRequestTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequestTopic<'a> {
    /// A name before v6, then an id.
    pub topic: TopicRef<'a>,
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    /// −1: unknown, and before v2.
    pub committed_leader_epoch: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = TxnOffsetCommitRequest {
        transactional_id: reader.string()?,
        group_id: reader.string()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        generation_id_or_member_epoch: if version >= 3 { reader.i32()? } else { -1 },
        member_id: if version >= 3 { reader.string()? } else { "" },
        group_instance_id: if version >= 3 {
            reader.nullable_string()?
        } else {
            None
        },
        topics: reader.elements(|reader| {
            let topic = TxnOffsetCommitRequestTopic {
                topic: reader.topic(version >= 6)?,
                partitions: reader.elements(|reader| partition(reader, version))?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::TxnOffsetCommitRequest(request))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<TxnOffsetCommitRequestPartition> {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: reader.i32()?,
        committed_offset: reader.i64()?,
        committed_leader_epoch: if version >= 2 { reader.i32()? } else { -1 },
    };
    reader.skip_string()?; // committed_metadata
    reader.tags()?;
    Ok(partition)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<TxnOffsetCommitResponseTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitResponseTopic<'a> {
    /// A name before v6, then an id.
    pub topic: TopicRef<'a>,
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = TxnOffsetCommitResponse {
        throttle_time_ms: reader.i32()?,
        topics: reader.elements(|reader| {
            let topic = TxnOffsetCommitResponseTopic {
                topic: reader.topic(version >= 6)?,
                partitions: reader.elements(|reader| {
                    let partition = TxnOffsetCommitResponsePartition {
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
    Ok(Message::TxnOffsetCommitResponse(response))
}

impl TxnOffsetCommitResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}
