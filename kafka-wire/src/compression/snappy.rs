//! Snappy, raw or in the framing of the xerial library that Java clients use. In: either; out: the content.
//!
//! Xerial: `\x82SNAPPY\0`, two 4-byte versions, then blocks of raw snappy, each after its length as 4 bytes big-endian.

use super::gather::Gather;
use super::{CompressionError, Decompressed, Sink, split, split_array};

const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// A copy of 64 bytes takes 3, so a claim above this many times the input is a lie that must not be allocated.
const MAX_RATIO: usize = 22;

/// How far back a copy may reach in a body that passes. Google's encoder stays within 64 KiB, others go as far as they saw.
const WINDOW: usize = 4 << 20;
/// What came out is given on at least this often.
const RUN: usize = 64 * 1024;

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

/// A body that passes.
#[derive(Debug, Default)]
pub(super) struct Stream {
    at: At,
    gather: Gather,
    /// Compressed bytes left of the xerial block; None: the whole body is one.
    block: Option<u32>,
    /// Bytes that the block still promises.
    promised: u32,
    /// What came out of the block, and how much of it was given on.
    history: Vec<u8>,
    given: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// The xerial mark, or not.
    #[default]
    Start,
    Versions,
    BlockSize,
    /// The block's promise, a varint.
    Promise {
        shift: u32,
    },
    Tag,
    /// The bytes after this tag.
    Element(u8),
    Literal(u32),
}

impl Stream {
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        emit: &mut impl FnMut(&[u8]) -> Decompressed,
    ) -> Decompressed {
        let mut rest = piece;
        loop {
            match self.at {
                At::Start => {
                    let mut mark = [0; XERIAL.len()];
                    match self.gather.take(&mut rest, XERIAL.len()) {
                        None => return Ok(()),
                        Some(XERIAL) => {
                            self.at = At::Versions;
                            continue;
                        }
                        Some(other) => mark.copy_from_slice(other),
                    }
                    self.gather = Gather::default();
                    self.at = At::Promise { shift: 0 };
                    self.block(&mut &mark[..], emit)?;
                }
                At::Versions => match self.gather.take(&mut rest, 8) {
                    None => return Ok(()),
                    Some(_) => self.at = At::BlockSize,
                },
                At::BlockSize => {
                    let Some(mut size) = self.gather.take(&mut rest, 4) else {
                        return Ok(());
                    };
                    self.block = Some(u32::from_be_bytes(split_array(&mut size)?));
                    self.at = At::Promise { shift: 0 };
                    (self.promised, self.given) = (0, 0);
                    self.history.clear();
                }
                _ => {
                    let Some(left) = self.block else {
                        return self.block(&mut rest, emit);
                    };
                    let (mut now, later) = rest.split_at(rest.len().min(left as usize));
                    let left = left - now.len() as u32;
                    self.block = Some(left);
                    self.block(&mut now, emit)?;
                    rest = later;
                    if left > 0 {
                        return Ok(());
                    }
                    self.ended()?;
                    self.at = At::BlockSize;
                }
            }
        }
    }

    /// Bytes of one block of raw snappy; takes all of them.
    fn block(
        &mut self,
        bytes: &mut &[u8],
        emit: &mut impl FnMut(&[u8]) -> Decompressed,
    ) -> Decompressed {
        loop {
            match self.at {
                At::Promise { shift } => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        break;
                    };
                    *bytes = rest;
                    let bits = u64::from(byte & 0x7f) << shift.min(63);
                    self.promised |= u32::try_from(bits).map_err(|_| CompressionError::Corrupt)?;
                    self.at = match byte & 0x80 {
                        0 => At::Tag,
                        _ if shift >= 28 => return Err(CompressionError::Corrupt),
                        _ => At::Promise { shift: shift + 7 },
                    };
                }
                At::Tag => {
                    let Some((tag, rest)) = bytes.split_first() else {
                        break;
                    };
                    *bytes = rest;
                    self.at = At::Element(*tag);
                }
                At::Element(tag) => {
                    let Some(after) = self.gather.take(bytes, bytes_after(tag)) else {
                        break;
                    };
                    let mut number = [0; 4];
                    for (to, from) in number.iter_mut().zip(after) {
                        *to = *from;
                    }
                    let number = u32::from_le_bytes(number);
                    let six = u32::from(tag >> 2);
                    self.at = At::Tag;
                    match tag & 3 {
                        0 => {
                            let length = if six < 60 { six } else { number };
                            self.promise(length.checked_add(1))?;
                            self.at = At::Literal(length + 1);
                        }
                        1 => self.copy(4 + (six & 7), ((six >> 3) << 8) | number)?,
                        _ => self.copy(six + 1, number)?,
                    }
                }
                At::Literal(left) => {
                    let (now, later) = bytes.split_at(bytes.len().min(left as usize).min(RUN));
                    self.history.extend_from_slice(now);
                    *bytes = later;
                    let left = left - now.len() as u32;
                    self.at = if left == 0 {
                        At::Tag
                    } else {
                        At::Literal(left)
                    };
                    if left > 0 && bytes.is_empty() {
                        break;
                    }
                }
                At::Start | At::Versions | At::BlockSize => break,
            }
            if self.history.len() - self.given >= RUN {
                self.give(emit)?;
            }
        }
        self.give(emit)
    }

    /// `n` more bytes will come out.
    fn promise(&mut self, n: Option<u32>) -> Decompressed {
        self.promised = n
            .and_then(|n| self.promised.checked_sub(n))
            .ok_or(CompressionError::Corrupt)?;
        Ok(())
    }

    fn copy(&mut self, length: u32, offset: u32) -> Decompressed {
        self.promise(Some(length))?;
        let (length, offset) = (length as usize, offset as usize);
        let start = self
            .history
            .len()
            .checked_sub(offset)
            .filter(|_| offset > 0)
            .ok_or(CompressionError::Corrupt)?;
        // A copy may reach into itself: it repeats.
        let mut left = length;
        while left > 0 {
            let n = left.min(self.history.len() - start);
            self.history.extend_from_within(start..start + n);
            left -= n;
        }
        Ok(())
    }

    fn give(&mut self, emit: &mut impl FnMut(&[u8]) -> Decompressed) -> Decompressed {
        emit(self.history.get(self.given..).unwrap_or_default())?;
        if self.history.len() > 2 * WINDOW - RUN {
            self.history.drain(..self.history.len() - WINDOW);
        }
        self.given = self.history.len();
        Ok(())
    }

    /// The block ended where it may.
    fn ended(&self) -> Decompressed {
        if matches!(self.at, At::Tag) && self.promised == 0 {
            Ok(())
        } else {
            Err(CompressionError::Corrupt)
        }
    }

    pub(super) fn finish(&mut self, emit: &mut impl FnMut(&[u8]) -> Decompressed) -> Decompressed {
        match self.at {
            // Too short for the mark.
            At::Start => {
                let gather = std::mem::take(&mut self.gather);
                self.at = At::Promise { shift: 0 };
                self.block(&mut gather.bytes(), emit)?;
                self.ended()
            }
            At::BlockSize if self.gather.is_empty() => Ok(()),
            _ if self.block.is_some() => Err(CompressionError::Corrupt),
            _ => self.ended(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.history.capacity() + self.gather.held()
    }
}

/// Bytes of an element after its tag, a literal's content aside.
fn bytes_after(tag: u8) -> usize {
    match (tag & 3, tag >> 2) {
        (0, length @ 60..) => usize::from(length) - 59,
        (0, _) => 0,
        (1, _) => 1,
        (2, _) => 2,
        _ => 4,
    }
}
