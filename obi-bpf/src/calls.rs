//! Hooked calls of a TLS library: entry, return, and the pairing of the two, driven by [`CallShape`].
//!
//! Data is taken at the return, with the count that the library reports. C calls are paired by thread and stack pointer:
//! a return belongs to the outermost call whose entry lies at or below it on the stack, which is right for nested calls,
//! for calls that end in a jump to another hooked function, and after a return that was never seen. Go calls are paired
//! by process, goroutine and shape; Go stacks move.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::pt_regs;
use obi_abi::{
    CallShape, RESULT_AT_MASK, RESULT_AT_SHIFT, abi, count as counted, direction, role, source,
    stat,
};

use crate::maps::{Call, DEPTH, HandleKey, SHAPES, SocketCall, TASKS, Task, TaskKey};
use crate::payload::Work;
use crate::read::Stamp;
use crate::stat::{add, count};
use crate::{goroutine, process, read, stream};

/// Inner calls on one handle beyond which the outer call is held for lost.
const NESTED_MAX: u8 = 8;
const SP: usize = 19;
/// Plaintext of a TLS record is no longer (RFC 8446, 5.1).
const RECORD_MAX: u64 = 16 * 1024;

/// `bytes.Reader`, as it begins (since Go 1.0).
#[derive(Clone, Copy)]
#[repr(C)]
struct Reader {
    bytes: u64,
    length: u64,
    capacity: u64,
    taken: u64,
}

static NO_TASK: Task = Task {
    depth: 0,
    calls: [Call {
        handle: 0,
        buffer: 0,
        length: 0,
        count_at: 0,
        began: 0,
        sp: 0,
        shape: 0,
        role: 0,
        source: 0,
        count: 0,
        nested: 0,
        reserved: [0; 3],
    }; DEPTH],
    socket: SocketCall {
        sock: 0,
        at: 0,
        length: 0,
        began: 0,
        skip: 0,
        fd: 0,
        form: 0,
        direction: 0,
        reserved: [0; 2],
    },
};

const _: () = assert!(size_of::<pt_regs>() > SP * 8);

#[inline(always)]
fn shape(index: u8) -> Option<&'static CallShape> {
    SHAPES.get(index as u32)
}

#[inline(always)]
pub fn task(key: &TaskKey) -> Option<&'static mut Task> {
    // Only the thread, or the current thread of the goroutine, touches its entry.
    read::value(TASKS.get_ptr_mut(key))
}

#[inline(always)]
pub fn task_or_new(key: &TaskKey) -> Option<&'static mut Task> {
    if let Some(task) = task(key) {
        return Some(task);
    }
    if TASKS.insert(key, &NO_TASK, 0).is_err() {
        count(stat::LOST_TABLE);
    }
    task(key)
}

#[inline(always)]
fn task_key(shape: &CallShape, go: impl Fn() -> u64, pid_tgid: u64) -> TaskKey {
    if shape.abi == abi::GO {
        TaskKey {
            task: pid_tgid >> 32 << 32,
            go: go(),
        }
    } else {
        TaskKey {
            task: pid_tgid,
            go: 0,
        }
    }
}

