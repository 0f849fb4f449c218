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

    /// Offset of a member in a struct of the Go library, bytes, for the Go version of this binary.
    pub fn member(&self, structure: &str, member: &str) -> Option<u64> {
        layout::member(self.info.version.minor()?, structure, member)
    }

    /// Number of functions in the table; `None` when no table was found.
    pub fn function_count(&self) -> Option<u64> {
        self.table.as_ref().map(|table| table.count)
    }
}
