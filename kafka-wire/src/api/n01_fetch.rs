//! Fetch requests, versions 0–18. In: a body; out: who asks for what from where. Answers are streamed: see `body`.
//!
//! Leader epochs, directory ids (tag 0, v17+) and high watermarks (tag 1, v18+) of partitions are stepped over: followers' business.

use super::Message;
use crate::TopicRef;
use crate::reader::{Read, Reader, Stop};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest<'a> {
    /// Tag 0 (v12+).
    pub cluster_id: Option<&'a str>,
    /// −1: a consumer. From v15 on in `replica_state` (tag 1).
    pub replica_id: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    /// `i32::MAX` before v3.
    pub max_bytes: i32,
    /// 0 read uncommitted (always before v4), 1 read committed.
    pub isolation_level: i8,
    /// 0: no session, or a new one is asked for (v7+, KIP-227).
    pub session_id: i32,
    /// −1: no session (and before v7). 0: full request that opens one. Above: only changes are listed.
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic<'a>>,
    /// Partitions that leave the session (v7+).
    pub forgotten_topics_data: Vec<ForgottenTopic<'a>>,
    /// "" before v11.
    pub rack_id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic<'a> {
    pub topic: TopicRef<'a>,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    pub partition: i32,
    pub fetch_offset: i64,
    /// −1 for consumers, and before v5.
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenTopic<'a> {
    pub topic: TopicRef<'a>,
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let mut request = FetchRequest {
        cluster_id: None,
        replica_id: if version <= 14 { reader.i32()? } else { -1 },
        max_wait_ms: reader.i32()?,
        min_bytes: reader.i32()?,
        max_bytes: if version >= 3 {
            reader.i32()?
        } else {
            i32::MAX
        },
        isolation_level: if version >= 4 { reader.i8()? } else { 0 },
        session_id: if version >= 7 { reader.i32()? } else { 0 },
        session_epoch: if version >= 7 { reader.i32()? } else { -1 },
        topics: reader.elements(|reader| {
            let topic = topic_ref(reader, version)?;
            let partitions = reader.elements(|reader| partition(reader, version))?;
            reader.tags()?;
            Ok(FetchTopic { topic, partitions })
        })?,
        forgotten_topics_data: Vec::new(),
        rack_id: "",
    };
    if version >= 7 {
        request.forgotten_topics_data = reader.elements(|reader| {
            let topic = topic_ref(reader, version)?;
            let partitions = reader.elements(Reader::i32)?;
            reader.tags()?;
            Ok(ForgottenTopic { topic, partitions })
        })?;
    }
    if version >= 11 {
        request.rack_id = reader.string()?;
    }
    reader.tags_with(|tag, field| {
        match tag {
            0 => request.cluster_id = field.nullable_string()?,
            1 if version >= 15 => {
                request.replica_id = field.i32()?;
                field.i64()?;
                field.tags()?;
            }
            _ => return Ok(()),
        }
        if field.rest().is_empty() {
            Ok(())
        } else {
            Err(Stop::Bad("tag_size"))
        }
    })?;
    Ok(Message::FetchRequest(request))
}

fn topic_ref<'a>(reader: &mut Reader<'a>, version: i16) -> Read<TopicRef<'a>> {
    if version >= 13 {
        reader.uuid().map(TopicRef::Id)
    } else {
        reader.string().map(TopicRef::Name)
    }
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<FetchPartition> {
    let partition = reader.i32()?;
    if version >= 9 {
        reader.i32()?; // current_leader_epoch
    }
    let fetch_offset = reader.i64()?;
    if version >= 12 {
        reader.i32()?; // last_fetched_epoch
    }
    let log_start_offset = if version >= 5 { reader.i64()? } else { -1 };
    let partition_max_bytes = reader.i32()?;
    reader.tags()?;
    Ok(FetchPartition {
        partition,
        fetch_offset,
        log_start_offset,
        partition_max_bytes,
    })
}
