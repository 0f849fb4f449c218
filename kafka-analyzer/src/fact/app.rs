//! What conversations of other protocols say.

use std::net::SocketAddr;
use std::sync::Arc;

use app_wire::{DbCall, Request, ServerCall};

use crate::capture::{Nanos, Task};

/// The head of a request was read: what its task does from now on, it does for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    pub request: Arc<Request>,
    /// Who read the end of the head.
    pub task: Option<Task>,
}

/// A request is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    pub call: ServerCall,
    pub task: Option<Task>,
    /// The last byte of the answer, or the end of the connection.
    pub ended: Nanos,
    /// It came over TLS.
    pub encrypted: bool,
    pub local: Option<SocketAddr>,
    pub peer: Option<SocketAddr>,
}

/// The database answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Queried {
    pub call: DbCall,
    /// Who asked.
    pub task: Option<Task>,
    /// As the session's first message named it.
    pub database: Option<Arc<str>>,
    pub server: Option<SocketAddr>,
}
