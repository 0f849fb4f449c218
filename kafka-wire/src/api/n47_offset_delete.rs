//! OffsetDelete, version 0. In: a body; out: which committed offsets of a group were to go, and what became of each.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteRequest<'a> {
    pub group_id: &'a str,
    pub topics: Vec<OffsetDeleteRequestTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteRequestTopic<'a> {
    pub name: &'a str,
    /// Indexes of partitions.
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let request = OffsetDeleteRequest {
        group_id: reader.string()?,
        topics: reader.elements(|reader| {
            Ok(OffsetDeleteRequestTopic {
                name: reader.string()?,
                partitions: reader.elements(Reader::i32)?,
            })
        })?,
    };
    Ok(Message::OffsetDeleteRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteResponse<'a> {
    pub error_code: i16,
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetDeleteResponseTopic<'a>>,
}

impl OffsetDeleteResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let codes = partitions.map(|partition| partition.error_code);
        [self.error_code]
            .into_iter()
            .chain(codes)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteResponseTopic<'a> {
    pub name: &'a str,
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetDeleteResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let response = OffsetDeleteResponse {
        error_code: reader.i16()?,
        throttle_time_ms: reader.i32()?,
        topics: reader.elements(|reader| {
            Ok(OffsetDeleteResponseTopic {
                name: reader.string()?,
                partitions: reader.elements(|reader| {
                    Ok(OffsetDeleteResponsePartition {
                        partition_index: reader.i32()?,
                        error_code: reader.i16()?,
                    })
                })?,
            })
        })?,
    };
    Ok(Message::OffsetDeleteResponse(response))
}
