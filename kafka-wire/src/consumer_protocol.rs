//! What members of protocol type `consumer` tell each other through their coordinator. In: the bytes of a JoinGroup `metadata` or a SyncGroup
//! `assignment`; out: a subscription or an assignment.
//!
//! Both begin with a version, 0–3, and are never flexible. A newer one is read as version 3: Kafka promises only to add fields at the end. No
//! bytes at all are an empty value. User data is the assignor's own; only its length is told.

use crate::reader::{Read, Reader, Stop};

const NEWEST: i16 = 3;

/// What a member wants, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// As on the wire; 0 when there were no bytes.
    pub version: i16,
    pub topics: Vec<&'a str>,
    /// None: null.
    pub user_data_len: Option<usize>,
    /// Empty in v0. Eager members give theirs back first, so that they own none.
    pub owned_partitions: Vec<TopicPartitions<'a>>,
    /// −1: none yet, and before v2.
    pub generation_id: i32,
    /// None before v3.
    pub rack_id: Option<&'a str>,
}

/// What a member was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// As on the wire; 0 when there were no bytes.
    pub version: i16,
    pub assigned_partitions: Vec<TopicPartitions<'a>>,
    /// None: null.
    pub user_data_len: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions<'a> {
    pub topic: &'a str,
    pub partitions: Vec<i32>,
}

impl<'a> Subscription<'a> {
    pub fn parse(bytes: &'a [u8]) -> Read<Subscription<'a>> {
        let mut subscription = Subscription {
            version: 0,
            topics: Vec::new(),
            user_data_len: None,
            owned_partitions: Vec::new(),
            generation_id: -1,
            rack_id: None,
        };
        if bytes.is_empty() {
            return Ok(subscription);
        }
        let mut reader = Reader::new(bytes, false);
        subscription.version = reader.i16()?;
        let version = known(subscription.version)?;
        subscription.topics = reader.elements(Reader::string)?;
        subscription.user_data_len = reader.skip_bytes()?;
        // Some clients claim a version whose fields they do not send, and brokers carry it; other members take such fields for absent (sarama,
        // consumer_group_members.go).
        if version >= 1 && !reader.rest().is_empty() {
            subscription.owned_partitions = reader.elements(topic_partitions)?;
        }
        if version >= 2 && !reader.rest().is_empty() {
            subscription.generation_id = reader.i32()?;
        }
        if version >= 3 && !reader.rest().is_empty() {
            subscription.rack_id = reader.nullable_string()?;
        }
        Ok(subscription)
    }
}

impl<'a> Assignment<'a> {
    pub fn parse(bytes: &'a [u8]) -> Read<Assignment<'a>> {
        let mut assignment = Assignment {
            version: 0,
            assigned_partitions: Vec::new(),
            user_data_len: None,
        };
        if bytes.is_empty() {
            return Ok(assignment);
        }
        let mut reader = Reader::new(bytes, false);
        assignment.version = reader.i16()?;
        known(assignment.version)?;
        assignment.assigned_partitions = reader.elements(topic_partitions)?;
        assignment.user_data_len = reader.skip_bytes()?;
        Ok(assignment)
    }
}

fn known(version: i16) -> Read<i16> {
    if version < 0 {
        return Err(Stop::Bad("version"));
    }
    Ok(version.min(NEWEST))
}

fn topic_partitions<'a>(reader: &mut Reader<'a>) -> Read<TopicPartitions<'a>> {
    Ok(TopicPartitions {
        topic: reader.string()?,
        partitions: reader.elements(Reader::i32)?,
    })
}
