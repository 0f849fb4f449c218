//! SaslHandshake, versions 0–1. In: a body; out: mechanisms.
//!
//! After a v0 handshake the next frames in both directions are raw tokens without a Kafka header; after v1 they are SaslAuthenticate.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslHandshakeRequest<'a> {
    pub mechanism: &'a str,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    Ok(Message::SaslHandshakeRequest(SaslHandshakeRequest {
        mechanism: reader.string()?,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslHandshakeResponse<'a> {
    pub error_code: i16,
    /// What the broker has enabled.
    pub mechanisms: Vec<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _version: i16) -> Read<Message<'a>> {
    let error_code = reader.i16()?;
    let mechanisms = reader.elements(Reader::string)?;
    Ok(Message::SaslHandshakeResponse(SaslHandshakeResponse {
        error_code,
        mechanisms,
    }))
}
