//! Trace context of records: from their headers, else from their address; and which records get spans.

pub mod address;
pub mod context;
pub mod key;
pub mod sampling;
