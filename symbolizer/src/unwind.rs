//! Function extents from unwind tables, which survive `strip`.
//!
//! In: an address inside some function. Out: its first address and its size. `.eh_frame_hdr` is searched where there is
//! one; statically linked programs at a fixed address have none, and `.eh_frame` is walked. Only the encoding that GNU ld
//! and lld write (sdata4 relative to the place) is read; others give no answer.

use object::elf;

use crate::elf::Elf;
use crate::source::{Source, Window};

/// version 1, eh_frame_ptr pcrel|sdata4, count udata4, table datarel|sdata4.
const HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const ENTRY: u64 = 8;
/// DW_EH_PE_pcrel | DW_EH_PE_sdata4.
const PCREL_SDATA4: u8 = 0x1b;

/// (first address, size) of the function that holds `address`.
pub(crate) fn function(source: &Source, elf: &Elf, address: u64) -> Option<(u64, u64)> {
    match Table::open(source, elf) {
        Some(mut table) => table.function(address),
        None => walk(source, elf, address),
    }
}

struct Table<'a> {
    source: &'a Source,
    elf: &'a Elf,
    address: u64,
    entries: Window<'a>,
    count: u64,
}

impl<'a> Table<'a> {
    fn open(source: &'a Source, elf: &'a Elf) -> Option<Table<'a>> {
        let address = elf.unwind_header?;
        let offset = elf.offset_of(address)?;
        let head = source.read(offset, 12)?;
        if head.get(..4)? != HEADER {
            return None;
        }
        let count = u64::from(u32::from_le_bytes(head.get(8..12)?.try_into().ok()?));
        let entries = source.window(offset + 12, count * ENTRY);
        // A count past the end of the file is a lie; what is there may still be searched.
        let count = count.min(entries.len() / ENTRY);
        Some(Table {
            source,
            elf,
            address,
            entries,
            count,
        })
    }

    fn entry(&mut self, index: u64) -> Option<(u64, u64)> {
        let start = self.entries.u32(index * ENTRY)? as i32;
        let fde = self.entries.u32(index * ENTRY + 4)? as i32;
        Some((
            self.address.wrapping_add_signed(i64::from(start)),
            self.address.wrapping_add_signed(i64::from(fde)),
        ))
    }

    fn function(&mut self, address: u64) -> Option<(u64, u64)> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.0 <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let (start, fde) = self.entry(low.checked_sub(1)?)?;
        let bytes = self.source.read(self.elf.offset_of(fde)?, 16)?;
        let (begin, size) = extent(&bytes, fde)?;
        // The entry counts only if its FDE repeats the same address.
        (begin == start && address.checked_sub(start)? < size).then_some((start, size))
    }
}

/// FDE at `at`: length, CIE pointer, pc_begin (relative to its own place), pc_range.
fn extent(fde: &[u8], at: u64) -> Option<(u64, u64)> {
    let word = |at: usize| fde.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let begin = at
        .wrapping_add(8)
        .wrapping_add_signed(i64::from(word(8)? as i32));
    Some((begin, u64::from(word(12)?)))
}

fn walk(source: &Source, elf: &Elf, address: u64) -> Option<(u64, u64)> {
    let section = elf
        .section(".eh_frame")
        .filter(|section| section.kind == elf::SHT_PROGBITS.0)?;
    let mut frames = source.window(section.offset, section.size);
    let mut at = 0;
    loop {
        let (length, id) = (frames.u32(at)?, frames.u32(at + 4)?);
        // 0 ends the table; the 64-bit form is not written by linkers for tables below 4 GiB.
        if length < 4 || length == u32::MAX {
            return None;
        }
        if id != 0 && length >= 12 {
            let (begin, size) = extent(frames.bytes(at, 16)?, section.address.wrapping_add(at))?;
            if address.wrapping_sub(begin) < size {
                let cie = (at + 4).checked_sub(u64::from(id))?;
                return (encoding(&mut frames, cie)? == PCREL_SDATA4).then_some((begin, size));
            }
        }
        at += 4 + u64::from(length);
    }
}

/// Pointer encoding that a CIE gives to its FDEs: the data of `R` in its augmentation.
fn encoding(frames: &mut Window<'_>, cie: u64) -> Option<u8> {
    let size = (u64::from(frames.u32(cie)?) + 4).min(64) as usize;
    let bytes = frames.bytes(cie, size)?;
    // length, id, version; then the augmentation, "zR", "zPLR", ...
    let rest = bytes.get(9..)?;
    let end = memchr::memchr(0, rest)?;
    let augmentation = rest.get(..end)?.strip_prefix(b"z")?;
    let mut data = rest.get(end + 1..)?;
    // Code and data alignment, return register, length of the augmentation data.
    for _ in 0..4 {
        data = data.get(data.iter().position(|byte| byte & 0x80 == 0)? + 1..)?;
    }
    for letter in augmentation {
        match letter {
            b'R' => return data.first().copied(),
            b'L' => data = data.get(1..)?,
            // Personality: an encoding and a pointer, of four bytes in the encodings that end in sdata4 or udata4.
            b'P' => {
                data = data.get(
                    if matches!(data.first()? & 0x0f, 0x03 | 0x0b) {
                        5
                    } else {
                        9
                    }..,
                )?
            }
            _ => return None,
        }
    }
    None
}
