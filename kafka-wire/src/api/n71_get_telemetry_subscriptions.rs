//! GetTelemetrySubscriptions, version 0 (KIP-714). In: a body; out: which client instance is to push which metrics how often.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetTelemetrySubscriptionsRequest {
    /// Zero: the broker is to choose one.
    pub client_instance_id: Uuid,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = GetTelemetrySubscriptionsRequest {
        client_instance_id: reader.uuid()?,
    };
    reader.tags()?;
    Ok(Message::GetTelemetrySubscriptionsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetTelemetrySubscriptionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Zero: the client keeps the one it has.
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    /// As in record batches: 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub accepted_compression_types: Vec<i8>,
    pub push_interval_ms: i32,
    pub telemetry_max_bytes: i32,
    /// False: cumulative.
    pub delta_temporality: bool,
    /// Prefixes of names. Empty: none. One that is "": all.
    pub requested_metrics: Vec<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = GetTelemetrySubscriptionsResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        client_instance_id: reader.uuid()?,
        subscription_id: reader.i32()?,
        accepted_compression_types: reader.elements(Reader::i8)?,
        push_interval_ms: reader.i32()?,
        telemetry_max_bytes: reader.i32()?,
        delta_temporality: reader.bool()?,
        requested_metrics: reader.elements(Reader::string)?,
    };
    reader.tags()?;
    Ok(Message::GetTelemetrySubscriptionsResponse(response))
}
