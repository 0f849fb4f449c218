//! Frames of one direction of HTTP/2 (RFC 9113, section 4). In: pieces. Out: [`Frame`]s: of those that carry a header block or a reset the
//! payload, of all others only how many bytes of them pass.

use super::hpack::Decoder;
use crate::buffer::Buffer;
use crate::{Extent, HEAD, Stamp};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const PUSH_PROMISE: u8 = 5;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[derive(Debug, Default)]
pub struct Frames {
    header: Vec<u8>,
    frame: Option<Frame>,
    left: usize,
    payload: Buffer,
    /// A header block that its CONTINUATION frames have not ended.
    block: Option<Block>,
    pub hpack: Decoder,
}

#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    /// The call that moved its first byte.
    began: Stamp,
}

/// A header block, from the first byte of its first frame to the last of its last.
#[derive(Debug)]
pub struct Block {
    pub stream: u32,
    /// A promise of the server: not an answer, but it changes the dynamic table.
    pub promised: bool,
    pub ends_stream: bool,
    pub bytes: Vec<u8>,
    pub extent: Extent,
}

pub enum Step {
    /// The piece is used up.
    More,
    /// Bytes of a frame of this stream passed; `end`: its last one, and it ends the stream.
    Passed {
        stream: u32,
        end: bool,
    },
    Block(Block),
    Reset {
        stream: u32,
        code: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    Gap,
    Oversized,
    /// A header block that does not decode.
    Compression,
    Malformed,
}

impl Frames {
    /// Takes bytes up to the next thing to tell.
    pub fn bytes(&mut self, bytes: &mut &[u8], stamp: Stamp) -> Result<Step, Fail> {
        while !bytes.is_empty() {
            let Some(frame) = self.frame else {
                self.header(bytes, stamp)?;
                // A frame without payload is complete with its header.
                if self.frame.is_some() && self.left == 0 {
                    return self.complete(stamp);
                }
                continue;
            };
            let here = self.left.min(bytes.len());
            let (taken, rest) = bytes.split_at_checked(here).unwrap_or_default();
            *bytes = rest;
            self.left -= here;
            if is_kept(frame.kind) && !self.payload.push(taken, stamp) {
                return Err(Fail::Oversized);
            }
            if self.left == 0 {
                return self.complete(stamp);
            }
            if frame.kind == DATA {
                return Ok(Step::Passed {
                    stream: frame.stream,
                    end: false,
                });
            }
        }
        Ok(Step::More)
    }

    /// Steps over `n` bytes that nobody saw, if they are payload that nobody needs.
    pub fn gap(&mut self, n: u64, stamp: Stamp) -> Result<Step, Fail> {
        match self.frame {
            Some(frame) if !is_kept(frame.kind) && n <= self.left as u64 => {
                self.left -= n as usize;
                match self.left {
                    0 => self.complete(stamp),
                    _ if frame.kind == DATA => Ok(Step::Passed {
                        stream: frame.stream,
                        end: false,
                    }),
                    _ => Ok(Step::More),
                }
            }
            _ => Err(Fail::Gap),
        }
    }

    fn header(&mut self, bytes: &mut &[u8], stamp: Stamp) -> Result<(), Fail> {
        if self.header.is_empty() {
            // The payload's extent is the whole frame's.
            self.payload.touch(stamp);
        }
        let here = (9 - self.header.len().min(9)).min(bytes.len());
        let (taken, rest) = bytes.split_at_checked(here).unwrap_or_default();
        *bytes = rest;
        self.header.extend_from_slice(taken);
        let [l0, l1, l2, kind, flags, stream @ ..] = self.header.as_slice() else {
            return Ok(());
        };
        let Ok(stream) = <[u8; 4]>::try_from(stream) else {
            return Ok(());
        };
        let frame = Frame {
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            began: self.payload.extent().unwrap_or_default().first,
        };
        self.left = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        self.header.clear();
        self.frame = Some(frame);
        // Section 6.10: nothing comes between the frames of a block; 6.1, 6.2, 6.4: these belong to streams.
        let continues = self.block.as_ref().map(|block| block.stream);
        let of_stream = matches!(frame.kind, DATA | HEADERS | RST_STREAM | PUSH_PROMISE);
        let legal = match continues {
            Some(stream) => frame.kind == CONTINUATION && frame.stream == stream,
            None => frame.kind != CONTINUATION && !(of_stream && frame.stream == 0),
        };
        match legal {
            true => Ok(()),
            false => Err(Fail::Malformed),
        }
    }

    fn complete(&mut self, stamp: Stamp) -> Result<Step, Fail> {
        let Some(frame) = self.frame.take() else {
            return Ok(Step::More);
        };
        let payload = std::mem::take(&mut self.payload);
        let extent = Extent {
            first: frame.began,
            last: stamp,
        };
        let ends_stream = frame.flags & END_STREAM != 0;
        match frame.kind {
            DATA => Ok(Step::Passed {
                stream: frame.stream,
                end: ends_stream,
            }),
            RST_STREAM => {
                let code = payload.bytes().try_into().map_err(|_| Fail::Malformed)?;
                Ok(Step::Reset {
                    stream: frame.stream,
                    code: u32::from_be_bytes(code),
                })
            }
            HEADERS | PUSH_PROMISE => {
                let bytes = fragment(frame, payload.bytes()).ok_or(Fail::Malformed)?;
                self.block = Some(Block {
                    stream: frame.stream,
                    promised: frame.kind == PUSH_PROMISE,
                    ends_stream: ends_stream && frame.kind == HEADERS,
                    bytes: bytes.to_vec(),
                    extent,
                });
                Ok(self.block_done(frame))
            }
            CONTINUATION => {
                if let Some(block) = &mut self.block {
                    block.bytes.extend_from_slice(payload.bytes());
                    block.extent.last = stamp;
                    if block.bytes.len() > HEAD {
                        return Err(Fail::Oversized);
                    }
                }
                Ok(self.block_done(frame))
            }
            _ => Ok(Step::More),
        }
    }

    fn block_done(&mut self, frame: Frame) -> Step {
        let done = frame.flags & END_HEADERS != 0;
        match self.block.take_if(|_| done) {
            Some(block) => Step::Block(block),
            None => Step::More,
        }
    }
}

fn is_kept(kind: u8) -> bool {
    matches!(kind, HEADERS | RST_STREAM | PUSH_PROMISE | CONTINUATION)
}

/// The piece of a header block within a payload: without padding, priority (6.2) or the promised stream (6.6).
fn fragment(frame: Frame, payload: &[u8]) -> Option<&[u8]> {
    let mut fragment = payload;
    let mut padding = 0;
    if frame.flags & PADDED != 0 {
        let (len, rest) = fragment.split_first()?;
        (padding, fragment) = (usize::from(*len), rest);
    }
    let before = match frame.kind {
        PUSH_PROMISE => 4,
        _ if frame.flags & PRIORITY != 0 => 5,
        _ => 0,
    };
    fragment = fragment.get(before..)?;
    fragment.get(..fragment.len().checked_sub(padding)?)
}
