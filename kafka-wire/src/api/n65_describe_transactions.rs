//! DescribeTransactions, version 0. In: a body; out: the state of transactional ids, and the partitions of their open transactions.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTransactionsRequest<'a> {
    pub transactional_ids: Vec<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let request = DescribeTransactionsRequest {
        transactional_ids: reader.elements(Reader::string)?,
    };
    reader.tags()?;
    Ok(Message::DescribeTransactionsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTransactionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub transaction_states: Vec<TransactionState<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionState<'a> {
    pub error_code: i16,
    pub transactional_id: &'a str,
    /// Kafka's word: `Empty`, `Ongoing`, `PrepareCommit`, `CompleteAbort`, ...
    pub transaction_state: &'a str,
    pub transaction_timeout_ms: i32,
    /// −1: none is open.
    pub transaction_start_time_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub topics: Vec<TopicData<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicData<'a> {
    pub topic: &'a str,
    pub partitions: Vec<i32>,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = DescribeTransactionsResponse {
        throttle_time_ms: reader.i32()?,
        transaction_states: reader.elements(state)?,
    };
    reader.tags()?;
    Ok(Message::DescribeTransactionsResponse(response))
}

fn state<'a>(reader: &mut Reader<'a>) -> Read<TransactionState<'a>> {
    let state = TransactionState {
        error_code: reader.i16()?,
        transactional_id: reader.string()?,
        transaction_state: reader.string()?,
        transaction_timeout_ms: reader.i32()?,
        transaction_start_time_ms: reader.i64()?,
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        topics: reader.elements(|reader| {
            let topic = TopicData {
                topic: reader.string()?,
                partitions: reader.elements(Reader::i32)?,
            };
            reader.tags()?;
            Ok(topic)
        })?,
    };
    reader.tags()?;
    Ok(state)
}

impl DescribeTransactionsResponse<'_> {
    /// The first error code that is not 0, in wire order.
    pub fn first_error(&self) -> Option<i16> {
        self.transaction_states
            .iter()
            .map(|state| state.error_code)
            .find(|code| *code != 0)
    }
}
