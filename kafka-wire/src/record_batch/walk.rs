//! Records of a batch that was opened. In: the uncompressed bytes; out: each [`Record`], and whether all of them came.
//!
//! Magic 2: records as in an uncompressed batch. Magic 0/1: the wrapper's value is a message set of plain messages; in magic 1 their
//! offsets are relative (0, 1, ...) and the wrapper has the offset of the last one (KIP-31), in magic 0 they are absolute.

use super::fields::{nullable, record};
use super::prefix::{LOG_OVERHEAD, Prefix, prefix};
use super::{BatchHeader, Codec, Headers, Record};
use crate::body::Limits;
use crate::reader::{Read, Reader, Stop};

/// How far [`walk`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    pub records: u32,
    /// All records of the batch, and nothing else, were there.
    pub complete: bool,
}

/// Gives each record of `inner` (the uncompressed records of the batch `header`, or the inner message set of a wrapper) to `emit`. Stops
/// at the first malformed byte. `Limits::keep` cuts keys and headers; the other limits do not matter here.
pub fn walk<'a>(
    header: &BatchHeader,
    inner: &'a [u8],
    limits: &Limits,
    mut emit: impl FnMut(Record<'a>),
) -> Walked {
    if header.magic == 2 {
        return records(header, inner, limits, &mut emit);
    }
    let last = if header.magic == 1 {
        last_offset(inner)
    } else {
        Some(header.base_offset)
    };
    match last {
        Some(last) => messages(header, inner, last, limits, &mut emit),
        None => Walked {
            records: 0,
            complete: false,
        },
    }
}

fn records<'a>(
    header: &BatchHeader,
    inner: &'a [u8],
    limits: &Limits,
    emit: &mut impl FnMut(Record<'a>),
) -> Walked {
    let mut reader = Reader::new(inner, false);
    let count = u32::try_from(header.records_count).unwrap_or(0);
    for index in 0..count {
        let Ok(record) = next_record(&mut reader, index, limits.keep) else {
            return Walked {
                records: index,
                complete: false,
            };
        };
        emit(record);
    }
    Walked {
        records: count,
        complete: reader.rest().is_empty(),
    }
}

fn next_record<'a>(reader: &mut Reader<'a>, index: u32, keep: usize) -> Read<Record<'a>> {
    let size = usize::try_from(reader.varint()?).map_err(|_| Stop::Bad("record"))?;
    record(reader.take(size)?, index, keep)
}

fn messages<'a>(
    header: &BatchHeader,
    inner: &'a [u8],
    last: i64,
    limits: &Limits,
    emit: &mut impl FnMut(Record<'a>),
) -> Walked {
    let mut reader = Reader::new(inner, false);
    let mut index = 0;
    while !reader.rest().is_empty() {
        let Ok(message) = next_message(&mut reader) else {
            break;
        };
        let Ok(offset_delta) = i32::try_from(message.offset.wrapping_sub(last)) else {
            break;
        };
        let key = message.key.unwrap_or_default();
        let kept = key.get(..limits.keep).unwrap_or(key);
        emit(Record {
            index,
            offset_delta,
            timestamp_delta: message.timestamp.wrapping_sub(header.base_timestamp),
            size: message.size,
            key: message.key.map(|_| kept),
            key_len: message.key.map(|key| key.len() as u32),
            value_len: message.value_len,
            headers: Headers::default(),
            truncated: kept.len() < key.len(),
        });
        index += 1;
    }
    Walked {
        records: index,
        complete: reader.rest().is_empty(),
    }
}

/// A plain message of an inner set.
struct Inner<'a> {
    offset: i64,
    timestamp: i64,
    size: u32,
    key: Option<&'a [u8]>,
    value_len: Option<u32>,
}

fn next_message<'a>(reader: &mut Reader<'a>) -> Read<Inner<'a>> {
    let Prefix::Message { header, key_len } = prefix(reader, reader.rest().len() as u64)? else {
        return Err(Stop::Bad("message"));
    };
    // A wrapper inside a wrapper was never allowed.
    if header.codec != Codec::None {
        return Err(Stop::Bad("message"));
    }
    let key = reader.take(key_len.unwrap_or(0) as usize)?;
    let value_len = nullable(reader.i32()?);
    if value_len.unwrap_or(0) != header.body_len {
        return Err(Stop::Bad("message"));
    }
    reader.take(header.body_len as usize)?;
    Ok(Inner {
        offset: header.base_offset,
        timestamp: header.base_timestamp,
        size: header.wire_len - LOG_OVERHEAD,
        key: key_len.map(|_| key),
        value_len,
    })
}

/// Offset that the last inner message has in the set; only offsets and sizes are read.
fn last_offset(inner: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(inner, false);
    let mut last = None;
    while !reader.rest().is_empty() {
        let (Ok(offset), Ok(size)) = (reader.i64(), reader.i32()) else {
            break;
        };
        let Some(Ok(_)) = usize::try_from(size).ok().map(|size| reader.take(size)) else {
            break;
        };
        last = Some(offset);
    }
    last
}
