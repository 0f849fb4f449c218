//! From a descriptor to the kernel's socket, and what the socket says of itself.
//!
//! The walk task -> files -> file -> socket -> sock uses offsets that user space took from the kernel's BTF. Only TCP
//! (and MPTCP, whose socket has the same head) over IPv4 and IPv6 is a socket here.

use obi_abi::Socket;

use crate::config::offset;
use crate::read;

const S_IFMT: u16 = 0xf000;
const S_IFSOCK: u16 = 0xc000;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;
const TCP_CLOSE: u8 = 7;

/// Kernel address of the TCP socket behind descriptor `fd` of the current task; 0 when it is none.
#[inline(never)]
pub fn from_fd(fd: i32) -> u64 {
    walk(fd).unwrap_or(0)
}

#[inline(always)]
fn walk(fd: i32) -> Option<u64> {
    if offset!(task_files) == 0 || fd < 0 {
        return None;
    }
    let files: u64 = read::kernel(read::task() + offset!(task_files))?;
    let table: u64 = read::kernel(files + offset!(files_fdt))?;
    let size: u32 = read::kernel(table + offset!(fdtable_max_fds))?;
    if fd as u32 >= size {
        return None;
    }
    let array: u64 = read::kernel(table + offset!(fdtable_fd))?;
    let file: u64 = read::kernel(array + (fd as u32 as u64) * 8)?;
    from_file(file)
}

/// Kernel address of the TCP socket behind a `struct file`.
#[inline(always)]
pub fn from_file(file: u64) -> Option<u64> {
    if offset!(task_files) == 0 || file == 0 {
        return None;
    }
    let inode: u64 = read::kernel(file + offset!(file_inode))?;
    let mode: u16 = read::kernel(inode + offset!(inode_mode))?;
    if mode & S_IFMT != S_IFSOCK {
        return None;
    }
    let socket: u64 = read::kernel(file + offset!(file_private_data))?;
    let sock: u64 = read::kernel(socket + offset!(socket_sk))?;
    if sock != 0 && is_tcp(sock) {
        Some(sock)
    } else {
        None
    }
}

#[inline(always)]
pub fn is_tcp(sock: u64) -> bool {
    let family: u16 = read::kernel(sock + offset!(skc_family)).unwrap_or(0);
    let protocol: u16 = read::kernel(sock + offset!(sock_protocol)).unwrap_or(0);
    (family == AF_INET || family == AF_INET6)
        && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
}

/// Whether the application has closed its last descriptor of the socket, so that it will move no more bytes.
#[inline(always)]
pub fn is_orphan(sock: u64) -> bool {
    read::kernel::<u64>(sock + offset!(sock_socket)) == Some(0)
}

#[inline(always)]
pub fn is_closed(sock: u64) -> bool {
    read::kernel::<u8>(sock + offset!(skc_state)) == Some(TCP_CLOSE)
}

/// Writes what the socket knows of its two ends; leaves `to` as it is when it knows nothing.
#[inline(always)]
pub fn describe(sock: u64, to: &mut Socket) {
    if sock == 0 {
        return;
    }
    to.sock = sock;
    to.family = read::kernel(sock + offset!(skc_family)).unwrap_or(0);
    to.local_port = read::kernel(sock + offset!(skc_num)).unwrap_or(0);
    to.remote_port = u16::from_be(read::kernel(sock + offset!(skc_dport)).unwrap_or(0));
    let net: u64 = read::kernel(sock + offset!(skc_net)).unwrap_or(0);
    to.netns = read::kernel(net + offset!(net_inum)).unwrap_or(0);
    if to.family == AF_INET {
        let local: u32 = read::kernel(sock + offset!(skc_rcv_saddr)).unwrap_or(0);
        let remote: u32 = read::kernel(sock + offset!(skc_daddr)).unwrap_or(0);
        to.local = address(local as u64, 0);
        to.remote = address(remote as u64, 0);
    } else {
        let low: u64 = read::kernel(sock + offset!(skc_v6_rcv_saddr)).unwrap_or(0);
        let high: u64 = read::kernel(sock + offset!(skc_v6_rcv_saddr) + 8).unwrap_or(0);
        to.local = address(low, high);
        let low: u64 = read::kernel(sock + offset!(skc_v6_daddr)).unwrap_or(0);
        let high: u64 = read::kernel(sock + offset!(skc_v6_daddr) + 8).unwrap_or(0);
        to.remote = address(low, high);
    }
}

/// Two words as they lie in memory.
#[inline(always)]
fn address(first: u64, second: u64) -> [u8; 16] {
    ((second as u128) << 64 | first as u128).to_le_bytes()
}
