//! DescribeProducers, version 0. In: a body; out: the producers that partitions know of, and their open transactions.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeProducersRequest<'a> {
    pub topics: Vec<TopicRequest<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRequest<'a> {
    pub name: &'a str,
    pub partition_indexes: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let topics = reader.elements(|reader| {
        let topic = TopicRequest {
            name: reader.string()?,
            partition_indexes: reader.elements(Reader::i32)?,
        };
        reader.tags()?;
        Ok(topic)
    })?;
    reader.tags()?;
    Ok(Message::DescribeProducersRequest(
        DescribeProducersRequest { topics },
    ))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeProducersResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<TopicResponse<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse<'a> {
    pub name: &'a str,
    pub partitions: Vec<PartitionResponse<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResponse<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub active_producers: Vec<ProducerState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub producer_id: i64,
    /// An i32 here, an i16 everywhere else.
    pub producer_epoch: i32,
    /// −1: none.
    pub last_sequence: i32,
    /// −1: none.
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// −1: no transaction is open.
    pub current_txn_start_offset: i64,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = DescribeProducersResponse {
        throttle_time_ms: reader.i32()?,
        topics: reader.elements(|reader| {
            let topic = TopicResponse {
                name: reader.string()?,
                partitions: reader.elements(partition)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::DescribeProducersResponse(response))
}

fn partition<'a>(reader: &mut Reader<'a>) -> Read<PartitionResponse<'a>> {
    let partition = PartitionResponse {
        partition_index: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        active_producers: reader.elements(|reader| {
            let producer = ProducerState {
                producer_id: reader.i64()?,
                producer_epoch: reader.i32()?,
                last_sequence: reader.i32()?,
                last_timestamp: reader.i64()?,
                coordinator_epoch: reader.i32()?,
                current_txn_start_offset: reader.i64()?,
            };
            reader.tags()?;
            Ok(producer)
        })?,
    };
    reader.tags()?;
    Ok(partition)
}

impl DescribeProducersResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}
