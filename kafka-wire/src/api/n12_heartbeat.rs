//! Heartbeat, versions 0–4. In: a body; out: which member is alive in which generation, and whether it must rejoin.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest<'a> {
    pub group_id: &'a str,
    pub generation_id: i32,
    pub member_id: &'a str,
    /// None before v3.
    pub group_instance_id: Option<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = HeartbeatRequest {
        group_id: reader.string()?,
        generation_id: reader.i32()?,
        member_id: reader.string()?,
        group_instance_id: if version >= 3 {
            reader.nullable_string()?
        } else {
            None
        },
    };
    reader.tags()?;
    Ok(Message::HeartbeatRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatResponse {
    /// 0 in v0.
    pub throttle_time_ms: i32,
    /// 27 `REBALANCE_IN_PROGRESS`: the member must join again.
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = HeartbeatResponse {
        throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
        error_code: reader.i16()?,
    };
    reader.tags()?;
    Ok(Message::HeartbeatResponse(response))
}
