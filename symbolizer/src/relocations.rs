//! Words that hold addresses, as they will stand in memory before the load address is added.
//!
//! In: a virtual address. Out: its 64-bit word with RELATIVE relocations applied. In position-independent files the
//! word in the file may be 0 and the address only in `.rela.dyn`. Other relocation types are symbols of other files
//! and stay unresolved. RELR needs no work: its addends stand in place.

use object::LittleEndian as LE;
use object::elf::{self, Rela64};

use crate::elf::{Elf, Machine};
use crate::source::Source;

const RELA: u64 = size_of::<Rela64<LE>>() as u64;

fn relative(elf: &Elf) -> u32 {
    match elf.machine {
        Machine::X86_64 => elf::R_X86_64_RELATIVE.0,
        Machine::Aarch64 => elf::R_AARCH64_RELATIVE.0,
    }
}

fn table(elf: &Elf) -> Option<(u64, u64)> {
    let offset = elf.offset_of(elf.tag(elf::DT_RELA.0 as u64)?)?;
    Some((offset, elf.tag(elf::DT_RELASZ.0 as u64)?))
}

/// The words at `addresses`, in one walk over the relocations.
pub(crate) fn words(source: &Source, elf: &Elf, addresses: &[u64]) -> Vec<Option<u64>> {
    let mut words: Vec<Option<u64>> = addresses
        .iter()
        .map(|a| {
            source
                .pod::<object::U64<LE>>(elf.offset_of(*a)?)
                .map(|w| w.get(LE))
        })
        .collect();
    if !elf.dynamic_type {
        return words;
    }
    visit(source, elf, &mut |address, addend| {
        for (wanted, word) in addresses.iter().zip(&mut words) {
            if *wanted == address {
                *word = Some(addend);
            }
        }
        true
    });
    words
}

/// Hands (address, addend) of every RELATIVE relocation to `each` until it answers `false`.
pub(crate) fn visit(source: &Source, elf: &Elf, each: &mut dyn FnMut(u64, u64) -> bool) {
    let Some((offset, size)) = table(elf) else {
        return;
    };
    let wanted = relative(elf);
    let mut window = source.window(offset, size);
    for index in 0..window.len() / RELA {
        let Some(rela) = window.pod::<Rela64<LE>>(index * RELA) else {
            return;
        };
        // r_info: symbol in the upper half, type in the lower.
        if rela.r_info.get(LE) as u32 == wanted
            && !each(rela.r_offset.get(LE), rela.r_addend.get(LE) as u64)
        {
            return;
        }
    }
}

/// Addresses at which `words` will stand one behind the other, put there by relocations in ascending order (as
/// linkers write them), at most `limit`.
pub(crate) fn runs(source: &Source, elf: &Elf, words: &[u64], limit: usize) -> Vec<u64> {
    let mut found = Vec::new();
    let Some(first) = words.first() else {
        return found;
    };
    let (mut start, mut len) = (0u64, 0usize);
    visit(source, elf, &mut |address, addend| {
        let next = start.checked_add(len as u64 * 8);
        if len > 0 && next == Some(address) && words.get(len) == Some(&addend) {
            len += 1;
        } else {
            (start, len) = (address, usize::from(addend == *first));
        }
        if len == words.len() {
            found.push(start);
            len = 0;
        }
        found.len() < limit
    });
    found
}
