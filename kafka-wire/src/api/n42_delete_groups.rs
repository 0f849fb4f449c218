//! DeleteGroups, versions 0–3. In: a body; out: which groups were to go, and what became of each.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroupsRequest<'a> {
    pub groups_names: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let groups_names = reader.elements(Reader::string)?;
    reader.tags()?;
    Ok(Message::DeleteGroupsRequest(DeleteGroupsRequest {
        groups_names,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroupsResponse<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<DeletableGroupResult<'a>>,
}

impl DeleteGroupsResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let mut results = self.results.iter().map(|result| result.error_code);
        results.find(|code| *code != 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletableGroupResult<'a> {
    pub group_id: &'a str,
    pub error_code: i16,
    /// None before v3.
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = DeleteGroupsResponse {
        throttle_time_ms: reader.i32()?,
        results: reader.elements(|reader| {
            let result = DeletableGroupResult {
                group_id: reader.string()?,
                error_code: reader.i16()?,
                error_message: if version >= 3 {
                    reader.nullable_string()?
                } else {
                    None
                },
            };
            reader.tags()?;
            Ok(result)
        })?,
    };
    reader.tags()?;
    Ok(Message::DeleteGroupsResponse(response))
}
