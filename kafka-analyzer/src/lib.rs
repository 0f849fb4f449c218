//! Captured bytes to observations: connection, reassembly, classification, exchange; then the client model.
//!
//! Waist 1 is [`capture`], waist 2 is [`fact`], waist 3 is [`observation`]. No socket, no thread, no clock here: the caller runs
//! one [`StreamStage`] for each ring, opens what [`Fact::needs_opening`] says (anywhere), and hands all facts through a [`Merge`] to the one [`Model`].
#![forbid(unsafe_code)]

mod answers;
mod app;
pub mod capture;
mod classify;
mod connection;
mod detail;
mod error;
mod exchange;
pub mod fact;
mod fetch;
mod fetch_session;
mod losses;
mod merge;
mod model;
mod names;
pub mod observation;
mod open;
mod passing;
mod pending;
mod produce;
mod reassembly;
mod records;
mod requests;
mod settings;
mod share;
mod stream;
pub mod trace;

pub use fact::Fact;
pub use losses::Losses;
pub use merge::{HOLD, Merge};
pub use model::{LearntNames, Model};
pub use open::Opening;
pub use settings::{Settings, SpanTree};
pub use stream::StreamStage;
