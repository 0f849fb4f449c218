//! The function table that the Go runtime itself uses, of Go 1.18 to 1.26 (runtime/symtab.go, cmd/link/internal/ld/pcln.go).
//!
//! In: a binary, stripped or not, at a fixed address or position-independent, linked by Go or by the C linker. Out:
//! functions by name with their extents. Entries are offsets from `runtime.text`, which need not be the start of
//! `.text` (cgo). Go 1.18-1.25 store it in the table's header; from 1.26 on only the runtime's moduledata has it.

use memchr::memmem;

use crate::Binary;
use crate::elf::Segment;
use crate::relocations;
use crate::scan;
use crate::symbols::Function;

/// Go 1.18-1.19, Go 1.20 and later.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
const HEADER: u64 = 8 + 8 * 8;
/// The largest programs have some hundred thousand functions.
const FUNCTIONS_LIMIT: u64 = 4 << 20;
/// Words of moduledata: address of the table, ..., `text` (the same place in 1.18 to 1.26).
const TEXT: u64 = 22;
const CANDIDATES: usize = 64;

/// A table that was found and whose header holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pclntab {
    pub(super) count: u64,
    text: u64,
    /// File offsets and the bytes at most behind them.
    names: (u64, u64),
    functions: (u64, u64),
}

struct Header {
    address: u64,
    count: u64,
    text: u64,
    names: u64,
    functions: u64,
}

pub(super) fn find(binary: &Binary) -> Option<Pclntab> {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        if let Some(section) = binary.elf.section(name)
            && let Some(table) =
                header(binary, section.address).and_then(|header| check(binary, &header))
        {
            return Some(table);
        }
    }
    // The C linker merges the section into .data.rel.ro, and section headers may be gone altogether.
    for magic in MAGICS {
        // magic, two zero bytes; 1 or 4 as the smallest instruction and 8 as pointer size are checked in `header`.
        let mut needle = magic.to_le_bytes().to_vec();
        needle.extend([0, 0]);
        for address in
            scan::bytes(&binary.source, &binary.elf, &[&needle], CANDIDATES, any).concat()
        {
            if let Some(table) = header(binary, address).and_then(|header| check(binary, &header)) {
                return Some(table);
            }
        }
    }
    None
}

fn any(_: &Segment) -> bool {
    true
}

fn header(binary: &Binary, address: u64) -> Option<Header> {
    let bytes = binary.read(address, HEADER)?;
    let word = |index: usize| {
        let at = 8 + index * 8;
        bytes
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_le_bytes)
    };
    let magic = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let (pad, minimum_instruction, pointer) = (bytes.get(4..6)?, *bytes.get(6)?, *bytes.get(7)?);
    if !MAGICS.contains(&magic)
        || pad != [0, 0]
        || !matches!(minimum_instruction, 1 | 4)
        || pointer != 8
    {
        return None;
    }
    let count = word(0)?;
    if count == 0 || count > FUNCTIONS_LIMIT {
        return None;
    }
    let text = match word(2)? {
        // A position-independent file: the address may be in the relocations only.
        0 => binary.word(address.checked_add(8 + 2 * 8)?).unwrap_or(0),
        text => text,
    };
    Some(Header {
        address,
        count,
        text,
        names: word(3)?,
        functions: word(7)?,
    })
}

fn check(binary: &Binary, header: &Header) -> Option<Pclntab> {
    let (segment, position) = binary
        .elf
        .segments
        .iter()
        .find_map(|s| Some((s, s.position(header.address)?)))?;
    let left = segment.file_size - position;
    // Names come first, functions last; the function table ends in a lone offset that closes the last function.
    if header.names < HEADER
        || header.names >= header.functions
        || header.functions.checked_add(header.count * 8 + 4)? > left
    {
        return None;
    }
    let offset = binary.file_offset(header.address)?;
    let text = if header.text != 0 {
        header.text
    } else {
        text_of_moduledata(binary, header)?
    };
    let executable = binary
        .elf
        .segments
        .iter()
        .any(|s| s.executable && s.position(text).is_some());
    executable.then_some(Pclntab {
        count: header.count,
        text,
        names: (offset + header.names, header.functions - header.names),
        functions: (offset + header.functions, left - header.functions),
    })
}

