//! ELF headers: segments, sections, the dynamic table.
//!
//! In: a [`Source`]. Out: owned tables of bounded length. A missing or broken section table is no error (files may be
//! stripped of it); a missing program header table is, because nothing can be placed without it. Section *contents*
//! are not read here.

use object::elf::{self, Dyn64, FileHeader64, ProgramHeader64, SectionHeader64};
use object::{LittleEndian as LE, pod};

use crate::Error;
use crate::source::Source;

/// More program headers or sections than any linker makes are a lie. Sections: one per function with
/// `-ffunction-sections` exist only in relocatable files, which are refused.
const SEGMENTS_LIMIT: usize = 256;
const SECTIONS_LIMIT: usize = 4096;
const DYNAMIC_LIMIT: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
}

/// A PT_LOAD segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub address: u64,
    pub offset: u64,
    /// Bytes in the file; what memory has beyond is zero.
    pub file_size: u64,
    pub executable: bool,
    pub writable: bool,
}

impl Segment {
    /// Where `address` stands in the file bytes of this segment.
    pub(crate) fn position(&self, address: u64) -> Option<u64> {
        let position = address.checked_sub(self.address)?;
        (position < self.file_size).then_some(position)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    pub address: u64,
    pub offset: u64,
    /// Bytes in the file (0 for `.bss`).
    pub size: u64,
    /// `sh_link`: for symbol tables the index of their strings.
    pub link: usize,
}

pub(crate) struct Elf {
    pub machine: Machine,
    /// Position-independent: words that hold addresses are in relocations.
    pub dynamic_type: bool,
    pub segments: Vec<Segment>,
    pub sections: Vec<Section>,
    /// (tag, value) of PT_DYNAMIC up to DT_NULL.
    pub dynamic: Vec<(u64, u64)>,
    /// File ranges of PT_NOTE.
    pub notes: Vec<(u64, u64)>,
    /// Address of PT_GNU_EH_FRAME (`.eh_frame_hdr`).
    pub unwind_header: Option<u64>,
}

impl Elf {
    pub fn parse(source: &Source) -> Result<Elf, Error> {
        let mut magic = [0; 6];
        if source.read_some(0, &mut magic) < magic.len() || !magic.starts_with(&elf::ELFMAG) {
            return Err(Error::NotElf);
        }
        if magic
            != [
                0x7f,
                b'E',
                b'L',
                b'F',
                elf::ELFCLASS64.0,
                elf::ELFDATA2LSB.0,
            ]
        {
            return Err(Error::Unsupported("only 64-bit little-endian ELF"));
        }
        let header: FileHeader64<LE> = source
            .pod(0)
            .ok_or(Error::Malformed("truncated file header"))?;
        let machine = match header.e_machine.get(LE) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            _ => return Err(Error::Unsupported("machine is neither x86-64 nor aarch64")),
        };
        let kind = header.e_type.get(LE);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(Error::Unsupported(
                "neither an executable nor a shared object",
            ));
        }
        let count = usize::from(header.e_phnum.get(LE));
        if count == 0 || count > SEGMENTS_LIMIT {
            return Err(Error::Malformed("number of program headers"));
        }
        let programs: Vec<ProgramHeader64<LE>> = table(source, header.e_phoff.get(LE), count)
            .ok_or(Error::Malformed("program headers past the end"))?;
        let mut this = Elf {
            machine,
            dynamic_type: kind == elf::ET_DYN,
            segments: Vec::new(),
            sections: sections(source, &header).unwrap_or_default(),
            dynamic: Vec::new(),
            notes: Vec::new(),
            unwind_header: None,
        };
        for program in &programs {
            let (offset, size) = (program.p_offset.get(LE), program.p_filesz.get(LE));
            match program.p_type.get(LE) {
                elf::PT_LOAD => this.segments.push(Segment {
                    address: program.p_vaddr.get(LE),
                    offset,
                    file_size: size.min(source.len().saturating_sub(offset)),
                    executable: program.p_flags.get(LE).contains(elf::PF_X),
                    writable: program.p_flags.get(LE).contains(elf::PF_W),
                }),
                elf::PT_DYNAMIC => this.dynamic = dynamic(source, offset, size),
                elf::PT_NOTE => this.notes.push((offset, size)),
                elf::PT_GNU_EH_FRAME => this.unwind_header = Some(program.p_vaddr.get(LE)),
                _ => {}
            }
        }
        if this.segments.is_empty() {
            return Err(Error::Malformed("nothing to load"));
        }
        Ok(this)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub fn tag(&self, tag: u64) -> Option<u64> {
        self.dynamic
            .iter()
            .find(|(t, _)| *t == tag)
            .map(|(_, value)| *value)
    }

    /// File offset of a virtual address, by PT_LOAD; `None` for memory without file bytes.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments
            .iter()
            .find_map(|s| s.offset.checked_add(s.position(address)?))
    }

    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|s| {
            let delta = offset.checked_sub(s.offset)?;
            if delta < s.file_size {
                s.address.checked_add(delta)
            } else {
                None
            }
        })
    }
}

fn table<T: object::Pod>(source: &Source, offset: u64, count: usize) -> Option<Vec<T>> {
    let bytes = source.read(offset, count.checked_mul(size_of::<T>())?)?;
    pod::slice_from_bytes::<T>(&bytes, count)
        .ok()
        .map(|(items, _)| items.to_vec())
}

fn sections(source: &Source, header: &FileHeader64<LE>) -> Option<Vec<Section>> {
    let count = usize::from(header.e_shnum.get(LE));
    if count == 0
        || count > SECTIONS_LIMIT
        || usize::from(header.e_shentsize.get(LE)) != size_of::<SectionHeader64<LE>>()
    {
        return None;
    }
    let headers: Vec<SectionHeader64<LE>> = table(source, header.e_shoff.get(LE), count)?;
    let names = headers.get(usize::from(header.e_shstrndx.get(LE).0))?;
    let mut names = source.window(names.sh_offset.get(LE), names.sh_size.get(LE));
    let mut sections = Vec::with_capacity(count);
    for header in &headers {
        let offset = header.sh_offset.get(LE);
        let kind = header.sh_type.get(LE);
        let size = if kind == elf::SHT_NOBITS {
            0
        } else {
            header.sh_size.get(LE)
        };
        sections.push(Section {
            name: name(&mut names, u64::from(header.sh_name.get(LE))),
            kind: kind.0,
            flags: header.sh_flags.get(LE).0,
            address: header.sh_addr.get(LE),
            offset,
            size: size.min(source.len().saturating_sub(offset)),
            link: header.sh_link.get(LE) as usize,
        });
    }
    Some(sections)
}

/// A section name: linkers make none above 255 bytes that we would look for.
fn name(names: &mut crate::source::Window<'_>, at: u64) -> String {
    let len = names.len().saturating_sub(at).min(256) as usize;
    let bytes = names.bytes(at, len).unwrap_or_default();
    let end = memchr::memchr(0, bytes).unwrap_or(0);
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn dynamic(source: &Source, offset: u64, size: u64) -> Vec<(u64, u64)> {
    let mut window = source.window(offset, size);
    let mut entries = Vec::new();
    for index in 0..DYNAMIC_LIMIT {
        let Some(entry) = window.pod::<Dyn64<LE>>(index * 16) else {
            break;
        };
        let tag = entry.d_tag.get(LE).0 as u64;
        if tag == 0 {
            break;
        }
        entries.push((tag, entry.d_val.get(LE)));
    }
    entries
}
