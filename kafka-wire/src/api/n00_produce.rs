//! Produce answers, versions 0–13. In: a body; out: what became of each partition. Requests are streamed: see `body`.
//!
//! Error messages, current leaders (tag 0, v10+) and node endpoints are stepped over.

use super::Message;
use crate::TopicRef;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceResponse<'a> {
    pub responses: Vec<TopicProduceResponse<'a>>,
    /// 0 before v1.
    pub throttle_time_ms: i32,
}

impl ProduceResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let topics = self.responses.iter();
        topics
            .flat_map(|topic| &topic.partition_responses)
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicProduceResponse<'a> {
    pub topic: TopicRef<'a>,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    /// −1 with an error, and for duplicates whose offsets the broker forgot.
    pub base_offset: i64,
    /// −1: the topic keeps the producer's timestamps, or before v2.
    pub log_append_time_ms: i64,
    /// −1 before v5.
    pub log_start_offset: i64,
    /// Records named as the cause (v8+).
    pub record_errors: u32,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let responses = reader.elements(|reader| {
        let topic = if version >= 13 {
            TopicRef::Id(reader.uuid()?)
        } else {
            TopicRef::Name(reader.string()?)
        };
        let partition_responses = reader.elements(|reader| partition(reader, version))?;
        reader.tags()?;
        Ok(TopicProduceResponse {
            topic,
            partition_responses,
        })
    })?;
    let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
    reader.tags()?;
    Ok(Message::ProduceResponse(ProduceResponse {
        responses,
        throttle_time_ms,
    }))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<PartitionProduceResponse> {
    let mut partition = PartitionProduceResponse {
        index: reader.i32()?,
        error_code: reader.i16()?,
        base_offset: reader.i64()?,
        log_append_time_ms: if version >= 2 { reader.i64()? } else { -1 },
        log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
        record_errors: 0,
    };
    if version >= 8 {
        let errors = reader.elements(|reader| {
            reader.i32()?;
            reader.nullable_string()?;
            reader.tags()
        })?;
        partition.record_errors = errors.len() as u32;
        reader.nullable_string()?;
    }
    reader.tags()?;
    Ok(partition)
}
