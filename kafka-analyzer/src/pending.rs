//! Requests of one connection that wait for their answers, in order. In: requests; out: the one that an answer belongs to.
//!
//! Bounded for the connection, and in its weight for the whole stage: a request that names a thousand partitions weighs a thousand.

use std::collections::VecDeque;

use crate::connection::Shared;
use crate::exchange::{Request, RequestBody};

/// Requests of one connection; clients pipeline 5 to some hundreds.
const MOST: usize = 4096;
/// Requests and partitions of a stage.
const WEIGHT_MOST: usize = 262_144;

#[derive(Debug, Default)]
pub(crate) struct Pending(VecDeque<Request>);

impl Pending {
    pub fn push(&mut self, request: Request, shared: &mut Shared) {
        shared.pending += weight(&request);
        self.0.push_back(request);
    }

    /// Too much waits, and this connection has its part in it.
    pub fn is_full(&self, shared: &Shared) -> bool {
        self.0.len() > MOST || (shared.pending > WEIGHT_MOST && !self.0.is_empty())
    }

    pub fn pop(&mut self, shared: &mut Shared) -> Option<Request> {
        let request = self.0.pop_front()?;
        shared.pending = shared.pending.saturating_sub(weight(&request));
        Some(request)
    }

    pub fn front(&self) -> Option<&Request> {
        self.0.front()
    }

    /// How many stand before the one that has this correlation id.
    pub fn position(&self, correlation_id: i32) -> Option<usize> {
        self.0
            .iter()
            .position(|request| request.correlation_id == correlation_id && !is_token(request))
    }

    /// Only tokens wait: what comes next answers the first of them.
    pub fn is_token_next(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(is_token)
    }
}

fn weight(request: &Request) -> usize {
    match &request.body {
        RequestBody::Produce(produce) => 1 + produce.partitions.len(),
        RequestBody::Detail(detail) => 1 + detail.weight(),
        _ => 1,
    }
}

fn is_token(request: &Request) -> bool {
    matches!(request.body, RequestBody::Token)
}