/// `text` of the moduledata whose first words are the table's address and that of its names.
fn text_of_moduledata(binary: &Binary, header: &Header) -> Option<u64> {
    let names = header.address.checked_add(header.names)?;
    let read = |at: u64| {
        let text = at.checked_add(TEXT * 8)?;
        let words =
            relocations::words(&binary.source, &binary.elf, &[at, at.checked_add(8)?, text]);
        match words.as_slice() {
            [Some(table), Some(first), Some(text)]
                if *table == header.address && *first == names =>
            {
                Some(*text)
            }
            _ => None,
        }
    };
    if let Some(text) = binary
        .elf
        .section(".go.module")
        .and_then(|section| read(section.address))
    {
        return Some(text);
    }
    let mut places = Vec::new();
    relocations::visit(&binary.source, &binary.elf, &mut |address, addend| {
        if addend == header.address {
            places.push(address);
        }
        places.len() < CANDIDATES
    });
    let needle = header.address.to_le_bytes();
    let data: fn(&Segment) -> bool = |segment| !segment.executable;
    places.extend(scan::bytes(&binary.source, &binary.elf, &[&needle], CANDIDATES, data).concat());
    places.into_iter().find_map(read)
}

impl Pclntab {
    pub fn functions(&self, binary: &Binary, names: &[&str]) -> Vec<Option<Function>> {
        let wanted = self.name_offsets(binary, names);
        let mut found = vec![None; names.len()];
        // Two windows over one range: both the entries and the records that they point to ascend.
        let mut entries = binary.source.window(self.functions.0, self.functions.1);
        let mut records = binary.source.window(self.functions.0, self.functions.1);
        for index in 0..self.count {
            let Some((entry, record)) = entries.u32(index * 8).zip(entries.u32(index * 8 + 4))
            else {
                break;
            };
            let Some(name) = records.u32(u64::from(record) + 4) else {
                continue;
            };
            let Ok(at) = wanted.binary_search_by_key(&u64::from(name), |(offset, _)| *offset)
            else {
                continue;
            };
            let Some(which) = wanted.get(at).map(|(_, which)| *which) else {
                continue;
            };
            // The next entry, or after the last one the lone offset, is where this function ends.
            let Some(size) = entries
                .u32(index * 8 + 8)
                .and_then(|end| end.checked_sub(entry))
            else {
                continue;
            };
            let (Some(slot), Some(name)) = (found.get_mut(which), names.get(which)) else {
                continue;
            };
            *slot = Some(Function {
                name: (*name).to_owned(),
                address: self.text.wrapping_add(u64::from(entry)),
                size: u64::from(size),
                variant: None,
            });
        }
        found
    }

    /// (offset in the name table, index into `names`), sorted. A name stands between two NULs.
    fn name_offsets(&self, binary: &Binary, names: &[&str]) -> Vec<(u64, usize)> {
        let mut window = binary.source.window(self.names.0, self.names.1);
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0) + 2;
        let mut found = Vec::new();
        let mut position = 0;
        loop {
            let piece = window.piece(position);
            let len = piece.len();
            for (index, name) in names.iter().enumerate() {
                for at in memmem::find_iter(piece, name.as_bytes()) {
                    let first = position == 0 && at == 0;
                    let bounded =
                        first || at.checked_sub(1).and_then(|before| piece.get(before)) == Some(&0);
                    if bounded
                        && piece.get(at + name.len()) == Some(&0)
                        && found.len() < CANDIDATES.max(names.len() * 4)
                    {
                        found.push((position + at as u64, index));
                    }
                }
            }
            if len <= longest {
                break;
            }
            position += (len - longest) as u64;
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
