//! Every map, each with a cap, and the values that only the kernel side knows.
//!
//! Tables that a watched process could fill are LRU: the entry used longest ago goes, and what it described is met
//! again as something new. User space reads RING, EVENTS, CALLS, STATS, COSTS and HOOKS, writes SHAPES, CLIENT_SHAPES, LAYOUTS, LAYOUT_OF, PIDS,
//! GOES, PEERS, VERDICTS, NEWS and READER; the rest is private to the programs.

use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, LruPerCpuHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use obi_abi::cost::OfHook;
use obi_abi::walk::{ASKED, LAYOUTS as LAYOUTS_MOST, Layout, Walk};
use obi_abi::{CallShape, ClientShape, Costs, GoLayout, Peer};

/// Stream data and the beginnings and ends of connections. The reader sets its size before the load.
#[btf_map]
pub static RING: RingBuf<(), { 8 << 20 }> = RingBuf::new();

/// EXEC and EXIT: rare, and their reader wakes at once.
#[btf_map]
pub static EVENTS: RingBuf<(), { 256 << 10 }> = RingBuf::new();

/// Calls of client libraries: a ring of their own, so that a flood of them costs no byte of a conversation.
#[btf_map]
pub static CALLS: RingBuf<(), { 1 << 20 }> = RingBuf::new();

/// Element 0 is 1 while the reader of RING sleeps or is about to: the next record wakes it and sets 0.
#[btf_map]
pub static READER: Array<u32, 1> = Array::new();

#[btf_map]
pub static SHAPES: Array<CallShape, { obi_abi::SHAPES as usize }> = Array::new();

#[btf_map]
pub static CLIENT_SHAPES: Array<ClientShape, { obi_abi::client::CLIENT_SHAPES as usize }> =
    Array::new();

/// Thread group id to what hooks cost it. User space takes the entry of a process that ended away.
#[btf_map]
pub static COSTS: LruPerCpuHashMap<u32, Costs, { obi_abi::cost::PROCESSES as usize }> =
    LruPerCpuHashMap::new();

/// Number of a hook to what it costs; user space makes it small unless this is asked for.
#[btf_map]
pub static HOOKS: PerCpuArray<OfHook, { obi_abi::cost::HOOKS as usize }> = PerCpuArray::new();

/// Words that wait between the halves of a call of a client library.
#[btf_map]
pub static KEPT: LruHashMap<KeptKey, [u64; obi_abi::client::KEPT], 8192> = LruHashMap::new();

/// API key (upper half) and version of messages with record batches, to the index of their layout and `obi_abi::walk::OF_ANSWER`.
#[btf_map]
pub static LAYOUT_OF: HashMap<u32, u32, 256> = HashMap::new();

#[btf_map]
pub static LAYOUTS: Array<Layout, { LAYOUTS_MOST as usize }> = Array::new();

/// Connections of which bodies of record batches are stepped over.
#[btf_map]
pub static WALKS: LruHashMap<u64, Walks, 8192> = LruHashMap::new();

/// Connection to `obi_abi::copy`.
#[btf_map]
pub static VERDICTS: LruHashMap<u64, u8, 32768> = LruHashMap::new();

/// `obi_abi::news`: a connection knows its verdict until one of these changes.
#[btf_map]
pub static NEWS: Array<u64, { obi_abi::news::COUNT as usize }> = Array::new();

/// Thread group id to `obi_abi::pid_flag`.
#[btf_map]
pub static PIDS: HashMap<u32, u8, 16384> = HashMap::new();

/// Go programs among the followed processes, by thread group id.
#[btf_map]
pub static GOES: LruHashMap<u32, GoLayout, 16384> = LruHashMap::new();

/// Listeners that speak Kafka in the clear; the value means nothing.
#[btf_map]
pub static PEERS: LruHashMap<Peer, u8, 1024> = LruHashMap::new();

#[btf_map]
pub static STATS: PerCpuArray<u64, { obi_abi::stat::COUNT as usize }> = PerCpuArray::new();

/// The last connection id given out.
#[btf_map]
pub static LAST_CONN: Array<u64, 1> = Array::new();

