//! Plaintext of sockets, by the system calls that move it: one pair of hooks for all, with a switch on the call number.
//!
//! In: sys_enter and sys_exit, by BTF tracepoint or raw tracepoint. The buffer of a read is filled at the exit, and a
//! write may be partial, so both are taken at the exit with the count returned. A call made inside a TLS call gives no
//! data (it is ciphertext) but tells which socket the TLS handle has. io_uring is not seen.

use core::ffi::c_void;

use obi_abi::{direction, pid_flag, stat};

use crate::maps::TaskKey;
use crate::segments::form;
use crate::stat::count;
use crate::{calls, read, socket, stream, transfer};

/// Word numbers in `pt_regs` of the arguments of a system call, of its number and of the stack pointer.
const R14: usize = 1;
const R10: usize = 7;
const DX: usize = 12;
const SI: usize = 13;
const DI: usize = 14;
const ORIG_AX: usize = 15;
const SP: usize = 19;

const MSG_OOB: u64 = 0x1;
const MSG_PEEK: u64 = 0x2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;
/// What such a call returns is not the stream's next bytes.
const ASIDE: u64 = MSG_OOB | MSG_PEEK | MSG_ERRQUEUE;

/// System call numbers of x86-64.
mod number {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const READV: u64 = 19;
    pub const WRITEV: u64 = 20;
    pub const SENDFILE: u64 = 40;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const SPLICE: u64 = 275;
    pub const RECVMMSG: u64 = 299;
    pub const SENDMMSG: u64 = 307;
    pub const PREADV2: u64 = 327;
    pub const PWRITEV2: u64 = 328;
}

/// Whether the call can move bytes of a socket.
#[inline(always)]
fn moves(number: u64) -> bool {
    matches!(
        number,
        number::READ
            | number::WRITE
            | number::READV
            | number::WRITEV
            | number::SENDFILE
            | number::SENDTO
            | number::RECVFROM
            | number::SENDMSG
            | number::RECVMSG
            | number::SPLICE
            | number::RECVMMSG
            | number::SENDMMSG
            | number::PREADV2
            | number::PWRITEV2
    )
}

/// A saved register. `BTF`: `registers` is a pointer that the verifier knows and that may be followed.
#[inline(always)]
fn register<const BTF: bool, const WORD: usize>(registers: u64) -> u64 {
    if BTF {
        read::followed::<WORD>(registers)
    } else {
        read::kernel(registers + WORD as u64 * 8).unwrap_or(0)
    }
}

/// sys_enter(registers, number)
#[inline(always)]
pub fn enter<const BTF: bool>(ctx: *mut c_void) {
    let number = read::context::<1>(ctx);
    if !moves(number) {
        return;
    }
    let who = read::pid_tgid();
    let Some(flags) = transfer::flags(who) else {
        return;
    };
    count(stat::HITS_SYSCALL);
    let registers = read::context::<0>(ctx);
    let fd = register::<BTF, DI>(registers) as i32;
    let sp = register::<BTF, SP>(registers);
    let go = if flags & pid_flag::BIND != 0 {
        register::<BTF, R14>(registers)
    } else {
        0
    };
    if transfer::is_inside_tls(who, sp, go, || (socket::from_fd(fd), fd))
        || flags & pid_flag::SOCKETS == 0
    {
        return;
    }
    let second = register::<BTF, SI>(registers);
    let third = register::<BTF, DX>(registers);
    let mut fd = fd;
    let (mut form, mut way) = (form::BUFFER, direction::READ);
    let mut options = 0;
    match number {
        number::READ => {}
        number::WRITE | number::SENDTO => way = direction::WRITE,
        number::RECVFROM => options = register::<BTF, R10>(registers),
        number::READV | number::PREADV2 => form = form::IOVECS,
        number::WRITEV | number::PWRITEV2 => (form, way) = (form::IOVECS, direction::WRITE),
        number::RECVMSG => {
            form = form::MESSAGE;
            options = third;
        }
        number::SENDMSG => (form, way) = (form::MESSAGE, direction::WRITE),
        number::RECVMMSG => {
            form = form::MESSAGES;
            options = register::<BTF, R10>(registers);
        }
        number::SENDMMSG => (form, way) = (form::MESSAGES, direction::WRITE),
        number::SENDFILE => (form, way) = (form::UNSEEN, direction::WRITE),
        // splice(in, offset, out, ..): one of the two is the socket, the other a pipe.
        _ => form = form::UNSEEN,
    }
    if way == direction::READ && options & ASIDE != 0 {
        return;
    }
    if options & MSG_TRUNC != 0 {
        // TCP throws the bytes away instead of handing them over.
        form = form::UNSEEN;
    }
    let mut sock = socket::from_fd(fd);
    if sock == 0 && number == number::SPLICE {
        fd = third as i32;
        way = direction::WRITE;
        sock = socket::from_fd(fd);
    }
    if sock != 0 && !stream::carries_tls(sock) {
        let begun = transfer::Begun {
            sock,
            at: second,
            length: third,
            skip: 0,
            fd,
            form,
            direction: way,
        };
        transfer::begin(who, begun);
    }
}

/// sys_exit(registers, result)
#[inline(always)]
pub fn exit<const BTF: bool>(ctx: *mut c_void) {
    let registers = read::context::<0>(ctx);
    if !moves(register::<BTF, ORIG_AX>(registers)) {
        return;
    }
    let who = read::pid_tgid();
    if let Some(task) = calls::task(&TaskKey { task: who, go: 0 })
        && task.socket.sock != 0
    {
        count(stat::HITS_SYSCALL);
        let (g, sp) = (
            register::<BTF, R14>(registers),
            register::<BTF, SP>(registers),
        );
        transfer::end(task, read::context::<1>(ctx) as i64, who, g, sp);
    }
}
