//! Metrics of clients: GetTelemetrySubscriptions, PushTelemetry.

use kafka_protocol::messages as oracle;
use kafka_wire::api::Message;
use kafka_wire::api::n71_get_telemetry_subscriptions::*;
use kafka_wire::api::n72_push_telemetry::*;
use kafka_wire::body::Side::{Request, Response};

use super::*;

#[test]
fn get_telemetry_subscriptions() {
    each_version(0..=0, |version, random| {
        let body = oracle::GetTelemetrySubscriptionsRequest::default()
            .with_client_instance_id(random.uuid());
        let request = GetTelemetrySubscriptionsRequest {
            client_instance_id: id(body.client_instance_id),
        };
        let expected = Message::GetTelemetrySubscriptionsRequest(request);
        exactly(Request, 71, version, &body, &expected);

        let body = oracle::GetTelemetrySubscriptionsResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error())
            .with_client_instance_id(random.uuid())
            .with_subscription_id(random.i32())
            .with_accepted_compression_types(random.many(4, Random::i8))
            .with_push_interval_ms(random.i32())
            .with_telemetry_max_bytes(random.i32())
            .with_delta_temporality(random.bool())
            .with_requested_metrics(random.many(3, Random::text));
        let metrics = body.requested_metrics.iter().map(|it| &**it);
        let response = GetTelemetrySubscriptionsResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
            client_instance_id: id(body.client_instance_id),
            subscription_id: body.subscription_id,
            accepted_compression_types: body.accepted_compression_types.clone(),
            push_interval_ms: body.push_interval_ms,
            telemetry_max_bytes: body.telemetry_max_bytes,
            delta_temporality: body.delta_temporality,
            requested_metrics: metrics.collect(),
        };
        let expected = Message::GetTelemetrySubscriptionsResponse(response);
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 71, version, &body, &expected);
    });
}

#[test]
fn push_telemetry() {
    each_version(0..=0, |version, random| {
        let body = oracle::PushTelemetryRequest::default()
            .with_client_instance_id(random.uuid())
            .with_subscription_id(random.i32())
            .with_terminating(random.bool())
            .with_compression_type(random.i8())
            .with_metrics(random.bytes(300).into());
        let expected = Message::PushTelemetryRequest(PushTelemetryRequest {
            client_instance_id: id(body.client_instance_id),
            subscription_id: body.subscription_id,
            terminating: body.terminating,
            compression_type: body.compression_type,
            metrics_len: body.metrics.len() as u32,
        });
        exactly(Request, 72, version, &body, &expected);

        let body = oracle::PushTelemetryResponse::default()
            .with_throttle_time_ms(random.i32())
            .with_error_code(random.error());
        let expected = Message::PushTelemetryResponse(PushTelemetryResponse {
            throttle_time_ms: body.throttle_time_ms,
            error_code: body.error_code,
        });
        answers(&expected, Some(body.throttle_time_ms), &[body.error_code]);
        exactly(Response, 72, version, &body, &expected);
    });
}
