//! A transfer on a socket between its beginning and its end, whatever hook saw them.
//!
//! In: the socket, where the bytes are, and at the end the count. Out: stream data, or, inside a TLS call, the answer to
//! the question which socket the TLS handle has.

use core::mem::MaybeUninit;

use obi_abi::{direction, source, stat};

use crate::maps::{PIDS, Task, TaskKey};
use crate::payload::Work;
use crate::read::Stamp;
use crate::segments::{self, form};
use crate::stat::{add, count};
use crate::{calls, goroutine, read, socket, stream};

pub struct Begun {
    pub sock: u64,
    pub at: u64,
    pub length: u64,
    pub skip: u64,
    pub fd: i32,
    pub form: u8,
    pub direction: u8,
}

/// `obi_abi::pid_flag` of the process; `None` when nobody asked for it.
#[inline(always)]
pub fn flags(who: u64) -> Option<u8> {
    read::value(PIDS.get_ptr_mut((who >> 32) as u32)).map(|flags| read::volatile(flags))
}

/// Whether the current thread (or the goroutine `go` on it) is inside a TLS call; if its handle has no socket yet, it
/// gets the one that `find` gives. `sp` is the thread's stack pointer in user space.
#[inline(always)]
pub fn is_inside_tls(who: u64, sp: u64, go: u64, find: impl Fn() -> (u64, i32)) -> bool {
    let mut handle = 0;
    if let Some(task) = calls::task(&TaskKey { task: who, go: 0 })
        && let Some(call) = calls::under_way(task, sp, false)
    {
        handle = call.handle;
    }
    if handle == 0
        && go != 0
        && let Some(task) = calls::task(&TaskKey {
            task: who >> 32 << 32,
            go,
        })
        && let Some(call) = calls::under_way(task, sp, true)
    {
        handle = call.handle;
    }
    if handle == 0 {
        return false;
    }
    let key = stream::handle_key(handle, who);
    if !stream::is_bound(&key) {
        let (sock, fd) = find();
        if sock != 0 {
            stream::bind_to(&key, sock, fd);
        }
    }
    true
}

#[inline(always)]
pub fn begin(who: u64, begun: Begun) {
    let Some(task) = calls::task_or_new(&TaskKey { task: who, go: 0 }) else {
        return;
    };
    let call = &mut task.socket;
    call.at = begun.at;
    call.length = begun.length;
    call.skip = begun.skip;
    call.began = read::now();
    call.fd = begun.fd;
    call.form = begun.form;
    call.direction = begun.direction;
    call.sock = begun.sock;
}

/// The transfer is over; `result` is what it returned: bytes, messages, or an error. `g`, `sp`: r14 and the stack pointer of its caller.
#[inline(never)]
pub fn end(task: &mut Task, result: i64, who: u64, g: u64, sp: u64) -> u64 {
    let call = &mut task.socket;
    let sock = call.sock;
    call.sock = 0;
    if result <= 0 {
        // The application has seen the end of a stream that the peer reset or that was half closed.
        if call.direction == direction::READ && socket::is_closed(sock) {
            stream::end_sock(sock);
        }
        return 0;
    }
    let Some((id, conn)) = stream::of_sock(sock, call.fd) else {
        return 0;
    };
    let moved = result as u64;
    count(stat::EVENTS_SOCKET);
    let mut place = MaybeUninit::uninit();
    let stamp = Stamp {
        kind: 0,
        source: source::SOCKET,
        len: 0,
        conn: id,
        began: call.began,
        ended: read::now(),
        go: 0,
        who,
    };
    let work = Work::begin(&mut place, stamp);
    if call.form == form::MESSAGES {
        work.header.task = goroutine::of(who, g, sp);
        segments::messages(work, call.at, moved, call.direction);
        return 0;
    }
    add(stat::BYTES_SOCKET, moved);
    if !stream::advance(id, conn, call.direction, moved, work) {
        return 0;
    }
    work.header.task = goroutine::of(who, g, sp);
    if call.form == form::BUFFER {
        work.buffer(call.at, moved);
    } else if call.form == form::UNSEEN {
        segments::unseen(work);
    } else if call.form == form::MESSAGE {
        segments::message(work, call.at);
    } else {
        segments::iovecs(work, call.at, call.length, call.skip, call.form);
    }
    work.finish();
    0
}
