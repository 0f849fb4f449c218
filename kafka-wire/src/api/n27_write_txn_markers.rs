//! WriteTxnMarkers, versions 0–2: between brokers. In: a body; out: which transactions end on which partitions, and what became of each.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTxnMarkersRequest<'a> {
    pub markers: Vec<WritableTxnMarker<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritableTxnMarker<'a> {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// True: committed.
    pub transaction_result: bool,
    pub topics: Vec<WritableTxnMarkerTopic<'a>>,
    pub coordinator_epoch: i32,
    /// 0 before v2.
    pub transaction_version: i8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritableTxnMarkerTopic<'a> {
    pub name: &'a str,
    pub partition_indexes: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let markers = reader.elements(|reader| {
        let marker = WritableTxnMarker {
            producer_id: reader.i64()?,
            producer_epoch: reader.i16()?,
            transaction_result: reader.bool()?,
            topics: reader.elements(|reader| {
                let topic = WritableTxnMarkerTopic {
                    name: reader.string()?,
                    partition_indexes: reader.elements(Reader::i32)?,
                };
                reader.tags()?;
                Ok(topic)
            })?,
            coordinator_epoch: reader.i32()?,
            transaction_version: if version >= 2 { reader.i8()? } else { 0 },
        };
        reader.tags()?;
        Ok(marker)
    })?;
    reader.tags()?;
    Ok(Message::WriteTxnMarkersRequest(WriteTxnMarkersRequest {
        markers,
    }))
}

/// It has no throttle time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTxnMarkersResponse<'a> {
    pub markers: Vec<WritableTxnMarkerResult<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritableTxnMarkerResult<'a> {
    pub producer_id: i64,
    pub topics: Vec<WritableTxnMarkerTopicResult<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritableTxnMarkerTopicResult<'a> {
    pub name: &'a str,
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritableTxnMarkerPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let markers = reader.elements(|reader| {
        let marker = WritableTxnMarkerResult {
            producer_id: reader.i64()?,
            topics: reader.elements(topic_result)?,
        };
        reader.tags()?;
        Ok(marker)
    })?;
    reader.tags()?;
    Ok(Message::WriteTxnMarkersResponse(WriteTxnMarkersResponse {
        markers,
    }))
}

fn topic_result<'a>(reader: &mut Reader<'a>) -> Read<WritableTxnMarkerTopicResult<'a>> {
    let topic = WritableTxnMarkerTopicResult {
        name: reader.string()?,
        partitions: reader.elements(|reader| {
            let partition = WritableTxnMarkerPartitionResult {
                partition_index: reader.i32()?,
                error_code: reader.i16()?,
            };
            reader.tags()?;
            Ok(partition)
        })?,
    };
    reader.tags()?;
    Ok(topic)
}

impl WriteTxnMarkersResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.markers
            .iter()
            .flat_map(|marker| &marker.topics)
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
    }
}
