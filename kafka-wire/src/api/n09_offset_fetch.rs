//! OffsetFetch, versions 0–10. In: a body; out: whose committed offsets were asked for, and what they are.
//!
//! Versions before 8 speak of one group, which is an only element here. The metadata of commits, the application's own text,
//! is stepped over.

use super::Message;
use crate::TopicRef;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequest<'a> {
    /// One before v8.
    pub groups: Vec<OffsetFetchRequestGroup<'a>>,
    /// Offsets of open transactions are an error rather than stepped over; false before v7.
    pub require_stable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequestGroup<'a> {
    pub group_id: &'a str,
    /// None before v9, and from all but members of groups of the new kind (KIP-848).
    pub member_id: Option<&'a str>,
    /// −1 likewise.
    pub member_epoch: i32,
    /// None: all topics (v2+).
    pub topics: Option<Vec<OffsetFetchRequestTopic<'a>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequestTopic<'a> {
    /// An id from v10 on.
    pub topic: TopicRef<'a>,
    pub partition_indexes: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let groups = if version >= 8 {
        reader.elements(|reader| {
            let group = OffsetFetchRequestGroup {
                group_id: reader.string()?,
                member_id: if version >= 9 {
                    reader.nullable_string()?
                } else {
                    None
                },
                member_epoch: if version >= 9 { reader.i32()? } else { -1 },
                topics: asked(reader, version)?,
            };
            reader.tags()?;
            Ok(group)
        })?
    } else {
        vec![OffsetFetchRequestGroup {
            group_id: reader.string()?,
            member_id: None,
            member_epoch: -1,
            topics: asked(reader, version)?,
        }]
    };
    let require_stable = if version >= 7 { reader.bool()? } else { false };
    reader.tags()?;
    Ok(Message::OffsetFetchRequest(OffsetFetchRequest {
        groups,
        require_stable,
    }))
}

fn asked<'a>(
    reader: &mut Reader<'a>,
    version: i16,
) -> Read<Option<Vec<OffsetFetchRequestTopic<'a>>>> {
    reader.nullable_array(|reader| {
        let topic = OffsetFetchRequestTopic {
            topic: reader.topic(version >= 10)?,
            partition_indexes: reader.elements(Reader::i32)?,
        };
        reader.tags()?;
        Ok(topic)
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponse<'a> {
    /// 0 before v3.
    pub throttle_time_ms: i32,
    /// One before v8.
    pub groups: Vec<OffsetFetchResponseGroup<'a>>,
}

impl OffsetFetchResponse<'_> {
    /// Of a group the partitions' codes come before its own, as on the wire.
    pub fn first_error(&self) -> Option<i16> {
        let mut codes = self.groups.iter().flat_map(|group| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .map(|partition| partition.error_code)
                .chain([group.error_code])
        });
        codes.find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponseGroup<'a> {
    /// None before v8: it is the group of the request.
    pub group_id: Option<&'a str>,
    pub topics: Vec<OffsetFetchResponseTopic<'a>>,
    /// 0 before v2.
    pub error_code: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponseTopic<'a> {
    /// An id from v10 on.
    pub topic: TopicRef<'a>,
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartition {
    pub partition_index: i32,
    /// −1: nothing is committed.
    pub committed_offset: i64,
    /// −1: unknown, and before v5.
    pub committed_leader_epoch: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
    let groups = if version >= 8 {
        reader.elements(|reader| {
            let group = OffsetFetchResponseGroup {
                group_id: Some(reader.string()?),
                topics: committed(reader, version)?,
                error_code: reader.i16()?,
            };
            reader.tags()?;
            Ok(group)
        })?
    } else {
        vec![OffsetFetchResponseGroup {
            group_id: None,
            topics: committed(reader, version)?,
            error_code: if version >= 2 { reader.i16()? } else { 0 },
        }]
    };
    reader.tags()?;
    Ok(Message::OffsetFetchResponse(OffsetFetchResponse {
        throttle_time_ms,
        groups,
    }))
}

fn committed<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Vec<OffsetFetchResponseTopic<'a>>> {
    reader.elements(|reader| {
        let topic = OffsetFetchResponseTopic {
            topic: reader.topic(version >= 10)?,
            partitions: reader.elements(|reader| partition(reader, version))?,
        };
        reader.tags()?;
        Ok(topic)
    })
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<OffsetFetchResponsePartition> {
    let mut partition = OffsetFetchResponsePartition {
        partition_index: reader.i32()?,
        committed_offset: reader.i64()?,
        committed_leader_epoch: if version >= 5 { reader.i32()? } else { -1 },
        error_code: 0,
    };
    reader.skip_string()?; // metadata
    partition.error_code = reader.i16()?;
    reader.tags()?;
    Ok(partition)
}
