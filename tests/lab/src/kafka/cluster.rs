//! One or two KRaft brokers. In: a version, a folder, a count. Out: their addresses. Node 1 is the controller; brokers talk to each other
//! over PLAINTEXT, so replica fetches are on the node too. They end with the handle.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::certificates::PKCS12_PASSWORD;
use super::{Admin, Certificates, Jars, Version};
use crate::layout::Layout;
use crate::process::{Launch, Process};
use crate::{ports, step};

/// Heap of a broker: enough for answers of 60 MiB.
const HEAP: &str = "768m";

/// The SASL user that clients log in as.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub password: String,
}

#[derive(Debug)]
pub struct Broker {
    pub id: u32,
    pub plaintext: u16,
    pub sasl_ssl: u16,
    controller: u16,
    /// Where it writes each request and its answer; empty unless it was started with that log.
    pub requests: PathBuf,
    process: Option<Process>,
    /// Gigabytes after a benchmark: they go with the broker, its configuration and log stay.
    data: PathBuf,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.take());
        if let Err(error) = fs::remove_dir_all(&self.data)
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("warning: cannot remove {}: {error}", self.data.display());
        }
    }
}

#[derive(Debug)]
pub struct Cluster {
    pub admin: Admin,
    pub brokers: Vec<Broker>,
    pub certificates: Certificates,
    pub user: User,
    pub id: String,
    pub version: Version,
}

impl Cluster {
    /// Brokers of the newest version.
    pub fn start(layout: &Layout, name: &str, brokers: u32) -> Result<Self> {
        Self::start_version(layout, name, brokers, Version::default())
    }

    pub fn start_version(
        layout: &Layout,
        name: &str,
        brokers: u32,
        version: Version,
    ) -> Result<Self> {
        Self::start_with(layout, name, brokers, version, "WARN")
    }

    /// One broker that writes each request and its answer to [`Broker::requests`]: Kafka's own logger, a line each, as JSON. Some
    /// kilobytes a request: not for loads.
    pub fn start_logged(layout: &Layout, name: &str, version: Version) -> Result<Self> {
        Self::start_with(layout, name, 1, version, "DEBUG")
    }

