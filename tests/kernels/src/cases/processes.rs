//! Programs that begin and processes that end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use obi_abi::{Settings, kind, pid_flag};

use crate::agent::Agent;

/// Argument of the test binary that makes it wait for the end of its input, and end.
pub const WAIT: &str = "--wait";

/// EXEC and EXIT of a child with several threads; what the maps hold of it goes with it.
pub fn exec_and_exit(object: &[u8]) -> Result<()> {
    let mut agent = Agent::load(object, &["exec", "exit"], Settings::DEFAULT, None, true)?;
    agent.attach("exec")?;
    agent.attach("exit")?;
    let mut child = Command::new("/proc/self/exe")
        .arg(WAIT)
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = child.id();
    agent.set_pid(pid, pid_flag::SOCKETS)?;
    // Closes its input, on which it waits.
    child.wait()?;
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        seen.extend(
            agent
                .drain()?
                .into_iter()
                .filter(|r| r.header.pid == pid)
                .map(|r| r.header.kind),
        );
        if seen.contains(&kind::EXIT) {
            break;
        }
    }
    ensure!(seen == [kind::EXEC, kind::EXIT], "{seen:?}");
    ensure!(
        !agent.holds("PIDS", &pid.to_ne_bytes())?,
        "the ended process is still in PIDS"
    );
    Ok(())
}

/// The end of a thread is not the end of its process.
pub fn threads_end(object: &[u8]) -> Result<()> {
    let mut agent = Agent::load(object, &["exit"], Settings::DEFAULT, None, true)?;
    agent.attach("exit")?;
    for _ in 0..10 {
        std::thread::spawn(|| ()).join().ok();
    }
    let own = std::process::id();
    let ends = agent
        .drain()?
        .iter()
        .filter(|r| r.header.pid == own)
        .count();
    ensure!(ends == 0, "{ends} ends of a process that lives");
    Ok(())
}
