//! One record of a v2 batch. In: its bytes after the length varint; out: its fields.

use super::{Headers, Record};
use crate::reader::{Read, Reader, Stop};

/// What stands before the key.
pub(crate) struct Prefix {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    /// Negative: null.
    pub key_len: i32,
}

#[inline]
pub(crate) fn prefix(reader: &mut Reader<'_>) -> Read<Prefix> {
    reader.i8()?; // attributes, unused
    Ok(Prefix {
        timestamp_delta: reader.varlong()?,
        offset_delta: reader.varint()?,
        key_len: reader.varint()?,
    })
}

/// A length as records have it: every negative number is null.
#[inline]
pub(crate) fn nullable(length: i32) -> Option<u32> {
    u32::try_from(length).ok()
}

/// A whole record; what is above `keep` bytes of key and headers is cut off.
#[inline]
pub(crate) fn record(bytes: &[u8], index: u32, keep: usize) -> Read<Record<'_>> {
    let mut reader = Reader::new(bytes, false);
    let prefix = prefix(&mut reader)?;
    let key_len = nullable(prefix.key_len);
    let key = reader.take(key_len.unwrap_or(0) as usize)?;
    let value_len = nullable(reader.varint()?);
    reader.take(value_len.unwrap_or(0) as usize)?;
    let headers = reader.rest();
    if headers.is_empty() {
        return Err(Stop::Bad("record"));
    }
    let kept_key = key.get(..keep).unwrap_or(key);
    let kept_headers = headers.get(..keep - kept_key.len()).unwrap_or(headers);
    Ok(Record {
        index,
        offset_delta: prefix.offset_delta,
        timestamp_delta: prefix.timestamp_delta,
        size: bytes.len() as u32,
        key: key_len.map(|_| kept_key),
        key_len,
        value_len,
        headers: Headers { raw: kept_headers },
        truncated: kept_key.len() + kept_headers.len() < key.len() + headers.len(),
    })
}
