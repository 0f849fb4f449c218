//! The agent and its command line.
pub mod attach;
pub mod budget;
pub mod capture;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod doctor;
pub mod enrich;
pub mod export;
pub mod memory;
pub mod pipeline;
pub mod serve;
pub mod stop;
pub mod store;
pub mod telemetry;
