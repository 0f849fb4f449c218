//! The laboratory: starts what the product is tried against, as real programs on 127.0.0.1. Used by `cargo xtask demo`, the
//! end-to-end tests and the benchmark.
//!
//! In: the folder of the repository. Out: a Kafka cluster, built client programs, a running agent, and nothing left of them
//! afterwards: each child has a process group of its own, is stopped when its handle goes, and dies with its parent. What is fetched
//! lies in `.cache/` and is taken again by the next run. Nothing here knows how the product works inside.

#![forbid(unsafe_code)]

pub mod agent;
pub mod apt;
pub mod golang;
pub mod java;
pub mod kafka;
pub mod layout;
pub mod metrics;
pub mod node;
pub mod orders;
pub mod ports;
pub mod postgres;
pub mod prerequisites;
pub mod process;
pub mod python;
pub mod step;
