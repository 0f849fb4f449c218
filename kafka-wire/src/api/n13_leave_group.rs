//! LeaveGroup, versions 0–5. In: a body; out: who leaves a group, or is put out of it, and what became of each.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroupRequest<'a> {
    pub group_id: &'a str,
    /// One before v3.
    pub members: Vec<MemberIdentity<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberIdentity<'a> {
    /// "": an administrator puts out the holder of the instance id.
    pub member_id: &'a str,
    /// None before v3.
    pub group_instance_id: Option<&'a str>,
    /// None before v5.
    pub reason: Option<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let group_id = reader.string()?;
    let members = if version >= 3 {
        reader.elements(|reader| {
            let member = MemberIdentity {
                member_id: reader.string()?,
                group_instance_id: reader.nullable_string()?,
                reason: if version >= 5 {
                    reader.nullable_string()?
                } else {
                    None
                },
            };
            reader.tags()?;
            Ok(member)
        })?
    } else {
        vec![MemberIdentity {
            member_id: reader.string()?,
            group_instance_id: None,
            reason: None,
        }]
    };
    reader.tags()?;
    Ok(Message::LeaveGroupRequest(LeaveGroupRequest {
        group_id,
        members,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroupResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Empty before v3.
    pub members: Vec<MemberResponse<'a>>,
}

impl LeaveGroupResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let members = self.members.iter().map(|member| member.error_code);
        [self.error_code]
            .into_iter()
            .chain(members)
            .find(|code| *code != 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberResponse<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut response = LeaveGroupResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        error_code: reader.i16()?,
        members: Vec::new(),
    };
    if version >= 3 {
        response.members = reader.elements(|reader| {
            let member = MemberResponse {
                member_id: reader.string()?,
                group_instance_id: reader.nullable_string()?,
                error_code: reader.i16()?,
            };
            reader.tags()?;
            Ok(member)
        })?;
    }
    reader.tags()?;
    Ok(Message::LeaveGroupResponse(response))
}
