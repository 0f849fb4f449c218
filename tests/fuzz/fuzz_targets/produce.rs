//! Produce requests. In: a byte for the version, one for the size of the pieces, a body.
#![no_main]

mod wire_events;

use kafka_wire::api::PRODUCE;
use kafka_wire::body::Side;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [version, size, body @ ..] = data else {
        return;
    };
    let version = i16::from(version % 14);
    wire_events::check(
        Side::Request,
        PRODUCE,
        version,
        body,
        usize::from(*size),
        true,
    );
    wire_events::check_gaps(
        Side::Request,
        PRODUCE,
        version,
        body,
        usize::from(size % 32),
        usize::from(size / 32),
    );
});
