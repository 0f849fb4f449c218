//! Bytes of a file by position, read by `pread` into buffers of bounded size.
//!
//! In: a file or a byte vector. Out: exact reads (`None` past the end: the file may have shrunk since it was opened)
//! and a [`Window`] for long walks. `object`'s own `ReadCache` is not used because it never drops what it has read,
//! and a malformed file can make it grow beyond the size of the file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::pod::{self, Pod};

/// The largest single read; tables beyond it are walked through a [`Window`].
pub(crate) const READ_LIMIT: usize = 4 << 20;
const WINDOW: usize = 64 << 10;
/// How far one walk goes. Tables of real files are far smaller; a sparse file can claim terabytes.
const WALK_LIMIT: u64 = 512 << 20;

pub(crate) struct Source {
    bytes: Bytes,
    len: u64,
}

enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    pub fn open(path: &Path) -> std::io::Result<Source> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(Source {
            len: meta.len(),
            bytes: Bytes::File(file),
        })
    }

    pub fn memory(bytes: Vec<u8>) -> Source {
        Source {
            len: bytes.len() as u64,
            bytes: Bytes::Memory(bytes),
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills as much of `buffer` as the file has at `offset`; returns how much that was.
    pub fn read_some(&self, offset: u64, buffer: &mut [u8]) -> usize {
        match &self.bytes {
            Bytes::File(file) => {
                let mut done = 0;
                while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, offset.saturating_add(done as u64)) {
                        Ok(0) => break,
                        Ok(n) => done += n,
                        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
                done
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let rest = bytes.get(from..).unwrap_or_default();
                let n = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
                    to.copy_from_slice(from);
                }
                n
            }
        }
    }

    /// Exactly `len` bytes, at most [`READ_LIMIT`].
    pub fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        if len > READ_LIMIT || offset.checked_add(len as u64)? > self.len {
            return None;
        }
        let mut buffer = vec![0; len];
        (self.read_some(offset, &mut buffer) == len).then_some(buffer)
    }

    pub fn pod<T: Pod>(&self, offset: u64) -> Option<T> {
        let bytes = self.read(offset, size_of::<T>())?;
        pod::from_bytes::<T>(&bytes).ok().map(|(value, _)| *value)
    }

    /// A walk over `[offset, offset + len)`, cut at the end of the file and at 512 MiB.
    pub fn window(&self, offset: u64, len: u64) -> Window<'_> {
        let start = offset.min(self.len);
        let end = offset.saturating_add(len.min(WALK_LIMIT)).min(self.len);
        Window {
            source: self,
            start,
            end: end.max(start),
            at: 0,
            buffer: Vec::new(),
        }
    }
}

/// A range of the file with one buffer of at most 64 KiB in memory. Positions are relative to the range.
pub(crate) struct Window<'a> {
    source: &'a Source,
    start: u64,
    end: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Window<'_> {
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// `len` bytes (at most 64 KiB) at `position`. Cheap when positions mostly ascend.
    pub fn bytes(&mut self, position: u64, len: usize) -> Option<&[u8]> {
        let end = position.checked_add(len as u64)?;
        if len > WINDOW || end > self.len() {
            return None;
        }
        if position < self.at || end > self.at + self.buffer.len() as u64 {
            self.fill(position);
        }
        let from = usize::try_from(position.checked_sub(self.at)?).ok()?;
        self.buffer.get(from..from.checked_add(len)?)
    }

    fn fill(&mut self, position: u64) {
        let want = (self.len() - position).min(WINDOW as u64) as usize;
        self.buffer.resize(want, 0);
        let got = self
            .source
            .read_some(self.start + position, &mut self.buffer);
        self.buffer.truncate(got);
        self.at = position;
    }

    /// The next piece of the walk at `position`: up to 64 KiB, empty at the end.
    pub fn piece(&mut self, position: u64) -> &[u8] {
        if position >= self.len() {
            return &[];
        }
        self.fill(position);
        &self.buffer
    }

    pub fn u32(&mut self, position: u64) -> Option<u32> {
        self.bytes(position, 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
    }

    pub fn pod<T: Pod>(&mut self, position: u64) -> Option<T> {
        let bytes = self.bytes(position, size_of::<T>())?;
        pod::from_bytes::<T>(bytes).ok().map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_end_with_the_file_and_walks_with_their_limit() {
        let source = Source::memory((0..200u8).collect());
        assert_eq!(source.read(198, 2), Some(vec![198, 199]));
        assert_eq!(source.read(198, 3), None);
        assert_eq!(source.read(u64::MAX, 2), None);
        let mut window = source.window(100, u64::MAX);
        assert_eq!(window.len(), 100);
        assert_eq!(
            window.u32(96),
            Some(u32::from_le_bytes([196, 197, 198, 199]))
        );
        assert_eq!(window.u32(97), None);
        assert_eq!(window.bytes(10, 2), Some(&[110, 111][..]));
        assert_eq!(source.window(300, 5).len(), 0);

        let path = std::env::temp_dir().join(format!("obi-sparse-{}", std::process::id()));
        std::fs::File::create(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let source = Source::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source.len(), 1 << 40);
        assert_eq!(source.read(0, READ_LIMIT + 1), None);
        assert_eq!(source.window(1 << 20, u64::MAX).len(), WALK_LIMIT);
    }
}
