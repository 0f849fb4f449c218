//! Zstandard frames (RFC 8878). In: one or more frames; out: their content.
//!
//! The library keeps a frame's window (at most 128 MiB by the frame's claim) before it gives anything out, so the cap is also held
//! against what it has decoded and not given yet.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{CompressionError, Decompressed, Sink, split, split_array};

const MAGIC: u32 = 0xFD2F_B528;
/// Skippable frames have any of 16 magics.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Decoded at a time.
const STEP: usize = 128 * 1024;

pub(super) fn decompress(mut bytes: &[u8], sink: &mut Sink<'_>) -> Decompressed {
    while let Some(magic) = bytes.first_chunk::<4>() {
        if u32::from_le_bytes(*magic) & !0xf == SKIPPABLE {
            split(&mut bytes, 4)?;
            let size = u32::from_le_bytes(split_array(&mut bytes)?);
            split(&mut bytes, size as usize)?;
        } else {
            frame(&mut bytes, sink)?;
        }
    }
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(CompressionError::Corrupt)
    }
}

fn frame(bytes: &mut &[u8], sink: &mut Sink<'_>) -> Decompressed {
    let mut decoder = FrameDecoder::new();
    decoder
        .init(&mut *bytes)
        .map_err(|_| CompressionError::Corrupt)?;
    let mut room = sink.left();
    loop {
        let finished = decoder
            .decode_blocks(&mut *bytes, BlockDecodingStrategy::UptoBytes(STEP))
            .map_err(|_| CompressionError::Corrupt)?;
        decoder
            .collect_to_writer(&mut *sink)
            .map_err(|_| CompressionError::TooLarge)?;
        if finished {
            return Ok(());
        }
        room = room.checked_sub(STEP).ok_or(CompressionError::TooLarge)?;
    }
}

/// Frame content size of the first frame, where it is stated (RFC 8878, 3.1.1.1).
pub(super) fn size_hint(mut bytes: &[u8]) -> Option<u64> {
    (u32::from_le_bytes(split_array(&mut bytes).ok()?) == MAGIC).then_some(())?;
    let [descriptor] = split_array(&mut bytes).ok()?;
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    split(&mut bytes, dictionary + usize::from(!single_segment)).ok()?;
    match descriptor >> 6 {
        0 if single_segment => split_array::<1>(&mut bytes)
            .ok()
            .map(|[size]| u64::from(size)),
        0 => None,
        1 => split_array(&mut bytes)
            .ok()
            .map(|size| u64::from(u16::from_le_bytes(size)) + 256),
        2 => split_array(&mut bytes)
            .ok()
            .map(|size| u64::from(u32::from_le_bytes(size))),
        _ => split_array(&mut bytes).ok().map(u64::from_le_bytes),
    }
}
