//! What user space settles before the load: constants of `.rodata`, written through their symbols.
//!
//! The verifier knows their values when it reads the program, so that a branch switched off costs nothing. They are
//! read volatile, because the compiler would otherwise fold in the defaults that stand here.

use obi_abi::{KernelOffsets, Settings};

use crate::read;

#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings::DEFAULT;

#[unsafe(no_mangle)]
static KERNEL: KernelOffsets = KernelOffsets {
    task_files: 0,
    task_signal: 0,
    task_mm: 0,
    task_real_parent: 0,
    task_tgid: 0,
    signal_live: 0,
    files_fdt: 0,
    fdtable_max_fds: 0,
    fdtable_fd: 0,
    file_inode: 0,
    file_private_data: 0,
    inode_mode: 0,
    socket_sk: 0,
    sock_protocol: 0,
    sock_socket: 0,
    skc_family: 0,
    skc_state: 0,
    skc_num: 0,
    skc_dport: 0,
    skc_daddr: 0,
    skc_rcv_saddr: 0,
    skc_v6_daddr: 0,
    skc_v6_rcv_saddr: 0,
    skc_net: 0,
    net_inum: 0,
    msghdr_iter: 0,
    iter_type: 0,
    iter_iov_offset: 0,
    iter_iov: 0,
    iter_nr_segs: 0,
    iter_ubuf_value: 0,
    iter_iovec_value: 0,
};

/// Always 0. Guards the tail call that is never made (see `private_stack`).
#[unsafe(no_mangle)]
static NEVER: u32 = 0;

#[inline(always)]
pub fn settings() -> &'static Settings {
    &SETTINGS
}

/// Reads one member of [`KERNEL`].
macro_rules! offset {
    ($member:ident) => {
        crate::read::constant(&crate::config::kernel().$member) as u64
    };
}
pub(crate) use offset;

#[inline(always)]
pub fn kernel() -> &'static KernelOffsets {
    &KERNEL
}

#[inline(always)]
pub fn never() -> bool {
    read::constant(&NEVER) != 0
}
