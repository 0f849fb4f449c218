//! Kafka Connect: a file goes into a topic and out of it into another file. In: 600 lines, a worker alone or one that is a group of its own.
//! Out: counts and offsets as the broker has them; the worker's group, whose members assign connectors, has no partitions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use obi_lab::kafka::{Cluster, Jars, Kind, Version};
use obi_lab::process::Process;
use obi_lab::{ports, step};

use super::super::agent::{compare_described, offset_lines};
use super::super::stage::{PATIENCE, Stage};
use super::program;
use crate::check::{self, CONSUMED, PRODUCED};

const LINES: u64 = 600;

/// A worker with its two connectors.
struct Worker<'a> {
    cluster: &'a Cluster,
    name: String,
    topic: String,
    folder: PathBuf,
    rest: u16,
}

pub fn standalone(stage: &Stage) -> Result<String> {
    let cluster = stage.cluster(Version::V4_4_0)?;
    let worker = Worker::new(stage, cluster, "connect-alone")?;
    let before = stage.losses()?;
    let own = format!(
        "offset.storage.file.filename={}\n",
        worker.at("offsets").display()
    );
    let mut process = worker.start(stage, "ConnectStandalone", &own, &worker.connectors()?)?;
    worker.finish(stage, &mut process, &before, |_| Ok(String::new()))
}

pub fn distributed(stage: &Stage) -> Result<String> {
    distributed_on(stage, stage.cluster(Version::V4_4_0)?)
}

pub fn distributed_on(stage: &Stage, cluster: &Cluster) -> Result<String> {
    let worker = Worker::new(stage, cluster, "connect-workers")?;
    let before = stage.losses()?;
    let name = &worker.name;
    let own = ["config", "offset", "status"].map(|kind| {
        format!("{kind}.storage.topic={name}-{kind}\n{kind}.storage.replication.factor=1\n")
    });
    let own = format!("group.id={name}\n{}", own.concat());
    let mut process = worker.start(stage, "ConnectDistributed", &own, &[])?;
    worker.submit(&mut process)?;
    worker.finish(stage, &mut process, &before, |stage| {
        // One member of the type `connect`: what it was assigned are connectors.
        compare_described(stage, worker.cluster, Kind::Classic, name)
    })
}

impl<'a> Worker<'a> {
    fn new(stage: &Stage, cluster: &'a Cluster, stem: &str) -> Result<Self> {
        stage.meet_plaintext(cluster)?;
        let name = stage.world.fresh(stem);
        let folder = stage.folder()?.join(&name);
        std::fs::create_dir_all(&folder)?;
        let worker = Self {
            cluster,
            topic: stage.topic(cluster, "lines")?,
            name,
            folder,
            rest: ports::free()?,
        };
        let text = (0..LINES).fold(String::new(), |mut text, n| {
            let _ = writeln!(text, "line {n}");
            text
        });
        std::fs::write(worker.at("in.txt"), text)?;
        Ok(worker)
    }

