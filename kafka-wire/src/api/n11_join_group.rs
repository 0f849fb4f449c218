//! JoinGroup, versions 0–9. In: a body; out: who asks to be a member with which subscription, the generation, and to its leader all members.
//!
//! What `metadata` holds depends on the protocol type: for consumers see `consumer_protocol`.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupRequest<'a> {
    pub group_id: &'a str,
    pub session_timeout_ms: i32,
    /// −1 in v0: it is the session's.
    pub rebalance_timeout_ms: i32,
    /// "": a new member.
    pub member_id: &'a str,
    /// None before v5.
    pub group_instance_id: Option<&'a str>,
    /// `consumer`, `connect`, ...
    pub protocol_type: &'a str,
    pub protocols: Vec<JoinGroupRequestProtocol<'a>>,
    /// None before v8.
    pub reason: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinGroupRequestProtocol<'a> {
    /// Of consumers the assignor: `range`, `cooperative-sticky`, ...
    pub name: &'a str,
    pub metadata: &'a [u8],
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = JoinGroupRequest {
        group_id: reader.string()?,
        session_timeout_ms: reader.i32()?,
        rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
        member_id: reader.string()?,
        group_instance_id: if version >= 5 {
            reader.nullable_string()?
        } else {
            None
        },
        protocol_type: reader.string()?,
        protocols: reader.elements(|reader| {
            let protocol = JoinGroupRequestProtocol {
                name: reader.string()?,
                metadata: reader.bytes()?,
            };
            reader.tags()?;
            Ok(protocol)
        })?,
        reason: if version >= 8 {
            reader.nullable_string()?
        } else {
            None
        },
    };
    reader.tags()?;
    Ok(Message::JoinGroupRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupResponse<'a> {
    /// 0 before v2.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// −1 with an error.
    pub generation_id: i32,
    /// None before v7.
    pub protocol_type: Option<&'a str>,
    /// None or "" with an error.
    pub protocol_name: Option<&'a str>,
    /// The leader's member id.
    pub leader: &'a str,
    /// The leader must not assign: it rejoined with its instance id (KIP-814). False before v9.
    pub skip_assignment: bool,
    pub member_id: &'a str,
    /// Only the leader is told.
    pub members: Vec<JoinGroupResponseMember<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinGroupResponseMember<'a> {
    pub member_id: &'a str,
    /// None before v5.
    pub group_instance_id: Option<&'a str>,
    pub metadata: &'a [u8],
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = JoinGroupResponse {
        throttle_time_ms: if version >= 2 { reader.i32()? } else { 0 },
        error_code: reader.i16()?,
        generation_id: reader.i32()?,
        protocol_type: if version >= 7 {
            reader.nullable_string()?
        } else {
            None
        },
        protocol_name: reader.nullable_string()?,
        leader: reader.string()?,
        skip_assignment: if version >= 9 { reader.bool()? } else { false },
        member_id: reader.string()?,
        members: reader.elements(|reader| {
            let member = JoinGroupResponseMember {
                member_id: reader.string()?,
                group_instance_id: if version >= 5 {
                    reader.nullable_string()?
                } else {
                    None
                },
                metadata: reader.bytes()?,
            };
            reader.tags()?;
            Ok(member)
        })?,
    };
    reader.tags()?;
    Ok(Message::JoinGroupResponse(response))
}
