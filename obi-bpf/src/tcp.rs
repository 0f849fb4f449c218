//! Plaintext of sockets, by the kernel's TCP send and receive functions: they cost nothing to other system calls and see
//! io_uring too. For kernels that offer fentry or kprobes.
//!
//! Relies on: tcp_sendmsg(sk, msg, size), tcp_recvmsg(sk, msg, len, flags, addr_len), tcp_splice_read(socket, ..), and, with
//! the file written to as third argument, do_splice (splice(2)) and do_splice_direct (sendfile(2)). The latter two reach
//! tcp_sendmsg from 6.5 on, which then tells of the bytes first. The iterator of a message moves on during the call, so it
//! is read at the entry.

use obi_abi::{direction, pid_flag, stat};

use crate::config::offset;
use crate::maps::TaskKey;
use crate::segments::form;
use crate::stat::count;
use crate::{calls, read, socket, stream, transfer};

const R14: u64 = 1;
const SP: u64 = 19;
const MSG_OOB: u64 = 0x1;
const MSG_PEEK: u64 = 0x2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;

/// Entry of tcp_sendmsg or tcp_recvmsg.
#[inline(always)]
pub fn enter(sock: u64, message: u64, flags: u64, way: u8) {
    let Some(who) = is_wanted(sock) else { return };
    if way == direction::READ && flags & (MSG_OOB | MSG_PEEK | MSG_ERRQUEUE) != 0 {
        return;
    }
    let iterator = message + offset!(msghdr_iter);
    let kind = read::kernel::<u8>(iterator + offset!(iter_type)).unwrap_or(u8::MAX) as u64;
    let skip: u64 = read::kernel(iterator + offset!(iter_iov_offset)).unwrap_or(0);
    let at: u64 = read::kernel(iterator + offset!(iter_iov)).unwrap_or(0);
    let length: u64 = read::kernel(iterator + offset!(iter_nr_segs)).unwrap_or(0);
    let mut begun = transfer::Begun {
        sock,
        at,
        length,
        skip,
        fd: -1,
        form: form::UNSEEN,
        direction: way,
    };
    if way == direction::READ && flags & MSG_TRUNC != 0 {
        begun.form = form::UNSEEN;
    } else if kind == offset!(iter_ubuf_value) {
        begun.form = form::BUFFER;
        begun.at = at + skip;
    } else if kind == offset!(iter_iovec_value) {
        begun.form = form::KERNEL_IOVECS;
    }
    transfer::begin(who, begun);
}

/// Entry of a function that moves bytes past user memory.
#[inline(always)]
pub fn enter_unseen(sock: u64, way: u8) {
    if sock == 0 {
        return;
    }
    if let Some(who) = is_wanted(sock) {
        transfer::begin(
            who,
            transfer::Begun {
                sock,
                at: 0,
                length: 0,
                skip: 0,
                fd: -1,
                form: form::UNSEEN,
                direction: way,
            },
        );
    }
}

/// The sock of a socket.
#[inline(always)]
pub fn of_socket(socket: u64) -> u64 {
    read::kernel(socket + offset!(socket_sk)).unwrap_or(0)
}

/// The sock behind a file; 0 when it is no TCP socket.
#[inline(always)]
pub fn of_file(file: u64) -> u64 {
    socket::from_file(file).unwrap_or(0)
}

/// Whether the current process's plaintext on this socket is captured; inside a TLS call the socket is the TLS handle's.
#[inline(always)]
fn is_wanted(sock: u64) -> Option<u64> {
    let who = read::pid_tgid();
    let flags = transfer::flags(who)?;
    count(stat::HITS_SYSCALL);
    let registers = read::user_registers();
    let sp: u64 = read::kernel(registers + SP * 8).unwrap_or(0);
    let go: u64 = if flags & pid_flag::BIND != 0 {
        read::kernel(registers + R14 * 8).unwrap_or(0)
    } else {
        0
    };
    if transfer::is_inside_tls(who, sp, go, || (sock, -1))
        || flags & pid_flag::SOCKETS == 0
        || stream::carries_tls(sock)
    {
        return None;
    }
    Some(who)
}

#[inline(always)]
pub fn leave(result: i64) {
    let who = read::pid_tgid();
    if let Some(task) = calls::task(&TaskKey { task: who, go: 0 })
        && task.socket.sock != 0
    {
        count(stat::HITS_SYSCALL);
        let registers = read::user_registers();
        let g: u64 = read::kernel(registers + R14 * 8).unwrap_or(0);
        let sp: u64 = read::kernel(registers + SP * 8).unwrap_or(0);
        transfer::end(task, result, who, g, sp);
    }
}