/// Entry of a hooked function.
#[inline(always)]
pub fn enter(ctx: *mut c_void) {
    count(stat::HITS_CALL);
    let index = read::cookie(ctx) as u8;
    let Some(shape) = shape(index) else { return };
    if shape.role == role::NOTHING {
        return;
    }
    let pid_tgid = read::pid_tgid();
    if shape.role == role::CLIENT {
        process::follow(pid_tgid);
        goroutine::know(pid_tgid, shape.goid);
        return;
    }
    let mut place = MaybeUninit::uninit();
    let registers = read::registers(ctx, &mut place);
    let handle = read::register(registers, shape.handle);
    if shape.role == role::SET_FD {
        let fd = read::register(registers, shape.length) as i32;
        stream::bind(&stream::handle_key(handle, pid_tgid), fd);
        return;
    }
    if shape.role == role::FREE {
        stream::free(&stream::handle_key(handle, pid_tgid));
        return;
    }
    let Some(task) = task_or_new(&task_key(
        shape,
        || read::register(registers, shape.task),
        pid_tgid,
    )) else {
        return;
    };
    let sp = read::context::<SP>(ctx);
    let length = read::register(registers, shape.length);
    let depth = if shape.abi == abi::GO {
        place_go(task, handle, index)
    } else {
        place_c(task, handle, shape.role, length, sp)
    };
    if depth >= DEPTH as u64 {
        return;
    }
    let call = call(task, depth);
    call.handle = handle;
    call.buffer = read::register(registers, shape.buffer);
    call.length = length;
    call.count_at = if shape.count == counted::POINTER {
        read::register(registers, shape.count_arg)
    } else {
        0
    };
    call.began = read::now();
    call.sp = sp;
    call.shape = index;
    call.role = shape.role;
    call.source = shape.source;
    call.count = shape.count;
    call.nested = 0;
    task.depth = depth + 1;
}

/// Entry `index` of the task's calls.
#[inline(always)]
fn call(task: &mut Task, index: u64) -> &mut Call {
    read::element(&mut task.calls, index)
}

const NESTED: u64 = DEPTH as u64;

/// Where a C call goes in the task's calls; [`NESTED`]: it is part of an outer one.
#[inline(always)]
fn place_c(task: &mut Task, handle: u64, role: u8, length: u64, sp: u64) -> u64 {
    let mut depth = task.depth;
    each(|_| {
        if depth == 0 {
            return true;
        }
        let top = call(task, depth - 1);
        let jumped_to =
            top.sp == sp && top.handle == handle && top.role == role && top.length == length;
        if top.sp > sp || jumped_to {
            return true;
        }
        depth -= 1;
        false
    });
    task.depth = depth;
    let mut place = depth;
    each(|index| {
        if index >= depth {
            return true;
        }
        let outer = call(task, index);
        if outer.handle != handle || outer.role != role {
            return false;
        }
        if outer.nested < NESTED_MAX {
            outer.nested += 1;
            count(stat::NESTED);
            place = NESTED;
        } else {
            count(stat::LOST_UNPAIRED);
            place = index;
        }
        true
    });
    if depth >= DEPTH as u64 && place == depth {
        count(stat::LOST_TABLE);
    }
    place
}

/// Where a Go call goes: over an earlier entry of the same function on the same connection (the stack was grown and the
/// function begun again), else on top.
#[inline(always)]
fn place_go(task: &mut Task, handle: u64, shape: u8) -> u64 {
    let depth = task.depth;
    let mut place = depth;
    each(|index| {
        if index >= depth {
            return true;
        }
        let earlier = call(task, index);
        if earlier.handle == handle && earlier.shape == shape {
            place = index;
            return true;
        }
        false
    });
    if place >= DEPTH as u64 {
        add(stat::LOST_UNPAIRED, depth);
        return 0;
    }
    place
}

/// Return of a hooked function: at a RET instruction, (`popped` = 8) after it, or in a deferred call. Gives the bytes that passed.
#[inline(always)]
pub fn leave(ctx: *mut c_void, popped: u64) -> u64 {
    count(stat::HITS_CALL);
    let cookie = read::cookie(ctx);
    let index = cookie as u8;
    let Some(shape) = shape(index) else { return 0 };
    if shape.role == role::NOTHING {
        return 0;
    }
    let pid_tgid = read::pid_tgid();
    let key = task_key(shape, || read::register_of(ctx, shape.task), pid_tgid);
    let moved = if shape.count == counted::RECORD {
        record(ctx, shape, index, cookie)
    } else {
        returned(ctx, shape, index, cookie, &key, popped)
    };
    let Some(moved) = moved else { return 0 };
    let go = if shape.goid == 0 || moved.in_part {
        0
    } else {
        read::user::<u64>(key.go.wrapping_add(shape.goid as u64)).unwrap_or(0)
    };
    let bytes = moved.length;
    deliver(moved, pid_tgid, go);
    bytes
}

