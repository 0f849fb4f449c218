//! Captured bytes to observations: connection, reassembly, classification, exchange; then the client model.
//!
//! Waist 1 is [`capture`], waist 3 is [`observation`]. No socket, no thread, no clock here.
#![forbid(unsafe_code)]

pub mod capture;
pub mod observation;
