//! Record fields of Produce requests, Fetch and ShareFetch answers: the framing of batches and records is kept, keys, values and headers are dropped.
//!
//! Where a record field begins is told by `kafka_wire`'s own decoder, fed byte by byte outside of record fields, which are nearly all of
//! such a body. Compressed batches keep their 61 bytes of header. Layouts: `DefaultRecordBatch.java`, `DefaultRecord.java`, `LegacyRecord.java`.

use kafka_wire::Segment;
use kafka_wire::body::{self, Decoder, Event, Limits};

use super::{Fate, Runs};

const BATCH_HEAD: u64 = 61;
/// Up to and with the magic byte.
const MAGIC_AT: u64 = 16;

#[derive(Debug)]
pub struct Records {
    decoder: Decoder,
    field: Option<Field>,
    /// A hole in the structure, or it is not as it should be: where records are is not known any more.
    lost: bool,
}

/// A record field that is being walked.
#[derive(Debug)]
struct Field {
    left: u64,
    at: At,
    /// Bytes of the head or a varint so far.
    head: Vec<u8>,
}

#[derive(Debug)]
enum At {
    Head,
    /// To the end of the batch.
    Rest(u64),
    /// Message of magic 0/1: the key, then the value's length.
    Key {
        key: u64,
        batch: u64,
    },
    ValueLength {
        left: u64,
        batch: u64,
    },
    Record {
        part: Part,
        record: u64,
        batch: u64,
    },
}

/// Parts of a record, in order; numbers are bytes left of the part.
#[derive(Clone, Copy, Debug)]
enum Part {
    Length,
    Attributes,
    Timestamp,
    Offset,
    KeyLength,
    Key(u64),
    ValueLength,
    Rest,
}

impl Records {
    pub fn new(side: body::Side, api_key: i16, api_version: i16, len: u64) -> Records {
        let limits = Limits {
            keep: 0,
            whole: 0,
            large: 0,
            records: false,
        };
        Records {
            decoder: Decoder::new(side, api_key, api_version, len, limits),
            field: None,
            lost: false,
        }
    }

    pub fn bytes(&mut self, mut bytes: &[u8], runs: &mut Runs) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.lost {
                runs.push(Fate::Drop, bytes.len());
                return;
            }
            if let Some(field) = &mut self.field {
                let n = usize::try_from(field.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let (inside, after) = bytes.split_at(n);
                field.bytes(inside, runs);
                self.skip(n as u64);
                bytes = after;
            } else {
                runs.push(Fate::Keep, 1);
                let mut begins = None;
                let mut lost = false;
                self.decoder
                    .feed(Segment::Bytes(&[*first]), &mut |event| match event {
                        Event::Partition(partition) => {
                            begins = partition.records_len.filter(|len| *len > 0);
                        }
                        Event::Undecodable { .. } => lost = true,
                        _ => {}
                    });
                self.lost = lost;
                self.field = begins.map(|len| Field {
                    left: u64::from(len),
                    at: At::Head,
                    head: Vec::new(),
                });
                bytes = rest;
            }
        }
    }

    /// Bytes that were not captured.
    pub fn gap(&mut self, n: u64) {
        match &mut self.field {
            _ if n == 0 => {}
            Some(field) if n <= field.left => field.lose(n),
            _ => self.lost = true,
        }
        self.skip(n);
    }

    fn skip(&mut self, n: u64) {
        self.decoder.feed(Segment::Elided(n), &mut |_| {});
        if self.field.as_ref().is_some_and(|field| field.left == 0) {
            self.field = None;
        }
    }
}

impl Field {
    /// A hole inside the field. One within a batch, such as its body, costs the rest of the batch; beyond its end none is followed any more.
    fn lose(&mut self, n: u64) {
        self.left -= n;
        self.head.clear();
        let batch = match self.at {
            At::Rest(batch) | At::Record { batch, .. } => batch,
            At::Head | At::Key { .. } | At::ValueLength { .. } => 0,
        };
        self.at = batch.checked_sub(n).map_or(At::Rest(self.left), rest_of);
    }

    fn bytes(&mut self, mut bytes: &[u8], runs: &mut Runs) {
        while !bytes.is_empty() {
            let (fate, n) = self.step(bytes);
            let n = n.clamp(1, bytes.len());
            runs.push(fate, n);
            self.left = self.left.saturating_sub(n as u64);
            bytes = bytes.get(n..).unwrap_or_default();
        }
    }