/// Plaintext that passed through a TLS handle.
struct Moved {
    handle: u64,
    buffer: u64,
    length: u64,
    began: u64,
    shape: u8,
    role: u8,
    source: u8,
    /// Who made the call takes one byte of it only.
    in_part: bool,
}

/// The first arguments of a Go method that takes a slice, as Go keeps them in the caller's frame.
#[derive(Clone, Copy)]
#[repr(C)]
struct Arguments {
    handle: u64,
    buffer: u64,
    length: u64,
}

/// What the call that returns here has moved.
#[inline(always)]
fn returned(
    ctx: *mut c_void,
    shape: &CallShape,
    index: u8,
    cookie: u64,
    key: &TaskKey,
    popped: u64,
) -> Option<Moved> {
    let Some(task) = task(key) else {
        count(stat::LOST_UNPAIRED);
        return None;
    };
    let found = if shape.abi == abi::GO {
        find_go(task, index)
    } else {
        find_c(task, read::context::<SP>(ctx).wrapping_sub(popped))
    };
    let Some(found) = found else {
        // Inside an outer call this is the return of an inner one.
        if task.depth == 0 {
            count(stat::LOST_UNPAIRED);
        }
        return None;
    };
    task.depth = found;
    let call = call(task, found);
    let result = match cookie >> RESULT_AT_SHIFT & RESULT_AT_MASK {
        0 => read::register_of(ctx, shape.result),
        at => read::user::<u64>(read::context::<SP>(ctx).wrapping_add(at)).unwrap_or(0),
    };
    let moved = if call.count == counted::POINTER {
        if result as i32 == 1 {
            read::user::<u64>(call.count_at).unwrap_or(0)
        } else {
            0
        }
    } else if shape.abi == abi::GO {
        result
    } else {
        result as i32 as u64
    };
    // Also turns away negative results, which are huge here.
    if moved == 0 || moved > call.length {
        return None;
    }
    Some(Moved {
        handle: call.handle,
        buffer: call.buffer,
        length: moved,
        began: call.began,
        shape: call.shape,
        role: call.role,
        source: call.source,
        in_part: false,
    })
}

/// The record that was just opened: it stands in the connection, whole, until calls of Read have taken it. A record of a handshake leaves it empty.
/// net/http waits for the next request with a goroutine that reads one byte: of whom the record is, is not known then.
#[inline(always)]
fn record(ctx: *mut c_void, shape: &CallShape, index: u8, cookie: u64) -> Option<Moved> {
    if read::register_of(ctx, shape.result) != 0 {
        return None;
    }
    let slot = cookie >> RESULT_AT_SHIFT & RESULT_AT_MASK;
    let kept = read::user::<Arguments>(read::context::<SP>(ctx).wrapping_add(slot));
    let reader =
        kept.and_then(|kept| read::user::<Reader>(kept.handle.wrapping_add(shape.reader as u64)));
    let (Some(arguments), Some(reader)) = (kept, reader) else {
        count(stat::CALL_FAULT);
        return None;
    };
    if reader.length == 0 || reader.length > RECORD_MAX || reader.taken != 0 {
        return None;
    }
    Some(Moved {
        handle: arguments.handle,
        buffer: reader.bytes,
        length: reader.length,
        began: read::now(),
        shape: index,
        role: shape.role,
        source: shape.source,
        in_part: arguments.length == 1,
    })
}

#[inline(always)]
fn find_c(task: &mut Task, sp: u64) -> Option<u64> {
    let depth = task.depth;
    let mut found = None;
    each(|index| {
        if index >= depth {
            return true;
        }
        if call(task, index).sp <= sp {
            found = Some(index);
            return true;
        }
        false
    });
    found
}

