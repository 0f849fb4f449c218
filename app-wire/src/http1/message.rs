//! Heads of HTTP/1 messages. In: pieces of a head. Out: where it ends, and what it says. The fields are read by `httparse`, once, when the
//! head is complete.

use super::body::{Body, Framing};
use crate::buffer::Buffer;
use crate::head::{Head, Name};
use crate::{Extent, Protocol, Stamp};

/// Fields of one head; what has more is malformed.
const FIELDS: usize = 128;

#[derive(Debug, Default)]
pub struct Scan {
    buffer: Buffer,
    /// Nothing but CR since the last LF.
    empty_line: bool,
}

pub enum Scanned {
    More,
    /// The head is complete with so many bytes of the piece.
    Head(usize),
    TooLong,
}

pub struct Asked {
    pub head: Head,
    pub protocol: Protocol,
    pub body: Body,
    pub extent: Extent,
}

pub struct Answer {
    pub status: u16,
    pub body: Body,
    pub extent: Extent,
}

impl Scan {
    pub fn take(&mut self, bytes: &[u8], stamp: Stamp) -> Scanned {
        // Empty lines before a message are stepped over (RFC 9112, section 2.2).
        let skipped = match self.buffer.bytes() {
            [] => bytes
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count(),
            _ => 0,
        };
        let bytes = bytes.get(skipped..).unwrap_or_default();
        if bytes.is_empty() {
            return Scanned::More;
        }
        let end = bytes.iter().position(|byte| {
            let ends = *byte == b'\n' && self.empty_line;
            self.empty_line = match byte {
                b'\n' => true,
                b'\r' => self.empty_line,
                _ => false,
            };
            ends
        });
        let len = end.map_or(bytes.len(), |at| at + 1);
        match (
            self.buffer
                .push(bytes.get(..len).unwrap_or_default(), stamp),
            end,
        ) {
            (false, _) => Scanned::TooLong,
            (true, None) => Scanned::More,
            (true, Some(_)) => Scanned::Head(skipped + len),
        }
    }

    pub fn request(&self) -> Option<Asked> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(self.buffer.bytes()).ok()?;
        let (mut head, framing) = said(request.headers);
        head.field(Name::Method, request.method?.as_bytes());
        head.field(Name::Path, request.path?.as_bytes());
        Some(Asked {
            protocol: match request.version? {
                0 => Protocol::Http10,
                _ => Protocol::Http11,
            },
            // What follows CONNECT is no body (RFC 9110, section 9.3.6).
            body: match request.method? {
                "CONNECT" => Body::Length(0),
                _ => framing.of_request()?,
            },
            head,
            extent: self.buffer.extent()?,
        })
    }

    pub fn answer(&self) -> Option<Answer> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        answer.parse(self.buffer.bytes()).ok()?;
        let (_, framing) = said(answer.headers);
        Some(Answer {
            status: answer.code?,
            body: framing.of_answer()?,
            extent: self.buffer.extent()?,
        })
    }
}

fn said(fields: &[httparse::Header]) -> (Head, Framing) {
    let (mut head, mut framing) = (Head::default(), Framing::default());
    for field in fields {
        framing.field(field.name, field.value);
        if let Some(name) = Name::of(field.name.as_bytes()) {
            head.field(name, field.value);
        }
    }
    (head, framing)
}
