//! Connections: which stream a TLS handle or a socket stands for, when it begins and when it ends.
//!
//! A connection is a number that is never used twice. A TLS handle belongs to its process and is reused after it was
//! freed; a socket belongs to all processes that inherited it. The socket, once known, decides: a handle that a fork
//! took along, on the same socket, is the same connection. A socket with a TLS handle yields no data of its own.

use obi_abi::{HEADS_LIMIT, Socket, copy, kind, pid_flag, source, stat};

use crate::config::{offset, settings};
use crate::maps::{
    CONNS, Conn, HANDLES, Handle, HandleKey, LAST_CONN, NEWS, SOCKS, Sock, VERDICTS,
};
use crate::payload::Work;
use crate::read::Stamp;
use crate::stat::count;
use crate::{calls, process, read, ring, socket, transfer};

const ANY: u64 = 0;
const NOEXIST: u64 = 1;
/// `Conn::news` of a new connection.
const NEVER: u64 = u64::MAX;
/// How often the socket of a Go connection is looked for.
const TRIES: u32 = 8;

/// The key of `handle` in the current process.
#[inline(always)]
pub fn handle_key(handle: u64, pid_tgid: u64) -> HandleKey {
    HandleKey {
        handle,
        owner: owner(pid_tgid >> 32, read::task()),
    }
}

#[inline(always)]
fn owner(tgid: u64, task: u64) -> u64 {
    let mm: u64 = read::kernel(task + offset!(task_mm)).unwrap_or(0);
    tgid << 32 | (mm >> 6) & 0xffff_ffff
}

/// The connection of a TLS handle, made when this is its first data. `None`: the handle was freed during the call, or a
/// table was full.
#[inline(always)]
pub fn of_handle(
    key: &HandleKey,
    began: u64,
    from: u8,
    shape: u8,
) -> Option<(u64, &'static mut Conn)> {
    if let Some(handle) = handle(key) {
        if handle.conn != 0
            && let Some(conn) = conn(handle.conn)
        {
            if conn.sock == 0 && from == source::GO_TLS && handle.tries < TRIES {
                handle.tries += 1;
                let fd = calls::descriptor(key.handle, shape);
                bind(key, fd);
            }
            return Some((handle.conn, conn));
        }
        if handle.freed > began {
            return None;
        }
    }
    let id = open(key, from, shape);
    Some((id, conn(id)?))
}

/// The connection of the plaintext on a socket; `None` when the socket carries TLS.
#[inline(always)]
pub fn of_sock(address: u64, fd: i32) -> Option<(u64, &'static mut Conn)> {
    if let Some(sock) = sock(address) {
        if sock.handle != 0 {
            return None;
        }
        if sock.plain != 0
            && let Some(conn) = conn(sock.plain)
        {
            return Some((sock.plain, conn));
        }
    }
    let id = open_plain(address, fd);
    Some((id, conn(id)?))
}

/// Moves the stream on by `length` bytes, all of which may be sent if the verdict and the limits allow. `false`: nobody
/// reads this connection, nothing is to be sent.
#[inline(always)]
pub fn advance(id: u64, conn: &mut Conn, direction: u8, length: u64, work: &mut Work) -> bool {
    let index = (direction & 1) as usize;
    let offset = read::add(&mut conn.offsets[index], length);
    let news = news();
    if conn.news != news {
        // The news were read before: what comes meanwhile is seen by the next call.
        conn.copy = wanted(id);
        conn.news = news;
    }
    let verdict = conn.copy;
    if verdict == copy::NONE {
        return false;
    }
    work.header.conn = id;
    work.header.offset = offset;
    work.header.direction = direction;
    work.header.call_len = length as u32;
    work.rest.remaining = length;
    work.rest.reason = obi_abi::gap::CALL_LIMIT as u64;
    work.rest.budget = read::constant(&settings().call_limit);
    if verdict == copy::HEADS {
        work.rest.budget = HEADS_LIMIT;
        work.rest.reason = obi_abi::gap::VERDICT as u64;
    } else if verdict == copy::BATCHES {
        work.rest.frames = (length <= work.rest.budget) as u64;
    } else if verdict != copy::WHOLE {
        let open = read::constant(&settings().undecided_limit).saturating_sub(offset);
        if open < work.rest.budget {
            work.rest.budget = open;
            work.rest.reason = obi_abi::gap::VERDICT as u64;
        }
    }
    true
}

