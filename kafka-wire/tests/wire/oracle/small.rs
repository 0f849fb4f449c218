//! The small messages: FindCoordinator, SaslHandshake, SaslAuthenticate, ApiVersions, InitProducerId; and every header.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{api_versions_response, find_coordinator_response};
use kafka_wire::api::{self, Message};
use kafka_wire::body::Side;
use kafka_wire::header::{Parse, RequestHeader, parse_response};

use super::*;

#[test]
fn find_coordinator() {
    each_version(0..=6, |version, random| {
        let mut request = oracle::FindCoordinatorRequest::default();
        if version >= 1 {
            request.key_type = random.i8();
        }
        if version <= 3 {
            request.key = random.text()
        } else {
            request.coordinator_keys = random.many(3, Random::text)
        };
        message(
            Side::Request,
            api::FIND_COORDINATOR,
            version,
            &request,
            |message| {
                let Message::FindCoordinatorRequest(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(seen.key_type, request.key_type);
                let keys = if version <= 3 {
                    vec![request.key.clone()]
                } else {
                    request.coordinator_keys.clone()
                };
                assert_eq!(
                    seen.coordinator_keys,
                    keys.iter().map(|key| &**key).collect::<Vec<_>>()
                );
            },
        );

        let mut answer = oracle::FindCoordinatorResponse::default();
        if version >= 1 {
            answer.throttle_time_ms = random.i32();
        }
        let mut expected = random.many(3, |random| {
            let mut coordinator = find_coordinator_response::Coordinator::default();
            (coordinator.key, coordinator.node_id) = (random.text(), random.i32().into());
            (coordinator.host, coordinator.port) = (random.text(), random.i32());
            (coordinator.error_code, coordinator.error_message) = (random.i16(), random.maybe());
            coordinator
        });
        if version <= 3 {
            expected.resize_with(1, Default::default);
            if version == 0 {
                expected[0].error_message = None;
            }
            let one = expected[0].clone();
            (answer.error_code, answer.error_message) = (one.error_code, one.error_message);
            (answer.node_id, answer.host, answer.port) = (one.node_id, one.host, one.port);
        } else {
            answer.coordinators = expected.clone();
        }
        message(
            Side::Response,
            api::FIND_COORDINATOR,
            version,
            &answer,
            |message| {
                let Message::FindCoordinatorResponse(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(seen.throttle_time_ms, answer.throttle_time_ms);
                assert_eq!(seen.coordinators.len(), expected.len());
                for (seen, coordinator) in seen.coordinators.iter().zip(&expected) {
                    assert_eq!(
                        seen.key,
                        if version <= 3 {
                            None
                        } else {
                            Some(&*coordinator.key)
                        }
                    );
                    assert_eq!(
                        (seen.node_id, seen.host, seen.port),
                        (coordinator.node_id.0, &*coordinator.host, coordinator.port)
                    );
                    assert_eq!(
                        (seen.error_code, seen.error_message),
                        (coordinator.error_code, text(&coordinator.error_message))
                    );
                }
            },
        );
    });
}

#[test]
fn sasl() {
    each_version(0..=1, |version, random| {
        let mut request = oracle::SaslHandshakeRequest::default();
        request.mechanism = random.text();
        message(
            Side::Request,
            api::SASL_HANDSHAKE,
            version,
            &request,
            |message| {
                let Message::SaslHandshakeRequest(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(seen.mechanism, &*request.mechanism);
            },
        );
        let mut answer = oracle::SaslHandshakeResponse::default();
        answer.error_code = random.i16();
        answer.mechanisms = random.many(4, Random::text);
        message(
            Side::Response,
            api::SASL_HANDSHAKE,
            version,
            &answer,
            |message| {
                let Message::SaslHandshakeResponse(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(seen.error_code, answer.error_code);
                assert_eq!(
                    seen.mechanisms,
                    answer.mechanisms.iter().map(|it| &**it).collect::<Vec<_>>()
                );
            },
        );
    });
    each_version(0..=2, |version, random| {
        let mut answer = oracle::SaslAuthenticateResponse::default();
        (answer.error_code, answer.error_message) = (random.i16(), random.maybe());
        answer.auth_bytes = random.bytes(300).into();
        if version >= 1 {
            answer.session_lifetime_ms = random.i64();
        }
        message(
            Side::Response,
            api::SASL_AUTHENTICATE,
            version,
            &answer,
            |message| {
                let Message::SaslAuthenticateResponse(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(
                    (seen.error_code, seen.error_message),
                    (answer.error_code, text(&answer.error_message))
                );
                assert_eq!(seen.session_lifetime_ms, answer.session_lifetime_ms);
            },
        );
        // The request carries the password: nothing but its end is said.
        let mut request = oracle::SaslAuthenticateRequest::default();
        request.auth_bytes = b"\0user\0secret".to_vec().into();
        let mut events = Vec::new();
        decode(
            Side::Request,
            api::SASL_AUTHENTICATE,
            version,
            &request,
            |event| events.push(format!("{event:?}")),
        );
        assert_eq!(events, ["End { complete: true }"]);
    });
}

#[test]
fn api_versions() {
    each_version(0..=4, |version, random| {
        let mut request = oracle::ApiVersionsRequest::default();
        if version >= 3 {
            (
                request.client_software_name,
                request.client_software_version,
            ) = (random.text(), random.text());
        }
        message(
            Side::Request,
            api::API_VERSIONS,
            version,
            &request,
            |message| {
                let Message::ApiVersionsRequest(seen) = message else {
                    panic!("{message:?}")
                };
                let expected = |text| if version >= 3 { Some(text) } else { None };
                assert_eq!(
                    seen.client_software_name,
                    expected(&*request.client_software_name)
                );
                assert_eq!(
                    seen.client_software_version,
                    expected(&*request.client_software_version)
                );
            },
        );

        let mut answer = oracle::ApiVersionsResponse::default();
        answer.error_code = random.below(3) as i16;
        answer.api_keys = random.many(5, |random| {
            let mut range = api_versions_response::ApiVersion::default();
            (range.api_key, range.min_version, range.max_version) =
                (random.i16(), random.i16(), random.i16());
            range
        });
        if version >= 1 {
            answer.throttle_time_ms = random.i32();
        }
        if version >= 3 {
            answer.finalized_features_epoch = random.i64();
            answer.zk_migration_ready = random.bool();
            answer.supported_features = random.many(2, |random| {
                let mut feature = api_versions_response::SupportedFeatureKey::default();
                (feature.name, feature.min_version, feature.max_version) = (random.text(), 1, 2);
                feature
            });
            answer.finalized_features = random.many(3, |random| {
                let mut feature = api_versions_response::FinalizedFeatureKey::default();
                (
                    feature.name,
                    feature.max_version_level,
                    feature.min_version_level,
                ) = (random.text(), random.i16(), random.i16());
                feature
            });
        }
        let check = |message: &Message<'_>| {
            let Message::ApiVersionsResponse(seen) = message else {
                panic!("{message:?}")
            };
            assert_eq!(
                (seen.error_code, seen.throttle_time_ms),
                (answer.error_code, answer.throttle_time_ms)
            );
            assert_eq!(
                seen.finalized_features_epoch,
                answer.finalized_features_epoch
            );
            assert_eq!(seen.api_keys.len(), answer.api_keys.len());
            for (seen, range) in seen.api_keys.iter().zip(&answer.api_keys) {
                let seen = (seen.api_key, seen.min_version, seen.max_version);
                assert_eq!(seen, (range.api_key, range.min_version, range.max_version));
            }
            assert_eq!(
                seen.finalized_features.len(),
                answer.finalized_features.len()
            );
            for (seen, feature) in seen
                .finalized_features
                .iter()
                .zip(&answer.finalized_features)
            {
                let seen = (seen.name, seen.max_version_level, seen.min_version_level);
                assert_eq!(
                    seen,
                    (
                        &*feature.name,
                        feature.max_version_level,
                        feature.min_version_level
                    )
                );
            }
        };
        message(Side::Response, api::API_VERSIONS, version, &answer, check);
    });
}

#[test]
fn init_producer_id() {
    // The oracle's v6 of this unstable version is of an earlier draft; see `golden`.
    each_version(0..=5, |version, random| {
        let mut request = oracle::InitProducerIdRequest::default();
        request.transactional_id = random.maybe().map(Into::into);
        request.transaction_timeout_ms = random.i32();
        if version >= 3 {
            (request.producer_id, request.producer_epoch) = (random.i64().into(), random.i16());
        }
        message(
            Side::Request,
            api::INIT_PRODUCER_ID,
            version,
            &request,
            |message| {
                let Message::InitProducerIdRequest(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(
                    seen.transactional_id,
                    request.transactional_id.as_ref().map(|id| id.as_str())
                );
                assert_eq!(seen.transaction_timeout_ms, request.transaction_timeout_ms);
                assert_eq!(
                    (seen.producer_id, seen.producer_epoch),
                    (request.producer_id.0, request.producer_epoch)
                );
            },
        );
        let mut answer = oracle::InitProducerIdResponse::default();
        (answer.throttle_time_ms, answer.error_code) = (random.i32(), random.i16());
        (answer.producer_id, answer.producer_epoch) = (random.i64().into(), random.i16());
        message(
            Side::Response,
            api::INIT_PRODUCER_ID,
            version,
            &answer,
            |message| {
                let Message::InitProducerIdResponse(seen) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(
                    (seen.throttle_time_ms, seen.error_code),
                    (answer.throttle_time_ms, answer.error_code)
                );
                assert_eq!(
                    (seen.producer_id, seen.producer_epoch),
                    (answer.producer_id.0, answer.producer_epoch)
                );
            },
        );
    });
}

#[test]
fn headers_of_every_api_and_version() {
    let mut random = Random(7);
    for key in oracle::ApiKey::iter() {
        let number = key as i16;
        let api = api::find(number).expect("in the table");
        assert_eq!(api.name, format!("{key:?}"));
        assert_eq!(api.key, number);
        assert!(api.max_version >= key.valid_versions().max, "{}", api.name);
        for version in key.valid_versions().min..=key.valid_versions().max {
            let mut header = oracle::RequestHeader::default();
            (header.request_api_key, header.request_api_version) = (number, version);
            (header.correlation_id, header.client_id) = (random.i32(), random.maybe());
            let mut bytes = Vec::new();
            header
                .encode(&mut bytes, key.request_header_version(version))
                .expect("the oracle encodes");
            let expected = RequestHeader {
                api_key: number,
                api_version: version,
                correlation_id: header.correlation_id,
                client_id: text(&header.client_id),
            };
            let size = bytes.len() as u32;
            assert_eq!(
                RequestHeader::parse(size, &bytes),
                Parse::Done(expected, bytes.len()),
                "{key:?} v{version}"
            );

            let mut header = oracle::ResponseHeader::default();
            header.correlation_id = random.i32();
            let mut bytes = Vec::new();
            header
                .encode(&mut bytes, key.response_header_version(version))
                .expect("the oracle encodes");
            let parsed = parse_response(bytes.len() as u32, &bytes, number, version);
            assert_eq!(
                parsed,
                Parse::Done(header.correlation_id, bytes.len()),
                "{key:?} v{version}"
            );
        }
    }
}
