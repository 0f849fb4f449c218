//! ListGroups, versions 0–5. In: a body; out: the groups that a broker coordinates.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroupsRequest<'a> {
    /// Empty: all states, and before v4.
    pub states_filter: Vec<&'a str>,
    /// Empty: all types, and before v5.
    pub types_filter: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut request = ListGroupsRequest {
        states_filter: Vec::new(),
        types_filter: Vec::new(),
    };
    if version >= 4 {
        request.states_filter = reader.elements(Reader::string)?;
    }
    if version >= 5 {
        request.types_filter = reader.elements(Reader::string)?;
    }
    reader.tags()?;
    Ok(Message::ListGroupsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroupsResponse<'a> {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedGroup<'a> {
    pub group_id: &'a str,
    /// "": only offsets are committed to it.
    pub protocol_type: &'a str,
    /// "" before v4.
    pub group_state: &'a str,
    /// `classic`, `consumer`, `share`, `streams`; "" before v5.
    pub group_type: &'a str,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = ListGroupsResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        error_code: reader.i16()?,
        groups: reader.elements(|reader| {
            let group = ListedGroup {
                group_id: reader.string()?,
                protocol_type: reader.string()?,
                group_state: if version >= 4 { reader.string()? } else { "" },
                group_type: if version >= 5 { reader.string()? } else { "" },
            };
            reader.tags()?;
            Ok(group)
        })?,
    };
    reader.tags()?;
    Ok(Message::ListGroupsResponse(response))
}
