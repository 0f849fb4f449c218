//! The load generator as a child. In: a broker. Out: what each window measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};

use anyhow::{Context, Result};
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::process::{Launch, Process};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::library::Library;

pub struct Load {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    process: Process,
}

/// See tests/bench/load/main.go.
#[derive(Clone, Debug, Deserialize)]
pub struct Window {
    pub seconds: f64,
    pub offered: u64,
    pub acked: u64,
    pub consumed: u64,
    /// p50, p99, p99.9 from due to acknowledged.
    pub ack_micros: [f64; 3],
    /// The same, from due to read back.
    pub end_micros: [f64; 3],
}

impl Window {
    /// That went both ways, or were only read.
    pub fn messages(&self) -> f64 {
        self.acked.max(self.consumed) as f64
    }
}

impl Load {
    /// Its files have the topic's name, and so has its service; `flags` are more of its flags.
    pub fn start(
        layout: &Layout,
        cluster: &Cluster,
        library: Library,
        topic: &str,
        flags: &[&str],
    ) -> Result<Self> {
        let program = library.program(layout, &layout.run().join(topic))?;
        let log = layout.run().join(format!("{topic}.log"));
        let mut process = Launch::new("load", program.file, log)
            .args(program.words)
            .args(["-brokers", &cluster.bootstrap(true), "-topic", topic, "-ca"])
            .arg(&cluster.certificates.authority)
            .args(flags)
            .env("KAFKA_USERNAME", &cluster.user.name)
            .env("KAFKA_PASSWORD", &cluster.user.password)
            .env("OTEL_SERVICE_NAME", topic)
            .piped()
            .start()?;
        let (commands, stdout) = process.pipes().context("the load has no pipes")?;
        Ok(Self {
            commands,
            answers: BufReader::new(stdout),
            process,
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        writeln!(self.commands, "{command}").with_context(|| self.process.log_tail(20))?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line)
            .with_context(|| format!("the load said `{line}`\n{}", self.process.log_tail(20)))
    }

    /// Messages a second; 0 as many as go.
    pub fn rate(&mut self, rate: i64) -> Result<()> {
        self.ask::<serde_json::Value>(&format!("rate {rate}"))
            .map(|_| ())
    }

    /// What was measured since the last call.
    pub fn window(&mut self) -> Result<Window> {
        self.ask("window")
    }

    pub fn end(self) -> Result<()> {
        let Self {
            commands,
            mut process,
            ..
        } = self;
        drop(commands);
        let status = process.wait(std::time::Duration::from_secs(10))?;
        anyhow::ensure!(
            status.is_some_and(|status| status.success()),
            "the load ended badly\n{}",
            process.log_tail(20)
        );
        Ok(())
    }
}
