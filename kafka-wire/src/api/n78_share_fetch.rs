//! ShareFetch requests, versions 0–2 (KIP-932; v0 was early access). In: a body; out: who asks a share group for more, and acknowledges what it
//! had. Answers are streamed: see `body`.

use super::Message;
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareFetchRequest<'a> {
    pub group_id: Option<&'a str>,
    pub member_id: Option<&'a str>,
    /// 0: opens a session. −1: closes it. Above: only changes are listed.
    pub share_session_epoch: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0 before v1.
    pub max_records: i32,
    /// 0 before v1.
    pub batch_size: i32,
    /// 0 whole batches (always before v2), 1 at most `max_records` (KIP-1206).
    pub share_acquire_mode: i8,
    /// Some acknowledgements renew the lock (v2+, KIP-1222).
    pub is_renew_ack: bool,
    pub topics: Vec<FetchTopic>,
    /// Partitions that leave the session.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    pub partition_index: i32,
    /// Only in v0; 0 since.
    pub partition_max_bytes: i32,
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

/// Also of ShareAcknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgementBatch {
    pub first_offset: i64,
    /// The last one, itself in the batch.
    pub last_offset: i64,
    /// One for each offset, or one for all: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
    pub acknowledge_types: Vec<i8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ShareFetchRequest {
        group_id: reader.nullable_string()?,
        member_id: reader.nullable_string()?,
        share_session_epoch: reader.i32()?,
        max_wait_ms: reader.i32()?,
        min_bytes: reader.i32()?,
        max_bytes: reader.i32()?,
        max_records: if version >= 1 { reader.i32()? } else { 0 },
        batch_size: if version >= 1 { reader.i32()? } else { 0 },
        share_acquire_mode: if version >= 2 { reader.i8()? } else { 0 },
        is_renew_ack: version >= 2 && reader.bool()?,
        topics: reader.elements(|reader| {
            let topic = FetchTopic {
                topic_id: reader.uuid()?,
                partitions: reader.elements(|reader| partition(reader, version))?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
        forgotten_topics_data: reader.elements(|reader| {
            let topic = ForgottenTopic {
                topic_id: reader.uuid()?,
                partitions: reader.elements(Reader::i32)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::ShareFetchRequest(request))
}

fn partition(reader: &mut Reader<'_>, version: i16) -> Read<FetchPartition> {
    let partition = FetchPartition {
        partition_index: reader.i32()?,
        partition_max_bytes: if version == 0 { reader.i32()? } else { 0 },
        acknowledgement_batches: reader.elements(acknowledgement_batch)?,
    };
    reader.tags()?;
    Ok(partition)
}

pub(super) fn acknowledgement_batch(reader: &mut Reader<'_>) -> Read<AcknowledgementBatch> {
    let batch = AcknowledgementBatch {
        first_offset: reader.i64()?,
        last_offset: reader.i64()?,
        acknowledge_types: reader.elements(Reader::i8)?,
    };
    reader.tags()?;
    Ok(batch)
}
