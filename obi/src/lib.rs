//! The agent and its command line.
pub mod cli;
pub mod config;
pub mod export;
pub mod serve;
pub mod stop;
pub mod store;
pub mod telemetry;
