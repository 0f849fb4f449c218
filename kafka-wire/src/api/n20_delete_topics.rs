//! DeleteTopics, versions 0–6. In: a body; out: which topics are to go, and what became of each.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicsRequest<'a> {
    pub topics: Vec<DeleteTopicState<'a>>,
    pub timeout_ms: i32,
}

/// By name or by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteTopicState<'a> {
    /// None: see the id (v6+).
    pub name: Option<&'a str>,
    /// Zero: see the name.
    pub topic_id: Uuid,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let topics = if version >= 6 {
        reader.elements(|reader| {
            let topic = DeleteTopicState {
                name: reader.nullable_string()?,
                topic_id: reader.uuid()?,
            };
            reader.tags()?;
            Ok(topic)
        })?
    } else {
        reader.elements(|reader| {
            Ok(DeleteTopicState {
                name: Some(reader.string()?),
                topic_id: Uuid::ZERO,
            })
        })?
    };
    let timeout_ms = reader.i32()?;
    reader.tags()?;
    Ok(Message::DeleteTopicsRequest(DeleteTopicsRequest {
        topics,
        timeout_ms,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicsResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletableTopicResult<'a> {
    /// None: the client may not know the name of this id (v6+).
    pub name: Option<&'a str>,
    /// Zero before v6.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// None before v5.
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = DeleteTopicsResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        responses: reader.elements(|reader| result(reader, version))?,
    };
    reader.tags()?;
    Ok(Message::DeleteTopicsResponse(response))
}

fn result<'a>(reader: &mut Reader<'a>, version: i16) -> Read<DeletableTopicResult<'a>> {
    let result = DeletableTopicResult {
        name: if version >= 6 {
            reader.nullable_string()?
        } else {
            Some(reader.string()?)
        },
        topic_id: if version >= 6 {
            reader.uuid()?
        } else {
            Uuid::ZERO
        },
        error_code: reader.i16()?,
        error_message: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
    };
    reader.tags()?;
    Ok(result)
}

impl DeleteTopicsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.responses
            .iter()
            .map(|topic| topic.error_code)
            .find(|code| *code != 0)
    }
}
