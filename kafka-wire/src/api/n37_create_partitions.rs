//! CreatePartitions, versions 0–3. In: a body; out: which topics are to have how many partitions, and what became of each.
//!
//! Manual assignments are stepped over.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitionsRequest<'a> {
    pub topics: Vec<CreatePartitionsTopic<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatePartitionsTopic<'a> {
    pub name: &'a str,
    /// In all, not beside those there are.
    pub count: i32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = CreatePartitionsRequest {
        topics: reader.elements(|reader| {
            let topic = CreatePartitionsTopic {
                name: reader.string()?,
                count: reader.i32()?,
            };
            reader.elements(|reader| {
                reader.skip_array(4)?; // broker_ids
                reader.tags()
            })?;
            reader.tags()?;
            Ok(topic)
        })?,
        timeout_ms: reader.i32()?,
        validate_only: reader.bool()?,
    };
    reader.tags()?;
    Ok(Message::CreatePartitionsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatePartitionsTopicResult<'a> {
    pub name: &'a str,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = CreatePartitionsResponse {
        throttle_time_ms: reader.i32()?,
        results: reader.elements(|reader| {
            let result = CreatePartitionsTopicResult {
                name: reader.string()?,
                error_code: reader.i16()?,
                error_message: reader.nullable_string()?,
            };
            reader.tags()?;
            Ok(result)
        })?,
    };
    reader.tags()?;
    Ok(Message::CreatePartitionsResponse(response))
}

impl CreatePartitionsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.results
            .iter()
            .map(|result| result.error_code)
            .find(|code| *code != 0)
    }
}
