//! A compressed body opened as it passes. In: its pieces, in order; out: what comes out of them, in runs, through a callback.
//!
//! Neither the compressed nor the uncompressed body is ever held: only as far back as the codec may refer (gzip 32 KiB, lz4 64 KiB and a
//! block, zstd the frame's window, snappy what came out so far), at most 8 MiB. A callback that fails ends it: the caller's cap holds at every run.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::{CompressionError, Decompressed, lz4, snappy, zstd};
use crate::record_batch::Codec;

/// Compressed bytes that go to the gzip decoder at once; a bomb makes at most 1,032 times as many of them.
const GZIP_STEP: usize = 2048;
/// The state of the gzip decoder: window, tables, and what the last step wrote.
const GZIP_HELD: usize = 128 * 1024;

/// Opens one body.
pub struct Inflater(State);

enum State {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Snappy(snappy::Stream),
    Lz4(lz4::Stream),
    Zstd(Box<zstd::Stream>),
}

impl Inflater {
    /// None: of this codec nothing can be opened.
    pub fn new(codec: Codec) -> Option<Inflater> {
        Some(Inflater(match codec {
            Codec::Gzip => State::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Codec::Snappy => State::Snappy(snappy::Stream::default()),
            Codec::Lz4 => State::Lz4(lz4::Stream::default()),
            Codec::Zstd => State::Zstd(Box::default()),
            Codec::None | Codec::Unknown(_) => return None,
        }))
    }

    /// One that holds nothing and opens nothing.
    pub fn empty() -> Inflater {
        Inflater(State::Lz4(lz4::Stream::default()))
    }

    /// Takes the next piece. After an error nothing more comes out.
    pub fn feed(
        &mut self,
        piece: &[u8],
        emit: &mut impl FnMut(&[u8]) -> Decompressed,
    ) -> Decompressed {
        match &mut self.0 {
            State::Gzip(gzip) => piece.chunks(GZIP_STEP).try_for_each(|step| {
                gzip.write_all(step)
                    .map_err(|_| CompressionError::Corrupt)?;
                let run = gzip.get_mut();
                emit(run)?;
                run.clear();
                Ok(())
            }),
            State::Snappy(stream) => stream.feed(piece, emit),
            State::Lz4(stream) => stream.feed(piece, emit),
            State::Zstd(stream) => stream.feed(piece, emit),
        }
    }

    /// The body ended: gives what is left, and says whether it was whole.
    pub fn finish(&mut self, emit: &mut impl FnMut(&[u8]) -> Decompressed) -> Decompressed {
        match &mut self.0 {
            State::Gzip(gzip) => {
                gzip.try_finish().map_err(|_| CompressionError::Corrupt)?;
                emit(gzip.get_ref())
            }
            State::Snappy(stream) => stream.finish(emit),
            State::Lz4(stream) => stream.finish(),
            State::Zstd(stream) => stream.finish(),
        }
    }

    /// Bytes of memory held, about.
    pub fn held(&self) -> usize {
        match &self.0 {
            State::Gzip(_) => GZIP_HELD,
            State::Snappy(stream) => stream.held(),
            State::Lz4(stream) => stream.held(),
            State::Zstd(stream) => stream.held(),
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater")
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
