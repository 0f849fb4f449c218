//! The part of a batch before its records. In: the first bytes of a batch, perhaps too few; out: its facts.
//!
//! Magic 2 has 61 bytes of header; a message of magic 0 or 1 has an offset and a size, then a header that ends with the key's length.
//! Layouts: `DefaultRecordBatch.java`, `LegacyRecord.java`.

use super::fields::nullable;
use super::{BatchHeader, Codec};
use crate::reader::{Read, Reader, Stop};

/// Offset and length: what `batch_length` does not count.
pub(crate) const LOG_OVERHEAD: u32 = 12;
/// Bytes of a v2 batch that `batch_length` counts before the records.
const V2_OVERHEAD: u32 = 49;
/// length, attributes, timestamp delta, offset delta, key length, value length, header count.
const MIN_RECORD_ON_WIRE: u32 = 7;
/// crc, magic, attributes, key length, value length of a message v0; v1 adds a timestamp.
const V0_OVERHEAD: u32 = 14;
const V1_OVERHEAD: u32 = 22;
/// Up to the magic byte, the same in all formats.
pub(crate) const MIN_PREFIX: u64 = 17;

/// What begins a batch.
pub(crate) enum Prefix {
    /// The batch, or set of messages, is longer than the bytes left: a broker cuts at the fetch size, not at batches.
    Beyond,
    Batch(BatchHeader),
    /// Magic 0/1: the key follows, then the value's length.
    Message {
        header: BatchHeader,
        key_len: Option<u32>,
    },
}

/// Reads the prefix of a batch that may be at most `left` bytes long.
#[inline]
pub(crate) fn prefix(reader: &mut Reader<'_>, left: u64) -> Read<Prefix> {
    let base_offset = reader.i64()?;
    let length = u32::try_from(reader.i32()?).map_err(|_| Stop::Bad("batch_length"))?;
    if u64::from(length) + u64::from(LOG_OVERHEAD) > left {
        return Ok(Prefix::Beyond);
    }
    let wire_len = length + LOG_OVERHEAD;
    reader.i32()?; // partition leader epoch, or crc
    match reader.i8()? {
        2 => batch(reader, base_offset, length),
        magic @ (0 | 1) => message(reader, base_offset, wire_len, magic),
        _ => Err(Stop::Bad("magic")),
    }
}

fn batch(reader: &mut Reader<'_>, base_offset: i64, length: u32) -> Read<Prefix> {
    let body_len = length
        .checked_sub(V2_OVERHEAD)
        .ok_or(Stop::Bad("batch_length"))?;
    reader.i32()?; // crc
    let attributes = reader.i16()?;
    let header = BatchHeader {
        magic: 2,
        base_offset,
        wire_len: length + LOG_OVERHEAD,
        body_len,
        codec: Codec::from_attributes(attributes),
        attributes,
        last_offset_delta: reader.i32()?,
        base_timestamp: reader.i64()?,
        max_timestamp: reader.i64()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        base_sequence: reader.i32()?,
        records_count: reader.i32()?,
    };
    let count = u32::try_from(header.records_count).map_err(|_| Stop::Bad("records_count"))?;
    if header.codec == Codec::None && count > body_len / MIN_RECORD_ON_WIRE {
        return Err(Stop::Bad("records_count"));
    }
    Ok(Prefix::Batch(header))
}

fn message(reader: &mut Reader<'_>, offset: i64, wire_len: u32, magic: i8) -> Read<Prefix> {
    let attributes = i16::from(reader.i8()?);
    let timestamp = if magic == 1 { reader.i64()? } else { -1 };
    let key_len = nullable(reader.i32()?);
    let overhead = if magic == 1 { V1_OVERHEAD } else { V0_OVERHEAD };
    let body_len = (wire_len - LOG_OVERHEAD)
        .checked_sub(overhead)
        .and_then(|rest| rest.checked_sub(key_len.unwrap_or(0)))
        .ok_or(Stop::Bad("batch_length"))?;
    // Only codec and, in v1, the timestamp type have a meaning; the bits above do not mean what they mean in v2.
    let attributes = attributes & if magic == 1 { 0x0f } else { 0x07 };
    let codec = Codec::from_attributes(attributes);
    let header = BatchHeader {
        magic,
        base_offset: offset,
        wire_len,
        body_len,
        codec,
        attributes,
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: if codec == Codec::None { 1 } else { 0 },
    };
    Ok(Prefix::Message { header, key_len })
}
