//! What the streaming codecs share. In: pieces of a body; out: parts of it that have to be whole, or nothing of parts that nobody reads.

/// Parts that can only be read whole, gathered over pieces.
#[derive(Debug, Default)]
pub(super) struct Gather {
    held: Vec<u8>,
    given: bool,
}

impl Gather {
    /// The next `need` bytes; None: they are not all there yet, and `piece` is used up.
    pub(super) fn take<'a, 'p: 'a>(
        &'a mut self,
        piece: &mut &'p [u8],
        need: usize,
    ) -> Option<&'a [u8]> {
        if self.given {
            self.held.clear();
            self.given = false;
        }
        if self.held.is_empty()
            && let Some((front, rest)) = piece.split_at_checked(need)
        {
            *piece = rest;
            return Some(front);
        }
        let missing = need.saturating_sub(self.held.len());
        let (now, later) = piece.split_at(missing.min(piece.len()));
        self.held.extend_from_slice(now);
        *piece = later;
        self.given = self.held.len() >= need;
        self.given.then_some(&self.held)
    }

    /// Nothing waits for its rest.
    pub(super) fn is_empty(&self) -> bool {
        self.given || self.held.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.held
    }

    pub(super) fn held(&self) -> usize {
        self.held.capacity()
    }
}

/// Steps over up to `left` bytes.
pub(super) fn skip(piece: &mut &[u8], left: &mut u32) {
    let n = piece.len().min(*left as usize);
    *piece = piece.get(n..).unwrap_or_default();
    *left -= n as u32;
}
