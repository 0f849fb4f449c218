//! InitProducerId, versions 0–6. In: a body; out: which transactional id got which producer id and epoch.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitProducerIdRequest<'a> {
    /// None: idempotent only.
    pub transactional_id: Option<&'a str>,
    pub transaction_timeout_ms: i32,
    /// −1: a new one, and before v3.
    pub producer_id: i64,
    /// −1: a new one, and before v3.
    pub producer_epoch: i16,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = InitProducerIdRequest {
        transactional_id: reader.nullable_string()?,
        transaction_timeout_ms: reader.i32()?,
        producer_id: if version >= 3 { reader.i64()? } else { -1 },
        producer_epoch: if version >= 3 { reader.i16()? } else { -1 },
    };
    if version >= 6 {
        reader.bool()?; // enable_2pc
        reader.bool()?; // keep_prepared_txn
    }
    reader.tags()?;
    Ok(Message::InitProducerIdRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// −1 with an error.
    pub producer_id: i64,
    pub producer_epoch: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = InitProducerIdResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
    };
    if version >= 6 {
        reader.i64()?; // ongoing_txn_producer_id
        reader.i16()?; // ongoing_txn_producer_epoch
    }
    reader.tags()?;
    Ok(Message::InitProducerIdResponse(response))
}
