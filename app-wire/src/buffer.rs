//! A head while it is not complete: its bytes up to [`HEAD`](crate::HEAD), and the calls that moved the first and the last of them.

use crate::{Extent, HEAD, Stamp};

#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    extent: Option<Extent>,
}

// A head may hold what nobody is to see (cookies, literals): never printed.
impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl Buffer {
    /// `false`: it does not fit.
    pub fn push(&mut self, bytes: &[u8], stamp: Stamp) -> bool {
        if self.bytes.len().saturating_add(bytes.len()) > HEAD {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        self.touch(stamp);
        true
    }

    /// Bytes of `stamp`'s call belong to the head, kept or not.
    pub fn touch(&mut self, stamp: Stamp) {
        self.extent.get_or_insert_with(|| Extent::at(stamp)).last = stamp;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn extent(&self) -> Option<Extent> {
        self.extent
    }
}
