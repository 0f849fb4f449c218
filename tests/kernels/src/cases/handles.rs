//! TLS handles and their sockets: bound, shared, freed, used again.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use obi_abi::{CallShape, Socket, direction, kind, pid_flag};
use zerocopy::FromBytes;

use crate::agent::{Agent, Record};
use crate::cases::calls::{self, only, opened, stream, whole};
use crate::cases::sockets::conn_of;
use crate::hooks::{self, Function, call, hook_inner, hook_outer};
use crate::net::{self, Form};

const FUNCTIONS: [(Function, u8); 4] = [
    (Function::Outer, calls::WRITE),
    (Function::Inner, calls::READ),
    (Function::SetFd, calls::SET_FD),
    (Function::Free, calls::FREE),
];

fn agent(object: &[u8]) -> Result<Agent> {
    let mut agent = calls::agent_with(
        object,
        &FUNCTIONS,
        false,
        whole(),
        None,
        &["sys_enter", "sys_exit"],
    )?;
    agent.attach("sys_enter")?;
    agent.attach("sys_exit")?;
    Ok(agent)
}

/// A TLS write: the library sends ciphertext on its socket.
fn write(handle: u64, socket: &TcpStream, plain: &[u8]) {
    call(hook_outer, handle, plain, &0, || {
        let sent = net::send(socket, Form::Plain, &vec![0xff; plain.len() + 29]);
        if sent.is_ok() { plain.len() as i64 } else { -1 }
    });
}

/// A TLS write into memory: no socket call inside.
fn write_memory(handle: u64, plain: &[u8]) {
    call(hook_outer, handle, plain, &0, || plain.len() as i64);
}

fn read_memory(handle: u64, plain: &[u8]) {
    call(hook_inner, handle, plain, &0, || plain.len() as i64);
}

fn closed(records: &[Record]) -> Vec<u64> {
    records
        .iter()
        .filter(|r| r.header.kind == kind::CLOSED)
        .map(|r| r.header.conn)
        .collect()
}

/// Local ports of the OPENED records of a connection, in order; 0 = not known yet.
fn ports(records: &[Record], conn: u64) -> Vec<u16> {
    let mine = records
        .iter()
        .filter(|r| r.header.kind == kind::OPENED && r.header.conn == conn);
    mine.filter_map(|r| Socket::read_from_prefix(&r.payload).ok())
        .map(|(s, _)| s.local_port)
        .collect()
}

/// SSL_set_fd names the socket before the first byte; the ciphertext yields nothing of its own.
pub fn set_fd(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    agent.set_pid(std::process::id(), pid_flag::SOCKETS)?;
    let (client, _server) = net::pair()?;
    hooks::set_fd(0x77, client.as_raw_fd());
    write(0x77, &client, b"hello ");
    write(0x77, &client, b"world");
    let records = agent.drain()?;
    let (conn, socket) = conn_of(&records, &client)?;
    ensure!(only(&records)? == conn, "more than one connection");
    ensure!(
        socket.handle == 0x77 && socket.fd == client.as_raw_fd(),
        "{socket:?}"
    );
    ensure!(
        stream(&records, conn, direction::WRITE)? == b"hello world",
        "bytes differ"
    );
    drop(client);
    Ok(())
}

/// Without SSL_set_fd the socket call inside the TLS call tells; the connection keeps its number.
pub fn bound_by_call(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    let (client, _server) = net::pair()?;
    for part in [&b"one "[..], b"two ", b"three"] {
        write(0x88, &client, part);
    }
    let records = agent.drain()?;
    let conn = only(&records)?;
    let port = client.local_addr()?.port();
    ensure!(
        ports(&records, conn) == [0, port],
        "{:?}",
        ports(&records, conn)
    );
    ensure!(
        stream(&records, conn, direction::WRITE)? == b"one two three",
        "bytes differ"
    );
    drop(client);
    drop(_server);
    ensure!(closed(&agent.drain()?) == [conn], "no end with the socket");
    // The same address for a new connection, without SSL_free in between.
    let (client, _server) = net::pair()?;
    write(0x88, &client, b"again");
    let records = agent.drain()?;
    let next = only(&records)?;
    ensure!(
        next != conn && stream(&records, next, direction::WRITE)? == b"again",
        "the old connection lives on"
    );
    Ok(())
}

