//! A record that comes in parts. In: windows of its bytes, and gaps; out: the record, of which only key and headers were kept.
//!
//! Also messages of magic 0/1, whose header was read by then: they have no record headers and a 4-byte value length.

use crate::reader::{Reader, Stop};
use crate::record_batch::{BatchHeader, Headers, Record, fields};

/// See the module. Positions are those of the body.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(crate) end: u64,
    at: At,
    message: bool,
    size: u32,
    timestamp_delta: i64,
    offset_delta: i32,
    key_len: Option<u32>,
    value_len: Option<u32>,
    /// Where key or value end.
    part_end: u64,
    /// The key's kept bytes, then the headers'.
    kept: Vec<u8>,
    kept_key: usize,
    /// A gap was met in this part: what follows it does not join.
    holed: bool,
    truncated: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Prefix,
    Key,
    ValueLength,
    Value,
    Headers,
}

/// What came of a window.
pub(crate) enum Part {
    Took(usize),
    Need(usize),
    /// The value begins after these bytes.
    Value(usize),
    /// The record ends after these bytes.
    Whole(usize),
    Corrupt,
}

impl Partial {
    pub(crate) fn held(&self) -> usize {
        self.kept.capacity()
    }

    /// A record of `size` bytes begins at `pos`, after its length.
    pub(crate) fn begin_record(&mut self, size: u32, pos: u64) {
        self.begin(size, pos + u64::from(size));
        self.at = At::Prefix;
        self.message = false;
    }

    /// A message of magic 0/1 whose key begins at `pos`.
    pub(crate) fn begin_message(
        &mut self,
        header: &BatchHeader,
        key_len: Option<u32>,
        pos: u64,
        end: u64,
    ) {
        self.begin(
            header.wire_len - crate::record_batch::prefix::LOG_OVERHEAD,
            end,
        );
        self.at = At::Key;
        self.message = true;
        self.timestamp_delta = 0;
        self.offset_delta = 0;
        self.key_len = key_len;
        self.part_end = pos + u64::from(key_len.unwrap_or(0));
    }

    fn begin(&mut self, size: u32, end: u64) {
        self.size = size;
        self.end = end;
        self.kept.clear();
        self.kept_key = 0;
        self.holed = false;
        self.truncated = false;
    }

    /// Takes what it can from the window, which begins at `pos` and does not reach past the record.
    pub(crate) fn step(&mut self, window: &[u8], pos: u64, keep: usize) -> Part {
        match self.at {
            At::Prefix => self.prefix(window, pos),
            At::Key => {
                let n = self.keep(window, pos, self.part_end, keep);
                if pos + n as u64 >= self.part_end {
                    self.kept_key = self.kept.len();
                    self.holed = false;
                    self.at = At::ValueLength;
                    return Part::Took(n);
                }
                if n == 0 { Part::Need(1) } else { Part::Took(n) }
            }
            At::ValueLength => self.value_length(window, pos),
            At::Value => {
                let n = window.len().min((self.part_end - pos) as usize);
                if pos + n as u64 >= self.part_end {
                    self.at = At::Headers;
                    return if self.message {
                        Part::Whole(n)
                    } else {
                        Part::Took(n)
                    };
                }
                if n == 0 { Part::Need(1) } else { Part::Took(n) }
            }
            At::Headers => {
                let n = self.keep(window, pos, self.end, keep);
                if pos + n as u64 >= self.end {
                    return Part::Whole(n);
                }
                if n == 0 { Part::Need(1) } else { Part::Took(n) }
            }
        }
    }

    fn prefix(&mut self, window: &[u8], pos: u64) -> Part {
        let mut reader = Reader::new(window, false);
        match fields::prefix(&mut reader) {
            Ok(prefix) => {
                let key_len = fields::nullable(prefix.key_len);
                let key_at = pos + reader.position() as u64;
                self.part_end = key_at + u64::from(key_len.unwrap_or(0));
                if self.part_end > self.end {
                    return Part::Corrupt;
                }
                self.timestamp_delta = prefix.timestamp_delta;
                self.offset_delta = prefix.offset_delta;
                self.key_len = key_len;
                self.at = At::Key;
                Part::Took(reader.position())
            }
            Err(stop) => self.wait(stop, pos),
        }
    }

    fn value_length(&mut self, window: &[u8], pos: u64) -> Part {
        let mut reader = Reader::new(window, false);
        match if self.message {
            reader.i32()
        } else {
            reader.varint()
        } {
            Ok(length) => {
                self.value_len = fields::nullable(length);
                self.part_end =
                    pos + reader.position() as u64 + u64::from(self.value_len.unwrap_or(0));
                // A record ends with at least a header count, a message with its value.
                let fits = if self.message {
                    self.part_end == self.end
                } else {
                    self.part_end < self.end
                };
                if !fits {
                    return Part::Corrupt;
                }
                self.at = At::Value;
                Part::Value(reader.position())
            }
            Err(stop) => self.wait(stop, pos),
        }
    }

    fn wait(&self, stop: Stop, pos: u64) -> Part {
        match stop {
            Stop::Need(n) if pos + n as u64 <= self.end => Part::Need(n),
            _ => Part::Corrupt,
        }
    }

    /// Keeps what is allowed of the window before `end`; returns how much of the window that is.
    fn keep(&mut self, window: &[u8], pos: u64, end: u64, keep: usize) -> usize {
        let n = window.len().min((end - pos) as usize);
        let wanted = if self.holed {
            0
        } else {
            n.min(keep.saturating_sub(self.kept.len()))
        };
        self.kept
            .extend_from_slice(window.get(..wanted).unwrap_or_default());
        self.truncated |= wanted < n;
        n
    }

    /// `n` bytes from `pos` on are missing. Returns how many of them are dealt with; None: the record cannot be delivered.
    pub(crate) fn gap(&mut self, pos: u64, n: u64) -> Option<u64> {
        match self.at {
            At::Prefix | At::ValueLength => None,
            At::Value => Some(n.min(self.part_end - pos)),
            At::Key | At::Headers => {
                let absorbed = n.min(
                    if self.at == At::Key {
                        self.part_end
                    } else {
                        self.end
                    } - pos,
                );
                if absorbed > 0 {
                    self.holed = true;
                    self.truncated = true;
                }
                Some(absorbed)
            }
        }
    }

    /// The record, after `Part::Whole`.
    pub(crate) fn record(&self, index: u32) -> Record<'_> {
        let (key, headers) = self
            .kept
            .split_at_checked(self.kept_key)
            .unwrap_or_default();
        Record {
            index,
            offset_delta: self.offset_delta,
            timestamp_delta: self.timestamp_delta,
            size: self.size,
            key: self.key_len.map(|_| key),
            key_len: self.key_len,
            value_len: self.value_len,
            headers: Headers { raw: headers },
            truncated: self.truncated,
        }
    }
}
