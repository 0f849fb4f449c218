//! How far a message body goes (RFC 9112, sections 6 and 7). In: framing fields of a head, then the pieces of the body. Out: how much of each
//! piece is body; not a byte of it is kept.

use crate::Piece;

#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked(Chunk),
    /// An answer without framing fields ends with the connection.
    UntilClose,
}

/// Where we are in `chunk-size [ext] CRLF data CRLF … 0 CRLF trailers CRLF`.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    Data(u64),
    DataEnd,
    Trailer { empty_line: bool },
}

pub const CHUNKED: Body = Body::Chunked(Chunk::Size {
    value: 0,
    digits: 0,
});

const CRLF: u64 = 2;
/// `0 CRLF CRLF`
const LAST_CHUNK: u64 = 5;

#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of it, and the body goes on.
    All,
    /// The body ended within the piece, or with it; so much of it was body.
    Done(u64),
    /// The gap covered more than the body's data.
    Lost,
    Malformed,
}

impl Body {
    pub fn take(&mut self, piece: Piece) -> Taken {
        let len = match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Gap(n) => n,
        };
        match self {
            Body::UntilClose => Taken::All,
            Body::Length(left) if len >= *left => {
                let done = Taken::Done(*left);
                *left = 0;
                done
            }
            Body::Length(left) => {
                *left -= len;
                Taken::All
            }
            Body::Chunked(chunk) => match piece {
                Piece::Bytes(bytes) => chunk.take(bytes),
                Piece::Gap(n) => chunk.step_over(n),
            },
        }
    }
}

impl Chunk {
    fn step_over(&mut self, n: u64) -> Taken {
        match self {
            Chunk::Data(left) if n <= *left => {
                *left -= n;
                if *left == 0 {
                    *self = Chunk::DataEnd;
                }
                Taken::All
            }
            // Of a long call only the beginning is copied: what is missing of it may hold the end of the chunk, and that of the body.
            Chunk::Data(left) if n == left.saturating_add(CRLF) => {
                *self = Chunk::Size {
                    value: 0,
                    digits: 0,
                };
                Taken::All
            }
            Chunk::Data(left) if n == left.saturating_add(CRLF + LAST_CHUNK) => Taken::Done(n),
            _ if n == 0 => Taken::All,
            _ => Taken::Lost,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Chunk::Data(left) = self {
                let here = (*left).min((bytes.len() - at) as u64);
                at += here as usize;
                self.step_over(here);
                continue;
            }
            at += 1;
            match self.line_byte(*byte) {
                Some(true) => return Taken::Done(at as u64),
                Some(false) => {}
                None => return Taken::Malformed,
            }
        }
        Taken::All
    }

    /// `Some(true)`: the body is complete. `None`: no chunked body.
    fn line_byte(&mut self, byte: u8) -> Option<bool> {
        *self = match (&*self, byte) {
            (Chunk::Size { digits: 1.., value } | Chunk::Extension { value }, b'\n') => {
                match *value {
                    0 => Chunk::Trailer { empty_line: true },
                    n => Chunk::Data(n),
                }
            }
            (&Chunk::Size { value, digits }, _) => match (byte as char).to_digit(16) {
                Some(digit) if digits < 16 => Chunk::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                },
                None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                    Chunk::Extension { value }
                }
                _ => return None,
            },
            (&Chunk::Extension { value }, _) => Chunk::Extension { value },
            (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
            (Chunk::DataEnd, b'\n') => Chunk::Size {
                value: 0,
                digits: 0,
            },
            (Chunk::Trailer { empty_line: true }, b'\n') => return Some(true),
            (Chunk::Trailer { .. }, b'\n') => Chunk::Trailer { empty_line: true },
            (&Chunk::Trailer { empty_line }, b'\r') => Chunk::Trailer { empty_line },
            (Chunk::Trailer { .. }, _) => Chunk::Trailer { empty_line: false },
            (Chunk::DataEnd | Chunk::Data(_), _) => return None,
        };
        Some(false)
    }
}

/// Framing fields of a head.
#[derive(Debug, Default)]
pub struct Framing {
    length: Option<u64>,
    encoded: bool,
    chunked: bool,
    contradictory: bool,
}

