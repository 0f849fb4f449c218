//! Function extents from `.eh_frame_hdr`, which survives `strip`.
//!
//! In: an address inside some function. Out: its first address and its size. Only the table encoding that GNU ld and
//! lld write (sdata4 relative to the header) is read, and an entry counts only if its FDE repeats the same address.

use crate::elf::Elf;
use crate::source::{Source, Window};

/// version 1, eh_frame_ptr pcrel|sdata4, count udata4, table datarel|sdata4.
const HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const ENTRY: u64 = 8;

pub(crate) struct Table<'a> {
    source: &'a Source,
    elf: &'a Elf,
    address: u64,
    entries: Window<'a>,
    count: u64,
}

impl<'a> Table<'a> {
    pub fn open(source: &'a Source, elf: &'a Elf) -> Option<Table<'a>> {
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

    /// (first address, size) of the function that holds `address`.
    pub fn function(&mut self, address: u64) -> Option<(u64, u64)> {
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
        let size = self.size(start, fde)?;
        (address.checked_sub(start)? < size).then_some((start, size))
    }

    /// FDE: length, CIE pointer, pc_begin (pcrel sdata4), pc_range.
    fn size(&self, start: u64, fde: u64) -> Option<u64> {
        let bytes = self.source.read(self.elf.offset_of(fde)?, 16)?;
        let word = |at: usize| {
            bytes
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
        };
        let begin = fde
            .wrapping_add(8)
            .wrapping_add_signed(i64::from(word(8)? as i32));
        (begin == start).then_some(u64::from(word(12)?))
    }
}
