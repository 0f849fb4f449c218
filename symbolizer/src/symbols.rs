//! Symbol tables: functions by exact name, `.symtab` first, then `.dynsym`.
//!
//! In: names. Out: defined functions with address and size. The search goes from names to string offsets to symbols,
//! both tables read once in small windows, so that a table of any size costs no memory. Imports are not functions
//! of this file and are never returned. C++ or Rust names are not demangled.

use memchr::memmem;
use object::LittleEndian as LE;
use object::elf::{self, Sym64};

use crate::elf::{Elf, Section};
use crate::source::{Source, Window};

/// Occurrences of the wanted names in one string table; more means that the names are not what was meant.
const OCCURRENCES_LIMIT: usize = 4096;
const NAME_LIMIT: usize = 4096;
const SYMBOL: u64 = size_of::<Sym64<LE>>() as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Static,
    Dynamic,
}

/// A function of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// ELF virtual address of the first instruction.
    pub address: u64,
    /// Bytes; 0 = the table does not say.
    pub size: u64,
    /// What the compiler put behind the name (`.isra.0`, `.constprop.0`, `.localalias`): with `isra` and
    /// `constprop` the arguments may differ from the source's.
    pub variant: Option<String>,
}

/// One entry of a symbol table as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub address: u64,
    pub size: u64,
    pub defined: bool,
    pub function: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Variable,
}

/// Where a table and its strings lie in the file.
#[derive(Clone, Copy)]
struct Place {
    symbols: (u64, u64),
    strings: (u64, u64),
}

fn place(elf: &Elf, table: Table) -> Option<Place> {
    let kind = match table {
        Table::Static => elf::SHT_SYMTAB,
        Table::Dynamic => elf::SHT_DYNSYM,
    };
    let range = |section: &Section| (section.offset, section.size);
    if let Some(symbols) = elf.sections.iter().find(|section| section.kind == kind.0) {
        let strings = elf
            .sections
            .get(symbols.link)
            .filter(|s| s.kind == elf::SHT_STRTAB.0)?;
        return Some(Place {
            symbols: range(symbols),
            strings: range(strings),
        });
    }
    if table == Table::Static || !elf.sections.is_empty() {
        return None;
    }
    // Without section headers the number of dynamic symbols is written nowhere; linkers put the strings behind them.
    let symbols = elf.offset_of(elf.tag(elf::DT_SYMTAB.0 as u64)?)?;
    let strings = elf.offset_of(elf.tag(elf::DT_STRTAB.0 as u64)?)?;
    let size = strings.checked_sub(symbols)?;
    Some(Place {
        symbols: (symbols, size),
        strings: (strings, elf.tag(elf::DT_STRSZ.0 as u64)?),
    })
}

/// Looks `names` up; the answer stands in the order of the names. An exact name wins over a variant.
pub(crate) fn find(
    source: &Source,
    elf: &Elf,
    names: &[&str],
    kind: Kind,
) -> Vec<Option<Function>> {
    let mut found: Vec<Option<Function>> = vec![None; names.len()];
    for table in [Table::Static, Table::Dynamic] {
        let Some(place) = place(elf, table) else {
            continue;
        };
        let missing: Vec<usize> = (0..names.len())
            .filter(|i| found.get(*i).is_some_and(Option::is_none))
            .collect();
        if missing.is_empty() {
            break;
        }
        let mut strings = source.window(place.strings.0, place.strings.1);
        let wanted = occurrences(&mut strings, names, &missing);
        if wanted.is_empty() {
            continue;
        }
        let mut symbols = source.window(place.symbols.0, place.symbols.1);
        for index in 0..symbols.len() / SYMBOL {
            let Some(symbol) = symbols.pod::<Sym64<LE>>(index * SYMBOL) else {
                break;
            };
            let Ok(at) = wanted
                .binary_search_by_key(&u64::from(symbol.st_name.get(LE)), |(offset, _)| *offset)
            else {
                continue;
            };
            if is_function(&symbol) != (kind == Kind::Function) || !is_defined(&symbol) {
                continue;
            }
            let Some((offset, which)) = wanted.get(at).copied() else {
                continue;
            };
            let Some(name) = names.get(which) else {
                continue;
            };
            let full = string(&mut strings, offset).unwrap_or_default();
            let variant = full
                .get(name.len()..)
                .filter(|rest| rest.starts_with('.'))
                .map(str::to_owned);
            let function = Function {
                name: (*name).to_owned(),
                address: symbol.st_value.get(LE),
                size: symbol.st_size.get(LE),
                variant,
            };
            if let Some(slot) = found.get_mut(which)
                && slot
                    .as_ref()
                    .is_none_or(|old| old.variant.is_some() && function.variant.is_none())
            {
                *slot = Some(function);
            }
        }
    }
    found
}

