//! Kafka's wire format: bytes to typed messages. Cannot fail: what is not understood is a value.
//!
//! Two ways in, both through [`body::Decoder`], which is fed any split of a body as [`Segment`]s. Small messages are gathered and come
//! out as one [`api::Message`]. Produce requests, Fetch and ShareFetch answers, which may be 100 MiB, are decoded as they pass: at most a few KiB are
//! kept, and what was elided is stepped over. No allocation is driven by a count from the wire beyond the bytes at hand; nothing panics.
//!
//! What messages carry in byte fields and records is read by functions of those bytes: [`consumer_protocol`], [`consumer_offsets`],
//! [`control_record`].
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod api;
pub mod body;
pub mod compression;
pub mod consumer_offsets;
pub mod consumer_protocol;
pub mod control_record;
pub mod error_code;
pub mod header;
pub mod partitioner;
pub mod reader;
pub mod record_batch;

/// A run of a stream: bytes, or `n` bytes that exist but were not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    Bytes(&'a [u8]),
    Elided(u64),
}

/// Kafka's UUID, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zero: "none".
    pub const ZERO: Uuid = Uuid([0; 16]);
}

/// A topic in a message: names before, ids from KIP-516 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef<'a> {
    Name(&'a str),
    Id(Uuid),
}
