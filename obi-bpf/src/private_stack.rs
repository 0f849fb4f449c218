//! Keeps kernels from 6.13 on from giving a program a private stack (docs/adr/0001-no-private-stack.md).
//!
//! There, a tracing program with 64 bytes of stack or more runs on one stack for each CPU, which another run on the same
//! CPU was seen to overwrite. A program that holds a tail call is exempt, also when the call is dead: the kernel decides
//! before it removes dead code. One program array for each program type, attach type and traced function: sharing one is
//! refused.

use aya_ebpf::btf_maps::ProgramArray;
use aya_ebpf::macros::btf_map;

macro_rules! arrays {
    ($($name:ident)*) => { $( #[btf_map] pub static $name: ProgramArray<1> = ProgramArray::new(); )* };
}

arrays!(UPROBE CLIENT SOCK_STATE SOCK_DESTROY EXEC EXIT FORK);
arrays!(SYS_ENTER SYS_EXIT RAW KPROBE);
arrays!(SENDMSG_ENTRY SENDMSG_EXIT RECVMSG_ENTRY RECVMSG_EXIT);
arrays!(SPLICE_ENTRY SPLICE_EXIT SPLICE_DIRECT_ENTRY SPLICE_DIRECT_EXIT SPLICE_READ_ENTRY SPLICE_READ_EXIT);

/// The end of each program: a tail call behind a constant that is always 0. Gives the program's result, 0.
macro_rules! without_private_stack {
    ($ctx:expr, $array:ident) => {{
        if crate::config::never() {
            // SAFETY: dead code; the array stays empty.
            unsafe {
                crate::private_stack::$array
                    .tail_call(&aya_ebpf::programs::ProbeContext::new($ctx), 0)
            };
        }
        0
    }};
}
pub(crate) use without_private_stack;
