//! The golden clients: built once a run with a build id that no agent has seen, started with a plan, told what to do line by line.
//!
//! In: a library and a plan. Out: a running client, and its truth file. Sources: `tests/e2e/clients`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::golang::{self, Symbols};
use obi_lab::kafka::Cluster;
use obi_lab::layout::Layout;
use obi_lab::process::{Launch, Process};
use obi_lab::python;

use crate::cells::Library;

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The built programs.
pub struct Programs {
    go: BTreeMap<Library, PathBuf>,
    pub python: PathBuf,
    folder: PathBuf,
}

impl Programs {
    /// Builds what the libraries need; Go programs get a fresh build id.
    pub fn build(layout: &Layout, libraries: &[Library]) -> Result<Self> {
        let folder = layout.root().join("tests/e2e/clients");
        let out = layout.run().join("bin");
        std::fs::create_dir_all(&out)?;
        let mut go = BTreeMap::new();
        for library in libraries {
            let (package, symbols) = match library {
                Library::Franz => ("./franz", Symbols::Kept),
                Library::FranzStripped => ("./franz", Symbols::Stripped),
                Library::Sarama => ("./sarama", Symbols::Kept),
                Library::Segmentio => ("./segmentio", Symbols::Kept),
                Library::ConfluentGo => ("./confluent", Symbols::Kept),
                Library::ConfluentPython | Library::Kcat => continue,
            };
            let path = golang::build(
                &folder.join("go"),
                package,
                &out.join(library.name()),
                symbols,
                true,
            )?;
            go.insert(*library, path);
        }
        let python = python::environment(layout, &folder.join("python/requirements.txt"))?;
        Ok(Self { go, python, folder })
    }

    fn launch(&self, library: Library, log: &Path) -> Result<Launch> {
        if library == Library::ConfluentPython {
            let script = self.folder.join("python/confluent.py");
            return Ok(Launch::new(library.name(), &self.python, log).arg(script));
        }
        let program = self
            .go
            .get(&library)
            .with_context(|| format!("{} was not built", library.name()))?;
        Ok(Launch::new(library.name(), program, log))
    }
}

/// What a client is configured with.
#[derive(Clone, Debug)]
pub struct Plan {
    pub library: Library,
    /// Unique in the run: names its files too.
    pub client_id: String,
    pub codec: &'static str,
    pub tls: bool,
    /// Empty: all partitions, by itself.
    pub group: String,
    pub marker: String,
    /// Write down when each request was written and answered.
    pub intervals: bool,
}

/// A client that waits for commands.
pub struct Golden {
    // The pipe goes first: the end of its input ends the client.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    process: Process,
    pub truth: PathBuf,
    pub intervals: PathBuf,
}

impl Golden {
    pub fn start(
        programs: &Programs,
        cluster: &Cluster,
        folder: &Path,
        plan: &Plan,
    ) -> Result<Self> {
        Self::start_over(programs, cluster, folder, plan, 3)
    }

    /// The same, for topics of so many partitions; Go only.
    pub fn start_over(
        programs: &Programs,
        cluster: &Cluster,
        folder: &Path,
        plan: &Plan,
        partitions: usize,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let at = |suffix: &str| folder.join(format!("{}.{suffix}", plan.client_id));
        let (truth, intervals) = (at("truth.jsonl"), at("intervals.jsonl"));
        let bootstrap = cluster.bootstrap(plan.tls);
        let config = serde_json::json!({
            "brokers": bootstrap.split(',').collect::<Vec<_>>(), "tls": plan.tls, "mechanism": cluster.mechanism(plan.library.mechanism()),
            "user": cluster.user.name, "password": cluster.user.password, "ca": cluster.certificates.authority,
            "client_id": plan.client_id, "codec": plan.codec, "group": plan.group, "marker": plan.marker, "truth": truth, "partitions": partitions,
            "intervals": if plan.intervals { intervals.display().to_string() } else { String::new() },
        });
        std::fs::write(at("plan.json"), config.to_string())?;
        let mut process = programs
            .launch(plan.library, &at("log"))?
            .arg(at("plan.json"))
            .piped()
            .start()?;
        let (commands, stdout) = process.pipes().context("a golden client has no pipes")?;
        Ok(Self {
            commands: Some(commands),
            answers: lines(stdout),
            process,
            truth,
            intervals,
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a command without waiting for its answer.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().context("the client was closed")?;
        writeln!(commands, "{command}").with_context(|| self.process.log_tail(20))
    }

    /// Waits for the answer of the command told last.
    pub fn answer(&mut self) -> Result<()> {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) if line == "ok" => Ok(()),
            Ok(line) => bail!("the client said: {line}\n{}", self.process.log_tail(20)),
            Err(_) => {
                self.process.check()?;
                bail!(
                    "the client did not answer within {} s\n{}",
                    PATIENCE.as_secs(),
                    self.process.log_tail(20)
                )
            }
        }
    }

    pub fn run(&mut self, command: &str) -> Result<()> {
        self.tell(command)?;
        self.answer()
            .with_context(|| format!("command `{command}`"))
    }

    /// Ends it as its owner would, and waits.
    pub fn close(&mut self) -> Result<()> {
        drop(self.commands.take());
        match self.process.wait(Duration::from_secs(30))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!(
                "the client ended with {status}\n{}",
                self.process.log_tail(20)
            ),
            None => bail!("the client did not end within 30 s"),
        }
    }
}

/// Lines as they come, so that waiting for one can end.
fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
