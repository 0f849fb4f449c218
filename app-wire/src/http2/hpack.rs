//! HPACK (RFC 7541), decoding. In: complete header blocks of one direction, in order. Out: the fields that [`Name`] knows.
//!
//! An observer needs of the dynamic table only how large each entry is, and name and value where they are fields that we show. So the
//! values of all others (cookies, tokens) are measured, never kept. The table's size is what the encoder says, up to [`TABLE`]: a larger
//! SETTINGS_HEADER_TABLE_SIZE takes effect only through an update within a block, so that SETTINGS need not be read.

use std::collections::VecDeque;

use super::huffman;
use super::static_table::STATIC;
use crate::HEAD;
use crate::head::Name;

/// The largest dynamic table that we follow, in the RFC's measure (4.1). Browsers ask for 64 KiB; servers mostly stay with 4 KiB.
pub const TABLE: usize = 64 * 1024;
/// What an entry costs beside its octets (4.1).
const ENTRY: usize = 32;
/// Octets of values that one block may yield: references to one large entry must not multiply.
const YIELD: usize = 4 * HEAD;

#[derive(Debug)]
pub struct Decoder {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Option<Name>,
    name_len: usize,
    /// Empty where the name is none of ours.
    value: Box<[u8]>,
    size: usize,
}

/// The block cannot be decoded, nor can any later one.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            entries: VecDeque::new(),
            size: 0,
            max: 4096,
        }
    }
}

impl Decoder {
    pub fn block(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(Name, &[u8]),
    ) -> Result<(), Broken> {
        let mut input = Input(block);
        let mut allowed = YIELD;
        let mut scratch = Vec::new();
        while let Some(first) = input.0.first().copied() {
            let indexed = first & 0x80 != 0;
            let inserted = first & 0xc0 == 0x40;
            if first & 0xe0 == 0x20 {
                self.resize(input.integer(5)?)?;
                continue;
            }
            if indexed {
                let index = input.integer(7)?;
                if let Some((name, value)) = self.entry(index)? {
                    allowed = allowed.checked_sub(value.len()).ok_or(Broken)?;
                    field(name, value);
                }
                continue;
            }
            let index = input.integer(if inserted { 6 } else { 4 })?;
            let (name, name_len) = match index {
                0 => {
                    scratch.clear();
                    let len = input.string(Some(&mut scratch))?;
                    (Name::of(&scratch), len)
                }
                index => self.name(index)?,
            };
            scratch.clear();
            let keep = name.is_some().then_some(&mut scratch);
            let value_len = input.string(keep)?;
            if let Some(name) = name {
                allowed = allowed.checked_sub(value_len).ok_or(Broken)?;
                field(name, &scratch);
            }
            if inserted {
                self.insert(Entry {
                    name,
                    name_len,
                    value: scratch.as_slice().into(),
                    size: name_len + value_len + ENTRY,
                });
            }
        }
        Ok(())
    }

    /// A field that we show, or `None` for any other.
    fn entry(&self, index: usize) -> Result<Option<(Name, &[u8])>, Broken> {
        let at = index.checked_sub(1).ok_or(Broken)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Ok(Name::of(name.as_bytes()).map(|name| (name, value.as_bytes())));
        }
        let entry = self.entries.get(at - STATIC.len()).ok_or(Broken)?;
        Ok(entry.name.map(|name| (name, &*entry.value)))
    }

    fn name(&self, index: usize) -> Result<(Option<Name>, usize), Broken> {
        let at = index.checked_sub(1).ok_or(Broken)?;
        if let Some((name, _)) = STATIC.get(at) {
            return Ok((Name::of(name.as_bytes()), name.len()));
        }
        let entry = self.entries.get(at - STATIC.len()).ok_or(Broken)?;
        Ok((entry.name, entry.name_len))
    }

    fn insert(&mut self, entry: Entry) {
        // One that is larger than the table empties it (4.4).
        let fits = entry.size <= self.max;
        self.evict(self.max.saturating_sub(entry.size));
        if fits {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    fn resize(&mut self, max: usize) -> Result<(), Broken> {
        if max > TABLE {
            return Err(Broken);
        }
        self.max = max;
        self.evict(max);
        Ok(())
    }

    fn evict(&mut self, until: usize) {
        while self.size > until
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.0.split_first().ok_or(Broken)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Section 5.1; four continuation octets hold more than any length or index here.
    fn integer(&mut self, prefix: u32) -> Result<usize, Broken> {
        let mask = (1u8 << prefix) - 1;
        let mut value = usize::from(self.byte()? & mask);
        if value < usize::from(mask) {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    /// Section 5.2: its length, and the text where it is asked for.
    fn string(&mut self, mut keep: Option<&mut Vec<u8>>) -> Result<usize, Broken> {
        let coded = self.0.first().ok_or(Broken)? & 0x80 != 0;
        let len = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(len).ok_or(Broken)?;
        self.0 = rest;
        if coded {
            return huffman::decode(text, &mut keep).ok_or(Broken);
        }
        if let Some(keep) = keep {
            keep.extend_from_slice(text);
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
