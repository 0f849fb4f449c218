//! Ids from a record's own address. In: what both ends of a record can read; out: trace id, span id, and the address as text.
//!
//! A record whose batch has a producer id is addressed by (cluster, topic, partition, producer id, epoch, sequence), else by its
//! offset. The choice depends on the batch alone, so that two agents that see the two ends agree. Sequences survive retries, recompression
//! by the broker and compaction. An acks=0 record without a producer id has no address at its producer.

use std::hash::Hasher;

use kafka_wire::record_batch::BatchHeader;
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher128};

/// Published keys: all agents must derive the same ids, so they are not secrets. ASCII of the words, big-endian.
const TRACE_KEY: (u64, u64) = (
    u64::from_be_bytes(*b"obikafka"),
    u64::from_be_bytes(*b"trace-v1"),
);
const SPAN_KEY: (u64, u64) = (
    u64::from_be_bytes(*b"obikafka"),
    u64::from_be_bytes(*b"spans-v1"),
);

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// Where a record stands within its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Sequence {
        producer_id: i64,
        epoch: i16,
        sequence: i32,
    },
    Offset(i64),
}

/// The place of a record of this batch. `base_offset` is that of the batch, if it is known (a Produce request does not know it).
pub fn place(header: &BatchHeader, base_offset: Option<i64>, offset_delta: i32) -> Option<Place> {
    if header.producer_id >= 0 && header.base_sequence >= 0 {
        // Sequences wrap to 0 after i32::MAX (`DefaultRecordBatch.incrementSequence`).
        let sequence = header.base_sequence.wrapping_add(offset_delta) & i32::MAX;
        return Some(Place::Sequence {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            sequence,
        });
    }
    base_offset.map(|base| Place::Offset(base.saturating_add(i64::from(offset_delta))))
}

impl Place {
    /// What is hashed: a tag, then the numbers in big-endian.
    pub(crate) fn write(self, hasher: &mut impl Hasher) {
        match self {
            Place::Sequence {
                producer_id,
                epoch,
                sequence,
            } => {
                hasher.write(b"s");
                hasher.write(&producer_id.to_be_bytes());
                hasher.write(&epoch.to_be_bytes());
                hasher.write(&sequence.to_be_bytes());
            }
            Place::Offset(offset) => {
                hasher.write(b"o");
                hasher.write(&offset.to_be_bytes());
            }
        }
    }
}

/// A record's address in all clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    pub cluster: &'a str,
    pub topic: &'a str,
    pub partition: i32,
    pub place: Place,
}

impl Address<'_> {
    /// Trace id and span id of the record's creation context; never zero.
    pub fn ids(&self) -> (TraceId, SpanId) {
        let mut trace = SipHasher128::new_with_keys(TRACE_KEY.0, TRACE_KEY.1);
        self.write(&mut trace);
        let mut span = SipHasher24::new_with_keys(SPAN_KEY.0, SPAN_KEY.1);
        self.write(&mut span);
        (
            nonzero(trace.finish128().as_u128().to_be_bytes()),
            nonzero(span.finish().to_be_bytes()),
        )
    }

    fn write(&self, hasher: &mut impl Hasher) {
        for text in [self.cluster, self.topic] {
            hasher.write(&(text.len() as u32).to_be_bytes());
            hasher.write(text.as_bytes());
        }
        hasher.write(&self.partition.to_be_bytes());
        self.place.write(hasher);
    }
}

impl std::fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cluster, topic, partition) = (self.cluster, self.topic, self.partition);
        match self.place {
            Place::Sequence {
                producer_id,
                epoch,
                sequence,
            } => {
                write!(
                    f,
                    "s:{cluster}/{topic}/{partition}/{producer_id}/{epoch}/{sequence}"
                )
            }
            Place::Offset(offset) => write!(f, "o:{cluster}/{topic}/{partition}/{offset}"),
        }
    }
}

/// Ids for a span of ours that is no creation context, from what makes it unique.
pub fn own_ids(parts: &[&[u8]]) -> (TraceId, SpanId) {
    let mut trace = SipHasher128::new_with_keys(TRACE_KEY.0, !TRACE_KEY.1);
    let mut span = SipHasher24::new_with_keys(SPAN_KEY.0, !SPAN_KEY.1);
    for part in parts {
        let length = (part.len() as u32).to_be_bytes();
        trace.write(&length);
        trace.write(part);
        span.write(&length);
        span.write(part);
    }
    (
        nonzero(trace.finish128().as_u128().to_be_bytes()),
        nonzero(span.finish().to_be_bytes()),
    )
}

fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id.iter().all(|byte| *byte == 0)
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::record_batch::Codec;

    fn header(producer_id: i64, base_sequence: i32) -> BatchHeader {
        BatchHeader {
            magic: 2,
            base_offset: 0,
            wire_len: 100,
            body_len: 39,
            codec: Codec::None,
            attributes: 0,
            last_offset_delta: 2,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 3,
            base_sequence,
            records_count: 3,
        }
    }

    #[test]
    fn sequences_win_over_offsets_and_wrap() {
        let sequence = |sequence| {
            Some(Place::Sequence {
                producer_id: 7,
                epoch: 3,
                sequence,
            })
        };
        assert_eq!(place(&header(7, 10), None, 2), sequence(12));
        assert_eq!(place(&header(7, 10), Some(900), 2), sequence(12));
        assert_eq!(place(&header(7, i32::MAX), None, 1), sequence(0));
        assert_eq!(
            place(&header(-1, -1), Some(900), 2),
            Some(Place::Offset(902))
        );
        assert_eq!(place(&header(-1, -1), None, 2), None);
    }

    #[test]
    fn ids_are_published_values() {
        let address = Address {
            cluster: "MkU3OEVBNTcwNTJENDM2Qk",
            topic: "orders",
            partition: 1,
            place: Place::Offset(42),
        };
        assert_eq!(address.to_string(), "o:MkU3OEVBNTcwNTJENDM2Qk/orders/1/42");
        let (trace, span) = address.ids();
        assert_eq!(
            u128::from_be_bytes(trace),
            TRACE_42,
            "{:#x}",
            u128::from_be_bytes(trace)
        );
        assert_eq!(
            u64::from_be_bytes(span),
            SPAN_42,
            "{:#x}",
            u64::from_be_bytes(span)
        );
        let other = Address {
            cluster: "MkU3OEVBNTcwNTJENDM2Q",
            topic: "korders",
            ..address
        };
        assert_ne!(other.ids(), address.ids());
        assert_eq!(nonzero([0u8; 8]), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    const TRACE_42: u128 = 0x88764661b4da35a42b0efad885635d00;
    const SPAN_42: u64 = 0xf487218117a0fd7d;
}
