//! A frame of any API. In: a size word, a header, a body; the header decides how the body is read, on both sides.
#![no_main]

mod wire_events;

use kafka_wire::api::{FETCH, PRODUCE, SHARE_FETCH};
use kafka_wire::body::Side;
use kafka_wire::header::{Parse, RequestHeader, parse_response, plausible_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    plausible_request(frame);
    let Some((size, rest)) = frame.split_first_chunk::<4>() else {
        return;
    };
    let size = u32::from_be_bytes(*size);
    let (header, taken) = match RequestHeader::parse(size, rest) {
        Parse::Done(header, taken) => (header, taken),
        Parse::Need(n) => return assert!(n > rest.len() && n <= size as usize),
        Parse::Bad(_) => return,
    };
    assert!(taken <= rest.len() && taken <= size as usize);
    let (key, version) = (header.api_key, header.api_version);
    let body = &rest[taken..];
    wire_events::check(Side::Request, key, version, body, 7, key == PRODUCE);
    if let Parse::Done(_, taken) = parse_response(body.len() as u32, body, key, version) {
        wire_events::check(
            Side::Response,
            key,
            version,
            &body[taken..],
            7,
            key == FETCH || key == SHARE_FETCH,
        );
    }
});
