//! Processes that begin a new program or end, and sockets that end.
//!
//! A thread's end clears what it was in the middle of; the end of the last thread of a group is the process's end. It
//! may be told twice when two threads end at the same moment.

use core::ffi::c_void;

use obi_abi::kind;

use crate::config::offset;
use crate::maps::{PIDS, TASKS, TaskKey};
use crate::read::Stamp;
use crate::{read, ring, socket, stream};

const TCP_ESTABLISHED: u32 = 1;
const TCP_SYN_SENT: u32 = 2;

/// sched_process_exec(task, old_pid, bprm)
#[inline(always)]
pub fn exec() {
    tell(kind::EXEC, read::pid_tgid());
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
