//! `instrumentation.app:` the other protocols of a trace: HTTP that comes in, PostgreSQL that is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Spans of the HTTP requests that Kafka clients serve and of the PostgreSQL statements that they run. Only heads are read. Has no effect while no
    /// spans are exported.
    pub enabled: bool,
}

impl Default for App {
    fn default() -> Self {
        App { enabled: true }
    }
}
