//! A real Apache Kafka: its jars, its certificates, its brokers, and a long-lived admin program beside it.
//!
//! In: how many brokers, of which version. Out: addresses and exact answers (topic ids, offsets, groups). Brokers listen on PLAINTEXT
//! and on SASL_SSL with PLAIN and, where the version can, SCRAM-SHA-512; the user and the password are drawn anew for each cluster, so that tests can search for them.

mod admin;
mod certificates;
mod cluster;
mod jars;
mod version;

pub use admin::{
    Admin, Described, DescribedMember, GroupMember, GroupOffset, GroupState, Kind, Transaction,
};
pub use certificates::Certificates;
pub use cluster::{Broker, Cluster, User};
pub use jars::Jars;
pub use version::Version;
