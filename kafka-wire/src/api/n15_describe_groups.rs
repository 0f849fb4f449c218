//! DescribeGroups, versions 0–6. In: a body; out: which classic groups were asked for, their states, members and assignments.
//!
//! Authorized operations are stepped over. Metadata and assignments of consumers: see `consumer_protocol`.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroupsRequest<'a> {
    pub groups: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let groups = reader.elements(Reader::string)?;
    if version >= 3 {
        reader.bool()?; // include_authorized_operations
    }
    reader.tags()?;
    Ok(Message::DescribeGroupsRequest(DescribeGroupsRequest {
        groups,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroupsResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup<'a>>,
}

impl DescribeGroupsResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let mut groups = self.groups.iter().map(|group| group.error_code);
        groups.find(|code| *code != 0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup<'a> {
    pub error_code: i16,
    /// None before v6.
    pub error_message: Option<&'a str>,
    pub group_id: &'a str,
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`; with an error the last or "".
    pub group_state: &'a str,
    pub protocol_type: &'a str,
    /// The protocol's name; only of stable groups.
    pub protocol_data: &'a str,
    pub members: Vec<DescribedGroupMember<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribedGroupMember<'a> {
    pub member_id: &'a str,
    /// None before v4.
    pub group_instance_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    /// Only of stable groups, as the next.
    pub member_metadata: &'a [u8],
    pub member_assignment: &'a [u8],
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = DescribeGroupsResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        groups: reader.elements(|reader| group(reader, version))?,
    };
    reader.tags()?;
    Ok(Message::DescribeGroupsResponse(response))
}

fn group<'a>(reader: &mut Reader<'a>, version: i16) -> Read<DescribedGroup<'a>> {
    let group = DescribedGroup {
        error_code: reader.i16()?,
        error_message: if version >= 6 {
            reader.nullable_string()?
        } else {
            None
        },
        group_id: reader.string()?,
        group_state: reader.string()?,
        protocol_type: reader.string()?,
        protocol_data: reader.string()?,
        members: reader.elements(|reader| member(reader, version))?,
    };
    if version >= 3 {
        reader.i32()?; // authorized_operations
    }
    reader.tags()?;
    Ok(group)
}

fn member<'a>(reader: &mut Reader<'a>, version: i16) -> Read<DescribedGroupMember<'a>> {
    let member = DescribedGroupMember {
        member_id: reader.string()?,
        group_instance_id: if version >= 4 {
            reader.nullable_string()?
        } else {
            None
        },
        client_id: reader.string()?,
        client_host: reader.string()?,
        member_metadata: reader.bytes()?,
        member_assignment: reader.bytes()?,
    };
    reader.tags()?;
    Ok(member)
}
