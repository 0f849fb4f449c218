//! Constants of the BPF object. In: the object's bytes and named values; out: the bytes of its `.rodata` map before the load.
//!
//! The sizes in the object's own data section record are 0 (the loader fills them), so places come from the ELF symbol table, which
//! `strip -g` keeps.

use std::collections::HashMap;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::error::Error;

/// Where each global stands in `.rodata`: (offset, size in bytes).
#[derive(Debug)]
pub struct Globals(HashMap<String, (usize, usize)>);

impl Globals {
    /// # Errors
    /// [`Error::Object`] if the bytes are not an ELF object with a symbol table.
    pub fn of(elf: &[u8]) -> Result<Globals, Error> {
        let file = object::File::parse(elf).map_err(|error| Error::Object(error.to_string()))?;
        let mut places = HashMap::new();
        for section in file
            .sections()
            .filter(|s| s.name().is_ok_and(|name| name.starts_with(".rodata")))
        {
            for symbol in file
                .symbols()
                .filter(|s| s.section_index() == Some(section.index()))
            {
                if let (Ok(name), Ok(offset), Ok(size)) = (
                    symbol.name(),
                    usize::try_from(symbol.address()),
                    usize::try_from(symbol.size()),
                ) && size > 0
                {
                    places.insert(name.to_owned(), (offset, size));
                }
            }
        }
        Ok(Globals(places))
    }

    /// Writes the bytes of a global; they must be of its own size.
    ///
    /// # Errors
    /// [`Error::Object`] if the object has no such global, or one of another size.
    pub fn set(&self, rodata: &mut [u8], name: &str, value: &[u8]) -> Result<(), Error> {
        let (offset, size) = *self
            .0
            .get(name)
            .ok_or_else(|| Error::Object(format!("it has no global named {name}")))?;
        let place = offset
            .checked_add(size)
            .and_then(|end| rodata.get_mut(offset..end));
        match place {
            Some(place) if size == value.len() => {
                place.copy_from_slice(value);
                Ok(())
            }
            _ => Err(Error::Object(format!(
                "its global {name} has {size} bytes, not {}",
                value.len()
            ))),
        }
    }
}
