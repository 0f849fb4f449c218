//! Processes that begin a new program, fork or end, sockets that connect or end, and which processes are followed.
//!
//! A thread's end clears what it was in the middle of; the end of the last thread of a group is the process's end. It
//! may be told twice when two threads end at the same moment. A process is marked here, in the midst of its own call,
//! where user space would come milliseconds too late: its first bytes may follow at once.

use core::ffi::c_void;

use obi_abi::{Peer, Socket, kind, pid_flag, stat};

use crate::config::offset;
use crate::maps::{PEERS, PIDS, TASKS, TaskKey};
use crate::read::Stamp;
use crate::stat::count;
use crate::{goroutine, read, ring, socket, stream, transfer};

const TCP_ESTABLISHED: u32 = 1;
const TCP_SYN_SENT: u32 = 2;
const ANY: u64 = 0;

/// Sets bits of a process.
#[inline(always)]
pub fn mark(pid: u32, flag: u8) {
    match read::value(PIDS.get_ptr_mut(pid)) {
        // Written only when it changes: user space writes the same byte.
        Some(flags) if *flags & flag == 0 => *flags |= flag,
        Some(_) => {}
        None => {
            if PIDS.insert(pid, flag, ANY).is_err() {
                count(stat::LOST_TABLE);
            }
        }
    }
}

/// The process is of interest from here on.
#[inline(always)]
pub fn follow(pid_tgid: u64) {
    mark((pid_tgid >> 32) as u32, pid_flag::SOCKETS);
}

#[inline(always)]
pub fn is_followed() -> bool {
    transfer::flags(read::pid_tgid()).is_some_and(|flags| flags & pid_flag::SOCKETS != 0)
}

/// sched_process_fork(parent, child): the child runs only after this. A thread has the parent's group id.
#[inline(always)]
pub fn fork(ctx: *mut c_void) {
    if !is_followed() {
        return;
    }
    let child = read::context::<1>(ctx);
    if let Some(pid) = read::kernel::<u32>(child + offset!(task_tgid))
        && pid != (read::pid_tgid() >> 32) as u32
    {
        mark(pid, pid_flag::SOCKETS);
    }
}

/// sched_process_exec(task, old_pid, bprm): what was known of the process was of another program.
#[inline(always)]
pub fn exec() {
    let who = read::pid_tgid();
    let _ = PIDS.remove((who >> 32) as u32);
    goroutine::forget(who);
    tell(kind::EXEC, who);
}

/// sched_process_exit(task): the current thread ends.
#[inline(always)]
pub fn exit() {
    let who = read::pid_tgid();
    let _ = TASKS.remove(TaskKey { task: who, go: 0 });
    let signal: u64 = read::kernel(read::task() + offset!(task_signal)).unwrap_or(0);
    let live: u32 = read::kernel(signal + offset!(signal_live)).unwrap_or(1);
    if live == 0 {
        let _ = PIDS.remove((who >> 32) as u32);
        goroutine::forget(who);
        tell(kind::EXIT, who);
    }
}

#[inline(always)]
fn tell(kind: u8, who: u64) {
    let now = read::now();
    ring::send_event(Stamp {
        kind,
        source: 0,
        len: 0,
        conn: 0,
        began: now,
        ended: now,
        go: 0,
        who,
    });
}

/// inet_sock_set_state(sock, old state, new state)
#[inline(always)]
pub fn sock_state(ctx: *mut c_void) {
    let sock = read::context::<0>(ctx);
    let to = read::context::<2>(ctx) as u32;
    if to == TCP_SYN_SENT || to == TCP_ESTABLISHED {
        // The address of a socket whose end was not seen is in use again.
        if read::context::<1>(ctx) as u32 != TCP_SYN_SENT {
            stream::renew_sock(sock);
        }
        // In the midst of connect(2): nothing was written yet.
        if to == TCP_SYN_SENT && leads_to_kafka(sock) {
            follow(read::pid_tgid());
        }
    } else if socket::is_orphan(sock) {
        stream::end_sock(sock);
    }
}

/// tcp_destroy_sock(sock): closed, and nothing is left of it. A socket that the peer has reset, or that was half closed,
/// reaches its last state while bytes wait to be read; this comes when the application lets go of it.
#[inline(always)]
pub fn sock_destroy(ctx: *mut c_void) {
    stream::end_sock(read::context::<0>(ctx));
}

#[inline(never)]
fn leads_to_kafka(sock: u64) -> bool {
    let mut ends = Socket::default();
    socket::describe(sock, &mut ends);
    let peer = Peer {
        address: ends.remote,
        family: ends.family,
        port: ends.remote_port,
    };
    PEERS.get_ptr_mut(&peer).is_some()
}
