//! ListTransactions, versions 0–2. In: a body; out: which transactional ids there are, and in which state.

use super::Message;
use crate::reader::{Read, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTransactionsRequest<'a> {
    /// Empty: all.
    pub state_filters: Vec<&'a str>,
    /// Empty: all.
    pub producer_id_filters: Vec<i64>,
    /// Only those that run for longer, in milliseconds; −1: all, and before v1.
    pub duration_filter: i64,
    /// A regular expression; None: all, and before v2.
    pub transactional_id_pattern: Option<&'a str>,
}

pub(crate) fn request<'a>(reader: &mut Reader<'a>, version: i16) -> Read<Message<'a>> {
    let request = ListTransactionsRequest {
        state_filters: reader.elements(Reader::string)?,
        producer_id_filters: reader.elements(Reader::i64)?,
        duration_filter: if version >= 1 { reader.i64()? } else { -1 },
        transactional_id_pattern: if version >= 2 {
            reader.nullable_string()?
        } else {
            None
        },
    };
    reader.tags()?;
    Ok(Message::ListTransactionsRequest(request))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTransactionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Filters that name no state.
    pub unknown_state_filters: Vec<&'a str>,
    pub transaction_states: Vec<TransactionState<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionState<'a> {
    pub transactional_id: &'a str,
    pub producer_id: i64,
    /// Kafka's word: `Empty`, `Ongoing`, `PrepareCommit`, `CompleteAbort`, ...
    pub transaction_state: &'a str,
}

pub(crate) fn response<'a>(reader: &mut Reader<'a>, _: i16) -> Read<Message<'a>> {
    let response = ListTransactionsResponse {
        throttle_time_ms: reader.i32()?,
        error_code: reader.i16()?,
        unknown_state_filters: reader.elements(Reader::string)?,
        transaction_states: reader.elements(|reader| {
            let state = TransactionState {
                transactional_id: reader.string()?,
                producer_id: reader.i64()?,
                transaction_state: reader.string()?,
            };
            reader.tags()?;
            Ok(state)
        })?,
    };
    reader.tags()?;
    Ok(Message::ListTransactionsResponse(response))
}
