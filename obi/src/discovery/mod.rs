//! Which processes are Kafka clients. In: `/proc` and process events; out: hooks on the kernel.
//!
//! [`events`] says what happens, [`process`] reads one process, [`connections`] finds whom it
//! talks to, [`files`] looks into what it maps, [`installed`] into what may be mapped one day, [`targets`] decides, [`control`] carries out.

pub mod connections;
pub mod control;
mod detacher;
pub mod events;
pub mod files;
pub mod filter;
pub mod installed;
pub mod process;
pub mod targets;
