//! The record field of one partition, read as it passes. In: windows of bytes, and gaps; out: batches and records.
//!
//! A record that lies whole in the window is handed out where it lies. One that does not is taken in parts, of which only key and headers
//! are kept. Damage stays where it is: a gap in a record costs that record, one between records the rest of the batch, one over a batch
//! header the rest of the field, whose end is known.

use super::{Event, Limits, Step};
use crate::reader::{Reader, Stop};
use crate::record_batch::partial::{Part, Partial};
use crate::record_batch::prefix::{self, MIN_PREFIX, Prefix};
use crate::record_batch::{BatchHeader, Codec, fields};

/// See the module.
#[derive(Debug)]
pub(super) struct Records {
    limits: Limits,
    /// Fetch answers may end in a part of a batch.
    may_be_cut: bool,
    /// Positions in the body.
    end: u64,
    batch_end: u64,
    phase: Phase,
    codec: Codec,
    /// Records the batch claims, and the next one's position.
    count: u32,
    index: u32,
    batch_complete: bool,
    complete: bool,
    partial: Partial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Batch,
    /// At a record's length.
    Record,
    /// Inside a record.
    Part,
    /// Inside a record that will not be delivered.
    LostRecord,
    Compressed,
    RestOfBatch,
    RestOfSet,
}

impl Records {
    pub(super) fn new(limits: Limits, may_be_cut: bool) -> Records {
        Records {
            limits,
            may_be_cut,
            end: 0,
            batch_end: 0,
            phase: Phase::Batch,
            codec: Codec::None,
            count: 0,
            index: 0,
            batch_complete: true,
            complete: true,
            partial: Partial::default(),
        }
    }

    /// A record field begins that ends at `end`.
    pub(super) fn begin(&mut self, end: u64) {
        self.end = end;
        self.phase = Phase::Batch;
        self.complete = true;
    }

    /// Every batch header of the field was delivered.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Bytes held in vectors.
    pub(super) fn held(&self) -> usize {
        self.partial.held()
    }

    /// Takes what it can from the window, which begins at `pos`. `Finished` at the end of the field.
    pub(super) fn step(
        &mut self,
        window: &[u8],
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<Step, &'static str> {
        match self.phase {
            Phase::Batch if pos >= self.end => Ok(Step::Finished),
            Phase::Batch => self.batch(window, pos, emit),
            Phase::Record => Ok(self.records(window, pos, emit)),
            Phase::Part => Ok(self.part(window, pos, emit)),
            Phase::LostRecord => Ok(self.pass(window, pos, self.partial.end, Phase::Record)),
            Phase::Compressed => {
                let taken = clip(window, pos, self.batch_end);
                if !taken.is_empty() && self.batch_complete {
                    emit(Event::Compressed {
                        codec: self.codec,
                        piece: taken,
                    });
                }
                Ok(self.rest_of_batch(taken.len(), pos, emit))
            }
            Phase::RestOfBatch => {
                Ok(self.rest_of_batch(clip(window, pos, self.batch_end).len(), pos, emit))
            }
            Phase::RestOfSet => Ok(self.pass(window, pos, self.end, Phase::Batch)),
        }
    }

    /// Steps over up to `target`; there, goes on with `next`.
    fn pass(&mut self, window: &[u8], pos: u64, target: u64, next: Phase) -> Step {
        let taken = clip(window, pos, target).len();
        if pos + taken as u64 >= target {
            self.phase = next;
            return Step::Took(taken);
        }
        if taken == 0 {
            Step::Need(1)
        } else {
            Step::Took(taken)
        }
    }

    fn rest_of_batch(&mut self, taken: usize, pos: u64, emit: &mut impl FnMut(Event<'_>)) -> Step {
        if pos + taken as u64 >= self.batch_end {
            self.phase = Phase::Batch;
            emit(Event::BatchEnd {
                complete: self.batch_complete,
            });
            return Step::Took(taken);
        }
        if taken == 0 {
            Step::Need(1)
        } else {
            Step::Took(taken)
        }
    }

    fn batch(
        &mut self,
        window: &[u8],
        pos: u64,
        emit: &mut impl FnMut(Event<'_>),
    ) -> Result<Step, &'static str> {
        let left = self.end - pos;
        if left < MIN_PREFIX {
            return self.cut();
        }
        let mut reader = Reader::new(clip(window, pos, self.end), false);
        match prefix::prefix(&mut reader, left) {
            Ok(Prefix::Beyond) => self.cut(),
            Ok(Prefix::Batch(header)) => {
                self.open(&header, pos);
                self.count = header.records_count as u32;
                self.phase = match header.codec {
                    Codec::None if self.limits.records => Phase::Record,
                    Codec::None => Phase::RestOfBatch,
                    _ => Phase::Compressed,
                };
                emit(Event::Batch(header));
                Ok(Step::Took(reader.position()))
            }
            Ok(Prefix::Message { header, key_len }) => {
                self.open(&header, pos);
                self.phase = Phase::Part;
                self.partial.begin_message(
                    &header,
                    key_len,
                    pos + reader.position() as u64,
                    self.batch_end,
                );
                emit(Event::Batch(header));
                Ok(Step::Took(reader.position()))
            }
            Err(Stop::Need(n)) if n as u64 > left => Err("batch_length"),
            Err(Stop::Need(n)) => Ok(Step::Need(n)),
            Err(Stop::Bad(reason)) => Err(reason),
        }
    }

    fn open(&mut self, header: &BatchHeader, pos: u64) {
        self.batch_end = pos + u64::from(header.wire_len);
        self.codec = header.codec;
        self.index = 0;
        self.count = 1;
        self.batch_complete = true;
    }

    /// The field ends inside a batch.
    fn cut(&mut self) -> Result<Step, &'static str> {
        if !self.may_be_cut {
            return Err("batch_length");
        }
        self.phase = Phase::RestOfSet;
        Ok(Step::Took(0))
    }