    /// Fate of the next bytes, and how many of them.
    fn step(&mut self, bytes: &[u8]) -> (Fate, usize) {
        let first = bytes.first().copied().unwrap_or(0);
        let some = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        match &mut self.at {
            At::Head => {
                self.head.push(first);
                if let Some(at) = after_head(&self.head) {
                    self.head.clear();
                    self.at = at;
                }
                (Fate::Keep, 1)
            }
            At::Rest(left) => {
                let n = some(*left);
                *left -= n as u64;
                if *left == 0 {
                    self.at = At::Head;
                }
                (Fate::Drop, n)
            }
            At::Key { key, batch } => {
                let n = some(*key);
                *key -= n as u64;
                if *key == 0 {
                    self.at = At::ValueLength {
                        left: 4,
                        batch: *batch,
                    };
                }
                (Fate::Drop, n)
            }
            At::ValueLength { left, batch } => {
                *left -= 1;
                if *left == 0 {
                    self.at = if *batch > 0 {
                        At::Rest(*batch)
                    } else {
                        At::Head
                    };
                }
                (Fate::Keep, 1)
            }
            At::Record {
                part: Part::Key(left),
                record,
                batch,
            } => {
                let n = some(*left);
                let part = if *left > n as u64 {
                    Part::Key(*left - n as u64)
                } else {
                    Part::ValueLength
                };
                self.at = record_goes_on(part, *record, *batch, n as u64);
                (Fate::Drop, n)
            }
            At::Record {
                part: Part::Rest,
                record,
                batch,
            } => {
                let n = some(*record);
                self.at = record_goes_on(Part::Rest, *record, *batch, n as u64);
                (Fate::Drop, n)
            }
            At::Record {
                part,
                record,
                batch,
            } => {
                let (part, record, batch) = (*part, *record, *batch);
                self.at = self.varint_part(part, record, batch, first);
                (Fate::Keep, 1)
            }
        }
    }

    /// The parts of a record that are kept: one byte, or a varint.
    fn varint_part(&mut self, part: Part, record: u64, batch: u64, byte: u8) -> At {
        if matches!(part, Part::Attributes) {
            return record_goes_on(Part::Timestamp, record, batch, 1);
        }
        self.head.push(byte);
        let unended = byte & 0x80 != 0 && self.head.len() < 10;
        if unended {
            let record = if matches!(part, Part::Length) {
                record + 1
            } else {
                record
            };
            return record_goes_on(part, record, batch, 1);
        }
        let value = zigzag(&self.head);
        self.head.clear();
        let length = u64::try_from(value).unwrap_or(0);
        match part {
            Part::Length if length == 0 || length >= batch => rest_of(batch - 1),
            Part::Length => At::Record {
                part: Part::Attributes,
                record: length,
                batch: batch - 1,
            },
            Part::Timestamp => record_goes_on(Part::Offset, record, batch, 1),
            Part::Offset => record_goes_on(Part::KeyLength, record, batch, 1),
            Part::KeyLength if length > record => rest_of(batch - 1),
            Part::KeyLength if length > 0 => record_goes_on(Part::Key(length), record, batch, 1),
            Part::KeyLength => record_goes_on(Part::ValueLength, record, batch, 1),
            _ => record_goes_on(Part::Rest, record, batch, 1),
        }
    }
}

fn rest_of(batch: u64) -> At {
    if batch > 0 { At::Rest(batch) } else { At::Head }
}

/// After `n` bytes of a record.
fn record_goes_on(part: Part, record: u64, batch: u64, n: u64) -> At {
    let batch = batch.saturating_sub(n);
    if batch == 0 {
        return At::Head;
    }
    if matches!(part, Part::Length) {
        return At::Record {
            part,
            record: 0,
            batch,
        };
    }
    match record.saturating_sub(n) {
        0 => At::Record {
            part: Part::Length,
            record: 0,
            batch,
        },
        record => At::Record {
            part,
            record,
            batch,
        },
    }
}

/// What follows a batch's head, once the head is whole.
fn after_head(head: &[u8]) -> Option<At> {
    let magic = *head.get(usize::try_from(MAGIC_AT).ok()?)?;
    let length = u64::from(u32::from_be_bytes(head.get(8..12)?.try_into().ok()?));
    let size = length + 12;
    let have = head.len() as u64;
    let rest = size.saturating_sub(have);
    match magic {
        2 if have < BATCH_HEAD => None,
        2 => {
            let compressed = head.get(22)? & 7 != 0;
            Some(match rest {
                0 => At::Head,
                rest if compressed => At::Rest(rest),
                batch => At::Record {
                    part: Part::Length,
                    record: 0,
                    batch,
                },
            })
        }
        0 | 1 => {
            let end = if magic == 0 { 22 } else { 30 };
            let key = i32::from_be_bytes(head.get(end - 4..end)?.try_into().ok()?);
            let key = u64::try_from(key).unwrap_or(0).min(rest);
            let batch = (rest - key).saturating_sub(4);
            Some(if key > 0 {
                At::Key { key, batch }
            } else {
                At::ValueLength { left: 4, batch }
            })
        }
        _ => Some(At::Rest(u64::MAX)),
    }
}

fn zigzag(bytes: &[u8]) -> i64 {
    let raw = bytes
        .iter()
        .take(10)
        .rev()
        .fold(0u64, |n, byte| n.wrapping_shl(7) | u64::from(byte & 0x7f));
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}
