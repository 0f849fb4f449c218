//! `discovery:` which processes and connections are looked at. In: the YAML keys; out: plain lists, matched by the discovery code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// With every list empty, all Kafka clients on the node are chosen. With several kinds given, a process is chosen when one of them fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Globs on the path of the executable, as the process sees it: `/usr/bin/*`, `**/order-*`.
    pub exe: Vec<String>,
    /// Process ids in the agent's pid namespace.
    pub pid: Vec<u32>,
    /// Peer ports of Kafka connections.
    pub port: Vec<u16>,
    /// What is left out even if it was chosen above.
    pub exclude: Exclude,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exclude {
    /// Globs on the path of the executable.
    pub exe: Vec<String>,
    /// Process ids.
    pub pid: Vec<u32>,
    /// Peer ports.
    pub port: Vec<u16>,
}
