//! AddPartitionsToTxn, versions 0–5. In: a body; out: which partitions join which transaction, and what became of each.
//!
//! Producers speak v0–3 and v5 of one transaction; brokers ask each other in batches (v4+). Both have one shape here.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnRequest<'a> {
    /// One before v4.
    pub transactions: Vec<AddPartitionsToTxnTransaction<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnTransaction<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// A broker only asks whether they are in it (v4+); false before.
    pub verify_only: bool,
    pub topics: Vec<AddPartitionsToTxnTopic<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnTopic<'a> {
    pub name: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let transactions = if version >= 4 {
        reader.elements(|reader| {
            let transaction = transaction(reader, version)?;
            reader.tags()?;
            Ok(transaction)
        })?
    } else {
        vec![transaction(reader, version)?]
    };
    reader.tags()?;
    Ok(Message::AddPartitionsToTxnRequest(
        AddPartitionsToTxnRequest { transactions },
    ))
}

fn transaction<'a>(
    reader: &mut Reader<'a>,
    version: i16,
) -> Read<AddPartitionsToTxnTransaction<'a>> {
    Ok(AddPartitionsToTxnTransaction {
        transactional_id: reader.string()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        verify_only: version >= 4 && reader.bool()?,
        topics: reader.elements(|reader| {
            let topic = AddPartitionsToTxnTopic {
                name: reader.string()?,
                partitions: reader.elements(Reader::i32)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnResponse<'a> {
    pub throttle_time_ms: i32,
    /// 0 before v4.
    pub error_code: i16,
    /// One before v4.
    pub results_by_transaction: Vec<AddPartitionsToTxnResult<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnResult<'a> {
    /// None before v4: it is that of the request.
    pub transactional_id: Option<&'a str>,
    pub topic_results: Vec<AddPartitionsToTxnTopicResult<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnTopicResult<'a> {
    pub name: &'a str,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let throttle_time_ms = reader.i32()?;
    let error_code = if version >= 4 { reader.i16()? } else { 0 };
    let results_by_transaction = if version >= 4 {
        reader.elements(|reader| {
            let result = AddPartitionsToTxnResult {
                transactional_id: Some(reader.string()?),
                topic_results: reader.elements(topic_result)?,
            };
            reader.tags()?;
            Ok(result)
        })?
    } else {
        vec![AddPartitionsToTxnResult {
            transactional_id: None,
            topic_results: reader.elements(topic_result)?,
        }]
    };
    reader.tags()?;
    Ok(Message::AddPartitionsToTxnResponse(
        AddPartitionsToTxnResponse {
            throttle_time_ms,
            error_code,
            results_by_transaction,
        },
    ))
}

fn topic_result<'a>(reader: &mut Reader<'a>) -> Read<AddPartitionsToTxnTopicResult<'a>> {
    let result = AddPartitionsToTxnTopicResult {
        name: reader.string()?,
        results_by_partition: reader.elements(|reader| {
            let result = AddPartitionsToTxnPartitionResult {
                partition_index: reader.i32()?,
                partition_error_code: reader.i16()?,
            };
            reader.tags()?;
            Ok(result)
        })?,
    };
    reader.tags()?;
    Ok(result)
}

impl AddPartitionsToTxnResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        let topics = self
            .results_by_transaction
            .iter()
            .flat_map(|it| &it.topic_results);
        let partitions = topics.flat_map(|topic| &topic.results_by_partition);
        [self.error_code]
            .into_iter()
            .chain(partitions.map(|partition| partition.partition_error_code))
            .find(|code| *code != 0)
    }
}
