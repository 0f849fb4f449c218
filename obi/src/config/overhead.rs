//! `overhead:` what watching may cost the watched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Overhead {
    /// Percent of one core that hooks may cost each watched process, 0 to 100. When hooks that run for each message would cost more, they are
    /// attached for a part of the time only; where those on TLS alone cost nearly that much, so are the bodies of record batches read. 0: never attached; 100: no
    /// limit. Hooks on TLS and on batches are never detached: counts need them.
    pub budget: f64,
    /// What each hook costs is told on the control socket (`obi run --cost-by-hook`): for benchmarks, and no part of the file.
    #[serde(skip)]
    pub by_hook: bool,
}

impl Default for Overhead {
    fn default() -> Overhead {
        Overhead {
            budget: 0.5,
            by_hook: false,
        }
    }
}
