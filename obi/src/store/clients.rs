//! The answer to `obi kafka clients`: `obi.clients/1`. What is not known is left out. Its JSON Schema is committed in `config/schema/`.

use std::collections::BTreeMap;

use kafka_analyzer::capture::Nanos;
use kafka_wire::error_code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency::Quantiles;
use super::topics::report::Writes;
use super::{ClientState, IDLE, Store};
use crate::export::processes::Processes;

pub const SCHEMA: &str = "obi.clients/1";

/// The Kafka clients of this node, and how each of them behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// Always `obi.clients/1`.
    pub schema: String,
    /// Sorted by service, pid and client id.
    pub clients: Vec<Client>,
    /// Clients forgotten because their table was full, and topics and partitions.
    pub forgotten: u64,
}

/// One process and client id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    pub service: String,
    pub pid: u32,
    pub client_id: String,
    pub cluster: String,
    /// As the client names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Where plaintext was taken: `socket`, `openssl`, `go_tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SASL mechanism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// Open connections.
    pub connections: u64,
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Time that brokers held the client back.
    pub throttled_seconds: f64,
    /// Consumer groups that it reads for.
    pub groups: Vec<String>,
    /// By Kafka's name.
    pub apis: BTreeMap<String, Api>,
    /// How it writes, by topic.
    pub writes: BTreeMap<String, Writes>,
    /// Of Produce requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub produce_latency: Option<Quantiles>,
    /// Of Fetch requests, the broker's wait for data included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch_latency: Option<Quantiles>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Api {
    pub requests: u64,
    /// By Kafka's error name; `CONNECTION_CLOSED` and `TIMEOUT` where there was no answer.
    pub errors: BTreeMap<String, Failures>,
    pub throttled_seconds: f64,
}

/// Requests that failed with one error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failures {
    pub count: u64,
    /// Kafka's clients may send the request again. Absent for what is no error of Kafka's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retriable: Option<bool>,
}

impl Store {
    /// Those seen in the last ten minutes, or with an open connection. `now` is in event time.
    pub fn clients(&self, now: Nanos, processes: &Processes) -> Clients {
        let mut uses = self.users.by_client();
        let state = self.state();
        let shown = state
            .clients
            .iter()
            .filter(|(_, c)| now.saturating_sub(c.seen) < IDLE || !c.open.is_empty());
        let mut clients: Vec<Client> = shown
            .map(|(key, c)| {
                let uses = uses.remove(key).unwrap_or_default();
                Client {
                    service: processes.get(key.0).service.to_string(),
                    pid: key.0,
                    client_id: key.1.to_string(),
                    groups: uses.groups.into_iter().collect(),
                    writes: uses.writes.into_iter().collect(),
                    ..client(c, now)
                }
            })
            .collect();
        clients.sort_by(|a, b| {
            (&a.service, a.pid, &a.client_id).cmp(&(&b.service, b.pid, &b.client_id))
        });
        Clients {
            schema: SCHEMA.to_owned(),
            clients,
            forgotten: state.forgotten,
        }
    }
}

/// What the state itself says.
fn client(c: &ClientState, now: Nanos) -> Client {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let apis = c.apis.iter().map(|(name, api)| {
        let shown = Api {
            requests: api.requests,
            errors: api.errors.iter().map(failures).collect(),
            throttled_seconds: seconds(api.throttled_ms),
        };
        (name.to_string(), shown)
    });
    Client {
        service: String::new(),
        pid: 0,
        client_id: String::new(),
        cluster: c.cluster.to_string(),
        software: c.software(),
        source: c.source.map(str::to_owned),
        mechanism: c.mechanism.clone(),
        connections: c.open.len() as u64,
        requests: c.requests,
        errors: c.errors.values().sum(),
        throttled_seconds: seconds(c.apis.values().map(|api| api.throttled_ms).sum()),
        groups: Vec::new(),
        apis: apis.collect(),
        writes: BTreeMap::new(),
        produce_latency: c.produce.quantiles(now),
        fetch_latency: c.fetch.quantiles(now),
    }
}

fn failures((name, count): (&&'static str, &u64)) -> (String, Failures) {
    let failures = Failures {
        count: *count,
        retriable: error_code::retriable_name(name),
    };
    ((*name).to_owned(), failures)
}
