//! Messages of one direction of PostgreSQL's protocol (versions 3.0 and 3.2; PostgreSQL 18, chapter 54). In: pieces. Out: [`Message`]s with
//! as much of each body as [`keep`] allows: parameters, rows, copied data and passwords are stepped over by their length.

use crate::buffer::Buffer;
use crate::{Extent, HEAD, Piece, Stamp};

/// A startup packet: the only messages without a type.
pub const STARTUP: u8 = 0;
/// The longest startup packet that the server takes (src/backend/tcop/backend_startup.c).
const STARTUP_MAX: u32 = 10_000;
/// The longest message: a server allocates no more at once (MaxAllocSize).
const MESSAGE_MAX: u32 = 0x3fff_ffff;
/// Names of statements and portals.
const NAMES: usize = 256;

const FRONTEND: &[u8] = b"QPBDESHCdcfpFX";
const BACKEND: &[u8] = b"RKSZTDCENnts123IGHWdcAvV";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Frontend,
    Backend,
}

#[derive(Debug)]
pub struct Messages {
    side: Side,
    header: Vec<u8>,
    first: Stamp,
    /// The frontend has not begun its session: startup packets are to come.
    pub untyped: bool,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    kind: u8,
    left: u64,
    keep: Keep,
    cut: bool,
    buffer: Buffer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// So many bytes.
    Bytes(usize),
    /// So many strings with their NUL.
    Strings(u8),
}

#[derive(Debug)]
pub struct Message {
    pub kind: u8,
    kept: Buffer,
    /// Bytes that were to be kept are missing.
    pub cut: bool,
    pub extent: Extent,
}

impl Message {
    pub fn bytes(&self) -> &[u8] {
        self.kept.bytes()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    Gap,
    Malformed,
}

/// What of a body is looked at.
fn keep(side: Side, kind: u8) -> Keep {
    match (side, kind) {
        // The protocol's number and parameters, of which the database is one.
        (_, STARTUP) => Keep::Bytes(STARTUP_MAX as usize),
        (Side::Frontend, b'Q') => Keep::Bytes(HEAD),
        // Name and text; types of parameters follow.
        (Side::Frontend, b'P') => Keep::Strings(2),
        // Portal and statement; values of parameters follow.
        (Side::Frontend, b'B') => Keep::Strings(2),
        (Side::Frontend, b'E') => Keep::Strings(1),
        // `S` or `P`, and the name.
        (Side::Frontend, b'C') => Keep::Strings(1),
        // Severity twice, then the code; the message, which may quote values, follows.
        (Side::Backend, b'E') => Keep::Strings(3),
        (Side::Backend, b'C') => Keep::Strings(1),
        (Side::Backend, b'Z') => Keep::Bytes(1),
        _ => Keep::Bytes(0),
    }
}

impl Messages {
    pub fn new(side: Side, untyped: bool) -> Messages {
        Messages {
            side,
            header: Vec::new(),
            first: Stamp::default(),
            untyped,
            body: None,
        }
    }

