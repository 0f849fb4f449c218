//! A compressed batch that is opened while it passes, because it is too large to wait or too much waits already. In: pieces of its body; out: its
//! records, like those of a batch that is not compressed.
//!
//! This is work of the stream thread, which must be in time: an allowance of uncompressed bytes by event time, and a cap on memory. What goes
//! beyond is given up. Old message sets (magic 0 and 1) must be had whole and are not opened here.

use kafka_wire::compression::{CompressionError, Inflater};
use kafka_wire::record_batch::{BatchHeader, Record, Walker};

use crate::capture::Nanos;

/// Uncompressed bytes in a burst, and each second after it: a fifth of a core for the slowest codec.
const BURST: u64 = 64 << 20;
const PER_SECOND: u64 = 64 << 20;
const SECOND: u64 = 1_000_000_000;
/// Windows of all batches that pass in one stage.
const HELD_MOST: usize = 12 << 20;

/// What a stage may still open.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u64,
    since: Nanos,
    held: usize,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            left: BURST,
            since: 0,
            held: 0,
        }
    }
}

impl Allowance {
    /// Time went on.
    pub fn refill(&mut self, now: Nanos) {
        let passed = now.saturating_sub(self.since).min(SECOND);
        let more = PER_SECOND * passed / SECOND;
        if more > 0 {
            self.since = self.since.max(now);
            self.left = self.left.saturating_add(more).min(BURST);
        }
    }

    /// Bytes of memory held for batches that pass.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[derive(Debug)]
pub(crate) struct Passing {
    inflater: Inflater,
    walker: Walker,
    /// Uncompressed bytes so far.
    out: u64,
    held: usize,
    failed: bool,
}

impl Passing {
    /// None: of such a batch nothing can be opened as it passes.
    pub fn new(header: &BatchHeader, keep: usize) -> Option<Passing> {
        if header.magic < 2 {
            return None;
        }
        Some(Passing {
            inflater: Inflater::new(header.codec)?,
            walker: Walker::new(header, keep),
            out: 0,
            held: 0,
            failed: false,
        })
    }

    pub fn feed(
        &mut self,
        piece: &[u8],
        allowance: &mut Allowance,
        emit: &mut impl FnMut(&Record<'_>),
    ) {
        self.step(Some(piece), allowance, emit);
        if self.failed {
            return;
        }
        let held = self.inflater.held() + self.walker.held();
        allowance.held = allowance.held.saturating_sub(self.held) + held;
        self.held = held;
        if allowance.held > HELD_MOST {
            self.give_up(allowance);
        }
    }

    /// The body ended, or will not go on. Uncompressed bytes, if every record was read.
    pub fn finish(
        mut self,
        complete: bool,
        allowance: &mut Allowance,
        emit: &mut impl FnMut(&Record<'_>),
    ) -> Option<u64> {
        if complete {
            self.step(None, allowance, emit);
        }
        let opened = complete && !self.failed && self.walker.is_complete();
        self.give_up(allowance);
        opened.then_some(self.out)
    }

    /// A piece, or the end.
    fn step(
        &mut self,
        piece: Option<&[u8]>,
        allowance: &mut Allowance,
        emit: &mut impl FnMut(&Record<'_>),
    ) {
        if self.failed {
            return;
        }
        let mut run = |run: &[u8]| {
            let bytes = run.len() as u64;
            let left = allowance.left.checked_sub(bytes);
            allowance.left = left.ok_or(CompressionError::TooLarge)?;
            self.out += bytes;
            if self.walker.feed(run, emit) {
                Ok(())
            } else {
                Err(CompressionError::Corrupt)
            }
        };
        let stepped = match piece {
            Some(piece) => self.inflater.feed(piece, &mut run),
            None => self.inflater.finish(&mut run),
        };
        if stepped.is_err() {
            self.give_up(allowance);
        }
    }

    fn give_up(&mut self, allowance: &mut Allowance) {
        self.failed = true;
        allowance.held = allowance.held.saturating_sub(self.held);
        self.held = 0;
        self.inflater = Inflater::empty();
    }
}
