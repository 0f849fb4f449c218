//! The control socket. In: one line `{"command": "..."}`; out: one line of JSON, or `{"error": "..."}`.
//!
//! Mode 0600 from its first moment. A socket that a dead agent left is replaced; one that answers is another agent's.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};

/// Gives the answer to one command: an object of JSON on one line, which begins with its `schema`.
pub type Answer = Box<dyn Fn() -> anyhow::Result<String> + Send + Sync>;

/// Askers at one time; more are told to come back.
const MAX_CLIENTS: usize = 16;
const MAX_REQUEST: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes the socket when dropped.
#[derive(Debug)]
pub struct Control(PathBuf);

impl Drop for Control {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds `path` and answers `commands` on a thread of its own.
pub fn start(path: &Path, commands: Vec<(&'static str, Answer)>) -> anyhow::Result<Control> {
    let listener = bind(path)?;
    let control = Control(path.to_owned());
    let commands: Arc<[(&'static str, Answer)]> = commands.into();
    let thread = std::thread::Builder::new().name("obi-socket".to_owned());
    thread
        .spawn(move || accept(&listener, &commands))
        .context("cannot start the control thread")?;
    Ok(control)
}

fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            return Err(Failure::new(
                Exit::Finding,
                format!("another agent answers on {}", path.display()),
            )
            .hint("stop it, or choose another socket with --socket")
            .into());
        }
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => remove_stale(path)?,
        Err(_) => {}
    }
    let address =
        SocketAddrUnix::new(path).with_context(|| format!("socket: {}", path.display()))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // Linux gives the file the mode that the socket has when it is bound: there is no moment with a wider one.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)
        .with_context(|| format!("cannot bind {}", path.display()))?;
    rustix::net::listen(&socket, MAX_CLIENTS as i32)?;
    Ok(UnixListener::from(socket))
}

fn remove_stale(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        bail!("{} exists and is not a socket", path.display());
    }
    std::fs::remove_file(path).with_context(|| {
        format!(
            "cannot remove the socket that an earlier agent left at {}",
            path.display()
        )
    })
}

fn accept(listener: &UnixListener, commands: &Arc<[(&'static str, Answer)]>) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if busy.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
            busy.fetch_sub(1, Ordering::AcqRel);
            let _ = stream.write_all(b"{\"error\":\"too many askers at once\"}\n");
            continue;
        }
        let (commands, busy_here) = (Arc::clone(commands), Arc::clone(&busy));
        let spawned = std::thread::Builder::new()
            .name("obi-answer".to_owned())
            .spawn(move || {
                // An asker that went away needs no answer.
                let _ = answer(stream, &commands);
                busy_here.fetch_sub(1, Ordering::AcqRel);
            });
        if spawned.is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn answer(mut stream: UnixStream, commands: &[(&'static str, Answer)]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&stream).take(MAX_REQUEST)).read_line(&mut line)?;
    let request: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
    let reply = match request.get("command").and_then(Value::as_str) {
        None => refusal("not a request: one line {\"command\": \"...\"} is expected"),
        Some(name) => match commands.iter().find(|(known, _)| *known == name) {
            None => refusal(&format!("unknown command `{name}`")),
            Some((_, answer)) => answer().unwrap_or_else(|error| refusal(&format!("{error:#}"))),
        },
    };
    writeln!(stream, "{reply}")
}

fn refusal(why: &str) -> String {
    json!({ "error": why }).to_string()
}

/// Asks the agent at `path`. Its own refusals and an agent that is not there are errors with the step that mends them.
pub fn ask(path: &Path, command: &str) -> anyhow::Result<Value> {
    let not_running = |why: &str| {
        Failure::new(
            Exit::Finding,
            format!("no agent is running: {} {why}", path.display()),
        )
        .hint("start one with `sudo obi run`")
    };
    let mut stream = UnixStream::connect(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => not_running("does not exist"),
        ErrorKind::ConnectionRefused => not_running("is left from an earlier run"),
        ErrorKind::PermissionDenied => Failure::new(
            Exit::NotPermitted,
            format!("{} may be opened by its owner only", path.display()),
        )
        .hint("use sudo"),
        _ => Failure::new(
            Exit::Finding,
            format!("cannot connect to {}: {e}", path.display()),
        ),
    })?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    writeln!(stream, "{}", json!({ "command": command }))?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .context("the agent does not answer")?;
    let reply: Value = serde_json::from_str(&line).context("the agent's answer is not JSON")?;
    match reply.get("error").and_then(Value::as_str) {
        Some(error) => bail!("the agent says: {error}"),
        None => Ok(reply),
    }
}

#[cfg(test)]
mod tests;