/// Plaintext before the TLS handshake (STARTTLS, or capture that began with the socket) ends when a handle is bound.
pub fn plaintext_before(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    agent.set_pid(std::process::id(), pid_flag::SOCKETS)?;
    let (client, server) = net::pair()?;
    net::send(&client, Form::Plain, b"clear")?;
    net::receive(&server, Form::Plain, 5)?;
    let records = agent.drain()?;
    let (plain, _) = conn_of(&records, &client)?;
    let (far, _) = conn_of(&records, &server)?;
    hooks::set_fd(0x99, client.as_raw_fd());
    write(0x99, &client, b"secret");
    let records = agent.drain()?;
    ensure!(closed(&records) == [plain], "{:?} ended", closed(&records));
    let (tls, _) = conn_of(&records, &client)?;
    ensure!(tls != plain && tls != far, "same number");
    ensure!(
        stream(&records, tls, direction::WRITE)? == b"secret",
        "bytes differ"
    );
    ensure!(
        stream(&records, plain, direction::WRITE)?.is_empty(),
        "ciphertext was captured"
    );
    Ok(())
}

/// SSL_free ends the stream; the address is used again for another. Over memory there is no socket at all.
pub fn freed(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    write_memory(0xaa, b"first");
    read_memory(0xaa, b"answer");
    hooks::free(0xaa);
    hooks::free(0xaa);
    write_memory(0xaa, b"second");
    let records = agent.drain()?;
    let conns = opened(&records);
    ensure!(conns.len() == 2, "{} connections", conns.len());
    ensure!(
        closed(&records) == [conns[0]],
        "{:?} ended",
        closed(&records)
    );
    ensure!(
        stream(&records, conns[0], direction::WRITE)? == b"first",
        "first"
    );
    ensure!(
        stream(&records, conns[0], direction::READ)? == b"answer",
        "answer"
    );
    ensure!(
        stream(&records, conns[1], direction::WRITE)? == b"second",
        "second"
    );
    Ok(())
}

/// A handle that goes over to another socket is another connection.
pub fn rebound(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    let (one, _far) = net::pair()?;
    let (two, _far) = (net::pair()?.0, _far);
    hooks::set_fd(0xbb, one.as_raw_fd());
    write_memory(0xbb, b"one");
    hooks::set_fd(0xbb, one.as_raw_fd());
    write_memory(0xbb, b" more");
    hooks::set_fd(0xbb, two.as_raw_fd());
    // SSL_set_fd itself calls SSL_set_bio.
    hooks::free(0xbb);
    write_memory(0xbb, b"two");
    let records = agent.drain()?;
    let (first, _) = conn_of(&records, &one)?;
    let (second, _) = conn_of(&records, &two)?;
    ensure!(closed(&records) == [first], "{:?} ended", closed(&records));
    ensure!(
        stream(&records, first, direction::WRITE)? == b"one more",
        "first"
    );
    ensure!(
        stream(&records, second, direction::WRITE)? == b"two",
        "second"
    );
    Ok(())
}

/// A fork takes handle and socket along: one connection, whose end is not the child's SSL_free.
pub fn forked(object: &[u8]) -> Result<()> {
    let agent = agent(object)?;
    let (client, _server) = net::pair()?;
    hooks::set_fd(0xcc, client.as_raw_fd());
    write(0xcc, &client, b"parent ");
    net::forked(
        |_| Ok(()),
        || {
            // On the heap: a fork leaves the child's pages of files to be faulted in.
            let text = Vec::from(b"child ");
            write_memory(0xcc, &text);
            hooks::free(0xcc);
        },
    )?;
    write(0xcc, &client, b"parent");
    let records = agent.drain()?;
    let conn = only(&records)?;
    ensure!(
        stream(&records, conn, direction::WRITE)? == b"parent child parent",
        "bytes differ"
    );
    ensure!(
        closed(&records).is_empty(),
        "the child ended the parent's connection"
    );
    hooks::free(0xcc);
    ensure!(closed(&agent.drain()?) == [conn], "no end");
    Ok(())
}

