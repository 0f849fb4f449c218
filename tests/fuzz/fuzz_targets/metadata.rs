//! Messages that are decoded whole, of every API. In: a byte for the key, one for side and version, a body.
//!
//! The target has the name of the largest of them, of which its corpus begins.
#![no_main]

mod wire_events;

use kafka_wire::api;
use kafka_wire::body::Side;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [key, rest, body @ ..] = data else {
        return;
    };
    let Some(api) = api::find(i16::from(*key)) else {
        return;
    };
    let side = if rest % 2 == 0 {
        Side::Request
    } else {
        Side::Response
    };
    let version = i16::from(rest / 2) % (api.max_version + 1);
    wire_events::check(side, api.key, version, body, 5, false);
});
