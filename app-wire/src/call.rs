//! What comes out: calls that a server answered, statements that a client ran. No body, no parameter value, no header but those named here.

use std::sync::Arc;

use crate::Stamp;

/// Longest method, host, path, header value of an event, in bytes. Longer ones are cut (a cut trace context is left out instead).
pub const METHOD: usize = 32;
pub const HOST: usize = 255;
pub const PATH: usize = 1024;
pub const CONTEXT: usize = 512;
/// Longest statement text.
pub const STATEMENT: usize = 2048;

/// From the call that moved the first byte to the one that moved the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub first: Stamp,
    pub last: Stamp,
}

impl Extent {
    pub fn at(stamp: Stamp) -> Extent {
        Extent {
            first: stamp,
            last: stamp,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request's head is complete: from here on its handler may run. A `Served` with the same `Arc` follows unless its answer is lost.
    Begun(Arc<Request>),
    Served(ServerCall),
    Queried(DbCall),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http10,
    Http11,
    Http2,
    /// HTTP/2 with `content-type: application/grpc`; the path is `/package.Service/Method`.
    Grpc,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tells the requests of a connection apart: a count in HTTP/1, the stream in HTTP/2.
    pub number: u64,
    pub protocol: Protocol,
    pub method: String,
    /// Without the query string. Empty: `CONNECT`.
    pub path: String,
    pub host: Option<String>,
    /// Trace context headers as they came, lower-case names: traceparent, tracestate, b3, x-b3-*, uber-trace-id.
    pub context: Vec<(&'static str, String)>,
    /// The head's own bytes.
    pub head: Extent,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCall {
    pub request: Arc<Request>,
    /// First to last byte of the request as far as it was read when the answer was complete: head and body.
    pub received: Extent,
    pub status: Option<u16>,
    pub grpc_status: Option<u32>,
    /// First to last byte of the answer; interim ones (1xx) are not it.
    pub answered: Option<Extent>,
    /// Set when the answer did not come to its end.
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection was closed before.
    Closed,
    /// HTTP/2 RST_STREAM, from either end, with its error code.
    Reset(u32),
}

/// One exchange with the database: a simple query (all its statements), or one Execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbCall {
    /// Literals and comments are out. Absent: the statement was prepared before we looked.
    pub statement: Option<Arc<str>>,
    /// SELECT, INSERT, …: the first verb of the statement.
    pub operation: Option<String>,
    /// The table, where one is all that the statement names.
    pub collection: Option<String>,
    /// The server's error, if it refused.
    pub sqlstate: Option<String>,
    /// What the server says it returned, inserted or changed (all statements of a simple query together).
    pub rows: Option<u64>,
    /// Results of a simple query with several statements; else 1, or 0 with an error.
    pub results: u32,
    /// The first message that belongs to it (Parse, Bind or Query) as it was written.
    pub asked: Extent,
    /// First to last byte of the answer.
    pub answered: Extent,
}
