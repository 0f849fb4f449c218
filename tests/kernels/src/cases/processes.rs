//! Programs that begin, processes that fork, connect and end, and which of them are followed.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use obi_abi::{Peer, Settings, count, direction, kind, pid_flag, role, stat};

use super::calls::{WRITE, c_shape, only, stream};
use crate::agent::{Agent, Record};
use crate::hooks::{self, Function, call, hook_outer};
use crate::net;

const CLIENT: u8 = 6;

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

/// A mark goes along with a fork before the child's first instruction, and ends with an exec: what runs then is another program.
pub fn followed_children(object: &[u8]) -> Result<()> {
    let mut agent = Agent::load(object, &["exec", "fork"], Settings::DEFAULT, None, true)?;
    agent.attach("exec")?;
    agent.attach("fork")?;
    let marked = |pid: u32| agent.holds("PIDS", &pid.to_ne_bytes());
    let child = |expected: bool| {
        net::forked(
            |pid| {
                ensure!(marked(pid)? == expected, "a child, not {expected}");
                Ok(())
            },
            || (),
        )
    };
    child(false)?;
    agent.set_pid(std::process::id(), pid_flag::SOCKETS)?;
    std::thread::spawn(|| ()).join().ok();
    child(true)?;
    let mut program = Command::new("/proc/self/exe")
        .arg(WAIT)
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = program.id();
    let end = Instant::now() + Duration::from_secs(10);
    let is_exec = |record: &Record| record.header.pid == pid && record.header.kind == kind::EXEC;
    while !agent.drain()?.iter().any(is_exec) {
        ensure!(Instant::now() < end, "no exec");
    }
    let kept = marked(pid);
    program.wait()?;
    ensure!(!kept?, "the mark outlived the exec");
    Ok(())
}

/// A call that says that a Kafka client begins: the process is followed from there on, sockets and shared libraries.
pub fn clients_begin(object: &[u8]) -> Result<()> {
    let multi = super::has_multi(object)?;
    let programs = ["call_entry", "shared_entry", "shared_return"];
    let mut agent = Agent::load(object, &programs, Settings::DEFAULT, None, multi)?;
    agent.set_shape(CLIENT, c_shape(role::CLIENT, count::RETURN))?;
    agent.set_shape(WRITE, c_shape(role::WRITE, count::RETURN))?;
    let (entries, returns) = hooks::sites(&[(Function::Outer, WRITE)])?;
    agent.attach_sites(
        "call_entry",
        false,
        &hooks::sites(&[(Function::Free, CLIENT)])?.0,
    )?;
    agent.attach_sites("shared_entry", false, &entries)?;
    agent.attach_sites("shared_return", false, &returns)?;
    let write = || call(hook_outer, 0x77, b"bytes", &0, || 5);
    write();
    let before = agent.drain()?;
    ensure!(before.is_empty(), "{} records of a stranger", before.len());
    ensure!(agent.stat(stat::LOST_UNPAIRED)? == 0, "a stranger's return");
    hooks::free(0);
    let own = std::process::id().to_ne_bytes();
    ensure!(agent.holds("PIDS", &own)?, "not followed");
    write();
    let records = agent.drain()?;
    let seen = stream(&records, only(&records)?, direction::WRITE)?;
    ensure!(seen == b"bytes", "{seen:?}");
    Ok(())
}

/// Who connects to a known Kafka listener is followed when connect(2) comes back; others are not.
pub fn connects(object: &[u8]) -> Result<()> {
    let mut agent = Agent::load(object, &["sock_state"], Settings::DEFAULT, None, true)?;
    agent.attach("sock_state")?;
    let own = std::process::id().to_ne_bytes();
    for (address, seen_as) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("127.0.0.1:0", "::ffff:127.0.0.1"),
    ] {
        let listener = TcpListener::bind(address)?;
        let port = listener.local_addr()?.port();
        let to: IpAddr = seen_as.parse()?;
        let connect = || connect(SocketAddr::new(to, port));
        connect()?;
        ensure!(!agent.holds("PIDS", &own)?, "{to}: an unknown listener");
        agent.know_peer(&peer(to, port))?;
        connect()?;
        ensure!(agent.holds("PIDS", &own)?, "{to}: not followed");
        agent.forget_pid(std::process::id())?;
    }
    Ok(())
}

fn connect(to: SocketAddr) -> Result<()> {
    Ok(TcpStream::connect(to).map(drop)?)
}

fn peer(to: IpAddr, port: u16) -> Peer {
    let mut address = [0; 16];
    let family = match to {
        IpAddr::V4(v4) => {
            address[..4].copy_from_slice(&v4.octets());
            libc::AF_INET
        }
        IpAddr::V6(v6) => {
            address = v6.octets();
            libc::AF_INET6
        }
    };
    Peer {
        address,
        family: family as u16,
        port,
    }
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