    /// The next message that is complete with this piece, which is shortened by what was taken.
    pub fn next(&mut self, piece: &mut Piece, stamp: Stamp) -> Result<Option<Message>, Fail> {
        loop {
            if self.body.is_none() && !self.header(piece, stamp)? {
                return Ok(None);
            }
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            match piece {
                Piece::Bytes(bytes) => {
                    let here = usize::try_from(body.left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    let (taken, rest) = bytes.split_at_checked(here).unwrap_or_default();
                    *piece = Piece::Bytes(rest);
                    body.left -= here as u64;
                    body.take(taken, stamp);
                }
                Piece::Gap(n) => {
                    let here = body.left.min(*n);
                    *n -= here;
                    body.left -= here;
                    body.gap(here);
                }
            }
            if body.left > 0 {
                return Ok(None);
            }
            if let Some(body) = self.body.take() {
                return Ok(Some(Message {
                    kind: body.kind,
                    kept: body.buffer,
                    cut: body.cut,
                    extent: Extent {
                        first: self.first,
                        last: stamp,
                    },
                }));
            }
        }
    }

    /// `false`: the header is not complete.
    fn header(&mut self, piece: &mut Piece, stamp: Stamp) -> Result<bool, Fail> {
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Gap(0) => return Ok(false),
            Piece::Gap(_) => return Err(Fail::Gap),
        };
        if self.header.is_empty() && !bytes.is_empty() {
            self.first = stamp;
        }
        let want = if self.untyped { 4 } else { 5 };
        let here = usize::min(want - self.header.len().min(want), bytes.len());
        let (taken, rest) = bytes.split_at_checked(here).unwrap_or_default();
        *bytes = rest;
        self.header.extend_from_slice(taken);
        let (kind, len) = match (self.untyped, self.header.as_slice()) {
            (true, len) => (STARTUP, len),
            (false, [kind, len @ ..]) => (*kind, len),
            _ => return Ok(false),
        };
        let Ok(len) = len.try_into().map(u32::from_be_bytes) else {
            return Ok(false);
        };
        self.header.clear();
        if !plausible(self.side, kind, len) {
            return Err(Fail::Malformed);
        }
        self.body = Some(Body {
            kind,
            left: u64::from(len) - 4,
            keep: keep(self.side, kind),
            cut: false,
            buffer: Buffer::default(),
        });
        Ok(true)
    }
}

/// May a message of this type be so long? `len` counts itself.
pub fn plausible(side: Side, kind: u8, len: u32) -> bool {
    match (side, kind) {
        (Side::Frontend, STARTUP) => (8..=STARTUP_MAX).contains(&len),
        (Side::Frontend, _) => FRONTEND.contains(&kind) && (4..=MESSAGE_MAX).contains(&len),
        (Side::Backend, b'Z') => len == 5,
        (Side::Backend, _) => BACKEND.contains(&kind) && (4..=MESSAGE_MAX).contains(&len),
    }
}

impl Body {
    fn take(&mut self, bytes: &[u8], stamp: Stamp) {
        let wanted = match &mut self.keep {
            Keep::Bytes(left) => {
                let here = bytes.len().min(*left);
                *left -= here;
                here
            }
            Keep::Strings(left) => {
                let mut ends = bytes.iter().enumerate().filter(|(_, b)| **b == 0);
                let mut here = 0;
                while *left > 0 {
                    match ends.next() {
                        Some((at, _)) => {
                            here = at + 1;
                            *left -= 1;
                        }
                        None => {
                            here = bytes.len();
                            break;
                        }
                    }
                }
                here
            }
        };
        let limit = match self.kind {
            b'Q' | b'P' => HEAD,
            _ => NAMES,
        };
        let room = limit.saturating_sub(self.buffer.bytes().len());
        let kept = bytes.get(..wanted.min(room)).unwrap_or_default();
        self.cut |= wanted > room || (self.kind == b'Q' && wanted < bytes.len());
        if !self.cut || !kept.is_empty() {
            // Within the buffer's own cap by `limit`.
            self.buffer.push(kept, stamp);
        }
    }

    fn gap(&mut self, n: u64) {
        let wants = match self.keep {
            Keep::Bytes(left) => left > 0,
            Keep::Strings(left) => left > 0,
        };
        if n > 0 && wants {
            self.cut = true;
            self.keep = Keep::Bytes(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(side: Side, message: &[u8], size: usize) -> (u8, Vec<u8>, bool) {
        let mut messages = Messages::new(side, false);
        let mut found = None;
        for bytes in message.chunks(size) {
            let mut piece = Piece::Bytes(bytes);
            found = found.or(messages.next(&mut piece, Stamp::default()).unwrap());
        }
        let found = found.unwrap();
        (found.kind, found.bytes().to_vec(), found.cut)
    }

    #[test]
    fn values_are_not_even_buffered() {
        let cases: &[(Side, &[u8], &[u8])] = &[
            (Side::Frontend, b"p\0\0\0\x0bsecret\0", b""),
            (
                Side::Frontend,
                b"B\0\0\0\x13a\0bc\0\0\0\0\0secret",
                b"a\0bc\0",
            ),
            (Side::Frontend, b"P\0\0\0\x0ba\0bc\0\0\0", b"a\0bc\0"),
            (Side::Frontend, b"d\0\0\0\x0asecret", b""),
            (Side::Backend, b"D\0\0\0\x0asecret", b""),
            (Side::Backend, b"R\0\0\0\x0asecret", b""),
            (
                Side::Backend,
                b"E\0\0\0\x1aSA\0VA\0C42P01\0Msecret\0\0",
                b"SA\0VA\0C42P01\0",
            ),
        ];
        for (side, message, want) in cases {
            for size in 1..=message.len() {
                let (kind, bytes, cut) = kept(*side, message, size);
                assert_eq!((kind, bytes.as_slice(), cut), (message[0], *want, false));
            }
        }
    }

    #[test]
    fn gaps_in_what_is_stepped_over_are_none() {
        let mut messages = Messages::new(Side::Frontend, false);
        let stamp = Stamp::default();
        let mut next = |mut piece: Piece| messages.next(&mut piece, stamp);
        assert!(next(Piece::Bytes(b"B\0\0\0\x0ea\0b\0")).unwrap().is_none());
        let message = next(Piece::Gap(6)).unwrap().unwrap();
        assert!(!message.cut && message.bytes() == b"a\0b\0");
        assert!(next(Piece::Bytes(b"Q\0\0\0\x0dselect")).unwrap().is_none());
        let message = next(Piece::Gap(3)).unwrap().unwrap();
        assert!(message.cut && message.bytes() == b"select");
        assert_eq!(next(Piece::Gap(1)).unwrap_err(), Fail::Gap);
        assert_eq!(
            next(Piece::Bytes(b"?\0\0\0\x04")).unwrap_err(),
            Fail::Malformed
        );
    }
}