/// String-table offsets at which a wanted name stands, followed by its end, a `.` (variant) or a `@` (version).
/// Sorted by offset. A name may also be the tail of a longer one: linkers merge strings.
fn occurrences(strings: &mut Window<'_>, names: &[&str], which: &[usize]) -> Vec<(u64, usize)> {
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0) as u64 + 1;
    let mut found = Vec::new();
    let mut position = 0;
    loop {
        let piece = strings.piece(position);
        let len = piece.len() as u64;
        for &index in which {
            let Some(name) = names.get(index).filter(|name| !name.is_empty()) else {
                continue;
            };
            for at in memmem::find_iter(piece, name.as_bytes()) {
                if matches!(piece.get(at + name.len()), Some(0 | b'.' | b'@'))
                    && found.len() < OCCURRENCES_LIMIT
                {
                    found.push((position + at as u64, index));
                }
            }
        }
        // Pieces overlap, so that a name on the border is seen whole once at least.
        if len <= longest {
            break;
        }
        position += len - longest;
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Hands every entry of a table to `each`. For listings and tests: reads one string after the other.
pub(crate) fn visit(source: &Source, elf: &Elf, table: Table, each: &mut dyn FnMut(Symbol)) {
    let Some(place) = place(elf, table) else {
        return;
    };
    let mut symbols = source.window(place.symbols.0, place.symbols.1);
    let mut strings = source.window(place.strings.0, place.strings.1);
    for index in 0..symbols.len() / SYMBOL {
        let Some(symbol) = symbols.pod::<Sym64<LE>>(index * SYMBOL) else {
            break;
        };
        each(Symbol {
            name: string(&mut strings, u64::from(symbol.st_name.get(LE))).unwrap_or_default(),
            address: symbol.st_value.get(LE),
            size: symbol.st_size.get(LE),
            defined: is_defined(&symbol),
            function: is_function(&symbol),
        });
    }
}

fn is_function(symbol: &Sym64<LE>) -> bool {
    // The low four bits of st_info are the type: STT_FUNC, or STT_GNU_IFUNC whose address is only a resolver's.
    symbol.st_info.0 & 0xf == elf::STT_FUNC.0
}

fn is_defined(symbol: &Sym64<LE>) -> bool {
    symbol.st_shndx.get(LE).0 != elf::SHN_UNDEF.0 && symbol.st_value.get(LE) != 0
}

/// A NUL-terminated string; `None` past the end or beyond [`NAME_LIMIT`].
pub(crate) fn string(strings: &mut Window<'_>, at: u64) -> Option<String> {
    let mut take = 128;
    loop {
        let left = strings.len().checked_sub(at)?;
        let len = left.min(take) as usize;
        let bytes = strings.bytes(at, len)?;
        if let Some(end) = memchr::memchr(0, bytes) {
            return Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned());
        }
        if len as u64 == left || take as usize >= NAME_LIMIT {
            return None;
        }
        take *= 8;
    }
}

/// DT_NEEDED in order.
pub(crate) fn needed(source: &Source, elf: &Elf) -> Vec<String> {
    dynamic_strings(source, elf, elf::DT_NEEDED.0 as u64)
}

/// DT_SONAME.
pub(crate) fn soname(source: &Source, elf: &Elf) -> Option<String> {
    dynamic_strings(source, elf, elf::DT_SONAME.0 as u64)
        .into_iter()
        .next()
}

fn dynamic_strings(source: &Source, elf: &Elf, tag: u64) -> Vec<String> {
    let Some(place) = elf
        .tag(elf::DT_STRTAB.0 as u64)
        .and_then(|address| elf.offset_of(address))
    else {
        return Vec::new();
    };
    let mut strings = source.window(place, elf.tag(elf::DT_STRSZ.0 as u64).unwrap_or(0));
    let wanted = elf.dynamic.iter().filter(|(t, _)| *t == tag);
    wanted
        .filter_map(|(_, offset)| string(&mut strings, *offset))
        .collect()
}
