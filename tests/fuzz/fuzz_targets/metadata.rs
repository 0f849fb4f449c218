//! Messages that are decoded whole: Metadata and the other small ones. In: a byte for the message, one for the version, a body.
#![no_main]

mod wire_events;

use kafka_wire::api;
use kafka_wire::body::Side;
use libfuzzer_sys::fuzz_target;

const MESSAGES: [(Side, i16); 14] = [
    (Side::Response, api::METADATA),
    (Side::Request, api::METADATA),
    (Side::Response, api::PRODUCE),
    (Side::Request, api::FETCH),
    (Side::Request, api::FIND_COORDINATOR),
    (Side::Response, api::FIND_COORDINATOR),
    (Side::Request, api::SASL_HANDSHAKE),
    (Side::Response, api::SASL_HANDSHAKE),
    (Side::Request, api::API_VERSIONS),
    (Side::Response, api::API_VERSIONS),
    (Side::Request, api::INIT_PRODUCER_ID),
    (Side::Response, api::INIT_PRODUCER_ID),
    (Side::Request, api::SASL_AUTHENTICATE),
    (Side::Response, api::SASL_AUTHENTICATE),
];

fuzz_target!(|data: &[u8]| {
    let [which, version, body @ ..] = data else {
        return;
    };
    let (side, key) = MESSAGES[usize::from(*which) % MESSAGES.len()];
    let versions = api::find(key).map_or(1, |api| api.max_version + 1);
    wire_events::check(side, key, i16::from(*version) % versions, body, 5, false);
});
