//! The one contract between the BPF programs and the agent: ring-buffer records and map values.
//!
//! Everything here is `repr(C)`, without padding, and the same on both sides. All numbers are native-endian: the
//! two sides run on one machine. All times are `CLOCK_MONOTONIC` nanoseconds (`bpf_ktime_get_ns`). Nothing here
//! names a library: what a library looks like arrives as [`CallShape`] values.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod cost;
pub mod walk;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use client::{ClientCall, ClientShape, Place};
pub use cost::Costs;

/// Full payload chunks; a longer call leaves as several records.
pub const CHUNK: usize = 32 * 1024;
/// What is copied of one call at most; the rest is one [`kind::GAP`] with [`gap::CALL_LIMIT`].
pub const CALL_LIMIT: usize = 16 * 1024 * 1024;
/// Number of call shapes the kernel map holds.
pub const SHAPES: u32 = 256;

/// `RecordHeader::kind`.
pub mod kind {
    /// Payload bytes follow the header.
    pub const DATA: u8 = 1;
    /// `gap` bytes of the stream exist but were not copied; `reason` says why. No payload.
    pub const GAP: u8 = 2;
    /// A connection was seen for the first time, or its socket became known. Payload: [`super::Socket`].
    pub const OPENED: u8 = 3;
    /// The connection ended (socket closed, TLS handle freed, cleared or rebound).
    pub const CLOSED: u8 = 4;
    /// A process executed a new program (tp_btf/sched_process_exec).
    pub const EXEC: u8 = 5;
    /// A process (thread group) ended.
    pub const EXIT: u8 = 6;
    /// A call of a client library, in the ring `CALLS`. Payload: [`super::ClientCall`] and a topic's name.
    pub const CALL: u8 = 7;
}

/// `RecordHeader::direction`.
pub mod direction {
    /// The process read these bytes.
    pub const READ: u8 = 0;
    /// The process wrote these bytes.
    pub const WRITE: u8 = 1;
}

/// `RecordHeader::source` and `CallShape::source`.
pub mod source {
    pub const SOCKET: u8 = 0;
    pub const OPENSSL: u8 = 1;
    pub const GO_TLS: u8 = 2;
}

/// `RecordHeader::reason` of a [`kind::GAP`].
pub mod gap {
    /// The call moved more than [`super::CALL_LIMIT`] (or the configured limit).
    pub const CALL_LIMIT: u8 = 1;
    /// A page of the buffer was not resident.
    pub const FAULT: u8 = 2;
    /// The verdict for this connection says that nobody reads it.
    pub const VERDICT: u8 = 3;
    /// sendfile, splice: the bytes never were in user memory.
    pub const SENDFILE: u8 = 4;
    /// More iovecs than the program walks.
    pub const IOVECS: u8 = 5;
    /// Found by the reader: the offset jumped, records were lost in the ring.
    pub const RING: u8 = 6;
    /// Bodies of record batches, which nobody wants on this connection ([`super::copy::BATCHES`]).
    pub const RECORDS: u8 = 7;
}

/// Every ring-buffer record starts with this; 72 bytes.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RecordHeader {
    pub kind: u8,
    pub direction: u8,
    pub source: u8,
    pub reason: u8,
    /// Payload bytes after this header. The ring record may be longer (size classes).
    pub len: u32,
    /// Identity of the connection, unique for the life of the agent (never an address).
    pub conn: u64,
    /// Position of the first payload byte (or of the gap) in this direction of the stream, counted from the first
    /// byte that the kernel side saw.
    pub offset: u64,
    /// Length of a [`kind::GAP`] in bytes, else 0.
    pub gap: u64,
    /// The call was entered.
    pub began_ns: u64,
    /// The call returned.
    pub ended_ns: u64,
    /// Go: id of the goroutine that made the call, TLS or socket; 0 = not known, or a thread.
    pub task: u64,
    pub pid: u32,
    pub tid: u32,
    /// Bytes that the whole call moved, over all of its records.
    pub call_len: u32,
    pub reserved: u32,
}

