//! SaslAuthenticate answers, versions 0–2. In: a body; out: error and session lifetime.
//!
//! Token bytes are never delivered: requests are only framed, and the answer's token is stepped over.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslAuthenticateResponse<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    /// After this the client must authenticate again on the same connection (KIP-368); 0: never, and in v0.
    pub session_lifetime_ms: i64,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let (error_code, error_message) = (reader.i16()?, reader.nullable_string()?);
    reader.skip_bytes()?;
    let session_lifetime_ms = if version >= 1 { reader.i64()? } else { 0 };
    reader.tags()?;
    Ok(Message::SaslAuthenticateResponse(
        SaslAuthenticateResponse {
            error_code,
            error_message,
            session_lifetime_ms,
        },
    ))
}
