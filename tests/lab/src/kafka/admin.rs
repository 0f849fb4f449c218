//! The broker's own truth: topics, their ids and end offsets. In: commands. Out: exact answers. One JVM for the whole run, spoken to
//! by lines (`tests/lab/java/Admin.java`): starting a JVM for each question would take longer than the tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use super::Jars;
use crate::layout::Layout;
use crate::process::{Launch, Process};

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
    ) -> Result<Self> {
        let mut process = Launch::new("Kafka admin", "java", folder.join("admin.log"))
            .args([
                "-cp",
                &jars.class_path(),
                "-Xmx128m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
            ])
            .arg("-Dlog4j2.level=ERROR")
            .arg(layout.root().join("tests/lab/java/Admin.java"))
            .arg(bootstrap)
            .piped()
            .start()?;
        let (stdin, stdout) = process.pipes().context("the admin program has no pipes")?;
        Ok(Self {
            pipes: Mutex::new((stdin, BufReader::new(stdout))),
            _process: process,
        })
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
