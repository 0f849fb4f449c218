//! CreateTopics, versions 0–7. In: a body; out: which topics are to be, and what became of each.
//!
//! The configuration in the answer and its error (tag 0, v5+) are stepped over.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicsRequest<'a> {
    pub topics: Vec<CreatableTopic<'a>>,
    pub timeout_ms: i32,
    /// False in v0.
    pub validate_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableTopic<'a> {
    pub name: &'a str,
    /// −1: the broker's default, or see `assignments`.
    pub num_partitions: i32,
    /// −1: the broker's default, or see `assignments`.
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatableTopicConfig<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = CreateTopicsRequest {
        topics: reader.elements(topic)?,
        timeout_ms: reader.i32()?,
        validate_only: version >= 1 && reader.bool()?,
    };
    reader.tags()?;
    Ok(Message::CreateTopicsRequest(request))
}

fn topic<'a>(reader: &mut Reader<'a>) -> Read<CreatableTopic<'a>> {
    let topic = CreatableTopic {
        name: reader.string()?,
        num_partitions: reader.i32()?,
        replication_factor: reader.i16()?,
        assignments: reader.elements(|reader| {
            let assignment = CreatableReplicaAssignment {
                partition_index: reader.i32()?,
                broker_ids: reader.elements(Reader::i32)?,
            };
            reader.tags()?;
            Ok(assignment)
        })?,
        configs: reader.elements(|reader| {
            let config = CreatableTopicConfig {
                name: reader.string()?,
                value: reader.nullable_string()?,
            };
            reader.tags()?;
            Ok(config)
        })?,
    };
    reader.tags()?;
    Ok(topic)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicsResponse<'a> {
    /// 0 before v2.
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatableTopicResult<'a> {
    pub name: &'a str,
    /// Zero with an error, and before v7.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// None in v0.
    pub error_message: Option<&'a str>,
    /// −1: the client may not know, and before v5.
    pub num_partitions: i32,
    /// −1: the client may not know, and before v5.
    pub replication_factor: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = CreateTopicsResponse {
        throttle_time_ms: if version >= 2 { reader.i32()? } else { 0 },
        topics: reader.elements(|reader| topic_result(reader, version))?,
    };
    reader.tags()?;
    Ok(Message::CreateTopicsResponse(response))
}

fn topic_result<'a>(reader: &mut Reader<'a>, version: i16) -> Read<CreatableTopicResult<'a>> {
    let result = CreatableTopicResult {
        name: reader.string()?,
        topic_id: if version >= 7 {
            reader.uuid()?
        } else {
            Uuid::ZERO
        },
        error_code: reader.i16()?,
        error_message: if version >= 1 {
            reader.nullable_string()?
        } else {
            None
        },
        num_partitions: if version >= 5 { reader.i32()? } else { -1 },
        replication_factor: if version >= 5 { reader.i16()? } else { -1 },
    };
    if version >= 5 {
        reader.elements(skip_config)?;
    }
    reader.tags()?;
    Ok(result)
}

fn skip_config(reader: &mut Reader<'_>) -> Read<()> {
    reader.string()?; // name
    reader.skip_string()?; // value
    reader.bool()?; // read_only
    reader.i8()?; // config_source
    reader.bool()?; // is_sensitive
    reader.tags()
}

impl CreateTopicsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.topics
            .iter()
            .map(|topic| topic.error_code)
            .find(|code| *code != 0)
    }
}
