//! A debug section as a stream of bytes, compressed or not.
//!
//! In: the name of a section (`debug_info`). Out: its bytes in order, never all at once. Compression is zlib, in the form of
//! SHF_COMPRESSED and in the older one of `.zdebug_*` (Go 1.18); zstd gives no stream.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use object::LittleEndian as LE;
use object::elf::{self, CompressionHeader64};

use crate::elf::Elf;
use crate::source::Source;

const CHUNK: usize = 64 << 10;

/// Plain bytes of a section.
pub(super) enum Section<'a> {
    Plain(Range<'a>),
    Zlib(Box<ZlibDecoder<Range<'a>>>),
}

impl<'a> Section<'a> {
    pub fn open(source: &'a Source, elf: &Elf, name: &str) -> Option<Section<'a>> {
        if let Some(section) = elf.section(&format!(".{name}")) {
            let (offset, size) = (section.offset, section.size);
            if section.flags & elf::SHF_COMPRESSED.0 == 0 {
                return Some(Section::Plain(Range::new(source, offset, size)));
            }
            let header: CompressionHeader64<LE> = source.pod(offset)?;
            let skip = size_of::<CompressionHeader64<LE>>() as u64;
            let zlib = header.ch_type.get(LE) == elf::ELFCOMPRESS_ZLIB;
            return zlib.then(|| {
                Section::zlib(
                    source,
                    offset.saturating_add(skip),
                    size.saturating_sub(skip),
                )
            });
        }
        // "ZLIB" and eight bytes of size.
        let section = elf.section(&format!(".z{name}"))?;
        let head = source.read(section.offset, 12)?;
        let (offset, size) = (
            section.offset.saturating_add(12),
            section.size.saturating_sub(12),
        );
        head.starts_with(b"ZLIB")
            .then(|| Section::zlib(source, offset, size))
    }

    fn zlib(source: &'a Source, offset: u64, size: u64) -> Section<'a> {
        Section::Zlib(Box::new(ZlibDecoder::new(Range::new(source, offset, size))))
    }

    /// Appends the next `len` bytes; false when the section ends before. Grows with what is there, not with what was claimed.
    pub fn append(&mut self, bytes: &mut Vec<u8>, len: u64) -> bool {
        self.by_ref()
            .take(len)
            .read_to_end(bytes)
            .is_ok_and(|got| got as u64 == len)
    }

    /// Up to `limit` bytes from here.
    pub fn up_to(&mut self, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref().take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// False when the section ends before.
    pub fn skip(&mut self, len: u64) -> bool {
        io::copy(&mut self.by_ref().take(len), &mut io::sink()).is_ok_and(|skipped| skipped == len)
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Section::Plain(range) => range.read(buffer),
            Section::Zlib(decoder) => decoder.read(buffer),
        }
    }
}

/// A range of the file as a reader.
pub(super) struct Range<'a> {
    source: &'a Source,
    at: u64,
    end: u64,
}

impl<'a> Range<'a> {
    fn new(source: &'a Source, offset: u64, size: u64) -> Range<'a> {
        Range {
            source,
            at: offset,
            end: offset.saturating_add(size).min(source.len()),
        }
    }
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at).min(CHUNK as u64) as usize;
        let want = left.min(buffer.len());
        let got = buffer
            .get_mut(..want)
            .map_or(0, |buffer| self.source.read_some(self.at, buffer));
        self.at += got as u64;
        Ok(got)
    }
}
