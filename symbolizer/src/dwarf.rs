//! Offsets of struct members from DWARF 2 to 5.
//!
//! In: names of structs and members. Out: bytes from the start of the struct; for the member [`SIZE`], its size. Units are read one
//! after the other and only until everything asked for is found; never lines, never locations. A unit that does not decode is stepped over. The whole effort
//! has a limit, because tables in a hostile file can make each other expensive.

mod names;
mod section;

use gimli::{Abbreviations, AttributeValue, DebugAbbrev, DebugInfo, EndianSlice, LittleEndian};

use crate::elf::Elf;
use crate::source::Source;
use names::Names;
use section::Section;

/// Larger units (LTO) are stepped over.
const UNIT_LIMIT: u64 = 32 << 20;
const ABBREVIATIONS_LIMIT: u64 = 16 << 20;
/// What one unit's table of abbreviations can be; real ones are a few KiB.
const TABLE_LIMIT: usize = 64 << 10;
/// Bytes of units and tables decoded for one question.
const EFFORT_LIMIT: u64 = 512 << 20;

/// Asks for the size of the struct itself. A keyword of C, so that no member of C has this name; the Go structs asked for have none.
pub(crate) const SIZE: &str = "sizeof";

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = gimli::UnitHeader<Slice<'a>>;

/// Offsets of (struct, member), in the order of the questions.
pub(crate) fn members(source: &Source, elf: &Elf, wanted: &[(&str, &str)]) -> Vec<Option<u64>> {
    let mut search = Search {
        wanted,
        found: vec![None; wanted.len()],
        names: Names::default(),
    };
    let sections =
        Section::open(source, elf, "debug_info").zip(Section::open(source, elf, "debug_abbrev"));
    if let Some((info, mut abbreviations)) = sections
        && let Some(abbreviations) = abbreviations.up_to(ABBREVIATIONS_LIMIT)
    {
        let texts = wanted
            .iter()
            .flat_map(|(structure, member)| [*structure, *member]);
        search.names = Names::find(source, elf, texts);
        search.units(info, &abbreviations);
    }
    search.found
}

struct Search<'a> {
    wanted: &'a [(&'a str, &'a str)],
    found: Vec<Option<u64>>,
    names: Names,
}

impl Search<'_> {
    fn units(&mut self, mut info: Section<'_>, abbreviations: &[u8]) {
        let mut effort = 0;
        let mut known: Option<(usize, Abbreviations)> = None;
        while effort < EFFORT_LIMIT && self.found.iter().any(Option::is_none) {
            let mut bytes = Vec::new();
            if !info.append(&mut bytes, 4) {
                return;
            }
            let size = u64::from(u32::from_le_bytes(
                bytes.as_slice().try_into().unwrap_or_default(),
            ));
            // 64-bit DWARF: no compiler writes it by default.
            if size >= 0xffff_fff0 {
                return;
            }
            // Empty units cost as well.
            effort += size + 1024;
            if size > UNIT_LIMIT {
                if !info.skip(size) {
                    return;
                }
                continue;
            }
            if !info.append(&mut bytes, size) {
                return;
            }
            if !self.names.may_stand_in(&bytes) {
                continue;
            }
            let Ok(Some(unit)) = DebugInfo::new(&bytes, LittleEndian).units().next() else {
                continue;
            };
            let at = unit.debug_abbrev_offset().0;
            if known.as_ref().is_none_or(|(of, _)| *of != at) {
                let table = abbreviations.get(at..).unwrap_or_default();
                let table = table.get(..TABLE_LIMIT).unwrap_or(table);
                effort += table.len() as u64;
                // The slice begins at the unit's own table.
                known = DebugAbbrev::new(table, LittleEndian)
                    .abbreviations(gimli::DebugAbbrevOffset(0))
                    .ok()
                    .map(|table| (at, table));
            }
            if let Some((_, table)) = &known {
                // What was found before a broken entry still counts.
                let _ = self.unit(&unit, table);
            }
        }
    }

    fn unit(&mut self, unit: &Unit<'_>, abbreviations: &Abbreviations) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(abbreviations, None)?;
        // The struct whose members come now, and their depth.
        let mut inside: Option<(usize, isize)> = None;
        let mut base = None;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let tag = abbreviation.tag();
            let mut name = None;
            let mut location = None;
            let mut size = None;
            for attribute in abbreviation.attributes() {
                let value = entries.read_attribute(*attribute)?;
                match attribute.name() {
                    gimli::DW_AT_name => name = self.names.index(&value.value(), base),
                    gimli::DW_AT_data_member_location => location = offset(&value.value()),
                    gimli::DW_AT_byte_size => size = value.udata_value(),
                    gimli::DW_AT_str_offsets_base => {
                        if let AttributeValue::DebugStrOffsetsBase(at) = value.value() {
                            base = Some(at.0);
                        }
                    }
                    _ => {}
                }
            }
            if inside.is_some_and(|(_, of)| depth < of) {
                inside = None;
            }
            match tag {
                gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type if inside.is_none() => {
                    // Without children it is only declared here.
                    inside = name
                        .filter(|_| abbreviation.has_children())
                        .map(|name| (name, depth + 1));
                    if let (Some((structure, _)), Some(size)) = (inside, size) {
                        self.take(structure, Some(SIZE), size);
                    }
                }
                gimli::DW_TAG_member => {
                    if let (Some((structure, of)), Some(name), Some(offset)) =
                        (inside, name, location)
                        && depth == of
                    {
                        let member = self.names.text(name).map(str::to_owned);
                        self.take(structure, member.as_deref(), offset);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `structure` is an index of [`Names`].
    fn take(&mut self, structure: usize, member: Option<&str>, offset: u64) {
        let structure = self.names.text(structure);
        for ((s, m), found) in self.wanted.iter().zip(&mut self.found) {
            if found.is_none() && Some(*s) == structure && Some(*m) == member {
                *found = Some(offset);
            }
        }
    }
}

/// A constant, or the expression `DW_OP_plus_uconst N` of older producers.
fn offset(value: &AttributeValue<Slice<'_>>) -> Option<u64> {
    if let AttributeValue::Exprloc(expression) = value {
        let mut operations = expression.0;
        let plus = gimli::Reader::read_u8(&mut operations).ok()?;
        return (plus == gimli::DW_OP_plus_uconst.0)
            .then(|| gimli::Reader::read_uleb128(&mut operations).ok())
            .flatten();
    }
    value.udata_value()
}