/// What user space wants of the connection, in a call of the current process.
#[inline(never)]
fn wanted(id: u64) -> u8 {
    let verdict = match read::value(VERDICTS.get_ptr_mut(id)) {
        Some(verdict) => read::volatile(verdict),
        None => copy::UNDECIDED,
    };
    let has_bodies =
        || transfer::flags(read::pid_tgid()).is_none_or(|flags| flags & pid_flag::NO_BODIES == 0);
    if verdict != copy::WHOLE || has_bodies() {
        verdict
    } else {
        copy::BATCHES
    }
}

#[inline(always)]
fn news() -> u64 {
    let at = |index| NEWS.get(index).map_or(0, |at| read::volatile(at));
    at(obi_abi::news::VERDICTS).wrapping_add(at(obi_abi::news::BODIES))
}

/// The handle's socket is descriptor `fd` of the current process.
#[inline(always)]
pub fn bind(key: &HandleKey, fd: i32) {
    let address = socket::from_fd(fd);
    if address != 0 {
        bind_to(key, address, fd);
    }
}

/// Whether the handle has a socket that is still there.
#[inline(always)]
pub fn is_bound(key: &HandleKey) -> bool {
    let Some(handle) = handle(key) else {
        return false;
    };
    handle.sock != 0
        && sock(handle.sock).is_some_and(|known| known.handle == key.handle)
        && (handle.conn == 0 || is_alive(handle.conn))
}

/// Whether a TLS handle was bound to the socket.
#[inline(always)]
pub fn carries_tls(address: u64) -> bool {
    sock(address).is_some_and(|known| known.handle != 0)
}

/// Marks the process, so that its socket calls are looked at while a TLS call is under way.
#[inline(always)]
pub fn want_socket(pid_tgid: u64) {
    process::mark((pid_tgid >> 32) as u32, pid_flag::BIND);
}

#[inline(always)]
pub fn handle(key: &HandleKey) -> Option<&'static mut Handle> {
    read::value(HANDLES.get_ptr_mut(key))
}

#[inline(always)]
pub fn conn(id: u64) -> Option<&'static mut Conn> {
    read::value(CONNS.get_ptr_mut(id))
}

#[inline(always)]
fn sock(address: u64) -> Option<&'static mut Sock> {
    read::value(SOCKS.get_ptr_mut(address))
}

#[inline(always)]
fn is_alive(id: u64) -> bool {
    id != 0 && conn(id).is_some()
}

/// Socket and descriptor that the parent process has for the same handle, when this process inherited both by a fork.
#[inline(always)]
fn inherited(key: &HandleKey) -> Option<(u64, i32)> {
    let parent: u64 = read::kernel(read::task() + offset!(task_real_parent))?;
    let tgid: u32 = read::kernel(parent + offset!(task_tgid))?;
    let theirs = handle(&HandleKey {
        handle: key.handle,
        owner: owner(tgid as u64, parent),
    })?;
    let (address, fd) = (theirs.sock, theirs.fd);
    if address != 0 && socket::from_fd(fd) == address {
        Some((address, fd))
    } else {
        None
    }
}

