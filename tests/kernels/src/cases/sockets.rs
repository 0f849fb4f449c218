//! Plaintext sockets: each form of system call, by each way of seeing it, byte for byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use obi_abi::{GoLayout, Settings, Socket, direction, gap, kind, pid_flag, stat};
use zerocopy::FromBytes;

use crate::agent::{Agent, Record};
use crate::cases::calls::{pattern, stream, whole};
use crate::net::{self, FORMS, Form};

/// How transfers are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Btf,
    Raw,
    Fentry,
    Kprobe,
}

impl Via {
    fn programs(self) -> Vec<String> {
        const FUNCTIONS: [&str; 5] = [
            "tcp_sendmsg",
            "tcp_recvmsg",
            "tcp_splice_read",
            "do_splice",
            "do_splice_direct",
        ];
        let each = |kinds: [&str; 2]| {
            let named = |function: &&str| kinds.map(|kind| format!("{function}_{kind}"));
            FUNCTIONS.iter().flat_map(named).collect()
        };
        match self {
            Via::Btf => vec!["sys_enter".into(), "sys_exit".into()],
            Via::Raw => vec!["sys_enter_raw".into(), "sys_exit_raw".into()],
            Via::Fentry => each(["fentry", "fexit"]),
            Via::Kprobe => each(["kprobe", "kretprobe"]),
        }
    }
}

