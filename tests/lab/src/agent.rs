//! The agent under trial, as an operator runs it. In: the executable, ports, extra flags. Out: its metrics, its log. It runs as root.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::metrics::Scrape;
use crate::process::{Launch, Process};
use crate::{ports, step};

/// How an agent is started; the same settings start it again after a kill.
#[derive(Clone, Debug)]
pub struct Settings {
    pub program: PathBuf,
    pub listen: u16,
    pub folder: PathBuf,
    /// More flags of `obi run`.
    pub flags: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Settings {
    pub fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            program: program.into(),
            listen: ports::free()?,
            folder,
            flags: Vec::new(),
            environment: Vec::new(),
        })
    }

    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("obi.sock")
    }

    pub fn start(&self) -> Result<Agent> {
        let launch = Launch::new("obi run", &self.program, self.folder.join("obi.log"))
            .arg("run")
            .args(["--listen", &format!("127.0.0.1:{}", self.listen)])
            .arg("--socket")
            .arg(self.socket())
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .args(&self.flags);
        let launch = self
            .environment
            .iter()
            .fold(launch, |launch, (key, value)| launch.env(key, value));
        let mut agent = Agent {
            process: launch.privileged().start()?,
            listen: self.listen,
        };
        step::wait(
            "obi run: /readyz",
            Duration::from_secs(60),
            Duration::from_millis(50),
            || {
                agent.process.check()?;
                Ok(agent.get("/readyz").is_ok().then_some(()))
            },
        )
        .with_context(|| agent.process.log_tail(20))?;
        Ok(agent)
    }
}

/// The log of `obi run` or `obi record` says that the program is hooked.
pub fn has_met(log: &Path, program: &Path) -> Result<bool> {
    let path = program.display().to_string();
    let said = |line: &str| line.contains("hooks attached") && line.contains(&path);
    Ok(std::fs::read_to_string(log)?.lines().any(said))
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    listen: u16,
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> &Path {
        self.process.log()
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.listen)
    }

    /// Waits until it has hooked the program.
    pub fn met(&self, program: &Path) -> Result<()> {
        let (limit, pause) = (Duration::from_secs(30), Duration::from_millis(50));
        let what = format!("hooks in {}", program.display());
        step::wait(&what, limit, pause, || {
            Ok(has_met(self.log(), program)?.then_some(()))
        })
    }

    /// Fails with the end of its log when it is gone.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// The body of a page; an error for any status but 200.
    pub fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.listen);
        let mut answer = ureq::get(&url)
            .call()
            .with_context(|| format!("GET {url}"))?;
        Ok(answer
            .body_mut()
            .with_config()
            .limit(256 << 20)
            .read_to_string()?)
    }

    pub fn scrape(&self) -> Result<Scrape> {
        Scrape::parse(&self.get("/metrics")?)
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) -> Result<()> {
        let status = self.process.stop(Duration::from_secs(20))?;
        anyhow::ensure!(
            status.success(),
            "obi run ended with {status}:\n{}",
            self.process.log_tail(20)
        );
        Ok(())
    }

    /// SIGKILL: no clean end.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(Duration::from_secs(10))?;
        Ok(())
    }
}