    /// What is left of the batch cannot be read.
    fn corrupt(&mut self, taken: usize) -> Step {
        self.batch_complete = false;
        self.phase = Phase::RestOfBatch;
        Step::Took(taken)
    }

    /// Records that lie whole in the window, then the start of one that does not.
    fn records(&mut self, window: &[u8], pos: u64, emit: &mut impl FnMut(Event<'_>)) -> Step {
        let window = clip(window, pos, self.batch_end);
        let left = (self.batch_end - pos) as usize;
        let mut at = 0;
        while self.index < self.count {
            let mut reader = Reader::new(window.get(at..).unwrap_or_default(), false);
            let size = match reader.varint() {
                Ok(size) => size as u32,
                Err(Stop::Need(n)) if at + n <= left => {
                    return if at == 0 {
                        Step::Need(n)
                    } else {
                        Step::Took(at)
                    };
                }
                Err(_) => return self.corrupt(at),
            };
            let start = at + reader.position();
            // Negative sizes are above every batch once unsigned.
            if size as usize > left - start {
                return self.corrupt(at);
            }
            let Some(bytes) = window.get(start..start + size as usize) else {
                self.phase = Phase::Part;
                self.partial.begin_record(size, pos + start as u64);
                return Step::Took(start);
            };
            match fields::record(bytes, self.index, self.limits.keep) {
                Ok(record) => emit(Event::Record(record)),
                Err(_) => return self.corrupt(at),
            }
            self.index += 1;
            at = start + size as usize;
        }
        // Bytes after the last record are not Kafka's.
        if at < left {
            self.batch_complete = false;
        }
        self.phase = Phase::RestOfBatch;
        Step::Took(at)
    }

    fn part(&mut self, window: &[u8], pos: u64, emit: &mut impl FnMut(Event<'_>)) -> Step {
        let keep = if self.codec == Codec::None && self.limits.records {
            self.limits.keep
        } else {
            0
        };
        match self
            .partial
            .step(clip(window, pos, self.partial.end), pos, keep)
        {
            Part::Took(n) => Step::Took(n),
            Part::Need(n) => Step::Need(n),
            Part::Corrupt => self.corrupt(0),
            Part::Value(n) if self.codec != Codec::None => {
                self.phase = Phase::Compressed;
                Step::Took(n)
            }
            Part::Value(n) => Step::Took(n),
            Part::Whole(n) => {
                if self.limits.records {
                    emit(Event::Record(self.partial.record(self.index)));
                }
                self.index += 1;
                self.phase = Phase::Record;
                Step::Took(n)
            }
        }
    }

    /// `n` bytes from `pos` on are missing. Returns how many of them are dealt with.
    pub(super) fn gap(&mut self, pos: u64, n: u64) -> u64 {
        let until = |target: u64| n.min(target.saturating_sub(pos));
        match self.phase {
            Phase::Batch => {
                self.complete = false;
                self.phase = Phase::RestOfSet;
                until(self.end)
            }
            Phase::Record => {
                self.batch_complete = false;
                self.phase = Phase::RestOfBatch;
                until(self.batch_end)
            }
            Phase::Part => match self.partial.gap(pos, n) {
                Some(absorbed) => {
                    self.batch_complete &= self.limits.records;
                    absorbed
                }
                None => {
                    self.batch_complete = false;
                    self.index += 1;
                    self.phase = Phase::LostRecord;
                    until(self.partial.end)
                }
            },
            Phase::LostRecord => until(self.partial.end),
            Phase::Compressed | Phase::RestOfBatch => {
                self.batch_complete = false;
                until(self.batch_end)
            }
            Phase::RestOfSet => until(self.end),
        }
    }
}

/// The part of the window before `end`.
fn clip(window: &[u8], pos: u64, end: u64) -> &[u8] {
    let left = usize::try_from(end.saturating_sub(pos)).unwrap_or(usize::MAX);
    window.get(..left).unwrap_or(window)
}
