//! The broker's own request log (`kafka.request.logger`) as the oracle for real traffic. In: a cluster of [`Cluster::start_logged`], and
//! what clients did with it between [`RequestLog::start`] and [`RequestLog::finish`]. Out: that each request in the log was recorded
//! and decoded to the same fields, that the agent's exchanges are as many as the lines, or every difference.
//!
//! Clients whose library no process of this node has used yet must come and go once before the log counts: see
//! [`RequestLog::begin`]. Connections that are older are no part of it.

mod compare;
mod debug_text;
mod decoded;
mod lines;
mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_wire::Segment;
use kafka_wire::api::{self, Reading};
use kafka_wire::body::Side;
use obi_lab::kafka::Cluster;
use obi_lab::step;
use serde_json::Value;

use crate::recording::{Recorder, Recording};
use compare::Compared;
use lines::{Header, Line, Lines, Ports};
use recorded::{Connection, Exchange};

/// What the log holds, and decoders step over or recordings leave out.
const NOT_READ: &[(i16, &str)] = &[
    (
        19,
        "CreateTopics: decoded, but left out of recordings, for configurations may hold secrets",
    ),
    (
        32,
        "DescribeConfigs: no client's traffic, and configurations may hold secrets",
    ),
    (44, "IncrementalAlterConfigs: as DescribeConfigs"),
    (
        83,
        "InitializeShareGroupState: a broker's, as those that follow",
    ),
    (84, "ReadShareGroupState"),
    (85, "WriteShareGroupState"),
    (86, "DeleteShareGroupState"),
    (87, "ReadShareGroupStateSummary"),
];

/// Kafka's error code.
const UNSUPPORTED_VERSION: i16 = 35;

/// Client ids and names of APIs, and how often.
pub type Counts = BTreeMap<(String, String), u64>;

pub struct RequestLog {
    recorder: Recorder,
    file: PathBuf,
    ports: [u16; 2],
    /// Connections that were there when the log began to count, and its length then.
    old: BTreeSet<(u16, u16)>,
    from: u64,
    /// The time then.
    since: u64,
}

/// What was found equal.
pub struct Equal {
    pub text: String,
    /// Exchanges with an answer, as the agent must have counted them: logins included.
    pub answered: Counts,
}

impl RequestLog {
    /// Starts a recording. `folder` must be the scenario's own.
    pub fn start(program: &Path, folder: &Path, cluster: &Cluster) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let broker = cluster.brokers.first().context("a broker")?;
        // Whole: what assignors say to each other is in the broker's log, too.
        let recorder = Recorder::start(program, &folder.join("requests.rec"), &["--payload"])?;
        let mut log = Self {
            recorder,
            file: broker.requests.clone(),
            ports: [broker.plaintext, broker.sasl_ssl],
            old: BTreeSet::new(),
            from: 0,
            since: 0,
        };
        log.begin()?;
        Ok(log)
    }

    /// From now on every request counts. Called once more after clients came only to make their libraries known.
    pub fn begin(&mut self) -> Result<()> {
        self.from = std::fs::metadata(&self.file)?.len();
        self.since = step::now();
        self.old = lines::connections(&self.ports)?;
        Ok(())
    }

    /// After the clients ended: compares.
    pub fn finish(self) -> Result<Equal> {
        // Requests whose client is gone are written down when they would have been answered, fetches after half a second.
        std::thread::sleep(Duration::from_secs(2));
        let mut lines = lines::read(&self.file, self.from)?;
        lines.retain(|(ports, _), _| !self.old.contains(ports));
        let recording = self.recorder.stop()?;
        let mut connections = recorded::read(&recording.file, &self.ports, self.since)?;
        connections.retain(|connection| !self.old.contains(&connection.ports));
        Oracle::judge(lines, &connections, &recording)
    }
}
#[derive(Default)]
struct Oracle {
    compared: Compared,
    /// Requests found in the log.
    requests: u64,
    /// What the agent must have seen, by client id, API and version.
    expected: BTreeMap<(String, String, i16), u64>,
    answered: Counts,
    /// Requests of connections that ended before the broker came to them.
    cut: u64,
    apis: BTreeSet<String>,
}

impl Oracle {
    fn judge(mut lines: Lines, connections: &[Connection], recording: &Recording) -> Result<Equal> {
        let mut oracle = Oracle::default();
        for connection in connections {
            let exchanges = connection.exchanges();
            let exchanges = exchanges.with_context(|| format!("port {}", connection.ports.0))?;
            for exchange in exchanges {
                oracle.exchange(connection, &exchange, &mut lines);
            }
        }
        oracle.left(&lines);
        oracle.agent(recording, connections)?;
        oracle.end()
    }