#[inline(always)]
fn find_go(task: &mut Task, shape: u8) -> Option<u64> {
    let depth = task.depth;
    let mut found = None;
    each(|index| {
        if index < depth && call(task, index).shape == shape {
            found = Some(index);
        }
        false
    });
    found
}

/// Runs `step` for each place of a task's calls until it returns true. Written out, because LLVM turns a loop's end into
/// a comparison from which the verifier of 6.1 cannot tell that it ends.
#[inline(always)]
fn each(mut step: impl FnMut(u64) -> bool) {
    const _: () = assert!(DEPTH == 4);
    let _ = step(0) || step(1) || step(2) || step(3);
}

#[inline(always)]
fn deliver(moved: Moved, pid_tgid: u64, go: u64) {
    let (events, bytes) = if moved.source == source::GO_TLS {
        (stat::EVENTS_GO_TLS, stat::BYTES_GO_TLS)
    } else {
        (stat::EVENTS_OPENSSL, stat::BYTES_OPENSSL)
    };
    count(events);
    add(bytes, moved.length);
    let key: HandleKey = stream::handle_key(moved.handle, pid_tgid);
    let Some((id, conn)) = stream::of_handle(&key, moved.began, moved.source, moved.shape) else {
        return;
    };
    if conn.sock == 0 {
        stream::want_socket(pid_tgid);
    }
    let mut place = MaybeUninit::uninit();
    let stamp = Stamp {
        kind: 0,
        source: moved.source,
        len: 0,
        conn: id,
        began: moved.began,
        ended: read::now(),
        go,
        who: pid_tgid,
    };
    let work = Work::begin(&mut place, stamp);
    let direction = if moved.role == role::READ {
        direction::READ
    } else {
        direction::WRITE
    };
    if stream::advance(id, conn, direction, moved.length, work) {
        work.buffer(moved.buffer, moved.length);
        work.finish();
    }
}

/// The descriptor behind a Go connection, by the path that its shape gives; -1 when the connection is of another type.
#[inline(always)]
pub fn descriptor(handle: u64, index: u8) -> i32 {
    follow(handle, index).unwrap_or(-1)
}

#[inline(always)]
fn follow(handle: u64, index: u8) -> Option<i32> {
    let shape = shape(index)?;
    let steps = shape.fd_steps;
    if steps == 0 || steps > 4 {
        return None;
    }
    if shape.itab != 0 {
        let itab: u64 = read::user((handle + shape.fd_path[0] as u64).wrapping_sub(8))?;
        if (itab ^ shape.itab as u64) & 0xfff != 0 {
            return None;
        }
    }
    let mut at = handle;
    if steps > 1 {
        at = read::user(at + shape.fd_path[0] as u64)?;
    }
    if steps > 2 {
        at = read::user(at + shape.fd_path[1] as u64)?;
    }
    if steps > 3 {
        at = read::user(at + shape.fd_path[2] as u64)?;
    }
    let last = match steps {
        1 => shape.fd_path[0],
        2 => shape.fd_path[1],
        3 => shape.fd_path[2],
        _ => shape.fd_path[3],
    };
    let fd: i64 = read::user(at + last as u64)?;
    if (0..1 << 24).contains(&fd) {
        Some(fd as i32)
    } else {
        None
    }
}

/// The call that the current thread (or goroutine) is in, at stack pointer `sp`.
#[inline(always)]
pub fn under_way(task: &mut Task, sp: u64, go: bool) -> Option<&mut Call> {
    if task.depth == 0 || task.depth > DEPTH as u64 {
        return None;
    }
    let top = task.depth - 1;
    let call = call(task, top);
    // A C frame above the stack pointer is still there; one below it has returned unseen.
    if go || call.sp >= sp {
        Some(call)
    } else {
        None
    }
}