/// First data of a handle, or of a handle whose connection has ended.
#[inline(never)]
fn open(key: &HandleKey, from: u8, shape: u8) -> u64 {
    let mut address = 0;
    let mut fd = -1;
    if from == source::GO_TLS {
        fd = calls::descriptor(key.handle, shape);
        address = socket::from_fd(fd);
    } else if let Some(handle) = handle(key) {
        if handle.conn == 0 {
            address = handle.sock;
            fd = handle.fd;
        }
    } else if let Some(found) = inherited(key) {
        (address, fd) = found;
    }
    if address != 0 {
        match sock(address) {
            Some(known) if known.handle == key.handle => {
                let id = known.tls;
                if let Some(shared) = conn(id) {
                    read::add(&mut shared.users, 1);
                    set_handle(key, id, address, fd);
                    return id;
                }
            }
            // Bound before, and the socket was closed or given to another handle since.
            _ if from != source::GO_TLS => address = 0,
            _ => {}
        }
    }
    let id = insert(Conn {
        offsets: [0; 2],
        sock: address,
        handle: key.handle,
        users: 1,
        fd,
        source: from,
        copy: copy::UNDECIDED,
        reserved: [0; 2],
        news: NEVER,
    });
    let first = claim_handle(key, id, address, fd);
    if first != id {
        let _ = CONNS.remove(id);
        return first;
    }
    if address != 0 {
        take_sock(address, key.handle, id);
    }
    announce(id);
    id
}

/// Two goroutines may bring the first data of a connection at the same moment, one of each direction: the first one's
/// connection stands.
#[inline(always)]
fn claim_handle(key: &HandleKey, id: u64, address: u64, fd: i32) -> u64 {
    let new = Handle {
        conn: id,
        sock: address,
        freed: 0,
        fd,
        tries: 0,
    };
    let Some(handle) = handle(key) else {
        if HANDLES.insert(key, new, NOEXIST).is_ok() {
            return id;
        }
        return self::handle(key).map_or(id, |theirs| theirs.conn);
    };
    let seen = handle.conn;
    if is_alive(seen) {
        return seen;
    }
    let before = read::exchange(&mut handle.conn, seen, id);
    if before != seen {
        return before;
    }
    handle.sock = address;
    handle.freed = 0;
    handle.fd = fd;
    handle.tries = 0;
    id
}

#[inline(never)]
fn open_plain(address: u64, fd: i32) -> u64 {
    let id = insert(Conn {
        offsets: [0; 2],
        sock: address,
        handle: 0,
        users: 1,
        fd,
        source: source::SOCKET,
        copy: copy::UNDECIDED,
        reserved: [0; 2],
        news: NEVER,
    });
    let first = claim_sock(address, id);
    if first != id {
        let _ = CONNS.remove(id);
        return first;
    }
    announce(id);
    id
}

/// As [`claim_handle`], for two threads on one socket.
#[inline(always)]
fn claim_sock(address: u64, id: u64) -> u64 {
    let Some(known) = sock(address) else {
        let new = Sock {
            plain: id,
            tls: 0,
            handle: 0,
        };
        if SOCKS.insert(address, new, NOEXIST).is_ok() {
            return id;
        }
        return sock(address).map_or(id, |theirs| theirs.plain);
    };
    let seen = known.plain;
    if is_alive(seen) {
        return seen;
    }
    let before = read::exchange(&mut known.plain, seen, id);
    if before == seen { id } else { before }
}

/// The handle's socket became known: by SET_FD, by a socket call inside the TLS call, by the Go connection's descriptor.
#[inline(never)]
pub fn bind_to(key: &HandleKey, address: u64, fd: i32) -> u64 {
    let mut current = 0;
    if let Some(handle) = handle(key) {
        if let Some(conn) = conn(handle.conn) {
            if conn.sock == address {
                return 0;
            }
            current = handle.conn;
            if conn.sock != 0 {
                end(current);
                current = 0;
            }
        } else if handle.conn == 0
            && handle.sock == address
            && sock(address).is_some_and(|known| known.handle == key.handle)
        {
            return 0;
        }
    }
    if let Some(known) = sock(address)
        && known.handle == key.handle
        && known.tls != current
        && let Some(shared) = conn(known.tls)
    {
        read::add(&mut shared.users, 1);
        set_handle(key, known.tls, address, fd);
        if current != 0 {
            end(current);
        }
        return 0;
    }
    take_sock(address, key.handle, current);
    set_handle(key, current, address, fd);
    if let Some(conn) = conn(current) {
        conn.sock = address;
        conn.fd = fd;
        announce(current);
    }
    0
}

