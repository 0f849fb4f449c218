//! Snappy, raw or in the framing of the xerial library that Java clients use. In: either; out: the content.
//!
//! Xerial: `\x82SNAPPY\0`, two 4-byte versions, then blocks of raw snappy, each after its length as 4 bytes big-endian.

use super::{CompressionError, Decompressed, Sink, split, split_array};

const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// A copy of 64 bytes takes 3, so a claim above this many times the input is a lie that must not be allocated.
const MAX_RATIO: usize = 22;

pub(super) fn decompress(bytes: &[u8], sink: &mut Sink<'_>) -> Decompressed {
    let Some(mut rest) = bytes.strip_prefix(XERIAL) else {
        return raw(bytes, sink);
    };
    split(&mut rest, 8)?;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(split_array(&mut rest)?);
        raw(split(&mut rest, length as usize)?, sink)?;
    }
    Ok(())
}

pub(super) fn size_hint(bytes: &[u8]) -> Option<u64> {
    let Some(mut rest) = bytes.strip_prefix(XERIAL) else {
        return claimed(bytes).map(|size| size as u64);
    };
    let mut total = 0u64;
    split(&mut rest, 8).ok()?;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(split_array(&mut rest).ok()?);
        total += claimed(split(&mut rest, length as usize).ok()?)? as u64;
    }
    Some(total)
}

fn claimed(bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() {
        None
    } else {
        snap::raw::decompress_len(bytes).ok()
    }
}

fn raw(bytes: &[u8], sink: &mut Sink<'_>) -> Decompressed {
    let size = claimed(bytes).ok_or(CompressionError::Corrupt)?;
    if size > bytes.len().saturating_mul(MAX_RATIO) {
        return Err(CompressionError::Corrupt);
    }
    if size > sink.left() {
        return Err(CompressionError::TooLarge);
    }
    sink.fill(size, |_, after| {
        snap::raw::Decoder::new()
            .decompress(bytes, after)
            .map_err(|_| CompressionError::Corrupt)
    })
}