/// First data of both directions at the same moment: one connection.
pub fn raced(object: &[u8]) -> Result<()> {
    const ROUNDS: u64 = 1000;
    let agent = agent(object)?;
    // A barrier that spins: a thread woken by the kernel comes too late to race.
    let ready = AtomicU64::new(0);
    let each = |act: fn(u64, &[u8])| {
        for round in 0..ROUNDS {
            ready.fetch_add(1, Ordering::SeqCst);
            while ready.load(Ordering::SeqCst) < 2 * (round + 1) {
                std::hint::spin_loop();
            }
            act(0x1_0000 + round * 64, b"first");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| each(write_memory));
        each(read_memory);
    });
    let records = agent.drain()?;
    let conns = opened(&records);
    ensure!(
        conns.len() as u64 == ROUNDS,
        "{} connections of {ROUNDS}",
        conns.len()
    );
    for conn in conns {
        ensure!(
            stream(&records, conn, direction::READ)? == b"first",
            "read of {conn}"
        );
        ensure!(
            stream(&records, conn, direction::WRITE)? == b"first",
            "write of {conn}"
        );
    }
    Ok(())
}

/// What a `*tls.Conn` looks like on the way to its descriptor.
struct GoConn {
    /// Words: itab, data of the interface.
    conn: [u64; 2],
    net_fd: Box<[u64; 1]>,
    poll_fd: Box<[u64; 3]>,
}

impl GoConn {
    fn new(itab: u64, fd: i32) -> GoConn {
        let poll_fd = Box::new([0, 0, fd as u64]);
        let net_fd = Box::new([poll_fd.as_ptr() as u64]);
        GoConn {
            conn: [itab, net_fd.as_ptr() as u64],
            net_fd,
            poll_fd,
        }
    }

    fn handle(&self) -> u64 {
        // Both boxes are read by the kernel side, through the words above.
        assert!(self.net_fd[0] == self.poll_fd.as_ptr() as u64);
        self.conn.as_ptr() as u64
    }
}

/// A Go connection tells its descriptor itself; one that wraps another type does not, and its second field means nothing.
pub fn go_descriptor(object: &[u8]) -> Result<()> {
    let agent = calls::agent(
        object,
        &[(Function::Go, calls::GO_READ)],
        false,
        whole(),
        None,
    )?;
    agent.set_shape(
        calls::GO_READ,
        CallShape {
            fd_steps: 3,
            fd_path: [8, 0, 16, 0],
            itab: 0x4567_8123,
            ..calls::go_shape()
        },
    )?;
    let (client, server) = net::pair()?;
    let plain = GoConn::new(0x5555_0000_0123, client.as_raw_fd());
    // The low twelve bits survive relocation; these differ.
    let wrapped = GoConn::new(0x5555_0000_0124, server.as_raw_fd());
    hooks::call_go(0xc000, plain.handle(), b"known", 5);
    hooks::call_go(0xc000, wrapped.handle(), b"unknown", 7);
    let records = agent.drain()?;
    let (conn, socket) = conn_of(&records, &client)?;
    ensure!(
        socket.fd == client.as_raw_fd() && socket.handle == plain.handle(),
        "{socket:?}"
    );
    ensure!(
        stream(&records, conn, direction::READ)? == b"known",
        "bytes differ"
    );
    ensure!(
        conn_of(&records, &server).is_err(),
        "a descriptor out of a foreign type"
    );
    let other: Vec<u64> = opened(&records)
        .into_iter()
        .filter(|c| *c != conn)
        .collect();
    ensure!(
        other.len() == 1 && ports(&records, other[0]) == [0],
        "{:?}",
        other
    );
    ensure!(
        stream(&records, other[0], direction::READ)? == b"unknown",
        "bytes differ"
    );
    // A new connection at the same address, after the first was closed.
    drop(client);
    drop(server);
    ensure!(closed(&agent.drain()?) == [conn], "no end with the socket");
    let (client, _server) = net::pair()?;
    let again = GoConn {
        conn: [plain.conn[0], 0],
        ..GoConn::new(plain.conn[0], client.as_raw_fd())
    };
    let mut plain = plain;
    plain.conn[1] = again.net_fd.as_ptr() as u64;
    plain.net_fd = again.net_fd;
    plain.poll_fd = again.poll_fd;
    hooks::call_go(0xc000, plain.handle(), b"again", 5);
    let records = agent.drain()?;
    let (next, _) = conn_of(&records, &client)?;
    ensure!(
        next != conn && stream(&records, next, direction::READ)? == b"again",
        "the old connection lives on"
    );
    Ok(())
}
