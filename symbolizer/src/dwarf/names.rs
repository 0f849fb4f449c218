//! Names as debug entries refer to them: in place, or by an offset into `.debug_str`.
//!
//! In: the texts that are looked for. Out: which of them an attribute means. `.debug_str` is read once, as a stream, for
//! the offsets of these texts alone.

use std::io::Read;

use gimli::AttributeValue;
use memchr::memmem;

use super::Slice;
use super::section::Section;
use crate::elf::Elf;
use crate::source::Source;

const CHUNK: usize = 64 << 10;
/// Distinct strings are stored once; merged tails may add a few.
const OCCURRENCES_LIMIT: usize = 1024;
const STRINGS_LIMIT: u64 = 512 << 20;
const INDEX_LIMIT: u64 = 16 << 20;

#[derive(Default)]
pub(super) struct Names {
    texts: Vec<String>,
    /// (offset in `.debug_str`, index of the text), sorted.
    offsets: Vec<(usize, usize)>,
    /// `.debug_str_offsets`: words of the `strx` forms.
    words: Vec<u8>,
}

impl Names {
    pub fn find<'t>(source: &Source, elf: &Elf, texts: impl Iterator<Item = &'t str>) -> Names {
        let mut names = Names {
            texts: texts.map(str::to_owned).collect(),
            ..Names::default()
        };
        names.texts.sort_unstable();
        names.texts.dedup();
        if let Some(strings) = Section::open(source, elf, "debug_str") {
            names.scan(strings);
        }
        names.offsets.sort_unstable();
        names.offsets.dedup();
        let words = Section::open(source, elf, "debug_str_offsets");
        names.words = words
            .and_then(|mut words| words.up_to(INDEX_LIMIT))
            .unwrap_or_default();
        names
    }

    fn scan(&mut self, mut strings: Section<'_>) {
        let longest = self.texts.iter().map(String::len).max().unwrap_or(0) + 1;
        // Pieces overlap by the longest text, so that each is seen whole once.
        let mut piece: Vec<u8> = Vec::new();
        let mut at = 0u64;
        while at < STRINGS_LIMIT {
            let kept = piece.len();
            if strings
                .by_ref()
                .take(CHUNK as u64)
                .read_to_end(&mut piece)
                .is_err()
                || piece.len() == kept
            {
                return;
            }
            for (index, text) in self.texts.iter().enumerate() {
                for found in memmem::find_iter(&piece, text.as_bytes()) {
                    let ends = piece.get(found + text.len()) == Some(&0);
                    if ends && self.offsets.len() < OCCURRENCES_LIMIT {
                        self.offsets.push((at as usize + found, index));
                    }
                }
            }
            let gone = piece.len().saturating_sub(longest);
            piece.drain(..gone);
            at += gone as u64;
        }
    }

    /// False when no text stands in the unit and none can be meant by an offset: then it need not be decoded.
    pub fn may_stand_in(&self, unit: &[u8]) -> bool {
        !self.offsets.is_empty()
            || self
                .texts
                .iter()
                .any(|text| memmem::find(unit, text.as_bytes()).is_some())
    }

    /// The index of the text that an attribute means.
    pub fn index(&self, value: &AttributeValue<Slice<'_>>, base: Option<usize>) -> Option<usize> {
        match value {
            AttributeValue::String(text) => {
                let text = std::str::from_utf8(text.slice()).ok()?;
                self.texts
                    .binary_search_by(|known| known.as_str().cmp(text))
                    .ok()
            }
            AttributeValue::DebugStrRef(offset) => self.by_offset(offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => {
                // Behind the header of 8 bytes when the unit names no base.
                let at = base.unwrap_or(8).checked_add(index.0.checked_mul(4)?)?;
                let word = self.words.get(at..at.checked_add(4)?)?;
                self.by_offset(u32::from_le_bytes(word.try_into().ok()?) as usize)
            }
            _ => None,
        }
    }

    fn by_offset(&self, offset: usize) -> Option<usize> {
        let at = self
            .offsets
            .binary_search_by_key(&offset, |(offset, _)| *offset)
            .ok()?;
        self.offsets.get(at).map(|(_, index)| *index)
    }

    pub fn text(&self, index: usize) -> Option<&str> {
        self.texts.get(index).map(String::as_str)
    }
}
