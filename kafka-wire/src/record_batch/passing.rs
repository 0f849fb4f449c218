//! Records of a batch that is opened as it passes. In: runs of its uncompressed bytes; out: each [`Record`].
//!
//! For magic 2 only: offsets in a wrapper of magic 1 count from its last message, so such a wrapper must be had whole ([`super::walk`]).

use super::partial::{Part, Partial};
use super::{BatchHeader, Record, fields};
use crate::reader::{Reader, Stop};

/// See the module.
#[derive(Debug)]
pub struct Walker {
    keep: usize,
    count: u32,
    index: u32,
    /// Uncompressed bytes that are done with.
    pos: u64,
    in_record: bool,
    partial: Partial,
    /// The start of a number whose rest did not come yet, and the size at which it is looked at again.
    carry: Vec<u8>,
    need: usize,
    corrupt: bool,
}

impl Walker {
    /// `keep` bytes of key and headers are kept of each record.
    pub fn new(header: &BatchHeader, keep: usize) -> Walker {
        Walker {
            keep,
            count: u32::try_from(header.records_count).unwrap_or(0),
            index: 0,
            pos: 0,
            in_record: false,
            partial: Partial::default(),
            carry: Vec::new(),
            need: 0,
            corrupt: header.magic < 2,
        }
    }

    /// Takes the next run; false from the first malformed byte on.
    pub fn feed(&mut self, mut run: &[u8], emit: &mut impl FnMut(&Record<'_>)) -> bool {
        while !self.carry.is_empty() && !self.corrupt {
            let missing = self.need.saturating_sub(self.carry.len());
            let (now, later) = run.split_at(missing.min(run.len()));
            self.carry.extend_from_slice(now);
            run = later;
            if self.carry.len() < self.need {
                return true;
            }
            let mut carry = std::mem::take(&mut self.carry);
            let taken = self.run(&carry, emit);
            carry.drain(..taken);
            self.carry = carry;
        }
        let taken = self.run(run, emit);
        self.carry
            .extend_from_slice(run.get(taken..).unwrap_or_default());
        !self.corrupt
    }

    /// All records of the batch, and nothing else, were there.
    pub fn is_complete(&self) -> bool {
        !self.corrupt && !self.in_record && self.carry.is_empty() && self.index == self.count
    }

    /// Bytes held in vectors.
    pub fn held(&self) -> usize {
        self.carry.capacity() + self.partial.held()
    }

    /// Steps until more bytes are needed; returns how many were done with.
    fn run(&mut self, window: &[u8], emit: &mut impl FnMut(&Record<'_>)) -> usize {
        let mut at = 0;
        loop {
            let rest = window.get(at..).unwrap_or_default();
            if rest.is_empty() && !self.is_at_end() {
                return at;
            }
            let step = if self.in_record {
                self.part(rest, emit)
            } else if self.index < self.count {
                self.record(rest, emit)
            } else if rest.is_empty() {
                return at;
            } else {
                Part::Corrupt
            };
            match step {
                Part::Took(n) | Part::Value(n) | Part::Whole(n) => {
                    at += n;
                    self.pos += n as u64;
                }
                Part::Need(n) => {
                    self.need = n.max(rest.len() + 1);
                    return at;
                }
                Part::Corrupt => {
                    self.corrupt = true;
                    return window.len();
                }
            }
        }
    }

    /// Inside a record of which no byte is left: a part that is empty ends without a byte.
    fn is_at_end(&self) -> bool {
        self.in_record && self.pos >= self.partial.end
    }

    fn record(&mut self, rest: &[u8], emit: &mut impl FnMut(&Record<'_>)) -> Part {
        let mut reader = Reader::new(rest, false);
        let size = match reader.varint() {
            Ok(size) => size,
            Err(Stop::Need(n)) => return Part::Need(n),
            Err(Stop::Bad(_)) => return Part::Corrupt,
        };
        let Ok(size) = u32::try_from(size) else {
            return Part::Corrupt;
        };
        let start = reader.position();
        let Some(bytes) = rest.get(start..start + size as usize) else {
            self.in_record = true;
            self.partial.begin_record(size, self.pos + start as u64);
            return Part::Took(start);
        };
        match fields::record(bytes, self.index, self.keep) {
            Ok(record) => emit(&record),
            Err(_) => return Part::Corrupt,
        }
        self.index += 1;
        Part::Took(start + size as usize)
    }

    fn part(&mut self, rest: &[u8], emit: &mut impl FnMut(&Record<'_>)) -> Part {
        let left = usize::try_from(self.partial.end.saturating_sub(self.pos)).unwrap_or(usize::MAX);
        let window = rest.get(..left).unwrap_or(rest);
        let part = self.partial.step(window, self.pos, self.keep);
        if let Part::Whole(_) = part {
            emit(&self.partial.record(self.index));
            self.index += 1;
            self.in_record = false;
        }
        part
    }
}
