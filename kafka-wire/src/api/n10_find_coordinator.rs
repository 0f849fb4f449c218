//! FindCoordinator, versions 0–6. In: a body; out: the keys asked for and where their coordinators live.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCoordinatorRequest<'a> {
    /// 0 consumer group (always in v0), 1 transactional id, 2 share group.
    pub key_type: i8,
    /// One key before v4. Share keys are `groupId:topicId:partition`.
    pub coordinator_keys: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut coordinator_keys = Vec::new();
    if version <= 3 {
        coordinator_keys.push(reader.string()?);
    }
    let key_type = if version >= 1 { reader.i8()? } else { 0 };
    if version >= 4 {
        coordinator_keys = reader.elements(Reader::string)?;
    }
    reader.tags()?;
    Ok(Message::FindCoordinatorRequest(FindCoordinatorRequest {
        key_type,
        coordinator_keys,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCoordinatorResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    /// One before v4.
    pub coordinators: Vec<Coordinator<'a>>,
}

impl FindCoordinatorResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let mut coordinators = self.coordinators.iter().map(|it| it.error_code);
        coordinators.find(|code| *code != 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinator<'a> {
    /// None before v4: it is the key of the request.
    pub key: Option<&'a str>,
    /// −1 with an error.
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
    let coordinators = if version >= 4 {
        reader.elements(|reader| {
            let coordinator = Coordinator {
                key: Some(reader.string()?),
                node_id: reader.i32()?,
                host: reader.string()?,
                port: reader.i32()?,
                error_code: reader.i16()?,
                error_message: reader.nullable_string()?,
            };
            reader.tags()?;
            Ok(coordinator)
        })?
    } else {
        let error_code = reader.i16()?;
        let error_message = if version >= 1 {
            reader.nullable_string()?
        } else {
            None
        };
        let (node_id, host, port) = (reader.i32()?, reader.string()?, reader.i32()?);
        vec![Coordinator {
            key: None,
            node_id,
            host,
            port,
            error_code,
            error_message,
        }]
    };
    reader.tags()?;
    Ok(Message::FindCoordinatorResponse(FindCoordinatorResponse {
        throttle_time_ms,
        coordinators,
    }))
}
