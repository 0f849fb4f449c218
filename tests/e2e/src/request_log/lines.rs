//! The lines of the broker's log, and which connections to it there are. In: a file from a position on; ports. Out: requests with what
//! Kafka itself read of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// Ports of client and broker.
pub type Ports = (u16, u16);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    #[serde(rename = "requestHeader")]
    pub header: Header,
    pub request: Value,
    /// Null: the client wanted no answer.
    #[serde(default)]
    pub response: Value,
    /// `BROKER:PORT-CLIENT:PORT-...`
    connection: String,
    security_protocol: String,
    listener: String,
    #[serde(default)]
    client_information: Software,
    #[serde(default)]
    is_forwarded: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    #[serde(rename = "requestApiKey")]
    pub key: i16,
    #[serde(rename = "requestApiVersion")]
    pub version: i16,
    pub correlation_id: i32,
    #[serde(default)]
    pub client_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Software {
    software_name: String,
}

/// By ports and correlation id, in the order of the log.
pub type Lines = BTreeMap<(Ports, i32), Vec<Line>>;

/// What clients asked; what brokers handed on to their controller is left out.
pub fn read(file: &Path, from: u64) -> Result<Lines> {
    let mut open = std::fs::File::open(file)?;
    open.seek(SeekFrom::Start(from))?;
    let mut text = String::new();
    open.read_to_string(&mut text)?;
    let mut lines = Lines::new();
    for line in text.lines() {
        let Some((_, json)) = line.split_once("Completed request:") else {
            continue;
        };
        let line: Line = serde_json::from_str(json).with_context(|| json.to_owned())?;
        if line.listener == "CONTROLLER" || line.is_forwarded {
            continue;
        }
        let ports = line.ports().with_context(|| line.connection.clone())?;
        let key = (ports, line.header.correlation_id);
        lines.entry(key).or_default().push(line);
    }
    Ok(lines)
}

impl Line {
    fn ports(&self) -> Option<Ports> {
        let mut ends = self.connection.split('-');
        let mut port = || ends.next()?.rsplit(':').next()?.parse().ok();
        let (broker, client) = (port()?, port()?);
        Some((client, broker))
    }

    /// No hook sees into Java's TLS (`docs/limitations.md`).
    pub fn is_jsse(&self) -> bool {
        self.security_protocol == "SASL_SSL"
            && self.client_information.software_name == "apache-kafka-java"
    }
}

/// Client ends on this machine of connections to these ports that are not closed yet.
pub fn connections(brokers: &[u16]) -> Result<BTreeSet<Ports>> {
    let mut found = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for row in std::fs::read_to_string(table)?.lines().skip(1) {
            let mut words = row.split_whitespace().skip(1);
            let mut port = || {
                let (_, port) = words.next()?.rsplit_once(':')?;
                u16::from_str_radix(port, 16).ok()
            };
            let ports = port().zip(port());
            // ESTABLISHED, FIN_WAIT and the like; not TIME_WAIT, CLOSE, LISTEN.
            let open = words
                .next()
                .is_some_and(|state| !["06", "07", "0A"].contains(&state));
            found.extend(ports.filter(|(_, peer)| open && brokers.contains(peer)));
        }
    }
    Ok(found)
}