/// An agent that captures this process's sockets. `None` when the kernel refuses this way of seeing, which is allowed
/// only on kernels other than the stock ones under test.
pub fn agent(object: &[u8], via: Via, settings: Settings) -> Result<Option<Agent>> {
    match attached(object, via, settings) {
        Ok(agent) => Ok(Some(agent)),
        Err(error) if matches!(via, Via::Fentry | Via::Kprobe) && !is_stock() => {
            println!("     {via:?} is refused by this kernel: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn attached(object: &[u8], via: Via, settings: Settings) -> Result<Agent> {
    let names = via.programs();
    let mut programs: Vec<&str> = names.iter().map(String::as_str).collect();
    programs.extend(["sock_state", "sock_destroy"]);
    let mut agent = Agent::load(object, &programs, settings, None, true)?;
    agent.set_pid(std::process::id(), pid_flag::SOCKETS)?;
    for program in programs {
        agent.attach(program)?;
    }
    Ok(agent)
}

/// One of Debian's kernels, which offer everything.
pub fn is_stock() -> bool {
    std::fs::read_to_string("/proc/version").is_ok_and(|text| text.contains("debian.org"))
}

/// The connection whose local port is that of this end, and what its last OPENED record says.
pub fn conn_of(records: &[Record], end: &TcpStream) -> Result<(u64, Socket)> {
    let port = end.local_addr()?.port();
    let mut found = None;
    for record in records.iter().filter(|r| r.header.kind == kind::OPENED) {
        let (socket, _) = Socket::read_from_prefix(&record.payload)
            .ok()
            .context("OPENED is too short")?;
        if socket.local_port == port {
            found = Some((record.header.conn, socket));
        }
    }
    found.with_context(|| format!("no connection with local port {port}"))
}

pub fn forms(object: &[u8]) -> Result<()> {
    for via in [Via::Btf, Via::Raw, Via::Fentry, Via::Kprobe] {
        if let Some(agent) = agent(object, via, whole())? {
            forms_via(&agent).with_context(|| format!("{via:?}"))?;
        }
    }
    Ok(())
}

fn forms_via(agent: &Agent) -> Result<()> {
    let (client, server) = net::pair()?;
    let (mut sent, mut back, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (round, size) in [1, 7, 100, 5000, 40_000].into_iter().enumerate() {
        for (index, &form) in FORMS.iter().enumerate() {
            let data = pattern(size, (round * 10 + index) as u32 + 1);
            net::send(&client, form, &data)?;
            let other = FORMS[(index + round) % FORMS.len()];
            ensure!(
                net::receive(&server, other, size)? == data,
                "the loopback itself differs"
            );
            sent.extend_from_slice(&data);
            // And the other way, so that both ends read and write.
            let data = pattern(size, (round * 10 + index) as u32 + 500);
            net::send(&server, other, &data)?;
            net::receive(&client, form, size)?;
            back.extend_from_slice(&data);
        }
        records.extend(agent.drain()?);
    }
    let (near, socket) = conn_of(&records, &client)?;
    let (far, _) = conn_of(&records, &server)?;
    ensure!(
        stream(&records, near, direction::WRITE)? == sent,
        "client's writes differ"
    );
    ensure!(
        stream(&records, far, direction::READ)? == sent,
        "server's reads differ"
    );
    ensure!(
        stream(&records, far, direction::WRITE)? == back,
        "server's writes differ"
    );
    ensure!(
        stream(&records, near, direction::READ)? == back,
        "client's reads differ"
    );
    ensure!(
        socket.family == 2 && socket.remote_port == server.local_addr()?.port(),
        "{socket:?}"
    );
    ensure!(
        socket.local[..4] == [127, 0, 0, 1] && socket.remote[..4] == [127, 0, 0, 1],
        "{socket:?}"
    );
    ensure!(
        socket.netns == netns()?,
        "network namespace {} instead of {}",
        socket.netns,
        netns()?
    );
    let total = 2 * (sent.len() + back.len()) as u64;
    ensure!(
        agent.stat(stat::BYTES_SOCKET)? == total,
        "{} bytes counted of {total}",
        agent.stat(stat::BYTES_SOCKET)?
    );
    Ok(())
}

fn netns() -> Result<u32> {
    let link = std::fs::read_link("/proc/self/ns/net")?;
    let text = link.to_string_lossy();
    let number = text.trim_start_matches("net:[").trim_end_matches(']');
    Ok(number.parse()?)
}

/// Looking is not reading; bytes thrown away and bytes that were never in user memory are gaps of known length.
pub fn aside(object: &[u8]) -> Result<()> {
    for via in [Via::Btf, Via::Raw, Via::Fentry, Via::Kprobe] {
        if let Some(agent) = agent(object, via, whole())? {
            aside_via(&agent).with_context(|| format!("{via:?}"))?;
        }
    }
    Ok(())
}

fn aside_via(agent: &Agent) -> Result<()> {
    let (client, server) = net::pair()?;
    let data = pattern(1000, 3);
    let mut buffer = vec![0u8; 1000];
    net::send(&client, Form::Plain, &data)?;
    for _ in 0..3 {
        ensure!(
            net::receive_with(&server, &mut buffer, libc::MSG_PEEK)? == 1000,
            "peek"
        );
    }
    let _ = net::receive_with(
        &server,
        &mut buffer,
        libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
    );
    net::receive(&server, Form::To, 400)?;
    ensure!(
        net::receive_with(&server, &mut buffer[..100], libc::MSG_TRUNC)? == 100,
        "discard"
    );
    net::receive(&server, Form::To, 500)?;
    // A file, and a pipe, into the socket; the socket into a pipe.
    let path = std::env::temp_dir().join(format!("obi-kernels-{}", std::process::id()));
    std::fs::write(&path, &data)?;
    ensure!(
        net::send_file(&client, &std::fs::File::open(&path)?, 700)? == 700,
        "sendfile"
    );
    std::fs::remove_file(&path)?;
    net::receive(&server, Form::To, 700)?;
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(&data[..300])?;
    ensure!(
        net::splice(reader.as_raw_fd(), client.as_raw_fd(), 300)? == 300,
        "splice out"
    );
    let (mut reader, writer) = std::io::pipe()?;
    ensure!(
        net::splice(server.as_raw_fd(), writer.as_raw_fd(), 300)? == 300,
        "splice in"
    );
    reader.read_exact(&mut buffer[..300])?;
    net::send(&client, Form::Plain, &data[..10])?;
    net::receive(&server, Form::Plain, 10)?;

    let records = agent.drain()?;
    let (near, _) = conn_of(&records, &client)?;
    let (far, _) = conn_of(&records, &server)?;
    let parts = |conn, way| -> Vec<(u64, u64, u8)> {
        let mine = records
            .iter()
            .filter(|r| r.header.conn == conn && r.header.direction == way);
        let moved = mine.filter(|r| matches!(r.header.kind, kind::DATA | kind::GAP));
        moved
            .map(|r| {
                (
                    r.header.offset,
                    u64::from(r.header.len) + r.header.gap,
                    r.header.reason,
                )
            })
            .collect()
    };
    let written = parts(near, direction::WRITE);
    ensure!(
        written
            == [
                (0, 1000, 0),
                (1000, 700, gap::SENDFILE),
                (1700, 300, gap::SENDFILE),
                (2000, 10, 0)
            ],
        "written: {written:?}"
    );
    let read = parts(far, direction::READ);
    let expected = [
        (0, 400, 0),
        (400, 100, gap::SENDFILE),
        (500, 500, 0),
        (1000, 700, 0),
        (1700, 300, gap::SENDFILE),
        (2000, 10, 0),
    ];
    ensure!(read == expected, "read: {read:?}");
    Ok(())
}

/// A socket shared by fork, a duplicate of its descriptor, and the number used again for another.
pub fn shared(object: &[u8]) -> Result<()> {
    for via in [Via::Btf, Via::Fentry, Via::Kprobe] {
        if let Some(agent) = agent(object, via, whole())? {
            shared_via(&agent).with_context(|| format!("{via:?}"))?;
        }
    }
    Ok(())
}

fn shared_via(agent: &Agent) -> Result<()> {
    let (client, mut server) = net::pair()?;
    net::send(&client, Form::Plain, b"parent")?;
    let mut copy = client.try_clone()?;
    copy.write_all(b" copy")?;
    net::forked(
        |pid| agent.set_pid(pid, pid_flag::SOCKETS),
        || drop(net::send(&client, Form::To, b" child")),
    )?;
    drop(copy);
    net::send(&client, Form::Message, b" end")?;
    let port = client.local_addr()?.port();
    let records = agent.drain()?;
    let (conn, _) = conn_of(&records, &client)?;
    ensure!(
        stream(&records, conn, direction::WRITE)? == b"parent copy child end",
        "one stream"
    );
    ensure!(
        !records.iter().any(|r| r.header.kind == kind::CLOSED),
        "closed while a descriptor was open"
    );
    let number = client.as_raw_fd();
    drop(client);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest)?;
    drop(server);
    let records = agent.drain()?;
    ensure!(
        records
            .iter()
            .any(|r| r.header.kind == kind::CLOSED && r.header.conn == conn),
        "no end"
    );

    let (client, _server) = net::pair()?;
    ensure!(
        client.as_raw_fd() == number || client.local_addr()?.port() != port,
        "the number was to be used again"
    );
    net::send(&client, Form::Plain, b"new")?;
    let records = agent.drain()?;
    let (next, _) = conn_of(&records, &client)?;
    ensure!(next != conn, "an ended connection lives again");
    ensure!(
        stream(&records, next, direction::WRITE)? == b"new",
        "new stream"
    );
    Ok(())
}

/// Bytes that wait when the other side has gone are still of the connection; its end comes when they were read.
pub fn unread(object: &[u8]) -> Result<()> {
    let agent = agent(object, Via::Btf, whole())?.context("tp_btf is everywhere")?;
    let (client, server) = net::pair()?;
    net::send(&client, Form::Plain, b"question")?;
    client.shutdown(Shutdown::Write)?;
    net::receive(&server, Form::Plain, 8)?;
    net::send(&server, Form::Plain, &pattern(5000, 4))?;
    // The client's end goes through FIN_WAIT2 to its end while nothing was read yet.
    drop(server);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let answer = net::receive(&client, Form::Plain, 5000)?;
    let records = agent.drain()?;
    let (conn, _) = conn_of(&records, &client)?;
    ensure!(
        stream(&records, conn, direction::READ)? == answer,
        "the answer differs"
    );
    let ended = |records: &[Record]| {
        records
            .iter()
            .any(|r| r.header.kind == kind::CLOSED && r.header.conn == conn)
    };
    ensure!(!ended(&records), "ended before its bytes were read");
    let mut buffer = [0u8; 16];
    ensure!(
        net::receive_with(&client, &mut buffer, 0)? == 0,
        "end of the stream"
    );
    ensure!(ended(&agent.drain()?), "no end after the last byte");
    Ok(())
}

/// Nothing of a process that was not asked for.
pub fn others(object: &[u8]) -> Result<()> {
    let agent = agent(object, Via::Btf, whole())?.context("tp_btf is everywhere")?;
    let (client, _server) = net::pair()?;
    net::forked(
        |_| Ok(()),
        || drop(net::send(&client, Form::Plain, b"not yours")),
    )?;
    let records = agent.drain()?;
    ensure!(records.is_empty(), "{} records", records.len());
    Ok(())
}

/// What a verdict does: nothing is sent for NONE, everything for WHOLE, 16 KiB of each call for HEADS; before, 4096 bytes a direction.
pub fn verdicts(object: &[u8]) -> Result<()> {
    let agent = agent(object, Via::Btf, Settings::DEFAULT)?.context("tp_btf is everywhere")?;
    let (client, server) = net::pair()?;
    let data = pattern(3000, 5);
    let step = |records: &mut Vec<Record>| -> Result<()> {
        net::send(&client, Form::Plain, &data)?;
        net::receive(&server, Form::Plain, 3000)?;
        records.extend(agent.drain()?);
        Ok(())
    };
    let mut records = Vec::new();
    step(&mut records)?;
    step(&mut records)?;
    step(&mut records)?;
    let (conn, _) = conn_of(&records, &client)?;
    agent.set_verdict(conn, obi_abi::copy::NONE)?;
    step(&mut records)?;
    agent.set_verdict(conn, obi_abi::copy::WHOLE)?;
    step(&mut records)?;
    agent.set_verdict(conn, obi_abi::copy::HEADS)?;
    step(&mut records)?;
    net::send(&client, Form::Plain, &pattern(20_000, 6))?;
    net::receive(&server, Form::Plain, 20_000)?;
    records.extend(agent.drain()?);
    let moved = records
        .iter()
        .filter(|r| r.header.conn == conn && matches!(r.header.kind, kind::DATA | kind::GAP));
    let moved: Vec<_> = moved
        .map(|r| (r.header.offset, r.header.len, r.header.gap, r.header.reason))
        .collect();
    let expected = [
        (0, 3000, 0, 0),
        (3000, 1096, 0, 0),
        (4096, 0, 1904, gap::VERDICT),
        (6000, 0, 3000, gap::VERDICT),
        // 9000 to 12000: nobody reads.
        (12_000, 3000, 0, 0),
        (15_000, 3000, 0, 0),
        (18_000, 16_384, 0, 0),
        (34_384, 0, 3616, gap::VERDICT),
    ];
    ensure!(moved == expected, "{moved:?}");
    Ok(())
}

/// The goroutine of a socket call, where what r14 leads to is one; else none, and the bytes all the same.
pub fn goroutines(object: &[u8]) -> Result<()> {
    for via in [Via::Btf, Via::Raw, Via::Fentry, Via::Kprobe] {
        if let Some(agent) = agent(object, via, whole())? {
            goroutines_via(&agent).with_context(|| format!("{via:?}"))?;
        }
    }
    Ok(())
}

fn goroutines_via(agent: &Agent) -> Result<()> {
    const NOWHERE: u64 = 0x10;
    const GOID: u16 = 152;
    let (client, _server) = net::pair()?;
    let near = 1 << 20;
    let stack = (&raw const near) as u64;
    let mut g = [0u64; 32];
    g[usize::from(GOID) / 8] = 4711;
    let own = [stack - near, stack + near];
    // Bounds of the stack, what r14 holds, and the id that is told.
    let at = g.as_ptr() as u64;
    let cases: [([u64; 2], u64, u64); 6] = [
        (own, at, 4711),
        ([stack + near, stack + 2 * near], at, 0),
        ([stack - 2 * near, stack - near], at, 0),
        ([u64::MAX, 0], at, 0),
        (own, NOWHERE, 0),
        (own, u64::MAX, 0),
    ];
    let told = |agent: &Agent| -> Result<(u64, Vec<u8>)> {
        let records = agent.drain()?;
        let data = records
            .iter()
            .find(|record| record.header.kind == kind::DATA)
            .context("no byte was captured")?;
        Ok((
            data.header.task,
            data.payload[..data.header.len as usize].to_vec(),
        ))
    };
    net::write_as(&client, at, b"no Go program")?;
    ensure!(told(agent)?.0 == 0, "a goroutine without Go");
    agent.know_go(std::process::id(), GoLayout { goid: GOID })?;
    for (bounds, r14, expected) in cases {
        g[..2].copy_from_slice(&bounds);
        net::write_as(&client, r14, b"some bytes")?;
        let (task, bytes) = told(agent)?;
        ensure!(
            task == expected && bytes == b"some bytes",
            "{bounds:x?}, {r14:x}: goroutine {task} instead of {expected}, {} bytes",
            bytes.len()
        );
    }
    // A member that leads out of memory.
    g[..2].copy_from_slice(&own);
    agent.know_go(std::process::id(), GoLayout { goid: u16::MAX })?;
    net::write_as(&client, at, b"some bytes")?;
    ensure!(
        told(agent)?.1 == b"some bytes",
        "bytes under a lying layout"
    );
    Ok(())
}