impl RecordHeader {
    pub const NOTHING: RecordHeader = RecordHeader {
        kind: 0,
        direction: 0,
        source: 0,
        reason: 0,
        len: 0,
        conn: 0,
        offset: 0,
        gap: 0,
        began_ns: 0,
        ended_ns: 0,
        task: 0,
        pid: 0,
        tid: 0,
        call_len: 0,
        reserved: 0,
    };
}

/// Payload of [`kind::OPENED`]: the socket's two ends. `family` 0 = not known (yet).
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Socket {
    /// AF_INET (2), AF_INET6 (10) or 0.
    pub family: u16,
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    pub reserved: u16,
    pub netns: u32,
    pub fd: i32,
    /// IPv4 addresses stand in the first four bytes, network order.
    pub local: [u8; 16],
    pub remote: [u8; 16],
    /// TLS handle or 0.
    pub handle: u64,
    /// Kernel address of the socket: an identity within one boot, never shown.
    pub sock: u64,
}

/// What a hooked call does with its handle.
pub mod role {
    /// Hooked to be timed: nothing is looked at.
    pub const NOTHING: u8 = 0;
    /// Plaintext comes out: buffer is valid at the return.
    pub const READ: u8 = 1;
    /// Plaintext goes in.
    pub const WRITE: u8 = 2;
    /// Binds handle (argument `handle`) to a descriptor (argument `length`).
    pub const SET_FD: u8 = 3;
    /// Ends the stream of the handle.
    pub const FREE: u8 = 4;
    /// A Kafka client begins in this process: it is followed from here on, and if `goid` is known, its goroutines are. No argument is read.
    pub const CLIENT: u8 = 5;
}

/// Where the number of moved bytes is found when the call returns.
pub mod count {
    /// In the return register: > 0 is a byte count.
    pub const RETURN: u8 = 0;
    /// The return register is 1 for success and the `size_t` behind argument `count_arg` holds the bytes.
    pub const POINTER: u8 = 1;
    /// Go: the site is where a TLS record was opened, and no call is entered. The result register is 0 for success, then a `bytes.Reader` that
    /// stands in the connection at `CallShape::reader` holds the plaintext.
    pub const RECORD: u8 = 2;
}

/// `CallShape::abi`.
pub mod abi {
    /// State between entry and return is keyed by thread.
    pub const C: u8 = 0;
    /// State is keyed by (process, g); the socket is read from the connection object by `fd_path`.
    pub const GO: u8 = 1;
}

/// The attach cookie of a return site shifted right by this: bytes above the stack pointer at which the result stands, 0 = it is in the
/// result register. With [`count::RECORD`]: at which handle, buffer and length of the call stand that has opened it.
pub const RESULT_AT_SHIFT: u32 = 8;
pub const RESULT_AT_MASK: u64 = 0xffff;

/// Value for "no such register".
pub const NO_REG: u8 = 0xff;

/// How to read the arguments of one hooked function. Register fields are word numbers in x86-64 `pt_regs`:
/// r15=0 r14=1 r13=2 r12=3 bp=4 bx=5 r11=6 r10=7 r9=8 r8=9 ax=10 cx=11 dx=12 si=13 di=14.
/// The low 8 bits of the attach cookie are the index of the shape; for the rest see [`RESULT_AT_SHIFT`] and
/// [`cost::CELL_SHIFT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct CallShape {
    pub role: u8,
    pub source: u8,
    pub abi: u8,
    pub handle: u8,
    pub buffer: u8,
    pub length: u8,
    pub count: u8,
    pub count_arg: u8,
    /// Register of the return value (ax = 10).
    pub result: u8,
    /// Go: register of `g` (r14 = 1).
    pub task: u8,
    /// Go: number of used entries of `fd_path`.
    pub fd_steps: u8,
    pub reserved: u8,
    /// Go: from the handle, read a pointer at +fd_path[0], from there at +fd_path[1], ..; the last offset is that of
    /// an i64 descriptor. For `*tls.Conn`: data word of the `net.Conn` interface, `netFD`, `Sysfd`.
    pub fd_path: [u16; 4],
    /// Go: file-relative address (ELF vaddr) of the itab that the interface must hold (word before `fd_path[0]`), or 0 = do
    /// not check. Compared in its low 12 bits only, which survive relocation.
    pub itab: u32,
    /// Go: member `goid` of `g`; 0 = not known.
    pub goid: u16,
    /// Member of the connection, for [`count::RECORD`].
    pub reader: u16,
}

