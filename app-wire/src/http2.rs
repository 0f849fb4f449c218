//! HTTP/2 at the serving end, cleartext with prior knowledge or the plaintext of TLS (RFC 9113), and gRPC over it. In: what the server read
//! and wrote, from the first byte on. Out: each stream's request with its answer.
//!
//! Header compression makes every head depend on all before it. So a connection that was joined in its middle, or that lost a byte of
//! anything but payload, is counted and let go: guessing an index would show one request's path for another's.

mod frame;
mod hpack;
mod huffman;
mod static_table;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::head::Head;
use crate::{Event, Extent, Fault, Left, Losses, Piece, Protocol, Request, ServerCall, Stamp};
use frame::{Block, Fail, Frames, Step};

/// What a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Open streams that are followed; servers allow 100 to 250 as a rule.
const STREAMS: usize = 1024;

#[derive(Debug, Default)]
pub struct Server {
    reading: Frames,
    writing: Frames,
    /// Of the preface, so much was read.
    preface: usize,
    streams: BTreeMap<u32, Stream>,
    /// The newest stream that the client opened.
    newest: u32,
    left: Option<Left>,
    losses: Losses,
}

#[derive(Debug)]
struct Stream {
    request: Arc<Request>,
    received: Extent,
    status: Option<u16>,
    grpc_status: Option<u32>,
    answered: Option<Extent>,
}

impl Server {
    /// What the server read: requests.
    pub fn read(&mut self, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        if self.left.is_some() {
            return;
        }
        let mut piece = piece;
        if let Some(expected) = PREFACE.get(self.preface..).filter(|left| !left.is_empty()) {
            let Piece::Bytes(bytes) = piece else {
                return self.fail(Fail::Gap);
            };
            let here = expected.len().min(bytes.len());
            let (start, rest) = bytes.split_at_checked(here).unwrap_or_default();
            if !expected.starts_with(start) {
                return self.fail(Fail::Malformed);
            }
            self.preface += here;
            piece = Piece::Bytes(rest);
        }
        let result = each_step(piece, |piece| {
            let step = advance(&mut self.reading, piece, stamp)?;
            self.read_step(step, stamp, out)
        });
        if let Err(fail) = result {
            self.fail(fail);
        }
    }

    /// What the server wrote: answers.
    pub fn written(&mut self, piece: Piece, stamp: Stamp, out: &mut Vec<Event>) {
        if self.left.is_some() {
            return;
        }
        let result = each_step(piece, |piece| {
            let step = advance(&mut self.writing, piece, stamp)?;
            self.written_step(step, stamp, out)
        });
        if let Err(fail) = result {
            self.fail(fail);
        }
    }

    /// Both directions are at their end.
    pub fn closed(&mut self, out: &mut Vec<Event>) {
        for (_, stream) in std::mem::take(&mut self.streams) {
            out.push(stream.served(Some(Fault::Closed)));
        }
        self.left.get_or_insert(Left::Finished);
    }

    /// Why there is no more to learn from this connection.
    pub fn left(&self) -> Option<Left> {
        self.left
    }

    pub fn losses(&mut self) -> &mut Losses {
        &mut self.losses
    }

