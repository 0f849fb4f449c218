//! Compressed bodies, opened whole and as they pass. In: a byte for the codec, one for the size of the pieces, the body.
#![no_main]

use kafka_wire::compression::{CompressionError, Inflater, decompress, uncompressed_size_hint};
use kafka_wire::record_batch::Codec;
use libfuzzer_sys::fuzz_target;

const CAP: usize = 256 * 1024;
/// Windows of 8 MiB, and what a vector holds beyond its length.
const HELD: usize = 20 << 20;

fuzz_target!(|data: &[u8]| {
    let [codec, split, body @ ..] = data else {
        return;
    };
    let codec = Codec::from_attributes(i16::from(*codec));
    uncompressed_size_hint(codec, body);
    let mut out = Vec::new();
    let whole = decompress(codec, body, CAP, &mut out);
    assert!(out.len() <= CAP);
    if let Ok(n) = whole {
        assert_eq!(n, out.len());
    }
    let passed = pass(codec, body, usize::from(*split) + 1);
    if let (Ok(_), Some(passed)) = (whole, passed) {
        assert_eq!(passed, out);
    }
});

/// What came out, if the body was whole and its windows were small enough.
fn pass(codec: Codec, body: &[u8], split: usize) -> Option<Vec<u8>> {
    let mut inflater = Inflater::new(codec)?;
    let mut out = Vec::new();
    let mut emit = |run: &[u8]| {
        if out.len() + run.len() > CAP {
            return Err(CompressionError::TooLarge);
        }
        out.extend_from_slice(run);
        Ok(())
    };
    for piece in body.chunks(split) {
        inflater.feed(piece, &mut emit).ok()?;
        assert!(inflater.held() <= HELD);
    }
    inflater.finish(&mut emit).ok()?;
    Some(out)
}