/// Value of the map `GOES`, keyed by thread group id: where a Go program's `runtime.g` has what socket calls ask of it.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct GoLayout {
    /// `goid`; 0 = not known.
    pub goid: u16,
}

/// Value of the verdict map, keyed by connection.
pub mod copy {
    /// Not decided: at most [`super::UNDECIDED_LIMIT`] bytes a direction are copied.
    pub const UNDECIDED: u8 = 0;
    pub const WHOLE: u8 = 1;
    /// Nothing is copied any more; the kernel side only advances offsets and sends no record.
    pub const NONE: u8 = 2;
    /// The first [`super::HEADS_LIMIT`] bytes of each call; what follows is a gap with [`super::gap::VERDICT`].
    pub const HEADS: u8 = 3;
    /// All but the bodies of record batches, where frames can be followed ([`super::walk`]): those are a gap with [`super::gap::RECORDS`].
    pub const BATCHES: u8 = 4;
}
/// Of a call on a connection of which only heads are read.
pub const HEADS_LIMIT: u64 = 16 * 1024;
/// Before a verdict this much is copied in each direction.
pub const UNDECIDED_LIMIT: u64 = 4096;

/// Value of the map `PIDS`, keyed by thread group id: a set of bits.
pub mod pid_flag {
    /// The process is followed: the plaintext of its TCP sockets is captured, and its calls into libraries that are hooked for all of
    /// their processes. Set by user space; by the kernel side when the process forks from a followed one, when a Kafka client begins
    /// in it ([`super::role::CLIENT`]), and when it connects to one of `PEERS`. An exec clears it.
    pub const SOCKETS: u8 = 1;
    /// Set by the kernel side: the process holds a TLS handle whose socket is not known, so that its socket calls are
    /// looked at while a TLS call is under way.
    pub const BIND: u8 = 2;
    /// Set by user space: for now nobody reads the bodies of record batches of this process, as if its verdicts were [`super::copy::BATCHES`] where
    /// they are [`super::copy::WHOLE`].
    pub const NO_BODIES: u8 = 4;
}

/// Index into the map `NEWS`: when, in ns, user space last changed something that the kernel side remembers.
pub mod news {
    /// `VERDICTS`.
    pub const VERDICTS: u32 = 0;
    /// [`super::pid_flag::NO_BODIES`] of a process.
    pub const BODIES: u32 = 1;
    pub const COUNT: u32 = 2;
}

/// Key of the map `PEERS`: a listener that speaks Kafka in the clear. Who connects to it is followed before its first byte.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Peer {
    /// An IPv4 address stands in the first four bytes, network order, as the socket's own family has it.
    pub address: [u8; 16],
    /// AF_INET (2) or AF_INET6 (10): the family of the connecting socket.
    pub family: u16,
    /// Host byte order.
    pub port: u16,
}

/// Element 0 of the map `READER`: what the reader of `RING` is doing. User space writes it.
pub mod reader {
    /// Drains the ring again and again; nobody is woken.
    pub const AWAKE: u32 = 0;
    /// Sleeps until something comes: the next record wakes it and sets `AWAKE`.
    pub const ASLEEP: u32 = 1;
    /// Naps for a moment: woken only while more than a quarter of the ring is unread.
    pub const NAPPING: u32 = 2;
}

