//! Kafka's compression codecs. In: a batch's compressed body; out: its bytes, never more than a cap.
//!
//! Two ways: [`decompress`] for a body that is at hand, [`Inflater`] for one that passes. Pure Rust decoders. The cap holds while writing, so a bomb costs little more than the cap; what came out before an error stays for
//! the caller, whose records may still be read. Checksums of frames are not verified: TCP and the broker did that.

use std::io::{self, Read, Write};

use crate::record_batch::Codec;

mod gather;
mod inflate;
mod lz4;
mod snappy;
mod zstd;

pub use inflate::Inflater;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("codec {0} is not assigned")]
    UnknownCodec(u8),
    #[error("more than the allowed bytes come out")]
    TooLarge,
    #[error("compressed data is corrupt or cut")]
    Corrupt,
}

pub(crate) type Decompressed = Result<(), CompressionError>;

/// Appends the uncompressed bytes to `out`, at most `cap` of them, and returns how many.
pub fn decompress(
    codec: Codec,
    bytes: &[u8],
    cap: usize,
    out: &mut Vec<u8>,
) -> Result<usize, CompressionError> {
    let start = out.len();
    let mut sink = Sink {
        end: start.saturating_add(cap),
        out,
    };
    match codec {
        Codec::None => sink.append(bytes),
        Codec::Gzip => gzip(bytes, &mut sink),
        Codec::Snappy => snappy::decompress(bytes, &mut sink),
        Codec::Lz4 => lz4::decompress(bytes, &mut sink),
        Codec::Zstd => zstd::decompress(bytes, &mut sink),
        Codec::Unknown(id) => Err(CompressionError::UnknownCodec(id)),
    }?;
    Ok(out.len() - start)
}

/// The uncompressed size as the data states it, without opening it: of the one frame that Kafka's clients write (xerial snappy: of all its
/// blocks). None where it is not stated. Not to be trusted for allocation.
pub fn uncompressed_size_hint(codec: Codec, bytes: &[u8]) -> Option<u64> {
    match codec {
        Codec::None => Some(bytes.len() as u64),
        // ISIZE: modulo 2³², and only of the last member; Kafka's clients write one.
        Codec::Gzip => bytes
            .last_chunk::<4>()
            .filter(|_| bytes.len() >= 18)
            .map(|size| u64::from(u32::from_le_bytes(*size))),
        Codec::Snappy => snappy::size_hint(bytes),
        Codec::Lz4 => lz4::size_hint(bytes),
        Codec::Zstd => zstd::size_hint(bytes),
        Codec::Unknown(_) => None,
    }
}

fn gzip(bytes: &[u8], sink: &mut Sink<'_>) -> Decompressed {
    let left = sink.left();
    // One byte more than allowed tells a full sink from a bomb.
    let mut reader = flate2::bufread::MultiGzDecoder::new(bytes).take(left as u64 + 1);
    let result = reader.read_to_end(sink.out);
    if sink.out.len() > sink.end {
        sink.out.truncate(sink.end);
        return Err(CompressionError::TooLarge);
    }
    result.map(|_| ()).map_err(|_| CompressionError::Corrupt)
}

/// The output vector with its cap.
struct Sink<'o> {
    out: &'o mut Vec<u8>,
    /// `out` must not grow beyond.
    end: usize,
}

impl Sink<'_> {
    fn left(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// Appends as much as fits.
    fn append(&mut self, bytes: &[u8]) -> Decompressed {
        let fits = bytes.get(..self.left());
        self.out.extend_from_slice(fits.unwrap_or(bytes));
        if fits.is_some_and(|fits| fits.len() < bytes.len()) {
            Err(CompressionError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Lets `write` fill at most `most` bytes at the end, with what came before as its window; it returns how many it wrote.
    fn fill(
        &mut self,
        most: usize,
        write: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, CompressionError>,
    ) -> Decompressed {
        let start = self.out.len();
        self.out.resize(start + most.min(self.left()), 0);
        let (before, after) = self.out.split_at_mut(start);
        let written = write(before, after);
        self.out.truncate(start + written.unwrap_or(0));
        written.map(|_| ())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)
            .map(|()| bytes.len())
            .map_err(|_| io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Splits `n` bytes off the front.
fn split<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], CompressionError> {
    let (front, rest) = bytes.split_at_checked(n).ok_or(CompressionError::Corrupt)?;
    *bytes = rest;
    Ok(front)
}

fn split_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CompressionError> {
    let (front, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(CompressionError::Corrupt)?;
    *bytes = rest;
    Ok(*front)
}
