//! Errors of answers, as facts and spans say them. In: a code; out: its name.

use kafka_wire::error_code;

/// Kafka's name of an error; None for code 0. Codes newer than our table are `_OTHER` (OpenTelemetry's fallback).
pub(crate) fn error_name(code: i16) -> Option<&'static str> {
    (code != 0).then(|| error_code::name(code).unwrap_or("_OTHER"))
}