/// What user space settles before the load: the constant `SETTINGS` in `.rodata`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Settings {
    /// Bytes copied of one call at most, in both directions; up to [`CALL_LIMIT`].
    pub call_limit: u64,
    /// Bytes copied of each direction of a connection without a verdict.
    pub undecided_limit: u64,
    /// Not 0: what each hook costs is counted too (`cost::OfHook`).
    pub by_hook: u64,
}

impl Settings {
    pub const DEFAULT: Settings = Settings {
        call_limit: CALL_LIMIT as u64,
        undecided_limit: UNDECIDED_LIMIT,
        by_hook: 0,
    };
}

/// Byte offsets of members in kernel structures: the constant `KERNEL` in `.rodata`. User space reads them from the
/// running kernel's BTF. While `task_files` is 0 no socket is ever resolved.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct KernelOffsets {
    /// `task_struct.files`, `.signal`, `.mm`, `.real_parent`, `.tgid`
    pub task_files: u32,
    pub task_signal: u32,
    pub task_mm: u32,
    pub task_real_parent: u32,
    pub task_tgid: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.max_fds`, `.fd`
    pub fdtable_max_fds: u32,
    pub fdtable_fd: u32,
    /// `file.f_inode`, `.private_data`
    pub file_inode: u32,
    pub file_private_data: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `sock.sk_protocol`, `.sk_socket`
    pub sock_protocol: u32,
    pub sock_socket: u32,
    /// `sock_common.skc_*`, which begins each `sock`
    pub skc_family: u32,
    pub skc_state: u32,
    pub skc_num: u32,
    pub skc_dport: u32,
    pub skc_daddr: u32,
    pub skc_rcv_saddr: u32,
    pub skc_v6_daddr: u32,
    pub skc_v6_rcv_saddr: u32,
    pub skc_net: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
    /// `msghdr.msg_iter`, `.msg_flags`
    pub msghdr_iter: u32,
    /// `iov_iter.iter_type`, `.iov_offset`, `.__iov` (`.iov` before 6.4, one union with `.ubuf`), `.nr_segs`
    pub iter_type: u32,
    pub iter_iov_offset: u32,
    pub iter_iov: u32,
    pub iter_nr_segs: u32,
    /// Values of `enum iter_type`: they differ between kernels. `ITER_UBUF`, `ITER_IOVEC`
    pub iter_ubuf_value: u32,
    pub iter_iovec_value: u32,
}

/// Index into the per-CPU statistics array: what the kernel side met, u64 counters.
pub mod stat {
    pub const EVENTS_SOCKET: u32 = 0;
    pub const EVENTS_OPENSSL: u32 = 1;
    pub const EVENTS_GO_TLS: u32 = 2;
    pub const BYTES_SOCKET: u32 = 3;
    pub const BYTES_OPENSSL: u32 = 4;
    pub const BYTES_GO_TLS: u32 = 5;
    /// Records that found the ring full.
    pub const LOST_RING: u32 = 6;
    /// A return without its entry (normal in the first moments after attaching).
    pub const LOST_UNPAIRED: u32 = 7;
    /// A table was full.
    pub const LOST_TABLE: u32 = 8;
    /// Gaps written because a page was not resident.
    pub const GAP_FAULT: u32 = 9;
    /// Bytes not copied because a call was over the limit.
    pub const GAP_LIMIT: u32 = 10;
    /// Calls inside another call on the same handle (counted once, not lost).
    pub const NESTED: u32 = 11;
    /// Sum of program hits, by kind of site, for the cost estimate.
    pub const HITS_CALL: u32 = 12;
    pub const HITS_SYSCALL: u32 = 13;
    /// Records of calls of client libraries.
    pub const EVENTS_CALL: u32 = 14;
    /// Such records that found the ring `CALLS` full.
    pub const LOST_CALLS: u32 = 15;
    /// Calls of which memory could not be read.
    pub const CALL_FAULT: u32 = 16;
    pub const COUNT: u32 = 17;
}