    /// `requests`: the level of `kafka.request.logger`.
    fn start_with(
        layout: &Layout,
        name: &str,
        brokers: u32,
        version: Version,
        requests: &str,
    ) -> Result<Self> {
        let jars = Jars::fetch(layout, version)?;
        let folder = layout.run().join(name);
        let certificates = Certificates::make(&folder.join("certificates"))?;
        let user = User {
            name: "alice".to_owned(),
            password: format!("pass-{}", random_hex()?),
        };
        let id = random_id()?;
        let mut brokers = (1..=brokers)
            .map(|id| {
                Ok(Broker {
                    id,
                    plaintext: ports::free()?,
                    sasl_ssl: ports::free()?,
                    controller: ports::free()?,
                    requests: folder.join(format!("broker-{id}/requests.log")),
                    process: None,
                    data: folder.join(format!("broker-{id}/data")),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let controller = brokers
            .first()
            .map(|broker| broker.controller)
            .context("a cluster has at least one broker")?;
        for broker in &mut brokers {
            let at = folder.join(format!("broker-{}", broker.id));
            fs::create_dir_all(&at)?;
            fs::write(
                at.join("server.properties"),
                properties(version, broker, controller, &certificates, &user),
            )?;
            let file = broker.requests.display().to_string();
            for (name, text) in [("log4j2.properties", LOG4J2), ("log4j.properties", LOG4J)] {
                let text = text.replace("{level}", requests).replace("{file}", &file);
                fs::write(at.join(name), text)?;
            }
            format(version, &jars, &at, &id, &user)?;
        }
        for broker in &mut brokers {
            let at = folder.join(format!("broker-{}", broker.id));
            broker.process = Some(launch(&jars, &at, broker.id)?);
        }
        for broker in &mut brokers {
            step::say(&format!(
                "Kafka {version} broker {}: PLAINTEXT 127.0.0.1:{}, SASL_SSL 127.0.0.1:{}",
                broker.id, broker.plaintext, broker.sasl_ssl
            ));
            let Some(process) = &mut broker.process else {
                continue;
            };
            step::wait(
                "Kafka broker",
                Duration::from_secs(120),
                Duration::from_millis(50),
                || {
                    process.check()?;
                    let log = fs::read_to_string(process.log()).unwrap_or_default();
                    Ok(log.contains("Kafka Server started").then_some(()))
                },
            )?;
        }
        let addresses: Vec<_> = brokers
            .iter()
            .map(|broker| format!("127.0.0.1:{}", broker.sasl_ssl))
            .collect();
        // The newest client for all versions: it asks each broker in the broker's own terms.
        let jars = Jars::fetch(layout, Version::default())?;
        let admin = Admin::start(
            layout,
            &jars,
            &folder,
            &addresses.join(","),
            &certificates,
            &user,
        )?;
        Ok(Self {
            admin,
            brokers,
            certificates,
            user,
            id,
            version,
        })
    }

    /// `host:port,...` of every broker.
    pub fn bootstrap(&self, tls: bool) -> String {
        let port = |broker: &Broker| {
            if tls {
                broker.sasl_ssl
            } else {
                broker.plaintext
            }
        };
        self.brokers
            .iter()
            .map(|broker| format!("127.0.0.1:{}", port(broker)))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The SASL mechanism that a client which would like `wanted` can have.
    pub fn mechanism(&self, wanted: &'static str) -> &'static str {
        if self.version.has_scram() {
            wanted
        } else {
            "PLAIN"
        }
    }

    /// Ends the brokers; an error when one of them had to be killed.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// The controller, node 1, goes last: the others tell it that they leave.
    fn end(&mut self) -> Result<()> {
        while let Some(mut broker) = self.brokers.pop() {
            if let Some(mut process) = broker.process.take() {
                process.stop(Duration::from_secs(30))?;
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error:#}");
        }
    }
}

fn java(jars: &Jars, at: &Path) -> Vec<String> {
    vec![
        "-cp".to_owned(),
        jars.class_path(),
        format!(
            "-Dlog4j2.configurationFile={}",
            at.join("log4j2.properties").display()
        ),
        format!(
            "-Dlog4j.configuration=file:{}",
            at.join("log4j.properties").display()
        ),
    ]
}

fn format(version: Version, jars: &Jars, at: &Path, cluster: &str, user: &User) -> Result<()> {
    let mut command = Command::new("java");
    command
        .args(java(jars, at))
        .args([
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
        ])
        .arg(at.join("server.properties"));
    if version.has_scram() {
        command.arg("--add-scram").arg(format!(
            "SCRAM-SHA-512=[name={},password={}]",
            user.name, user.password
        ));
    }
    step::run("format the broker's storage", &mut command)
}

fn launch(jars: &Jars, at: &Path, id: u32) -> Result<Process> {
    Launch::new(&format!("Kafka broker {id}"), "java", at.join("broker.log"))
        .args(java(jars, at))
        .arg(format!("-Xmx{HEAP}"))
        .args(["-Xms256m", "-XX:+UseSerialGC", "kafka.Kafka"])
        .arg(at.join("server.properties"))
        .start()
}

fn properties(
    version: Version,
    broker: &Broker,
    controller: u16,
    certificates: &Certificates,
    user: &User,
) -> String {
    let Broker {
        id,
        plaintext,
        sasl_ssl,
        ..
    } = broker;
    let is_controller = *id == 1;
    let listeners = format!("PLAINTEXT://127.0.0.1:{plaintext},SASL_SSL://127.0.0.1:{sasl_ssl}");
    let mut lines = vec![
        (
            "process.roles",
            if is_controller {
                "broker,controller"
            } else {
                "broker"
            }
            .to_owned(),
        ),
        ("node.id", id.to_string()),
        (
            "controller.quorum.voters",
            format!("1@127.0.0.1:{controller}"),
        ),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("advertised.listeners", listeners.clone()),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT".to_owned(),
        ),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        (
            "listener.name.sasl_ssl.plain.sasl.jaas.config",
            format!(
                "org.apache.kafka.common.security.plain.PlainLoginModule required user_{}=\"{}\";",
                user.name, user.password
            ),
        ),
        ("log.dirs", broker.data.display().to_string()),
        // Topics are made on purpose, never by a client's mistake.
        ("auto.create.topics.enable", "false".to_owned()),
        ("message.max.bytes", "20971520".to_owned()),
        // Answers of more than 50 MiB are wanted.
        ("fetch.max.bytes", "134217728".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        (
            "share.coordinator.state.topic.num.partitions",
            "2".to_owned(),
        ),
        (
            "share.coordinator.state.topic.replication.factor",
            "1".to_owned(),
        ),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("log.cleaner.dedupe.buffer.size", "8388608".to_owned()),
        ("log.segment.delete.delay.ms", "1000".to_owned()),
        // A load at full speed would fill the disk within minutes.
        ("log.segment.bytes", "134217728".to_owned()),
        ("log.retention.bytes", "536870912".to_owned()),
        ("log.retention.check.interval.ms", "5000".to_owned()),
    ];
    lines.extend(keystore(version, certificates));
    lines.extend(logins(version));
    lines.push((
        "listeners",
        if is_controller {
            format!("{listeners},CONTROLLER://127.0.0.1:{controller}")
        } else {
            listeners
        },
    ));
    lines.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}={value}");
        text
    })
}

fn keystore(version: Version, certificates: &Certificates) -> Vec<(&'static str, String)> {
    if !version.has_pem() {
        return vec![
            ("ssl.keystore.type", "PKCS12".to_owned()),
            (
                "ssl.keystore.location",
                certificates.broker_pkcs12.display().to_string(),
            ),
            ("ssl.keystore.password", PKCS12_PASSWORD.to_owned()),
            ("ssl.key.password", PKCS12_PASSWORD.to_owned()),
        ];
    }
    vec![
        ("ssl.keystore.type", "PEM".to_owned()),
        (
            "ssl.keystore.location",
            certificates.broker.display().to_string(),
        ),
        ("ssl.truststore.type", "PEM".to_owned()),
        (
            "ssl.truststore.location",
            certificates.authority.display().to_string(),
        ),
    ]
}

fn logins(version: Version) -> Vec<(&'static str, String)> {
    if !version.has_scram() {
        return vec![("sasl.enabled.mechanisms", "PLAIN".to_owned())];
    }
    vec![
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512".to_owned()),
        (
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
        ),
    ]
}

/// Of Kafka 4.
const LOG4J2: &str = "rootLogger.level=INFO
rootLogger.appenderRef.a.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
logger.requests.name=kafka.request.logger
logger.requests.level={level}
logger.requests.additivity=false
logger.requests.appenderRef.a.ref=requests
appender.requests.type=File
appender.requests.name=requests
appender.requests.fileName={file}
appender.requests.createOnDemand=true
appender.requests.layout.type=PatternLayout
appender.requests.layout.pattern=%m%n
";

/// Of the versions before it.
const LOG4J: &str = "log4j.rootLogger=INFO,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.logger.kafka.request.logger={level},requests
log4j.additivity.kafka.request.logger=false
log4j.appender.requests=org.apache.log4j.FileAppender
log4j.appender.requests.file={file}
log4j.appender.requests.layout=org.apache.log4j.PatternLayout
log4j.appender.requests.layout.ConversionPattern=%m%n
";

fn random_hex() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A cluster id: 22 characters of URL-safe base64; hex digits are a part of that alphabet.
fn random_id() -> Result<String> {
    Ok(format!("{}A", random_hex()?.get(..21).unwrap_or_default()))
}