    fn at(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The sink's group, as Connect names it.
    fn group(&self) -> String {
        format!("connect-{}-sink", self.name)
    }

    /// Name and configuration of the source and of the sink.
    fn configurations(&self) -> [(String, Vec<(&'static str, String)>); 2] {
        let of = |kind: &str, topic: &'static str, file: &str| {
            let class = format!("org.apache.kafka.connect.file.FileStream{kind}Connector");
            let config = vec![
                ("connector.class", class),
                ("tasks.max", "1".to_owned()),
                (topic, self.topic.clone()),
                ("file", self.at(file).display().to_string()),
            ];
            (format!("{}-{}", self.name, kind.to_lowercase()), config)
        };
        [
            of("Source", "topic", "in.txt"),
            of("Sink", "topics", "out.txt"),
        ]
    }

    /// The same as files for a worker that is alone.
    fn connectors(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for (name, config) in self.configurations() {
            let mut text = format!("name={name}\n");
            for (key, value) in config {
                let _ = writeln!(text, "{key}={value}");
            }
            let file = self.at(&format!("{name}.properties"));
            std::fs::write(&file, text)?;
            files.push(file);
        }
        Ok(files)
    }

    fn start(
        &self,
        stage: &Stage,
        class: &str,
        own: &str,
        connectors: &[PathBuf],
    ) -> Result<Process> {
        let properties = self.at("worker.properties");
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let text = format!(
            "bootstrap.servers={}\nkey.converter={converter}\nvalue.converter={converter}\noffset.flush.interval.ms=500\n\
             listeners=http://127.0.0.1:{}\nplugin.discovery=service_load\n{own}",
            self.cluster.bootstrap(false),
            self.rest
        );
        std::fs::write(&properties, text)?;
        let jars = Jars::fetch_ecosystem(&stage.world.layout)?;
        program::launch(&self.name, &jars.class_path(), &self.at("worker.log"))
            .arg(format!("org.apache.kafka.connect.cli.{class}"))
            .arg(properties)
            .args(connectors)
            .start()
    }

    /// Makes the connectors, as soon as the worker takes orders.
    fn submit(&self, process: &mut Process) -> Result<()> {
        for (name, config) in self.configurations() {
            let url = format!("http://127.0.0.1:{}/connectors/{name}/config", self.rest);
            let body = serde_json::json!(config.into_iter().collect::<BTreeMap<_, _>>());
            step::wait(
                &format!("{} takes the connector {name}", self.name),
                PATIENCE,
                Duration::from_millis(300),
                || {
                    process.check()?;
                    let answer = ureq::put(&url)
                        .content_type("application/json")
                        .send(body.to_string());
                    Ok(answer.is_ok().then_some(()))
                },
            )
            .with_context(|| process.log_tail(20))?;
        }
        Ok(())
    }

    /// Waits until all lines came through and are committed; compares, with what more there is to compare; ends the worker.
    fn finish(
        &self,
        stage: &Stage,
        process: &mut Process,
        before: &BTreeMap<String, f64>,
        more: impl FnOnce(&Stage) -> Result<String>,
    ) -> Result<String> {
        let (admin, group) = (&self.cluster.admin, self.group());
        let offsets = step::wait(
            &format!("{} has carried all lines", self.name),
            PATIENCE,
            Duration::from_millis(300),
            || {
                process.check()?;
                if lines(&self.at("out.txt")) < LINES {
                    return Ok(None);
                }
                let offsets = admin.commits(&group)?;
                let committed: u64 = offsets.iter().filter_map(|row| row.committed).sum();
                Ok((committed == LINES).then_some(offsets))
            },
        )
        .with_context(|| process.log_tail(20))?;
        let mut seen = format!("{LINES} lines in and out");
        if let Some(agent) = &stage.world.agent {
            let produced = check::ends(admin, std::slice::from_ref(&self.topic))?;
            check::settle(agent, |scrape| {
                let mut lines = check::differences(scrape, PRODUCED, None, &produced);
                lines.extend(check::differences(scrape, CONSUMED, None, &produced));
                lines.extend(offset_lines(scrape, &group, &offsets));
                let of_sink = [("group", group.as_str()), ("topic", &self.topic)];
                let have = scrape.sum(CONSUMED, &of_sink).unwrap_or_default();
                if have != LINES as f64 {
                    lines.push(format!(
                        "{CONSUMED} {of_sink:?}: agent {have}, truth {LINES}"
                    ));
                }
                lines
            })?;
            seen += &compare_described(stage, self.cluster, Kind::Classic, &group)?;
            seen += &more(stage)?;
            seen += &super::apis(&agent.scrape()?, &self.name)?;
            check::nothing_lost(before, &agent.scrape()?)?;
        }
        process.stop(Duration::from_secs(30))?;
        Ok(seen)
    }
}

fn lines(file: &Path) -> u64 {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count() as u64)
}
