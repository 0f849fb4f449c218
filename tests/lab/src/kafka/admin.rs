//! The broker's own truth: topics, their ids and end offsets, groups. In: commands. Out: exact answers. One JVM for the whole run,
//! spoken to by lines (`tests/lab/java/Admin.java`): starting a JVM for each question would take longer than the tests. It logs in
//! over TLS: the agent cannot see into JSSE, so what the agent knows it has not learnt from these questions.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Certificates, Cluster, Jars, User, Version};
use crate::layout::Layout;
use crate::process::{Launch, Process};

/// A partition of a group as kafka-consumer-groups prints it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupOffset {
    pub topic: String,
    pub partition: i32,
    /// None where nothing was committed; so is the lag then.
    pub committed: Option<u64>,
    /// ListOffsets latest under read_uncommitted: the high watermark.
    pub end: u64,
    /// End less committed.
    pub lag: Option<i64>,
}

/// A member of a classic or a KIP-848 group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Topic and partition.
    pub assignment: Vec<(String, i32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupState {
    /// `Classic` or `Consumer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, ...
    pub state: String,
    pub assignor: String,
    /// Of a KIP-848 group.
    pub epoch: Option<i32>,
    /// Node id.
    pub coordinator: Option<i32>,
    pub members: usize,
}

/// Groups that are not of consumers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
    /// Whatever its protocol type.
    Classic,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Streams => "streams",
            Self::Classic => "classic",
        }
    }
}

