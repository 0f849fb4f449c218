//! EndTxn, versions 0–5. In: a body; out: how a transaction ends, and (v5+, KIP-890) the producer's next id and epoch.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnRequest<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// False: aborted.
    pub committed: bool,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = EndTxnRequest {
        transactional_id: reader.string()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        committed: reader.bool()?,
    };
    reader.tags()?;
    Ok(Message::EndTxnRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// What the producer uses from now on; −1 before v5, and with an error.
    pub producer_id: i64,
    /// −1 before v5, and with an error.
    pub producer_epoch: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = EndTxnResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        producer_id: if version >= 5 { reader.i64()? } else { -1 },
        producer_epoch: if version >= 5 { reader.i16()? } else { -1 },
    };
    reader.tags()?;
    Ok(Message::EndTxnResponse(response))
}
