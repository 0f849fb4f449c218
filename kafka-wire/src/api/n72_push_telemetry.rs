//! PushTelemetry, version 0 (KIP-714). In: a body; out: that a client instance pushed metrics, and how many bytes of them.
//!
//! The metrics themselves (OTLP) are stepped over.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushTelemetryRequest {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    /// The client ends.
    pub terminating: bool,
    /// As in record batches: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub compression_type: i8,
    /// Bytes of the metrics, as compressed.
    pub metrics_len: u32,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = PushTelemetryRequest {
        client_instance_id: reader.uuid()?,
        subscription_id: reader.i32()?,
        terminating: reader.bool()?,
        compression_type: reader.i8()?,
        metrics_len: reader.skip_bytes()?.unwrap_or(0) as u32,
    };
    reader.tags()?;
    Ok(Message::PushTelemetryRequest(request))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushTelemetryResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = PushTelemetryResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
    };
    reader.tags()?;
    Ok(Message::PushTelemetryResponse(response))
}