    fn exchange(&mut self, connection: &Connection, exchange: &Exchange, lines: &mut Lines) {
        let (key, version) = (exchange.key, exchange.version);
        let api = name(key);
        let client = exchange.client_id.clone().unwrap_or_default();
        *self
            .expected
            .entry((client.clone(), api.clone(), version))
            .or_default() += 1;
        if exchange.answer.is_some() {
            *self
                .answered
                .entry((client.clone(), api.clone()))
                .or_default() += 1;
        }
        if exchange.login {
            return;
        }
        let at = format!("{client} {api} v{version} #{}", exchange.correlation_id);
        let Some(line) = take(lines, connection.ports, exchange) else {
            match exchange.answer {
                Some(_) => self.compared.say(format!("{at}: not in the broker's log")),
                None => self.cut += 1,
            }
            return;
        };
        self.requests += 1;
        self.apis.insert(api.clone());
        // A version that is newer than the broker: it could not read the request, and logs one of its own.
        if line.response.get("errorCode") != Some(&Value::from(UNSUPPORTED_VERSION)) {
            let request = connection.written.segments(&exchange.request);
            self.body(Side::Request, exchange, &at, &request, &line.request);
        }
        if let Some(answer) = &exchange.answer {
            let answer = connection.read.segments(answer);
            self.body(Side::Response, exchange, &at, &answer, &line.response);
        }
    }

    fn body(
        &mut self,
        side: Side,
        exchange: &Exchange,
        at: &str,
        body: &[Segment<'_>],
        logged: &Value,
    ) {
        let (key, version) = (exchange.key, exchange.version);
        let which = match side {
            Side::Request => "request",
            Side::Response => "answer",
        };
        let at = format!("{at} {which}");
        if NOT_READ.iter().any(|(known, _)| *known == key) {
            return;
        }
        if api::reading(side, key, version) == Reading::Nothing {
            self.compared.say(format!(
                "{at}: neither decoded nor in the list of what is not"
            ));
            return;
        }
        match decoded::decode(side, key, version, body) {
            Ok(decoded) => {
                let field = format!("{} {which}", name(key));
                self.compared.message(&at, &field, &decoded, logged);
            }
            Err(problem) => self
                .compared
                .say(format!("{at}: {problem}; broker {logged}")),
        }
    }

    /// Lines that no recorded request took: there may be none but of clients that are not seen.
    fn left(&mut self, lines: &Lines) {
        // The first request of a connection does not say yet which software it is.
        let told = lines.iter().filter(|(_, of)| of.iter().any(Line::is_jsse));
        let jsse: BTreeSet<Ports> = told.map(|((ports, _), _)| *ports).collect();
        for ((ports, id), lines) in lines {
            for line in lines {
                if !jsse.contains(ports) {
                    let (api, client) = (name(line.header.key), &line.header.client_id);
                    self.compared.say(format!(
                        "{client:?} {api} v{} #{id} port {}: in the broker's log, not in the recording",
                        line.header.version, ports.0
                    ));
                }
            }
        }
    }

    /// The exchanges that the agent's own pipeline makes of the same recording.
    fn agent(&mut self, recording: &Recording, connections: &[Connection]) -> Result<()> {
        let ours: BTreeSet<u64> = connections.iter().map(|it| it.id).collect();
        let mut found = BTreeMap::new();
        for exchange in recording.exchanges()? {
            if ours.contains(&exchange.origin.connection) {
                let key = (exchange.client_id, exchange.api, exchange.api_version);
                *found.entry(key).or_default() += 1_u64;
            }
        }
        let all: BTreeSet<_> = found.keys().chain(self.expected.keys()).cloned().collect();
        for key in all {
            let (have, want) = (found.get(&key), self.expected.get(&key));
            if have != want {
                let (client, api, version) = &key;
                self.compared.say(format!(
                    "{client} {api} v{version}: the agent counts {have:?} exchanges, the broker {want:?}"
                ));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Equal> {
        if let Some(differences) = self.compared.text() {
            bail!("{differences}");
        }
        if self.requests == 0 {
            bail!("the broker's log holds no request");
        }
        let cut = match self.cut {
            0 => String::new(),
            n => format!(", {n} cut off by their clients"),
        };
        Ok(Equal {
            text: format!(
                "{} requests of {} APIs equal in {} values of {} fields{cut}",
                self.requests,
                self.apis.len(),
                self.compared.values,
                self.compared.fields.len()
            ),
            answered: self.answered,
        })
    }
}

/// The line of a request: of its connection, or of an earlier one that had the same port, the first with an equal header.
fn take(lines: &mut Lines, ports: Ports, exchange: &Exchange) -> Option<Line> {
    let lines = lines.get_mut(&(ports, exchange.correlation_id))?;
    let at = lines.iter().position(|line| {
        let Header {
            key,
            version,
            client_id,
            ..
        } = &line.header;
        (*key, *version, client_id) == (exchange.key, exchange.version, &exchange.client_id)
    })?;
    Some(lines.remove(at))
}

fn name(key: i16) -> String {
    api::name(key).map_or_else(|| key.to_string(), str::to_owned)
}