/// Gives the socket to a TLS handle; what it carried before ends.
#[inline(always)]
fn take_sock(address: u64, handle: u64, id: u64) {
    if let Some(known) = sock(address) {
        let (plain, tls) = (known.plain, known.tls);
        known.plain = 0;
        known.tls = id;
        known.handle = handle;
        if plain != 0 {
            end(plain);
        }
        if tls != 0 && tls != id {
            end(tls);
        }
    } else {
        set_sock(
            address,
            Sock {
                plain: 0,
                tls: id,
                handle,
            },
        );
    }
}

/// The handle was freed, cleared or closed. A handle without a stream keeps its binding: SSL_set_fd itself calls
/// SSL_set_bio.
#[inline(never)]
pub fn free(key: &HandleKey) -> u64 {
    let Some(handle) = handle(key) else { return 0 };
    let id = handle.conn;
    if id == 0 {
        return 0;
    }
    handle.conn = 0;
    handle.sock = 0;
    handle.tries = 0;
    handle.freed = read::now();
    if let Some(conn) = conn(id)
        && read::add(&mut conn.users, u64::MAX) <= 1
    {
        let address = conn.sock;
        end(id);
        if let Some(sock) = sock(address)
            && sock.tls == id
        {
            sock.tls = 0;
        }
    }
    0
}

/// The socket is gone, and both its streams with it.
#[inline(never)]
pub fn end_sock(address: u64) -> u64 {
    let Some(sock) = sock(address) else { return 0 };
    let (plain, tls) = (sock.plain, sock.tls);
    if SOCKS.remove(address).is_err() {
        return 0;
    }
    if plain != 0 {
        end(plain);
    }
    if tls != 0 {
        end(tls);
    }
    0
}

/// Ends the streams of a socket address that a new connection is about to use; a mere binding stays.
#[inline(always)]
pub fn renew_sock(address: u64) {
    if let Some(known) = sock(address)
        && (is_alive(known.plain) || is_alive(known.tls))
    {
        end_sock(address);
    }
}

#[inline(never)]
fn end(id: u64) -> u64 {
    if CONNS.remove(id).is_ok() {
        let _ = VERDICTS.remove(id);
        let now = read::now();
        let who = read::pid_tgid();
        ring::send(Stamp {
            kind: kind::CLOSED,
            source: 0,
            len: 0,
            conn: id,
            began: now,
            ended: now,
            go: 0,
            who,
        });
    }
    0
}

/// Tells user space of the connection, with its two ends when they are known.
#[inline(never)]
fn announce(id: u64) -> u64 {
    let Some(conn) = conn(id) else { return 0 };
    let Some(record) = ring::reserve::<Socket>() else {
        return 0;
    };
    let now = read::now();
    let who = read::pid_tgid();
    let len = size_of::<Socket>() as u32;
    let stamp = Stamp {
        kind: kind::OPENED,
        source: conn.source,
        len,
        conn: id,
        began: now,
        ended: now,
        go: 0,
        who,
    };
    read::stamp(&raw mut record.header, stamp);
    read::zero(&raw mut record.payload);
    record.payload.fd = conn.fd;
    record.payload.handle = conn.handle;
    socket::describe(conn.sock, &mut record.payload);
    ring::submit(record);
    0
}

#[inline(always)]
fn insert(conn: Conn) -> u64 {
    let id = match LAST_CONN.get_ptr_mut(0) {
        Some(last) => read::add(last, 1) + 1,
        None => return 0,
    };
    if CONNS.insert(id, conn, ANY).is_err() {
        count(stat::LOST_TABLE);
        return 0;
    }
    id
}

#[inline(always)]
fn set_handle(key: &HandleKey, id: u64, address: u64, fd: i32) {
    if HANDLES
        .insert(
            key,
            Handle {
                conn: id,
                sock: address,
                freed: 0,
                fd,
                tries: 0,
            },
            ANY,
        )
        .is_err()
    {
        count(stat::LOST_TABLE);
    }
}

#[inline(always)]
fn set_sock(address: u64, sock: Sock) {
    if SOCKS.insert(address, sock, ANY).is_err() {
        count(stat::LOST_TABLE);
    }
}
