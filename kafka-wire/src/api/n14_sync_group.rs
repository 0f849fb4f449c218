//! SyncGroup, versions 0–5. In: a body; out: from the leader everyone's assignment, and to each member its own.
//!
//! What `assignment` holds depends on the protocol type: for consumers see `consumer_protocol`.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroupRequest<'a> {
    pub group_id: &'a str,
    pub generation_id: i32,
    pub member_id: &'a str,
    /// None before v3.
    pub group_instance_id: Option<&'a str>,
    /// None before v5.
    pub protocol_type: Option<&'a str>,
    /// None before v5.
    pub protocol_name: Option<&'a str>,
    /// Empty from all but the leader.
    pub assignments: Vec<SyncGroupRequestAssignment<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncGroupRequestAssignment<'a> {
    pub member_id: &'a str,
    pub assignment: &'a [u8],
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = SyncGroupRequest {
        group_id: reader.string()?,
        generation_id: reader.i32()?,
        member_id: reader.string()?,
        group_instance_id: if version >= 3 {
            reader.nullable_string()?
        } else {
            None
        },
        protocol_type: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        protocol_name: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        assignments: reader.elements(|reader| {
            let assignment = SyncGroupRequestAssignment {
                member_id: reader.string()?,
                assignment: reader.bytes()?,
            };
            reader.tags()?;
            Ok(assignment)
        })?,
    };
    reader.tags()?;
    Ok(Message::SyncGroupRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncGroupResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// None before v5.
    pub protocol_type: Option<&'a str>,
    /// None before v5.
    pub protocol_name: Option<&'a str>,
    /// Empty with an error.
    pub assignment: &'a [u8],
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = SyncGroupResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        error_code: reader.i16()?,
        protocol_type: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        protocol_name: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        assignment: reader.bytes()?,
    };
    reader.tags()?;
    Ok(Message::SyncGroupResponse(response))
}
