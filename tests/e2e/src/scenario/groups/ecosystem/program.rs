//! A Java program that is spoken to by lines (`tests/e2e/clients/ecosystem/README.md`). In: its class, a plan, commands. Out: its answers.

use std::io::{BufRead, BufReader, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::java;
use obi_lab::kafka::Jars;
use obi_lab::process::{Launch, Process};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::stage::Stage;
use crate::truth::{Counts, Place};

/// The longest that one answer may take; a rebalance may be on its way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Topic, partition, count.
type At = (String, i32, u64);

pub struct Program {
    // The pipe goes first: the end of its input ends the program.
    commands: ChildStdin,
    answers: Receiver<String>,
    process: Process,
    pub name: String,
}

impl Program {
    /// `name` is its service's, and its files'. `class` is that of `tests/e2e/clients/ecosystem`.
    pub fn start(
        stage: &Stage,
        jars: &Jars,
        class: &str,
        name: &str,
        plan: &serde_json::Value,
    ) -> Result<Self> {
        let layout = &stage.world.layout;
        let source = format!("tests/e2e/clients/ecosystem/{class}.java");
        let out = layout.run().join("java").join(class);
        // The run's folder was empty at its start.
        let path = if out.join(format!("{class}.class")).exists() {
            format!("{}:{}", jars.class_path(), out.display())
        } else {
            java::compile(&layout.root().join(source), &jars.class_path(), &out)?
        };
        let folder = stage.folder()?;
        let file = folder.join(format!("{name}.plan.json"));
        std::fs::write(&file, plan.to_string())?;
        let log = folder.join(format!("{name}.log"));
        let mut process = launch(name, &path, &log)
            .arg(class)
            .arg(file)
            .piped()
            .start()?;
        let (commands, stdout) = process.pipes().context("a program has no pipes")?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // What is no JSON is its library's.
            for line in lines.filter(|line| line.starts_with('{')) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            commands,
            answers,
            process,
            name: name.to_owned(),
        })
    }

    pub fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        writeln!(self.commands, "{command}").with_context(|| self.process.log_tail(20))?;
        let name = &self.name;
        let Ok(line) = self.answers.recv_timeout(PATIENCE) else {
            bail!(
                "{name}: {command}: no answer\n{}",
                self.process.log_tail(20)
            );
        };
        serde_json::from_str(&line).with_context(|| format!("{name}: {command}: {line}"))
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn close(mut self) -> Result<()> {
        let _: serde_json::Value = self.ask("close")?;
        self.ended()
    }

    /// Waits until it has ended, and well.
    pub fn ended(mut self) -> Result<()> {
        match self.process.wait(PATIENCE)? {
            Some(status) if status.success() => Ok(()),
            status => bail!("{} ended with {status:?}", self.name),
        }
    }
}

/// A Java program of little memory, under this service name; its main class comes next.
pub fn launch(name: &str, class_path: &str, log: &std::path::Path) -> Launch {
    Launch::new(name, "java", log)
        .args(["-cp", class_path, "-Xmx256m", "-XX:TieredStopAtLevel=1"])
        .args(["-XX:+UseSerialGC", "-Dlog4j2.level=WARN"])
        .env("OTEL_SERVICE_NAME", name)
}

/// Counts by place, from a list of them.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<At>")]
pub struct Places(pub Counts);

impl From<Vec<At>> for Places {
    fn from(list: Vec<At>) -> Self {
        let at = |(topic, partition, count): At| -> (Place, u64) { ((topic, partition), count) };
        Self(list.into_iter().map(at).collect())
    }
}
