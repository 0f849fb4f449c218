//! LZ4 frames (lz4_Frame_format.md). In: one or more frames; out: their content.
//!
//! The frame layer is read here and only blocks go to the library: blocks are written straight behind each other, linked blocks find
//! their window there, a missing end mark is seen, and the wrong header checksum of magic 0 (KAFKA-3160) does not matter.

use super::gather::{Gather, skip};
use super::{CompressionError, Decompressed, Sink, split, split_array};

const MAGIC: u32 = 0x184D_2204;
/// Skippable frames have any of 16 magics.
const SKIPPABLE: u32 = 0x184D_2A50;
const UNCOMPRESSED: u32 = 1 << 31;
/// How far a linked block may look back.
const WINDOW: usize = 64 * 1024;
/// No LZ4 sequence yields more than this for a byte.
const MAX_RATIO: usize = 255;

#[derive(Debug, Default)]
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

/// Frames that pass.
#[derive(Debug, Default)]
pub(super) struct Stream {
    at: At,
    gather: Gather,
    descriptor: Descriptor,
    /// What a block may refer to, and the block after it.
    window: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Magic,
    SkipSize,
    Skip(u32),
    Flags,
    Descriptor(u8),
    BlockSize,
    Block(u32),
    BlockChecksum,
    ContentChecksum,
}

impl Stream {
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        emit: &mut impl FnMut(&[u8]) -> Decompressed,
    ) -> Decompressed {
        loop {
            if let At::Skip(left) = &mut self.at {
                skip(&mut piece, left);
                if *left > 0 {
                    return Ok(());
                }
                self.at = At::Magic;
            }
            let need = match self.at {
                At::Flags => 1,
                At::Descriptor(flags) => 2 + usize::from(flags & 0x08),
                At::Block(word) => (word & !UNCOMPRESSED) as usize,
                _ => 4,
            };
            let Some(part) = self.gather.take(&mut piece, need) else {
                return Ok(());
            };
            self.at = match self.at {
                At::Magic => match word(part)? {
                    MAGIC => At::Flags,
                    magic if magic & !0xf == SKIPPABLE => At::SkipSize,
                    _ => return Err(CompressionError::Corrupt),
                },
                At::SkipSize => At::Skip(word(part)?),
                At::Flags => At::Descriptor(part.first().copied().unwrap_or(0)),
                At::Descriptor(flags) => {
                    let whole = [&[flags], part].concat();
                    self.descriptor = descriptor(&mut &whole[..])?;
                    self.window.clear();
                    At::BlockSize
                }
                At::BlockSize => match word(part)? {
                    0 if self.descriptor.content_checksum => At::ContentChecksum,
                    0 => At::Magic,
                    word if (word & !UNCOMPRESSED) as usize > self.descriptor.max_block => {
                        return Err(CompressionError::Corrupt);
                    }
                    word => At::Block(word),
                },
                At::Block(word) => {
                    block(&mut self.window, part, word, &self.descriptor, emit)?;
                    if self.descriptor.block_checksums {
                        At::BlockChecksum
                    } else {
                        At::BlockSize
                    }
                }
                At::BlockChecksum => At::BlockSize,
                At::ContentChecksum | At::Skip(_) => At::Magic,
            };
        }
    }

    pub(super) fn finish(&self) -> Decompressed {
        if matches!(self.at, At::Magic | At::Skip(0)) && self.gather.is_empty() {
            Ok(())
        } else {
            Err(CompressionError::Corrupt)
        }
    }

    pub(super) fn held(&self) -> usize {
        self.window.capacity() + self.gather.held()
    }
}

fn block(
    window: &mut Vec<u8>,
    block: &[u8],
    word: u32,
    descriptor: &Descriptor,
    emit: &mut impl FnMut(&[u8]) -> Decompressed,
) -> Decompressed {
    let old = if descriptor.linked {
        window.len().min(WINDOW)
    } else {
        0
    };
    window.drain(..window.len() - old);
    let end = old + descriptor.max_block;
    let mut sink = Sink { out: window, end };
    if word & UNCOMPRESSED != 0 {
        sink.append(block)?;
    } else {
        compressed(block, descriptor, 0, &mut sink)?;
    }
    emit(window.get(old..).unwrap_or_default())
}

fn word(mut bytes: &[u8]) -> Result<u32, CompressionError> {
    split_array(&mut bytes).map(u32::from_le_bytes)
}
