//! Compressed bodies. In: a byte for the codec, the body.
#![no_main]

use kafka_wire::compression::{decompress, uncompressed_size_hint};
use kafka_wire::record_batch::Codec;
use libfuzzer_sys::fuzz_target;

const CAP: usize = 256 * 1024;

fuzz_target!(|data: &[u8]| {
    let [codec, body @ ..] = data else { return };
    let codec = Codec::from_attributes(i16::from(*codec));
    uncompressed_size_hint(codec, body);
    let mut out = Vec::new();
    let result = decompress(codec, body, CAP, &mut out);
    assert!(out.len() <= CAP);
    if let Ok(n) = result {
        assert_eq!(n, out.len());
    }
});
