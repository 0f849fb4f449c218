//! What tells one build of a file from another.
//!
//! In: notes, headers. Out: GNU build id, else Go's, else a hash over headers and the first bytes of each segment.
//! `strip` keeps the GNU build id while it takes the symbols, so [`Identity`] holds the file size as well.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use object::LittleEndian as LE;
use object::elf::NoteHeader64;

use crate::elf::Elf;
use crate::source::Source;

const NT_GNU_BUILD_ID: u32 = 3;
/// `cmd/internal/buildid`: ELF note type of Go's build id, name "Go".
const NT_GO_BUILD_ID: u32 = 4;
const NOTES_LIMIT: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BuildId {
    Gnu(Vec<u8>),
    Go(String),
    /// No note: a hash of headers and segment beginnings. Not comparable between machines of different agents.
    Content(u64),
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildId::Gnu(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            BuildId::Go(id) => f.write_str(id),
            BuildId::Content(hash) => write!(f, "content-{hash:016x}"),
        }
    }
}

/// Key for everything that was learnt from a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub build_id: BuildId,
    pub size: u64,
}

pub(crate) fn read(source: &Source, elf: &Elf) -> BuildId {
    let sections = elf
        .sections
        .iter()
        .filter(|s| s.kind == object::elf::SHT_NOTE.0)
        .map(|s| (s.offset, s.size));
    let mut go = None;
    for (offset, size) in elf.notes.iter().copied().chain(sections) {
        let mut window = source.window(offset, size.min(NOTES_LIMIT));
        let mut at = 0;
        while let Some(note) = window.pod::<NoteHeader64<LE>>(at) {
            let (name_len, len) = (
                u64::from(note.n_namesz.get(LE)),
                u64::from(note.n_descsz.get(LE)),
            );
            let name_at = at + 12;
            let from = name_at + name_len.next_multiple_of(4);
            let kind = note.n_type.get(LE);
            let name = window
                .bytes(name_at, name_len.min(8) as usize)
                .map(<[u8]>::to_vec)
                .unwrap_or_default();
            let bytes = if len > 0 && len <= 256 {
                window.bytes(from, len as usize)
            } else {
                None
            };
            match (name.as_slice(), kind.0, bytes) {
                (b"GNU\0", NT_GNU_BUILD_ID, Some(bytes)) => return BuildId::Gnu(bytes.to_vec()),
                (b"Go\0\0", NT_GO_BUILD_ID, Some(bytes)) => {
                    go = std::str::from_utf8(bytes).ok().map(str::to_owned)
                }
                _ => {}
            }
            at = from + len.next_multiple_of(4);
        }
    }
    match go {
        Some(id) => BuildId::Go(id),
        None => BuildId::Content(content(source, elf)),
    }
}

fn content(source: &Source, elf: &Elf) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut page = [0; 4096];
    let starts = elf
        .segments
        .iter()
        .flat_map(|s| [s.offset, s.offset.saturating_add(s.file_size / 2)]);
    for offset in std::iter::once(0).chain(starts) {
        let n = source.read_some(offset, &mut page);
        page.get(..n).hash(&mut hasher);
    }
    for section in &elf.sections {
        (&section.name, section.offset, section.size, section.address).hash(&mut hasher);
    }
    hasher.finish()
}