/// A thread (C, socket calls) or a goroutine, and what it is in the middle of.
#[btf_map]
pub static TASKS: LruHashMap<TaskKey, Task, 8192> = LruHashMap::new();

#[btf_map]
pub static CONNS: LruHashMap<u64, Conn, 32768> = LruHashMap::new();

#[btf_map]
pub static HANDLES: LruHashMap<HandleKey, Handle, 32768> = LruHashMap::new();

/// Kernel socket address to its streams.
#[btf_map]
pub static SOCKS: LruHashMap<u64, Sock, 32768> = LruHashMap::new();

#[repr(C)]
#[derive(Clone, Copy)]
pub struct TaskKey {
    /// C: thread group and thread id. Go: thread group id in the upper half, 0 in the lower.
    pub task: u64,
    /// Go: address of the g. C: 0.
    pub go: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct KeptKey {
    pub task: TaskKey,
    /// `ClientShape::pair`.
    pub pair: u64,
}

/// Nested calls that are followed at once.
pub const DEPTH: usize = 4;

/// A hooked call between its entry and its return.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    pub handle: u64,
    pub buffer: u64,
    pub length: u64,
    /// Where the library writes the count (`obi_abi::count::POINTER`).
    pub count_at: u64,
    pub began: u64,
    /// Stack pointer at the entry; Go stacks move, so there it is not looked at.
    pub sp: u64,
    pub shape: u8,
    pub role: u8,
    pub source: u8,
    pub count: u8,
    /// Inner calls on the same handle met so far.
    pub nested: u8,
    pub reserved: [u8; 3],
}

/// A socket call between its entry and its return.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketCall {
    /// Kernel address of the socket; 0 = no call under way.
    pub sock: u64,
    /// What `form` says: a buffer, an array of iovec, a msghdr, an array of mmsghdr.
    pub at: u64,
    /// Bytes or elements behind `at`.
    pub length: u64,
    pub began: u64,
    /// Offset into the first iovec (iterators of the kernel).
    pub skip: u64,
    pub fd: i32,
    pub form: u8,
    pub direction: u8,
    pub reserved: [u8; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Task {
    /// Used entries of `calls`, outermost first.
    pub depth: u64,
    pub calls: [Call; DEPTH],
    pub socket: SocketCall,
}

/// A connection that has carried data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Conn {
    /// Bytes seen, by `obi_abi::direction`.
    pub offsets: [u64; 2],
    /// 0 = not known.
    pub sock: u64,
    /// 0 = plaintext on the socket itself.
    pub handle: u64,
    /// Processes that use this TLS handle (fork).
    pub users: u64,
    pub fd: i32,
    pub source: u8,
    /// `obi_abi::copy`, as it was when `news` was the sum of `NEWS`.
    pub copy: u8,
    pub reserved: [u8; 2],
    pub news: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct HandleKey {
    pub handle: u64,
    /// Thread group id in the upper half, part of the address of its `mm` in the lower: a reused pid is another owner.
    pub owner: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Handle {
    /// 0 = no stream since the handle was bound or freed.
    pub conn: u64,
    /// 0 = not known.
    pub sock: u64,
    /// The handle was freed, cleared or closed; a call entered before ended with the stream.
    pub freed: u64,
    pub fd: i32,
    /// Failed tries to find the socket through the handle.
    pub tries: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sock {
    /// Connection of the plaintext stream, 0 = none.
    pub plain: u64,
    /// Connection of the TLS stream, 0 = none.
    pub tls: u64,
    /// TLS handle, 0 = none was ever bound. Such a socket carries ciphertext and yields no data of its own.
    pub handle: u64,
}

/// Both directions of a connection, each followed by whoever is in a call of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walks {
    /// What was read.
    pub answers: Walk,
    /// What was written.
    pub written: Walk,
    /// Correlation id in the upper half, layout of the answer and `obi_abi::walk::OF_ANSWER` in the lower; 0 = free.
    pub asked: [u64; ASKED],
    /// Requests noted in `asked` so far.
    pub noted: u64,
}
