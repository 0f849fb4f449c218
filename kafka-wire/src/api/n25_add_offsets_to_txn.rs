//! AddOffsetsToTxn, versions 0–4. In: a body; out: which group's offsets join which transaction.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddOffsetsToTxnRequest<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: &'a str,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = AddOffsetsToTxnRequest {
        transactional_id: reader.string()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        group_id: reader.string()?,
    };
    reader.tags()?;
    Ok(Message::AddOffsetsToTxnRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = AddOffsetsToTxnResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
    };
    reader.tags()?;
    Ok(Message::AddOffsetsToTxnResponse(response))
}
