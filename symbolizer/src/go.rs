//! What the Go linker leaves in a file, stripped or not.
//!
//! In: a [`Binary`]. Out: the Go version, modules, functions by name. Go 1.18 to 1.26 are known; of others only
//! version and modules are told. Layouts of Go structs are in `layout`.

mod build_info;
mod layout;
mod pclntab;

use crate::Binary;
use crate::symbols::Function;

pub use build_info::{BuildInfo, GoVersion, Module};
pub use pclntab::Pclntab;

/// Build information and, where it was found, the function table of a Go binary.
pub struct Go<'a> {
    pub info: BuildInfo,
    binary: &'a Binary,
    table: Option<Pclntab>,
}

pub(crate) fn read(binary: &Binary) -> Option<Go<'_>> {
    let info = build_info::read(binary)?;
    Some(Go {
        info,
        binary,
        table: pclntab::find(binary),
    })
}

impl Go<'_> {
    /// Functions by exact name, in the order of `names`; all `None` when there is no readable function table.
    pub fn functions(&self, names: &[&str]) -> Vec<Option<Function>> {
        match &self.table {
            Some(table) => table.functions(self.binary, names),
            None => vec![None; names.len()],
        }
    }

    /// Offsets of members in structs of the Go library, in bytes: by the table of this Go version, else by the program's DWARF.
    pub fn members(&self, wanted: &[(&str, &str)]) -> Vec<Option<u64>> {
        let minor = self.info.version.minor();
        let known = |(structure, member): &(&str, &str)| layout::member(minor?, structure, member);
        let found: Vec<Option<u64>> = wanted.iter().map(known).collect();
        if found.contains(&None) {
            self.binary.members(wanted)
        } else {
            found
        }
    }

    /// Number of functions in the table; `None` when no table was found.
    pub fn function_count(&self) -> Option<u64> {
        self.table.as_ref().map(|table| table.count)
    }
}
