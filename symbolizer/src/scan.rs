//! Searches over whole segments in small windows: bytes, references to an address, direct calls.
//!
//! In: what to look for. Out: addresses, at most a given number. Used where no table names a thing (stripped
//! files), so every result is a candidate that the caller must confirm. x86-64 encodings only for code.

use memchr::memmem;

use crate::elf::{Elf, Machine, Segment};
use crate::source::Source;

/// What one search reads at most. Real programs have less to load; segments of a lying one may overlap.
const SEARCH_LIMIT: u64 = 1 << 30;

fn segments(elf: &Elf, wanted: impl Fn(&Segment) -> bool) -> impl Iterator<Item = &Segment> {
    let mut left = SEARCH_LIMIT;
    elf.segments
        .iter()
        .filter(move |segment| wanted(segment))
        .take_while(move |segment| {
            let fits = segment.file_size <= left;
            left = left.saturating_sub(segment.file_size);
            fits
        })
}

/// Addresses of each of `needles` (at most 4 KiB long) in the segments that `wanted` picks, at most `limit` of each; all are
/// looked for in one walk.
pub(crate) fn bytes(
    source: &Source,
    elf: &Elf,
    needles: &[&[u8]],
    limit: usize,
    wanted: fn(&Segment) -> bool,
) -> Vec<Vec<u64>> {
    let mut found = vec![Vec::new(); needles.len()];
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
    if longest == 0 || longest > 4096 {
        return found;
    }
    let finders: Vec<memmem::Finder<'_>> = needles
        .iter()
        .map(|needle| memmem::Finder::new(*needle))
        .collect();
    for segment in segments(elf, wanted) {
        walk(source, segment, longest - 1, &mut |address, piece| {
            for (finder, found) in finders.iter().zip(&mut found) {
                for at in finder
                    .find_iter(piece)
                    .filter(|_| !finder.needle().is_empty())
                {
                    let address = address.wrapping_add(at as u64);
                    // A short needle in the overlap is seen twice.
                    if found.last().is_none_or(|last| *last < address) && found.len() < limit {
                        found.push(address);
                    }
                }
            }
            found.iter().any(|found| found.len() < limit)
        });
    }
    found
}

/// Instructions that load one of `targets` (sorted) into a register: (address of the instruction, target).
/// `lea reg, [rip+disp32]`, and `mov reg32, imm32` in files at a fixed address.
pub(crate) fn address_loads(
    source: &Source,
    elf: &Elf,
    targets: &[u64],
    limit: usize,
) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    if elf.machine != Machine::X86_64 {
        return found;
    }
    let fixed = !elf.dynamic_type;
    code(source, elf, 6, &mut |address, bytes| {
        let target = match *bytes {
            // REX.W or REX.WR, 8d /r with mod 00 rm 101.
            [0x48 | 0x4c, 0x8d, modrm, a, b, c, d] if modrm & 0xc7 == 0x05 => {
                let disp = i32::from_le_bytes([a, b, c, d]);
                address.wrapping_add(7).wrapping_add_signed(i64::from(disp))
            }
            [op, a, b, c, d, ..] if fixed && op & 0xf8 == 0xb8 => {
                u64::from(u32::from_le_bytes([a, b, c, d]))
            }
            _ => return true,
        };
        if targets.binary_search(&target).is_ok() {
            found.push((address, target));
        }
        found.len() < limit
    });
    found
}

/// Direct calls and jumps (`e8`/`e9` rel32) to `target`: addresses of the instructions.
pub(crate) fn direct_calls(source: &Source, elf: &Elf, target: u64, limit: usize) -> Vec<u64> {
    let mut found = Vec::new();
    if elf.machine != Machine::X86_64 {
        return found;
    }
    code(source, elf, 4, &mut |address, bytes| {
        if let [0xe8 | 0xe9, a, b, c, d, ..] = *bytes
            && address
                .wrapping_add(5)
                .wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d])))
                == target
        {
            found.push(address);
        }
        found.len() < limit
    });
    found
}

/// Hands `extra + 1` bytes at every address of the executable segments to `each` until it answers `false`.
fn code(source: &Source, elf: &Elf, extra: usize, each: &mut dyn FnMut(u64, &[u8]) -> bool) {
    for segment in segments(elf, |segment| segment.executable) {
        walk(source, segment, extra, &mut |address, piece| {
            piece
                .windows(extra + 1)
                .enumerate()
                .all(|(at, bytes)| each(address.wrapping_add(at as u64), bytes))
        });
    }
}

/// Pieces of a segment with their addresses; each repeats the last `overlap` bytes of the one before.
pub(crate) fn walk(
    source: &Source,
    segment: &Segment,
    overlap: usize,
    each: &mut dyn FnMut(u64, &[u8]) -> bool,
) {
    let mut window = source.window(segment.offset, segment.file_size);
    let mut position = 0;
    loop {
        let piece = window.piece(position);
        let len = piece.len();
        if !each(segment.address.wrapping_add(position), piece) || len <= overlap {
            return;
        }
        position += (len - overlap) as u64;
    }
}