    fn read_step(&mut self, step: Step, stamp: Stamp, out: &mut Vec<Event>) -> Result<(), Fail> {
        match step {
            Step::More => {}
            Step::Passed { stream, .. } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.received.last = stamp;
                }
            }
            Step::Reset { stream, code } => self.reset(stream, code, out),
            Step::Block(block) => {
                let head = head(&mut self.reading, &block)?;
                if let Some(stream) = self.streams.get_mut(&block.stream) {
                    stream.received.last = block.extent.last;
                } else if block.stream > self.newest && block.stream % 2 == 1 {
                    self.newest = block.stream;
                    self.begin(head, &block, out);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: Head, block: &Block, out: &mut Vec<Event>) {
        if self.streams.len() >= STREAMS {
            self.losses.oversized += 1;
            return;
        }
        let protocol = match head.grpc {
            true => Protocol::Grpc,
            false => Protocol::Http2,
        };
        let request = head.into_request(u64::from(block.stream), protocol, block.extent);
        out.push(Event::Begun(request.clone()));
        let stream = Stream {
            request,
            received: block.extent,
            status: None,
            grpc_status: None,
            answered: None,
        };
        self.streams.insert(block.stream, stream);
    }

    fn written_step(&mut self, step: Step, stamp: Stamp, out: &mut Vec<Event>) -> Result<(), Fail> {
        let (id, end) = match step {
            Step::More => return Ok(()),
            Step::Reset { stream, code } => {
                self.reset(stream, code, out);
                return Ok(());
            }
            Step::Passed { stream, end } => {
                if let Some(stream) = self.streams.get_mut(&stream)
                    && let Some(answered) = &mut stream.answered
                {
                    answered.last = stamp;
                }
                (stream, end)
            }
            Step::Block(block) => {
                let head = head(&mut self.writing, &block)?;
                if block.promised {
                    return Ok(());
                }
                match self.streams.get_mut(&block.stream) {
                    Some(stream) => stream.answer(head, block.extent),
                    None => self.losses.unpaired += 1,
                }
                (block.stream, block.ends_stream)
            }
        };
        if end && let Some(stream) = self.streams.remove(&id) {
            out.push(stream.served(None));
        }
        Ok(())
    }

    fn reset(&mut self, stream: u32, code: u32, out: &mut Vec<Event>) {
        if let Some(stream) = self.streams.remove(&stream) {
            out.push(stream.served(Some(Fault::Reset(code))));
        }
    }

    fn fail(&mut self, fail: Fail) {
        let (counter, left) = match fail {
            Fail::Gap => (&mut self.losses.gaps, Left::CompressionLost),
            Fail::Oversized => (&mut self.losses.oversized, Left::CompressionLost),
            Fail::Compression => (&mut self.losses.malformed, Left::CompressionLost),
            Fail::Malformed => (&mut self.losses.malformed, Left::Foreign),
        };
        *counter += 1;
        self.losses.unanswered += self.streams.len() as u64;
        *self = Server {
            left: Some(left),
            losses: self.losses,
            ..Server::default()
        };
    }
}

impl Stream {
    /// A head or, after it, trailers. An interim answer (1xx) is neither.
    fn answer(&mut self, head: Head, extent: Extent) {
        if matches!(head.status, Some(100..200)) {
            return;
        }
        self.status = self.status.or(head.status);
        self.grpc_status = self.grpc_status.or(head.grpc_status);
        self.answered.get_or_insert(extent).last = extent.last;
    }

    fn served(self, fault: Option<Fault>) -> Event {
        Event::Served(ServerCall {
            request: self.request,
            received: self.received,
            status: self.status,
            grpc_status: self.grpc_status,
            answered: self.answered,
            fault,
        })
    }
}

/// Calls `step` until it has used the piece up.
fn each_step(
    mut piece: Piece,
    mut step: impl FnMut(&mut Piece) -> Result<(), Fail>,
) -> Result<(), Fail> {
    while !matches!(piece, Piece::Bytes([]) | Piece::Gap(0)) {
        step(&mut piece)?;
    }
    Ok(())
}

fn advance(frames: &mut Frames, piece: &mut Piece, stamp: Stamp) -> Result<Step, Fail> {
    match piece {
        Piece::Bytes(bytes) => frames.bytes(bytes, stamp),
        Piece::Gap(n) => {
            let step = frames.gap(*n, stamp);
            *n = 0;
            step
        }
    }
}

fn head(frames: &mut Frames, block: &Block) -> Result<Head, Fail> {
    let mut head = Head::default();
    frames
        .hpack
        .block(&block.bytes, |name, value| head.field(name, value))
        .map_err(|_| Fail::Compression)?;
    Ok(head)
}
