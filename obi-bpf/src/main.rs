//! The kernel side: hooks of TLS calls, socket calls, processes. It knows no library by name.
//!
//! Each program is a line of a table below: name, section, what it does. Without uprobe.multi the loader sets the attach
//! type 0 before the load. Records and map values that user space shares are in `obi-abi`; maps in `maps.rs`; constants
//! set before the load in `config.rs`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod calls;
mod client;
mod config;
mod cost;
mod frames;
mod goroutine;
mod maps;
mod payload;
mod private_stack;
mod process;
mod read;
mod ring;
mod segments;
mod socket;
mod stat;
mod stream;
mod syscall;
mod tcp;
mod transfer;

use core::ffi::c_void;

use obi_abi::direction::{READ, WRITE};
use private_stack::without_private_stack;
use read::context;

/// A program: its name, its section, the array of its dead tail call, and what it does with its context.
macro_rules! programs {
    ($($name:ident $section:literal $array:ident $run:expr;)*) => { $(
        #[unsafe(no_mangle)]
        #[unsafe(link_section = $section)]
        pub extern "C" fn $name(ctx: *mut c_void) -> u32 {
            let run: fn(*mut c_void) = $run;
            run(ctx);
            without_private_stack!(ctx, $array)
        }
    )* };
}

programs! {
    call_entry "uprobe.multi" UPROBE |ctx| cost::metered(ctx, |ctx| { calls::enter(ctx); 0 });
    // At a RET instruction.
    call_return "uprobe.multi" UPROBE |ctx| cost::metered(ctx, |ctx| calls::leave(ctx, 0));
    // At the return address: RET has taken it from the stack.
    call_uretprobe "uretprobe.multi" UPROBE |ctx| cost::metered(ctx, |ctx| calls::leave(ctx, 8));

    // The same on a library that serves others than Kafka clients, hooked for all of its processes: who is not followed only passes.
    shared_entry "uprobe.multi" UPROBE |ctx| if process::is_followed() { cost::metered(ctx, |ctx| { calls::enter(ctx); 0 }) };
    shared_return "uprobe.multi" UPROBE |ctx| if process::is_followed() { cost::metered(ctx, |ctx| calls::leave(ctx, 0)) };

    client_entry "uprobe.multi" CLIENT |ctx| cost::metered(ctx, |ctx| { client::hit(ctx, 0); 0 });
    // At a RET instruction.
    client_return "uprobe.multi" CLIENT |ctx| cost::metered(ctx, |ctx| { client::hit(ctx, 0); 0 });
    client_uretprobe "uretprobe.multi" CLIENT |ctx| cost::metered(ctx, |ctx| { client::hit(ctx, 8); 0 });

    sock_state "tp_btf/inet_sock_set_state" SOCK_STATE process::sock_state;
    sock_destroy "tp_btf/tcp_destroy_sock" SOCK_DESTROY process::sock_destroy;
    exec "tp_btf/sched_process_exec" EXEC |_| process::exec();
    fork "tp_btf/sched_process_fork" FORK process::fork;
    exit "tp_btf/sched_process_exit" EXIT |_| process::exit();

    sys_enter "tp_btf/sys_enter" SYS_ENTER syscall::enter::<true>;
    sys_exit "tp_btf/sys_exit" SYS_EXIT syscall::exit::<true>;
    sys_enter_raw "raw_tp/sys_enter" RAW syscall::enter::<false>;
    sys_exit_raw "raw_tp/sys_exit" RAW syscall::exit::<false>;
}

// The context of fentry and fexit holds the arguments of the traced function.
programs! {
    tcp_sendmsg_fentry "fentry/tcp_sendmsg" SENDMSG_ENTRY |ctx| tcp::enter(context::<0>(ctx), context::<1>(ctx), 0, WRITE);
    tcp_sendmsg_fexit "fexit/tcp_sendmsg" SENDMSG_EXIT |ctx| tcp::leave(read::result(ctx));
    tcp_recvmsg_fentry "fentry/tcp_recvmsg" RECVMSG_ENTRY
        |ctx| tcp::enter(context::<0>(ctx), context::<1>(ctx), context::<3>(ctx), READ);
    tcp_recvmsg_fexit "fexit/tcp_recvmsg" RECVMSG_EXIT |ctx| tcp::leave(read::result(ctx));
    do_splice_fentry "fentry/do_splice" SPLICE_ENTRY |ctx| tcp::enter_unseen(tcp::of_file(context::<2>(ctx)), WRITE);
    do_splice_fexit "fexit/do_splice" SPLICE_EXIT |ctx| tcp::leave(read::result(ctx));
    do_splice_direct_fentry "fentry/do_splice_direct" SPLICE_DIRECT_ENTRY
        |ctx| tcp::enter_unseen(tcp::of_file(context::<2>(ctx)), WRITE);
    do_splice_direct_fexit "fexit/do_splice_direct" SPLICE_DIRECT_EXIT |ctx| tcp::leave(read::result(ctx));
    tcp_splice_read_fentry "fentry/tcp_splice_read" SPLICE_READ_ENTRY
        |ctx| tcp::enter_unseen(tcp::of_socket(context::<0>(ctx)), READ);
    tcp_splice_read_fexit "fexit/tcp_splice_read" SPLICE_READ_EXIT |ctx| tcp::leave(read::result(ctx));
}

// The context of a kprobe is `pt_regs`: di 14, si 13, dx 12, cx 11, and ax 10 for the result.
programs! {
    tcp_sendmsg_kprobe "kprobe/tcp_sendmsg" KPROBE |ctx| tcp::enter(context::<14>(ctx), context::<13>(ctx), 0, WRITE);
    tcp_recvmsg_kprobe "kprobe/tcp_recvmsg" KPROBE
        |ctx| tcp::enter(context::<14>(ctx), context::<13>(ctx), context::<11>(ctx), READ);
    do_splice_kprobe "kprobe/do_splice" KPROBE |ctx| tcp::enter_unseen(tcp::of_file(context::<12>(ctx)), WRITE);
    do_splice_direct_kprobe "kprobe/do_splice_direct" KPROBE
        |ctx| tcp::enter_unseen(tcp::of_file(context::<12>(ctx)), WRITE);
    tcp_splice_read_kprobe "kprobe/tcp_splice_read" KPROBE
        |ctx| tcp::enter_unseen(tcp::of_socket(context::<14>(ctx)), READ);
    tcp_sendmsg_kretprobe "kretprobe/tcp_sendmsg" KPROBE |ctx| tcp::leave(int(context::<10>(ctx)));
    tcp_recvmsg_kretprobe "kretprobe/tcp_recvmsg" KPROBE |ctx| tcp::leave(int(context::<10>(ctx)));
    do_splice_kretprobe "kretprobe/do_splice" KPROBE |ctx| tcp::leave(context::<10>(ctx) as i64);
    do_splice_direct_kretprobe "kretprobe/do_splice_direct" KPROBE |ctx| tcp::leave(context::<10>(ctx) as i64);
    tcp_splice_read_kretprobe "kretprobe/tcp_splice_read" KPROBE |ctx| tcp::leave(context::<10>(ctx) as i64);
}

/// The upper half of a register that returns an `int` means nothing.
#[inline(always)]
fn int(register: u64) -> i64 {
    register as i32 as i64
}

/// Some helpers are for programs under a licence compatible with the GPL.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: the verifier refuses a program from which this can be reached.
    unsafe { core::hint::unreachable_unchecked() }
}
