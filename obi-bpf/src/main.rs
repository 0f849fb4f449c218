//! The kernel side: hooks of TLS calls, socket calls, processes. It knows no library by name.
//!
//! Programs (section): `call_entry`, `call_return` (uprobe.multi), `call_uretprobe` (uretprobe.multi); `sock_state`,
//! `exec`, `exit` (tp_btf). Without uprobe.multi the loader sets the attach type 0 before the load. Records and map
//! values that user space shares are in `obi-abi`; maps in `maps.rs`; constants set before the load in `config.rs`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod calls;
mod config;
mod maps;
mod payload;
mod private_stack;
mod process;
mod read;
mod ring;
mod socket;
mod stat;
mod stream;

use core::ffi::c_void;

use private_stack::without_private_stack;

#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe.multi")]
pub extern "C" fn call_entry(ctx: *mut c_void) -> u32 {
    calls::enter(ctx);
    without_private_stack!(ctx, UPROBE)
}

/// At a RET instruction.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe.multi")]
pub extern "C" fn call_return(ctx: *mut c_void) -> u32 {
    calls::leave(ctx, 0);
    without_private_stack!(ctx, UPROBE)
}

/// At the return address, after the RET.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uretprobe.multi")]
pub extern "C" fn call_uretprobe(ctx: *mut c_void) -> u32 {
    calls::leave(ctx, 8);
    without_private_stack!(ctx, UPROBE)
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/inet_sock_set_state")]
pub extern "C" fn sock_state(ctx: *mut c_void) -> u32 {
    process::sock_state(ctx);
    without_private_stack!(ctx, SOCK_STATE)
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exec")]
pub extern "C" fn exec(ctx: *mut c_void) -> u32 {
    process::exec();
    without_private_stack!(ctx, EXEC)
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exit")]
pub extern "C" fn exit(ctx: *mut c_void) -> u32 {
    process::exit();
    without_private_stack!(ctx, EXIT)
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
