//! The agent and its command line.
pub mod telemetry;