/// A group of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Described {
    pub state: String,
    /// Not of a classic group.
    pub epoch: Option<i32>,
    /// Of a classic group.
    pub protocol_type: Option<String>,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DescribedMember {
    pub member_id: String,
    pub client_id: String,
    /// Topic and partition; of a Streams member those that its active tasks read.
    pub assignment: Vec<(String, i32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Transaction {
    pub transactional_id: String,
    pub producer_id: i64,
    /// `Ongoing`, `CompleteCommit`, `CompleteAbort`, ...
    pub state: String,
}

#[derive(Debug)]
pub struct Admin {
    // The pipes go first: the end of its input ends the program.
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _process: Process,
}

impl Admin {
    pub(super) fn start(
        layout: &Layout,
        jars: &Jars,
        folder: &Path,
        bootstrap: &str,
        certificates: &Certificates,
        user: &User,
    ) -> Result<Self> {
        let login = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{}\" password=\"{}\";",
            user.name, user.password
        );
        let authority = certificates.authority.display();
        Self::start_with(
            layout,
            jars,
            &folder.join("admin.properties"),
            &format!(
                "bootstrap.servers={bootstrap}\nsecurity.protocol=SASL_SSL\nssl.truststore.type=PEM\n\
                 ssl.truststore.location={authority}\nsasl.mechanism=PLAIN\nsasl.jaas.config={login}\n"
            ),
        )
    }

    /// One that speaks in the clear: the agent sees what it asks.
    pub fn in_the_clear(layout: &Layout, config: &Path, cluster: &Cluster) -> Result<Self> {
        let jars = Jars::fetch(layout, Version::default())?;
        let bootstrap = cluster.bootstrap(false);
        Self::start_with(
            layout,
            &jars,
            config,
            &format!("bootstrap.servers={bootstrap}\n"),
        )
    }

    fn start_with(layout: &Layout, jars: &Jars, config: &Path, text: &str) -> Result<Self> {
        std::fs::write(config, text)?;
        let mut process = Launch::new("Kafka admin", "java", config.with_extension("log"))
            .args([
                "-cp",
                &jars.class_path(),
                "-Xmx128m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
            ])
            // What fails is answered; a log on standard output would be taken for an answer.
            .arg("-Dlog4j2.level=OFF")
            .arg(layout.root().join("tests/lab/java/Admin.java"))
            .arg(config)
            .piped()
            .start()?;
        let (stdin, stdout) = process.pipes().context("the admin program has no pipes")?;
        Ok(Self {
            pipes: Mutex::new((stdin, BufReader::new(stdout))),
            _process: process,
        })
    }

    /// Asks whatever can be asked about a topic and a group, which are deleted in the end; gives how many questions were answered.
    pub fn tour(&self, topic: &str, group: &str) -> Result<usize> {
        Ok(self.ask(&format!("tour {topic} {group}"))?.parse()?)
    }

    fn ask(&self, command: &str) -> Result<String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.0, "{command}").context("the admin program is gone")?;
        let mut line = String::new();
        pipes.1.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            None if line.trim_end() == "ok" => Ok(String::new()),
            _ => bail!("Kafka admin: {command}: {}", line.trim_end()),
        }
    }

    /// Makes a topic and gives its id as Kafka prints it (base64), which is also its form in the metrics.
    pub fn create(&self, topic: &str, partitions: u32, replicas: u32) -> Result<String> {
        self.ask(&format!("create {topic} {partitions} {replicas}"))
    }

    /// The same with a configuration of its own: `cleanup.policy=compact`.
    pub fn create_with(&self, topic: &str, partitions: u32, config: &[&str]) -> Result<String> {
        self.ask(&format!(
            "create {topic} {partitions} 1 {}",
            config.join(" ")
        ))
    }

    pub fn delete(&self, topic: &str) -> Result<()> {
        self.ask(&format!("delete {topic}")).map(|_| ())
    }

    /// End offset of each partition.
    pub fn ends(&self, topic: &str) -> Result<BTreeMap<i32, u64>> {
        pairs(&self.ask(&format!("ends {topic}"))?)
    }

    /// Node id of each partition's leader.
    pub fn leaders(&self, topic: &str) -> Result<BTreeMap<i32, u64>> {
        pairs(&self.ask(&format!("leaders {topic}"))?)
    }

    /// Every partition that the group has an offset or a member for.
    pub fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>> {
        self.json(&format!("offsets {group}"))
    }

    pub fn group_members(&self, group: &str) -> Result<Vec<GroupMember>> {
        self.json(&format!("members {group}"))
    }

    pub fn group_state(&self, group: &str) -> Result<GroupState> {
        self.json(&format!("state {group}"))
    }

    pub fn described(&self, kind: Kind, group: &str) -> Result<Described> {
        self.json(&format!("described {} {group}", kind.word()))
    }

    /// What a group of any kind has committed, and the lag behind it.
    pub fn commits(&self, group: &str) -> Result<Vec<GroupOffset>> {
        self.json(&format!("commits {group}"))
    }

    /// Records in each partition, without the markers of transactions.
    pub fn records(&self, topic: &str) -> Result<BTreeMap<i32, u64>> {
        pairs(&self.ask(&format!("records {topic}"))?)
    }

    /// Transactions committed and aborted, of producers whose transactional id begins so.
    pub fn ended(&self, prefix: &str) -> Result<(u64, u64)> {
        let by_status = pairs(&self.ask(&format!("ended {prefix}"))?)?;
        let of = |status| by_status.get(&status).copied().unwrap_or(0);
        Ok((of(4), of(5)))
    }

    /// A share group that nobody has joined yet reads its topics from their first record.
    pub fn from_the_start(&self, group: &str) -> Result<()> {
        self.ask(&format!("from-the-start {group}")).map(|_| ())
    }

    /// All that the cluster's transaction coordinators know.
    pub fn transactions(&self) -> Result<Vec<Transaction>> {
        self.json("transactions")
    }

    fn json<T: DeserializeOwned>(&self, command: &str) -> Result<T> {
        let answer = self.ask(command)?;
        serde_json::from_str(&answer)
            .with_context(|| format!("Kafka admin: {command}: not what was expected: {answer}"))
    }
}

fn pairs(text: &str) -> Result<BTreeMap<i32, u64>> {
    text.split_whitespace()
        .map(|pair| {
            let (partition, value) = pair
                .split_once('=')
                .with_context(|| format!("Kafka admin said `{text}`"))?;
            Ok((partition.parse()?, value.parse()?))
        })
        .collect()
}
