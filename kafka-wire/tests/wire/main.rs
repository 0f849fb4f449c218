//! Tests of the decoders through the public face. In: bodies built from models, by another library, or by chance; out: the events.
//!
//! `model` builds bodies of every version together with the events that they must give; `oracle` lets `kafka-protocol` encode what it knows.

mod apis;
mod bounds;
mod codecs;
mod corrupt;
mod exact;
mod gaps;
mod golden;
mod golden_consumer_offsets;
mod golden_consumer_protocol;
mod golden_groups;
mod golden_offsets;
mod golden_share;
mod golden_share_describe;
mod golden_streams;
mod golden_topics;
mod golden_transactions;
mod hostile;
mod model;
mod oracle;
mod passing;
mod seeds;
mod seen;
mod splits;
mod survive;
mod writer;
