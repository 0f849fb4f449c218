//! Spans of other protocols: requests that a process served, statements that it ran. Heads only.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::{Origin, hex, hex_option};
use crate::capture::{Nanos, Pid, Task};

/// Where a span stands in its trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ids {
    #[serde(serialize_with = "hex")]
    pub trace_id: [u8; 16],
    #[serde(serialize_with = "hex")]
    pub span_id: [u8; 8],
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub parent: Option<[u8; 8]>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
}

/// A request that came in over HTTP, and its answer: SERVER.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    pub origin: Origin,
    pub pid: Pid,
    #[serde(flatten)]
    pub ids: Ids,
    /// First byte of the request read, last byte of the answer written.
    pub began: Nanos,
    pub ended: Nanos,
    /// `1.0`, `1.1`, `2`.
    pub version: &'static str,
    /// The path is `/package.Service/Method`, the status that of gRPC's trailer.
    pub grpc: bool,
    pub method: String,
    /// Without the query string.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u32>,
    /// `error.type`: a status of the server's fault, `CONNECTION_CLOSED`, `RESET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// It came over TLS.
    pub encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

/// A statement that PostgreSQL ran: CLIENT.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    pub origin: Origin,
    pub pid: Pid,
    #[serde(flatten)]
    pub ids: Ids,
    /// First byte of the question written, last byte of the answer read.
    pub began: Nanos,
    pub ended: Nanos,
    /// Without literals and comments. None: it was prepared before we looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The table, where one is all that the statement names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// Rows that it returned, inserted or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// SQLSTATE, if the server refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}
