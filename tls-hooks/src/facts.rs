//! What more than one table asks of a file, read once.

use symbolizer::{Binary, Go};

pub(crate) struct Facts<'a> {
    pub binary: &'a Binary,
    /// Build information and functions of a Go binary.
    pub go: Option<Go<'a>>,
}

impl<'a> Facts<'a> {
    pub fn read(binary: &'a Binary) -> Facts<'a> {
        Facts {
            binary,
            go: binary.go(),
        }
    }
}
