//! DescribeShareGroupOffsets, versions 0–1 (KIP-932). In: a body; out: where share groups stand in their partitions, and (v1+) how far behind.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsRequest<'a> {
    pub groups: Vec<DescribeShareGroupOffsetsRequestGroup<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsRequestGroup<'a> {
    pub group_id: &'a str,
    /// None: all.
    pub topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic<'a>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsRequestTopic<'a> {
    pub topic_name: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let groups = reader.elements(|reader| {
        let group = DescribeShareGroupOffsetsRequestGroup {
            group_id: reader.string()?,
            topics: reader.nullable_array(|reader| {
                let topic = DescribeShareGroupOffsetsRequestTopic {
                    topic_name: reader.string()?,
                    partitions: reader.elements(Reader::i32)?,
                };
                reader.tags()?;
                Ok(topic)
            })?,
        };
        reader.tags()?;
        Ok(group)
    })?;
    reader.tags()?;
    let request = DescribeShareGroupOffsetsRequest { groups };
    Ok(Message::DescribeShareGroupOffsetsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsResponse<'a> {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribeShareGroupOffsetsResponseGroup<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsResponseGroup<'a> {
    pub group_id: &'a str,
    pub topics: Vec<DescribeShareGroupOffsetsResponseTopic<'a>>,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsResponseTopic<'a> {
    pub topic_name: &'a str,
    pub topic_id: Uuid,
    pub partitions: Vec<DescribeShareGroupOffsetsResponsePartition<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeShareGroupOffsetsResponsePartition<'a> {
    pub partition_index: i32,
    /// The share-partition start offset: what is before it is done with. −1: not known.
    pub start_offset: i64,
    pub leader_epoch: i32,
    /// −1: not known, and before v1.
    pub lag: i64,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = DescribeShareGroupOffsetsResponse {
        throttle_time_ms: reader.i32()?,
        groups: reader.elements(|reader| {
            let group = DescribeShareGroupOffsetsResponseGroup {
                group_id: reader.string()?,
                topics: reader.elements(|reader| topic(reader, version))?,
                error_code: reader.i16()?,
                error_message: reader.nullable_string()?,
            };
            reader.tags()?;
            Ok(group)
        })?,
    };
    reader.tags()?;
    Ok(Message::DescribeShareGroupOffsetsResponse(response))
}

fn topic<'a>(
    reader: &mut Reader<'a>,
    version: i16,
) -> Read<DescribeShareGroupOffsetsResponseTopic<'a>> {
    let topic = DescribeShareGroupOffsetsResponseTopic {
        topic_name: reader.string()?,
        topic_id: reader.uuid()?,
        partitions: reader.elements(|reader| {
            let partition = DescribeShareGroupOffsetsResponsePartition {
                partition_index: reader.i32()?,
                start_offset: reader.i64()?,
                leader_epoch: reader.i32()?,
                lag: if version >= 1 { reader.i64()? } else { -1 },
                error_code: reader.i16()?,
                error_message: reader.nullable_string()?,
            };
            reader.tags()?;
            Ok(partition)
        })?,
    };
    reader.tags()?;
    Ok(topic)
}

impl DescribeShareGroupOffsetsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        let of_group = |group: &DescribeShareGroupOffsetsResponseGroup<'_>| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .map(|partition| partition.error_code)
                .chain([group.error_code])
                .find(|code| *code != 0)
        };
        self.groups.iter().find_map(of_group)
    }
}
