//! `instrumentation.app:` the other protocols of a trace: HTTP that comes in, PostgreSQL that is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Spans of the HTTP requests that Kafka clients serve and of the PostgreSQL statements that they run. Only heads are read, but
    /// their connections are copied: of HTTP/1 the first 16 KiB of each call, of the others all. Opt-in: hooks on
    /// system calls then stay attached. Has no effect while no span is made.
    pub enabled: bool,
}
