//! Fetch answers, and ShareFetch answers as the versions after them. In: a byte for the version, one for the size of the pieces, a body.
#![no_main]

mod wire_events;

use kafka_wire::api::{FETCH, SHARE_FETCH};
use kafka_wire::body::Side;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [version, size, body @ ..] = data else {
        return;
    };
    let (key, version) = match i16::from(version % 22) {
        version @ ..=18 => (FETCH, version),
        version => (SHARE_FETCH, version - 19),
    };
    wire_events::check(
        Side::Response,
        key,
        version,
        body,
        usize::from(*size),
        true,
    );
    wire_events::check_gaps(
        Side::Response,
        key,
        version,
        body,
        usize::from(size % 32),
        usize::from(size / 32),
    );
});
