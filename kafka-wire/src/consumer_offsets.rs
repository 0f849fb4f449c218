//! Records of `__consumer_offsets`, in which coordinators keep what groups committed and who their members are. In: the key, or the value of a
//! commit; out: whose record it is, and the offset.
//!
//! A key begins with the number of its record type, a value with its version; a null value takes the record away. Of the record types after 2,
//! those of the newer kinds of groups, only the name and the group are told: the group comes first in all of them. From the schemas in
//! `group-coordinator/src/main/resources/common/message`.

use crate::Uuid;
use crate::reader::{Read, Reader, Stop};

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// 0 and 1: a committed offset. Its value is an [`OffsetCommitValue`].
    OffsetCommit {
        group: &'a str,
        topic: &'a str,
        partition: i32,
    },
    /// 2: generation, leader and members of a classic group.
    GroupMetadata { group: &'a str },
    /// 3–23: a record of a group of a newer kind (KIP-848, KIP-932, KIP-1071).
    Other {
        number: i16,
        /// Of the schema, without `Key`.
        name: &'static str,
        group: &'a str,
    },
    /// A newer type: Kafka's own tools step over what they do not know, too.
    Unknown { number: i16 },
}

impl<'a> Key<'a> {
    pub fn parse(bytes: &'a [u8]) -> Read<Key<'a>> {
        let mut reader = Reader::new(bytes, false);
        let number = reader.i16()?;
        let key = match number {
            0 | 1 => Key::OffsetCommit {
                group: reader.string()?,
                topic: reader.string()?,
                partition: reader.i32()?,
            },
            2 => Key::GroupMetadata {
                group: reader.string()?,
            },
            number => {
                let Some(name) = other(number) else {
                    return Ok(Key::Unknown { number });
                };
                let group = reader.string()?;
                return Ok(Key::Other {
                    number,
                    name,
                    group,
                });
            }
        };
        ended(&reader)?;
        Ok(key)
    }
}

/// The record types whose names alone are told.
fn other(number: i16) -> Option<&'static str> {
    // From 3 on without a hole.
    OTHERS
        .get(usize::try_from(number).ok()?.checked_sub(3)?)
        .copied()
}

static OTHERS: [&str; 21] = [
    "ConsumerGroupMetadata",
    "ConsumerGroupPartitionMetadata",
    "ConsumerGroupMemberMetadata",
    "ConsumerGroupTargetAssignmentMetadata",
    "ConsumerGroupTargetAssignmentMember",
    "ConsumerGroupCurrentMemberAssignment",
    // No longer written, but still in old logs; as 18.
    "ShareGroupPartitionMetadata",
    "ShareGroupMemberMetadata",
    "ShareGroupMetadata",
    "ShareGroupTargetAssignmentMetadata",
    "ShareGroupTargetAssignmentMember",
    "ShareGroupCurrentMemberAssignment",
    "ShareGroupStatePartitionMetadata",
    "ConsumerGroupRegularExpression",
    "StreamsGroupMetadata",
    "StreamsGroupPartitionMetadata",
    "StreamsGroupMemberMetadata",
    "StreamsGroupTargetAssignmentMetadata",
    "StreamsGroupTargetAssignmentMember",
    "StreamsGroupCurrentMemberAssignment",
    "StreamsGroupTopology",
];

/// A committed offset, versions 0–4. Its metadata, the application's own text, is stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    pub version: i16,
    pub offset: i64,
    /// −1: unknown, and before v3.
    pub leader_epoch: i32,
    /// Milliseconds since 1970.
    pub commit_timestamp: i64,
    /// Only v1; −1: by the broker's retention.
    pub expire_timestamp: i64,
    /// Tag 0 (v4+), of groups whose commits have topic ids; else zero.
    pub topic_id: Uuid,
}

impl OffsetCommitValue {
    pub fn parse(bytes: &[u8]) -> Read<OffsetCommitValue> {
        let version = Reader::new(bytes, false).i16()?;
        if !(0..=4).contains(&version) {
            return Err(Stop::Bad("version"));
        }
        let mut reader = Reader::new(bytes, version >= 4);
        reader.take(2)?;
        let mut value = OffsetCommitValue {
            version,
            offset: reader.i64()?,
            leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
            commit_timestamp: -1,
            expire_timestamp: -1,
            topic_id: Uuid::ZERO,
        };
        reader.skip_string()?; // metadata
        value.commit_timestamp = reader.i64()?;
        if version == 1 {
            value.expire_timestamp = reader.i64()?;
        }
        reader.tags_with(|tag, field| {
            if tag == 0 {
                value.topic_id = field.uuid()?;
                ended(field)?;
            }
            Ok(())
        })?;
        ended(&reader)?;
        Ok(value)
    }
}

fn ended(reader: &Reader<'_>) -> Read<()> {
    if reader.rest().is_empty() {
        Ok(())
    } else {
        Err(Stop::Bad("trailing_bytes"))
    }
}
