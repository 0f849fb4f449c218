//! DeleteRecords, versions 0–2. In: a body; out: up to which offset partitions are to be emptied, and where they begin now.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRecordsRequest<'a> {
    pub topics: Vec<DeleteRecordsTopic<'a>>,
    pub timeout_ms: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRecordsTopic<'a> {
    pub name: &'a str,
    pub partitions: Vec<DeleteRecordsPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    /// The first one that stays. −1: all go.
    pub offset: i64,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = DeleteRecordsRequest {
        topics: reader.elements(|reader| {
            let topic = DeleteRecordsTopic {
                name: reader.string()?,
                partitions: reader.elements(|reader| {
                    let partition = DeleteRecordsPartition {
                        partition_index: reader.i32()?,
                        offset: reader.i64()?,
                    };
                    reader.tags()?;
                    Ok(partition)
                })?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
        timeout_ms: reader.i32()?,
    };
    reader.tags()?;
    Ok(Message::DeleteRecordsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRecordsResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<DeleteRecordsTopicResult<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRecordsTopicResult<'a> {
    pub name: &'a str,
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteRecordsPartitionResult {
    pub partition_index: i32,
    /// The first offset that is left; −1 with an error.
    pub low_watermark: i64,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = DeleteRecordsResponse {
        throttle_time_ms: reader.i32()?,
        topics: reader.elements(|reader| {
            let topic = DeleteRecordsTopicResult {
                name: reader.string()?,
                partitions: reader.elements(|reader| {
                    let partition = DeleteRecordsPartitionResult {
                        partition_index: reader.i32()?,
                        low_watermark: reader.i64()?,
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
    Ok(Message::DeleteRecordsResponse(response))
}

impl DeleteRecordsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}
