//! Metadata, versions 0–13. In: a body; out: brokers, cluster id, topics with their ids and leaders.
//!
//! Replica lists and authorized operations are stepped over.

use super::Message;
use crate::Uuid;
use crate::body::parts::At;
use crate::reader::{Read, Reader, Stop};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest<'a> {
    /// None: all topics (in v0 an empty list means all, too, and is None here).
    pub topics: Option<Vec<MetadataRequestTopic<'a>>>,
    /// True before v4.
    pub allow_auto_topic_creation: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataRequestTopic<'a> {
    /// Zero before v10, and when asked by name.
    pub topic_id: Uuid,
    pub name: Option<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let topics = reader.nullable_array(|reader| {
        let topic_id = if version >= 10 {
            reader.uuid()?
        } else {
            Uuid::ZERO
        };
        let name = if version >= 10 {
            reader.nullable_string()?
        } else {
            Some(reader.string()?)
        };
        reader.tags()?;
        Ok(MetadataRequestTopic { topic_id, name })
    })?;
    let topics = topics.filter(|topics| version > 0 || !topics.is_empty());
    let allow_auto_topic_creation = if version >= 4 { reader.bool()? } else { true };
    if (8..=10).contains(&version) {
        reader.bool()?; // include_cluster_authorized_operations
    }
    if version >= 8 {
        reader.bool()?; // include_topic_authorized_operations
    }
    reader.tags()?;
    Ok(Message::MetadataRequest(MetadataRequest {
        topics,
        allow_auto_topic_creation,
    }))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponse<'a> {
    /// 0 before v3.
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker<'a>>,
    /// None before v2.
    pub cluster_id: Option<&'a str>,
    /// −1: unknown, and in v0.
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic<'a>>,
    /// 0 before v13.
    pub error_code: i16,
}

impl MetadataResponse<'_> {
    pub fn first_error(&self) -> Option<i16> {
        let topics = self.topics.iter().map(|topic| topic.error_code);
        topics.chain([self.error_code]).find(|code| *code != 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataResponseBroker<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    /// None in v0.
    pub rack: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponseTopic<'a> {
    pub error_code: i16,
    /// None: asked by an id that the broker does not know (v12+).
    pub name: Option<&'a str>,
    /// Zero before v10.
    pub topic_id: Uuid,
    /// False in v0.
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    /// −1: no leader.
    pub leader_id: i32,
    /// −1 before v7.
    pub leader_epoch: i32,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut answer = head(reader, version)?;
    answer.topics = reader.elements(|reader| topic(reader, version))?;
    answer.error_code = tail(reader, version)?;
    Ok(Message::MetadataResponse(answer))
}

/// One part of an answer: the head without topics, one topic, or the end. Only the first has `throttle_time_ms`, brokers and ids.
pub(crate) fn response_part<'a>(
    reader: &mut Reader<'a>,
    version: i16,
    at: At,
) -> Read<(Message<'a>, At)> {
    let mut answer = MetadataResponse {
        throttle_time_ms: 0,
        brokers: Vec::new(),
        cluster_id: None,
        controller_id: -1,
        topics: Vec::new(),
        error_code: 0,
    };
    let next = match at {
        At::Head => {
            answer = head(reader, version)?;
            let topics = reader.length()?.unwrap_or(0);
            At::elements(u32::try_from(topics).map_err(|_| Stop::Bad("length"))?)
        }
        At::Element { left } => {
            answer.topics.push(topic(reader, version)?);
            At::elements(left - 1)
        }
        At::Tail | At::Done => {
            answer.error_code = tail(reader, version)?;
            At::Done
        }
    };
    Ok((Message::MetadataResponse(answer), next))
}

/// What stands before the topics.
fn head<'a>(reader: &mut Reader<'a>, version: i16) -> Read<MetadataResponse<'a>> {
    let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
    let brokers = reader.elements(|reader| {
        let (node_id, host, port) = (reader.i32()?, reader.string()?, reader.i32()?);
        let rack = if version >= 1 {
            reader.nullable_string()?
        } else {
            None
        };
        reader.tags()?;
        Ok(MetadataResponseBroker {
            node_id,
            host,
            port,
            rack,
        })
    })?;
    let cluster_id = if version >= 2 {
        reader.nullable_string()?
    } else {
        None
    };
    let controller_id = if version >= 1 { reader.i32()? } else { -1 };
    Ok(MetadataResponse {
        throttle_time_ms,
        brokers,
        cluster_id,
        controller_id,
        topics: Vec::new(),
        error_code: 0,
    })
}

/// What stands behind the topics: the error code.
fn tail(reader: &mut Reader<'_>, version: i16) -> Read<i16> {
    if (8..=10).contains(&version) {
        reader.i32()?; // cluster_authorized_operations
    }
    let error_code = if version >= 13 { reader.i16()? } else { 0 };
    reader.tags()?;
    Ok(error_code)
}

fn topic<'a>(reader: &mut Reader<'a>, version: i16) -> Read<MetadataResponseTopic<'a>> {
    let topic = MetadataResponseTopic {
        error_code: reader.i16()?,
        name: if version >= 12 {
            reader.nullable_string()?
        } else {
            Some(reader.string()?)
        },
        topic_id: if version >= 10 {
            reader.uuid()?
        } else {
            Uuid::ZERO
        },
        is_internal: if version >= 1 { reader.bool()? } else { false },
        partitions: reader.elements(|reader| partition(reader, version))?,
    };
    if version >= 8 {
        reader.i32()?; // topic_authorized_operations
    }
    reader.tags()?;
    Ok(topic)
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<MetadataResponsePartition> {
    let partition = MetadataResponsePartition {
        error_code: reader.i16()?,
        partition_index: reader.i32()?,
        leader_id: reader.i32()?,
        leader_epoch: if version >= 7 { reader.i32()? } else { -1 },
    };
    reader.skip_array(4)?; // replica_nodes
    reader.skip_array(4)?; // isr_nodes
    if version >= 5 {
        reader.skip_array(4)?; // offline_replicas
    }
    reader.tags()?;
    Ok(partition)
}
