//! Zstandard frames (RFC 8878). In: one or more frames; out: their content.
//!
//! The library keeps a frame's window (at most 128 MiB by the frame's claim) before it gives anything out, so the cap is also held
//! against what it has decoded and not given yet.

use std::io::{self, Read, Write};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::gather::{Gather, skip};
use super::{CompressionError, Decompressed, Sink, split, split_array};

const MAGIC: u32 = 0xFD2F_B528;
/// Skippable frames have any of 16 magics.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Windows above this are refused in bodies that pass (RFC 8878, 3.1.1.1.2 recommends to take so much).
const WINDOW_MOST: u64 = 8 << 20;
/// A block, compressed or not, is never larger (RFC 8878, 3.1.1.2.3).
const BLOCK_MOST: u32 = 128 * 1024;
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

/// Frames that pass.
#[derive(Default)]
pub(super) struct Stream {
    at: At,
    gather: Gather,
    decoder: FrameDecoder,
    window: usize,
    checksum: bool,
}

#[derive(Clone, Copy, Default)]
enum At {
    #[default]
    Magic,
    SkipSize,
    Skip(u32),
    Descriptor,
    Header(u8),
    BlockHeader,
    Block([u8; 3]),
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
                At::Descriptor => 1,
                At::Header(descriptor) => header_len(descriptor),
                At::BlockHeader => 3,
                At::Block(header) => self.block_len(header),
                _ => 4,
            };
            let Some(mut part) = self.gather.take(&mut piece, need) else {
                return Ok(());
            };
            self.at = match self.at {
                At::Magic => match u32::from_le_bytes(split_array(&mut part)?) {
                    MAGIC => At::Descriptor,
                    magic if magic & !0xf == SKIPPABLE => At::SkipSize,
                    _ => return Err(CompressionError::Corrupt),
                },
                At::SkipSize | At::Skip(_) => At::Skip(u32::from_le_bytes(split_array(&mut part)?)),
                At::Descriptor => At::Header(part.first().copied().unwrap_or(0)),
                At::Header(descriptor) => {
                    let header = [&MAGIC.to_le_bytes()[..], &[descriptor], part].concat();
                    self.decoder.set_max_window_size(WINDOW_MOST);
                    self.decoder
                        .init(&header[..])
                        .map_err(|_| CompressionError::Corrupt)?;
                    // The window is allocated at once; small ones are not worth a parse.
                    self.window = WINDOW_MOST
                        .min(size_hint(&header).unwrap_or(WINDOW_MOST))
                        .max(u64::from(BLOCK_MOST)) as usize;
                    self.checksum = descriptor & 0x04 != 0;
                    At::BlockHeader
                }
                At::BlockHeader => {
                    let header = split_array(&mut part)?;
                    if block_word(header) >> 3 > BLOCK_MOST {
                        return Err(CompressionError::Corrupt);
                    }
                    At::Block(header)
                }
                At::Block(header) => {
                    let finished = self
                        .decoder
                        .decode_blocks(header.chain(part), BlockDecodingStrategy::UptoBlocks(1))
                        .map_err(|_| CompressionError::Corrupt)?;
                    let mut runs = Runs {
                        emit,
                        refused: None,
                    };
                    let collected = self.decoder.collect_to_writer(&mut runs);
                    if let Some(refused) = runs.refused {
                        return Err(refused);
                    }
                    collected.map_err(|_| CompressionError::Corrupt)?;
                    if finished { At::Magic } else { At::BlockHeader }
                }
            };
        }
    }

    fn block_len(&self, header: [u8; 3]) -> usize {
        let word = block_word(header);
        // A run of one byte has only that byte.
        let content = if (word >> 1) & 3 == 1 { 1 } else { word >> 3 } as usize;
        content + if self.checksum && word & 1 != 0 { 4 } else { 0 }
    }

    pub(super) fn finish(&self) -> Decompressed {
        if matches!(self.at, At::Magic | At::Skip(0)) && self.gather.is_empty() {
            Ok(())
        } else {
            Err(CompressionError::Corrupt)
        }
    }

    pub(super) fn held(&self) -> usize {
        self.window + self.gather.held()
    }
}

fn block_word([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

/// Bytes of a frame header after its descriptor.
fn header_len(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = match descriptor & 3 {
        3 => 4,
        n => usize::from(n),
    };
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        n => 1 << n,
    };
    usize::from(!single_segment) + dictionary + content_size
}

/// What the decoder gives out, on to the callback.
struct Runs<'e, E> {
    emit: &'e mut E,
    refused: Option<CompressionError>,
}

impl<E: FnMut(&[u8]) -> Decompressed> Write for Runs<'_, E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.emit)(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(refused) => {
                self.refused = Some(refused);
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