impl Framing {
    pub fn field(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        if name.eq_ignore_ascii_case("transfer-encoding") {
            let last = value.rsplit(',').next().unwrap_or_default().trim();
            self.encoded = true;
            self.chunked = last.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("content-length") {
            // A list of equal values is one value (RFC 9110, section 8.6).
            for value in value.split(',') {
                let value = value.trim().parse().ok();
                self.contradictory |=
                    value.is_none() || (self.length.is_some() && self.length != value);
                self.length = value;
            }
        }
    }

    /// `None`: nobody can tell where it ends (RFC 9112, section 6.3).
    pub fn of_request(&self) -> Option<Body> {
        match self {
            Framing { chunked: true, .. } => Some(CHUNKED),
            Framing { encoded: true, .. }
            | Framing {
                contradictory: true,
                ..
            } => None,
            _ => Some(Body::Length(self.length.unwrap_or(0))),
        }
    }

    pub fn of_answer(&self) -> Option<Body> {
        match self {
            Framing { chunked: true, .. } => Some(CHUNKED),
            Framing { encoded: true, .. } => Some(Body::UntilClose),
            Framing {
                contradictory: true,
                ..
            } => None,
            _ => Some(self.length.map_or(Body::UntilClose, Body::Length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_at_any_split() {
        let text = b"4;a=b\r\nWiki\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX: y\r\n\r\nGET";
        let end = text.len() - 3;
        for split in 0..=text.len() {
            let mut body = CHUNKED;
            let (a, b) = text.split_at(split);
            let mut taken = body.take(Piece::Bytes(a));
            let mut seen = 0;
            if taken == Taken::All {
                seen = a.len();
                taken = body.take(Piece::Bytes(b));
            }
            assert_eq!(taken, Taken::Done((end - seen) as u64), "{split}");
        }
    }

    #[test]
    fn gaps_within_data_are_known() {
        let mut body = CHUNKED;
        assert_eq!(body.take(Piece::Bytes(b"5\r\nab")), Taken::All);
        assert_eq!(body.take(Piece::Gap(3)), Taken::All);
        assert_eq!(body.take(Piece::Bytes(b"\r\n0\r\n\r\n")), Taken::Done(7));
        let mut body = CHUNKED;
        assert_eq!(body.take(Piece::Bytes(b"5\r\nab")), Taken::All);
        assert_eq!(body.take(Piece::Gap(4)), Taken::Lost);
        for (gap, rest, end) in [
            (5, &b"0\r\n\r\n"[..], Taken::Done(5)),
            (5, b"1\r\na\r\n", Taken::All),
            (10, b"", Taken::Done(10)),
        ] {
            let mut body = CHUNKED;
            assert_eq!(body.take(Piece::Bytes(b"5\r\nab")), Taken::All);
            let mut taken = body.take(Piece::Gap(gap));
            if !rest.is_empty() {
                assert_eq!(taken, Taken::All);
                taken = body.take(Piece::Bytes(rest));
            }
            assert_eq!(taken, end, "{gap} {rest:?}");
        }
        assert_eq!(Body::Length(3).take(Piece::Gap(5)), Taken::Done(3));
    }

    #[test]
    fn what_is_not_chunked() {
        for text in [
            "\r\n",
            "x\r\n",
            "11111111111111111\r\n",
            "1\r\nabc",
            ";\r\n",
        ] {
            let mut body = CHUNKED;
            assert_eq!(
                body.take(Piece::Bytes(text.as_bytes())),
                Taken::Malformed,
                "{text:?}"
            );
        }
    }

    #[test]
    fn framing_fields() {
        let of = |fields: &[(&str, &str)]| {
            let mut framing = Framing::default();
            for (name, value) in fields {
                framing.field(name, value.as_bytes());
            }
            (framing.of_request(), framing.of_answer())
        };
        let both = |body: fn() -> Body| (Some(body()), Some(body()));
        assert_eq!(of(&[]), (Some(Body::Length(0)), Some(Body::UntilClose)));
        assert_eq!(of(&[("Content-Length", "7, 7")]), both(|| Body::Length(7)));
        assert_eq!(
            of(&[("content-length", "7"), ("Content-Length", "8")]),
            (None, None)
        );
        assert_eq!(of(&[("content-length", "-1")]), (None, None));
        assert_eq!(
            of(&[
                ("content-length", "7"),
                ("transfer-encoding", "gzip, Chunked")
            ]),
            both(|| CHUNKED)
        );
        assert_eq!(
            of(&[("transfer-encoding", "gzip")]),
            (None, Some(Body::UntilClose))
        );
    }
}
