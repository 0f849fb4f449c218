//! A child that cannot be left behind: its own process group, a log file, SIGKILL when this process dies, stopped when dropped.
//!
//! In: a program, arguments, a log file. Out: a handle. It is stopped by its own process group, never by name. Uses util-linux
//! `setpriv --pdeathsig`, which needs no unsafe code here; the signal comes when the *thread* that started the child ends.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process_group};

/// What to start.
#[derive(Debug)]
pub struct Launch {
    name: String,
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    log: PathBuf,
    piped: bool,
    privileged: bool,
}

impl Launch {
    /// Standard error, and standard output unless piped, go to `log`.
    pub fn new(name: &str, program: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            words: vec![program.as_ref().to_owned()],
            environment: Vec::new(),
            log: log.into(),
            piped: false,
            privileged: false,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.words.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.words
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Standard input and output are pipes: a program that is spoken to line by line.
    pub fn piped(mut self) -> Self {
        self.piped = true;
        self
    }

    /// Runs it as root, by `sudo` unless we are root already.
    pub fn privileged(mut self) -> Self {
        self.privileged = !is_root();
        self
    }

    pub fn start(self) -> Result<Process> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = if self.privileged {
            let mut sudo = Command::new("sudo");
            sudo.arg("-n")
                .args(self.environment.iter().map(|(key, value)| {
                    let mut pair = key.clone();
                    pair.push("=");
                    pair.push(value);
                    pair
                }));
            sudo.arg("setpriv");
            sudo
        } else {
            let mut plain = Command::new("setpriv");
            plain.envs(self.environment.iter().map(|(key, value)| (key, value)));
            plain
        };
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.words)
            .process_group(0)
            .stderr(log.try_clone()?);
        if self.piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(log);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        Ok(Process {
            name: self.name,
            child,
            log: self.log,
            privileged: self.privileged,
            ended: None,
        })
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    privileged: bool,
    ended: Option<ExitStatus>,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Fails with the end of the log when the child is gone.
    pub fn check(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("{} ended with {status}:\n{}", self.name, self.log_tail(25))
            }
        }
    }

    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all.iter()
            .skip(all.len().saturating_sub(lines))
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Sends a signal to the child's process group.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid())?;
        if self.privileged {
            let target = format!("-{pid}");
            let number = signal.as_raw().to_string();
            Command::new("sudo")
                .args(["-n", "kill", "-s", &number, "--", &target])
                .status()?;
        } else if let Some(group) = Pid::from_raw(pid) {
            kill_process_group(group, signal)
                .with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let ended = self.ended()?;
            if ended.is_some() || began.elapsed() > limit {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, and SIGKILL after `limit`. Err when it had to be killed.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        if let Some(status) = self.wait(limit)? {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        anyhow::bail!(
            "{} did not end within {} s of SIGTERM",
            self.name,
            limit.as_secs()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop(Duration::from_secs(10)) {
            eprintln!("warning: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> PathBuf {
        std::env::temp_dir().join(format!("obi-lab-{}.log", std::process::id()))
    }

    #[test]
    fn the_whole_group_ends_with_its_handle() {
        let mut child = Launch::new("shell", "sh", log())
            .arg("-c")
            .arg("sleep 77 & echo $!; wait")
            .piped()
            .start()
            .unwrap();
        let (_stdin, stdout) = child.pipes().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let grandchild = PathBuf::from("/proc").join(line.trim());
        assert!(grandchild.exists());
        drop(child);
        let gone = |path: &Path| {
            std::fs::read_to_string(path.join("stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        let limit = Instant::now();
        while !gone(&grandchild) && limit.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gone(&grandchild));
    }

    #[test]
    fn a_child_that_ended_is_named_with_its_log() {
        let path = std::env::temp_dir().join(format!("obi-lab-ended-{}.log", std::process::id()));
        let mut child = Launch::new("broken", "sh", &path)
            .args(["-c", "echo what went wrong; exit 3"])
            .start()
            .unwrap();
        child.wait(Duration::from_secs(10)).unwrap();
        let message = child.check().unwrap_err().to_string();
        assert_eq!(
            message,
            "broken ended with exit status: 3:\nwhat went wrong"
        );
        std::fs::remove_file(path).unwrap();
    }
}
