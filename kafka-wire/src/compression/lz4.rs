//! LZ4 frames (lz4_Frame_format.md). In: one or more frames; out: their content.
//!
//! The frame layer is read here and only blocks go to the library: blocks are written straight behind each other, linked blocks find
//! their window there, a missing end mark is seen, and the wrong header checksum of magic 0 (KAFKA-3160) does not matter.

use super::{CompressionError, Decompressed, Sink, split, split_array};

const MAGIC: u32 = 0x184D_2204;
/// Skippable frames have any of 16 magics.
const SKIPPABLE: u32 = 0x184D_2A50;
const UNCOMPRESSED: u32 = 1 << 31;
/// How far a linked block may look back.
const WINDOW: usize = 64 * 1024;
/// No LZ4 sequence yields more than this for a byte.
const MAX_RATIO: usize = 255;

struct Descriptor {
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    max_block: usize,
    content_size: Option<u64>,
}

pub(super) fn decompress(mut bytes: &[u8], sink: &mut Sink<'_>) -> Decompressed {
    while !bytes.is_empty() {
        match u32::from_le_bytes(split_array(&mut bytes)?) {
            MAGIC => frame(&mut bytes, sink)?,
            magic if magic & !0xf == SKIPPABLE => {
                let size = u32::from_le_bytes(split_array(&mut bytes)?);
                split(&mut bytes, size as usize)?;
            }
            _ => return Err(CompressionError::Corrupt),
        }
    }
    Ok(())
}

pub(super) fn size_hint(mut bytes: &[u8]) -> Option<u64> {
    (u32::from_le_bytes(split_array(&mut bytes).ok()?) == MAGIC).then_some(())?;
    descriptor(&mut bytes).ok()?.content_size
}

fn descriptor(bytes: &mut &[u8]) -> Result<Descriptor, CompressionError> {
    let [flags, block] = split_array(bytes)?;
    let max_block = match (block >> 4) & 7 {
        size @ 4..=7 => 1 << (8 + 2 * size),
        _ => return Err(CompressionError::Corrupt),
    };
    // Version 01; a dictionary is never at hand.
    if flags >> 6 != 1 || flags & 1 != 0 {
        return Err(CompressionError::Corrupt);
    }
    let content_size = if flags & 0x08 != 0 {
        Some(u64::from_le_bytes(split_array(bytes)?))
    } else {
        None
    };
    split(bytes, 1)?; // header checksum
    Ok(Descriptor {
        linked: flags & 0x20 == 0,
        block_checksums: flags & 0x10 != 0,
        content_checksum: flags & 0x04 != 0,
        max_block,
        content_size,
    })
}

fn frame(bytes: &mut &[u8], sink: &mut Sink<'_>) -> Decompressed {
    let descriptor = descriptor(bytes)?;
    let start = sink.out.len();
    loop {
        let word = u32::from_le_bytes(split_array(bytes)?);
        if word == 0 {
            break;
        }
        let block = split(bytes, (word & !UNCOMPRESSED) as usize)?;
        if block.len() > descriptor.max_block {
            return Err(CompressionError::Corrupt);
        }
        if word & UNCOMPRESSED != 0 {
            sink.append(block)?;
        } else {
            compressed(block, &descriptor, start, sink)?;
        }
        if descriptor.block_checksums {
            split(bytes, 4)?;
        }
    }
    if descriptor.content_checksum {
        split(bytes, 4)?;
    }
    Ok(())
}

fn compressed(
    block: &[u8],
    descriptor: &Descriptor,
    frame_start: usize,
    sink: &mut Sink<'_>,
) -> Decompressed {
    let most = descriptor
        .max_block
        .min(block.len().saturating_mul(MAX_RATIO));
    let refused = if sink.left() < most {
        CompressionError::TooLarge
    } else {
        CompressionError::Corrupt
    };
    sink.fill(most, |before, after| {
        let window_start = if descriptor.linked {
            before.len().saturating_sub(WINDOW).max(frame_start)
        } else {
            before.len()
        };
        let window = before.get(window_start..).unwrap_or_default();
        lz4_flex::block::decompress_into_with_dict(block, after, window).map_err(
            |error| match error {
                lz4_flex::block::DecompressError::OutputTooSmall { .. } => refused,
                _ => CompressionError::Corrupt,
            },
        )
    })
}
