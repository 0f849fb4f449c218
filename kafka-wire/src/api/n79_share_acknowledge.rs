//! ShareAcknowledge, versions 0–2 (KIP-932; v0 was early access). In: a body; out: what a share consumer did with which offsets, and whether
//! the broker took it.
//!
//! Current leaders and node endpoints are stepped over.

use super::Message;
use super::n78_share_fetch::{AcknowledgementBatch, acknowledgement_batch};
use crate::Uuid;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAcknowledgeRequest<'a> {
    pub group_id: Option<&'a str>,
    pub member_id: Option<&'a str>,
    /// −1: closes the session. It cannot be opened here.
    pub share_session_epoch: i32,
    /// Some acknowledgements renew the lock (v2+, KIP-1222).
    pub is_renew_ack: bool,
    pub topics: Vec<AcknowledgeTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgeTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<AcknowledgePartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgePartition {
    pub partition_index: i32,
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ShareAcknowledgeRequest {
        group_id: reader.nullable_string()?,
        member_id: reader.nullable_string()?,
        share_session_epoch: reader.i32()?,
        is_renew_ack: version >= 2 && reader.bool()?,
        topics: reader.elements(|reader| {
            let topic = AcknowledgeTopic {
                topic_id: reader.uuid()?,
                partitions: reader.elements(|reader| {
                    let partition = AcknowledgePartition {
                        partition_index: reader.i32()?,
                        acknowledgement_batches: reader.elements(acknowledgement_batch)?,
                    };
                    reader.tags()?;
                    Ok(partition)
                })?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(Message::ShareAcknowledgeRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAcknowledgeResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    /// How long what is renewed stays acquired; 0 before v2.
    pub acquisition_lock_timeout_ms: i32,
    pub responses: Vec<ShareAcknowledgeTopicResponse<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAcknowledgeTopicResponse<'a> {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionData<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let response = ShareAcknowledgeResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
        acquisition_lock_timeout_ms: if version >= 2 { reader.i32()? } else { 0 },
        responses: reader.elements(|reader| {
            let topic = ShareAcknowledgeTopicResponse {
                topic_id: reader.uuid()?,
                partitions: reader.elements(partition)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.elements(skip_node_endpoint)?;
    reader.tags()?;
    Ok(Message::ShareAcknowledgeResponse(response))
}

fn partition<'a>(reader: &mut Reader<'a>) -> Read<PartitionData<'a>> {
    let partition = PartitionData {
        partition_index: reader.i32()?,
        error_code: reader.i16()?,
        error_message: reader.nullable_string()?,
    };
    reader.i32()?; // leader_id
    reader.i32()?; // leader_epoch
    reader.tags()?;
    reader.tags()?;
    Ok(partition)
}

fn skip_node_endpoint(reader: &mut Reader<'_>) -> Read<()> {
    reader.i32()?; // node_id
    reader.skip_string()?; // host
    reader.i32()?; // port
    reader.skip_string()?; // rack
    reader.tags()
}

impl ShareAcknowledgeResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        let partitions = self.responses.iter().flat_map(|topic| &topic.partitions);
        [self.error_code]
            .into_iter()
            .chain(partitions.map(|partition| partition.error_code))
            .find(|code| *code != 0)
    }
}
