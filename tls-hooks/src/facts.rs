//! What more than one table asks of a file, read once.

use std::cell::OnceCell;

use symbolizer::{Binary, Go};

/// Texts that betray a library in a file without symbols.
const TEXTS: [&[u8]; 2] = [b"ssl_read_internal\0", b"rdkafka_partition.c\0"];
/// Texts merge with the tails of longer ones; a few places are many.
const PLACES: usize = 8;

pub(crate) struct Facts<'a> {
    pub binary: &'a Binary,
    /// Build information and functions of a Go binary.
    pub go: Option<Go<'a>>,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    texts: OnceCell<[bool; 2]>,
    goid: OnceCell<Option<u16>>,
}

impl<'a> Facts<'a> {
    pub fn read(binary: &'a Binary) -> Facts<'a> {
        Facts {
            binary,
            go: binary.go(),
            needed: binary.needed(),
            texts: OnceCell::new(),
            goid: OnceCell::new(),
        }
    }

    /// A Go program that needs no library holds no C code.
    pub fn pure_go(&self) -> bool {
        self.go.is_some() && self.needed.is_empty()
    }

    /// Where a goroutine's id stands in its `g`.
    pub fn goid(&self) -> Option<u16> {
        *self.goid.get_or_init(|| {
            let members = self.go.as_ref()?.members(&[("runtime.g", "goid")]);
            u16::try_from(members.into_iter().next().flatten()?).ok()
        })
    }

    /// The name that `ssl_read_internal` puts into its errors (OpenSSL 3), or into a table of texts (1.1.1).
    pub fn names_ssl_read(&self) -> bool {
        self.texts()[0]
    }

    /// The name of a source file that librdkafka's assertions hold.
    pub fn names_rdkafka(&self) -> bool {
        self.texts()[1]
    }

    fn texts(&self) -> [bool; 2] {
        *self.texts.get_or_init(|| {
            if self.pure_go() {
                return [false; 2];
            }
            let found = self.binary.find_in_rodata(&TEXTS, PLACES);
            [0, 1].map(|text| found.get(text).is_some_and(|places| !places.is_empty()))
        })
    }
}
