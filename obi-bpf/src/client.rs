//! Hooked calls of client libraries, driven by [`ClientShape`]: what a call means and which messages it names, as records in CALLS.
//!
//! Entry and return run the same code: the shape says all. Messages that follow each other in one partition are one run, told when the next
//! begins. A look at memory of the process may fail: what is missing is flagged, never guessed. The walk has a limit
//! ([`WALK_LIMIT`], [`RUNS`], [`FAULTS`]), and its state lives on the stack: another program may run on this CPU meanwhile.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use obi_abi::client::{
    ACKNOWLEDGEMENTS, NO_MEMBER, RUNS, TOPIC_LIMIT, WALK_LIMIT, call_flag, means, option,
    topic_form, walk,
};
use obi_abi::{ClientCall, ClientShape, NO_REG, abi, kind, stat};

use crate::maps::{CLIENT_SHAPES, KEPT, KeptKey, TaskKey};
use crate::read::{self, REGISTERS, Stamp};
use crate::ring;
use crate::stat::count;

mod parts;
mod places;

use places::{AT, CLIENT, COUNT, GUARD, TOPIC, Words, follow};

const ANY: u64 = 0;
const SP: usize = 19;
/// Messages that could not be read, after which a call is given up.
const FAULTS: u64 = 16;
/// A slice with more elements is none.
const SLICE_LIMIT: u64 = 1 << 24;
/// Size classes of a topic's name: a text of C shows its length only when it is read.
const SHORT: usize = 64;
const LONG: usize = 256;
/// `ClientCall::key_len`: null, not read.
const NULL: i32 = -1;
const NOT_READ: i32 = -2;

const _: () = assert!(TOPIC_LIMIT < LONG);

/// A call under way, and the run of messages that was not told yet.
#[repr(C)]
pub struct Walk {
    shape: u64,
    means: u64,
    who: u64,
    now: u64,
    goid: u64,
    parent: u64,
    client: u64,
    at: u64,
    left: u64,
    // Nested: what is left of the inner arrays.
    topics: u64,
    topics_left: u64,
    partitions: u64,
    partitions_left: u64,
    /// Also: of all messages, where the shape says so.
    topic: u64,
    /// By what the message is known, when not by its own address.
    known: u64,
    /// `call_flag`.
    flags: u64,
    faults: u64,
    runs: u64,
    run: Run,
}

/// Messages of one partition.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Run {
    /// 0 = there is no run.
    count: u64,
    message: u64,
    first: i64,
    last: i64,
    /// Address of the topic's text, and its length where that is known.
    text: u64,
    text_len: u64,
    partition: i64,
    key_len: i32,
    value_len: i32,
}

#[inline(always)]
fn shape(index: u64) -> Option<&'static ClientShape> {
    CLIENT_SHAPES.get(index as u32)
}

/// A hooked site was reached; `popped` bytes are gone from the stack that were there at the RET.
#[inline(always)]
pub fn hit(ctx: *mut c_void, popped: u64) {
    let index = read::cookie(ctx) & 0xffff;
    let Some(shape) = shape(index) else { return };
    let mut place = MaybeUninit::uninit();
    let walk = read::zeroed::<Walk>(&mut place);
    walk.shape = index;
    if prepare(ctx, popped, walk) == 0 {
        return;
    }
    match shape.walk {
        walk::ONE if walk.at != 0 => {
            look(walk, walk.at);
        }
        walk::POINTERS | walk::STRUCTS => {
            let mut steps = walk.left;
            if steps > WALK_LIMIT as u64 {
                steps = WALK_LIMIT as u64;
                walk.flags |= call_flag::TRUNCATED as u64;
            }
            read::repeat(steps as u32, element, walk);
        }
        walk::NESTED => {
            read::repeat(WALK_LIMIT, nested, walk);
            if walk.left | walk.topics_left | walk.partitions_left != 0 {
                walk.flags |= call_flag::TRUNCATED as u64;
            }
        }
        walk::PARTS => parts::take(walk),
        _ => {}
    }
    finish(walk, shape);
}

/// Reads registers: who calls, what is kept, where messages stand. 0: there is nothing to tell. A function of its own, so that
/// the registers are gone from the stack when it returns.
#[inline(never)]
fn prepare(ctx: *mut c_void, popped: u64, walk: &mut Walk) -> u64 {
    let Some(shape) = shape(walk.shape) else {
        return 0;
    };
    let mut place = MaybeUninit::uninit();
    let mut words = Words {
        registers: read::registers(ctx, &mut place),
        sp: read::context::<SP>(ctx).wrapping_sub(popped),
        kept: [0; obi_abi::client::KEPT],
        has_kept: false,
    };
    let who = read::pid_tgid();
    let go = shape.abi == abi::GO;
    let g = read::register(words.registers, shape.task);
    let key = KeptKey {
        task: TaskKey {
            task: if go { who >> 32 << 32 } else { who },
            go: if go { g } else { 0 },
        },
        pair: shape.pair as u64,
    };
    if shape.keeps != 0 {
        words.kept = [
            read::register(words.registers, shape.keep[0]),
            read::register(words.registers, shape.keep[1]),
            read::register(words.registers, shape.keep[2]),
            read::register(words.registers, shape.keep[3]),
        ];
        if KEPT.insert(&key, &words.kept, ANY).is_err() {
            count(stat::LOST_TABLE);
        }
        words.has_kept = true;
    } else if shape.pair != 0 {
        if let Some(kept) = read::value(KEPT.get_ptr_mut(&key)) {
            words.kept = *kept;
            words.has_kept = true;
        }
        // An entry whose return is not seen would be taken for that of a later call.
        let _ = KEPT.remove(&key);
    }
    if shape.means == 0 {
        return 0;
    }
    walk.means = shape.means as u64;
    walk.who = who;
    walk.now = read::now();
    if go {
        walk.goid = member(g, shape.goid).unwrap_or(0);
        walk.parent = member(g, shape.parent).unwrap_or(0);
    }
    walk.client = words.word(walk, CLIENT, &shape.client);
    let unless = shape.options & option::UNLESS != 0;
    let guard = words.word(walk, GUARD, &shape.guard) as u32;
    let mut passed = (guard == shape.expect) != unless;
    let reports = shape.reports != 0 && guard == shape.reports as u32;
    if reports {
        walk.means = means::ACKNOWLEDGED as u64;
        passed = true;
    }
    if shape.known != NO_MEMBER && (reports || shape.reports == 0) {
        walk.means |= NAMED;
    }
    let refusal = shape.means == means::ACKNOWLEDGED;
    if passed || refusal {
        walk.at = words.word(walk, AT, &shape.at);
        let mut left = words.word(walk, COUNT, &shape.count);
        if shape.options & option::COUNT_INT != 0 {
            left = left as i32 as u64;
        }
        // The error of a C function is negative.
        walk.left = if left as i64 > 0 { left } else { 0 };
    } else if shape.means != means::HANDS_OVER || shape.options & option::QUIET != 0 {
        return 0;
    }
    if !passed {
        walk.means |= REFUSED;
    }
    if shape.walk == walk::ARGUMENTS && passed {
        arguments(walk, shape, words.registers);
    }
    if shape.walk == walk::PARTS && shape.stride == 0 {
        parts::keep_arguments(walk, words.registers, words.sp);
    }
    if shape.topic.base != NO_REG {
        walk.topic = words.word(walk, TOPIC, &shape.topic);
    }
    if shape.options & option::KNOWN_BY_KEPT != 0 && !reports {
        walk.known = words.kept[0];
    }
    if shape.options & option::KNOWN_ON_STACK != 0 {
        walk.known = member(words.sp, shape.known).unwrap_or(0);
        walk.run.message = walk.known;
    }
    1
}

/// `Walk::means` above its byte: the call says that nothing came of it.
const REFUSED: u64 = 1 << 8;
/// Messages are known by a name.
const NAMED: u64 = 1 << 9;

/// `Walk::flags` above its byte: the entry of this call was not seen, so that what it keeps is not there.
const UNPAIRED: u64 = 1 << 8;

/// A member, when there is one.
#[inline(always)]
fn member<T: Copy>(at: u64, offset: u16) -> Option<T> {
    if offset == NO_MEMBER {
        return None;
    }
    read::user(at.wrapping_add(offset as u64))
}

/// The message is named by the call's arguments.
#[inline(always)]
fn arguments(walk: &mut Walk, shape: &ClientShape, registers: &[u64; REGISTERS]) {
    let register = |number: u16| {
        if number == NO_MEMBER {
            None
        } else {
            Some(read::register(registers, number as u8))
        }
    };
    let length = |number: u16| register(number).map_or(NOT_READ, |length| length as i32);
    let mut offset = register(shape.offset).map_or(-1, |offset| offset as i64);
    if shape.options & option::OFFSET_BEHIND != 0 {
        if offset < 1 {
            return;
        }
        offset -= 1;
    }
    walk.run.count = 1;
    walk.run.first = offset;
    walk.run.last = offset;
    walk.run.partition = register(shape.partition).map_or(-1, |number| number as i32 as i64);
    walk.run.key_len = length(shape.key_len);
    walk.run.value_len = length(shape.value_len);
    if shape.topic_form == topic_form::REGISTERS {
        let text = register(shape.topic.path[0]).unwrap_or(0);
        (walk.run.text, walk.run.text_len) = match register(shape.topic.path[1]) {
            Some(length) => named(text, length),
            None => (text, 0),
        };
    } else if walk.at != 0
        && let Some((text, length)) = text(shape, walk.at)
    {
        walk.run.text = text;
        walk.run.text_len = length;
    }
}

/// Where the topic's text stands, and how long it is as far as that is known.
#[inline(always)]
fn text(shape: &ClientShape, start: u64) -> Option<(u64, u64)> {
    if shape.topic_form == topic_form::NOTHING {
        return Some((0, 0));
    }
    text_at(shape, follow(&shape.topic, start)?)
}

/// Of a Go string, or of a pointer to a text of C.
#[inline(always)]
fn text_at(shape: &ClientShape, at: u64) -> Option<(u64, u64)> {
    if at == 0 {
        return Some((0, 0));
    }
    let text = read::user(at)?;
    if shape.topic_form == topic_form::GO {
        Some(named(text, read::user(at.wrapping_add(8))?))
    } else {
        Some((text, 0))
    }
}

/// The pointer of an empty Go string means nothing.
#[inline(always)]
fn named(text: u64, length: u64) -> (u64, u64) {
    if length == 0 { (0, 0) } else { (text, length) }
}

/// One element of an array. The verifier looks at a global function once for itself, and takes nothing of the state for known
/// behind a call of it: else it would follow each round of the loop with what the rounds before have left.
extern "C" fn element(index: u32, walk: *mut Walk) -> i64 {
    (read::opaque(element_of(walk, index)) & 1) as i64
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn element_of(walk: *mut Walk, index: u32) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 1;
    };
    let Some(shape) = shape(walk.shape) else {
        return 1;
    };
    let message = if shape.walk == walk::POINTERS {
        read::user(walk.at.wrapping_add(index as u64 * 8))
    } else {
        Some(walk.at.wrapping_add(index as u64 * shape.stride as u64))
    };
    match message {
        Some(message) => look(walk, message),
        None => walk.fault(),
    }
}

/// Takes a message into the run, or begins a new one. 1: enough.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn look(walk: *mut Walk, message: u64) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 1;
    };
    let Some(shape) = shape(walk.shape) else {
        return 1;
    };
    match message_of(walk, shape, message) {
        Some(full) => full,
        None => walk.fault(),
    }
}

#[inline(always)]
fn message_of(walk: &mut Walk, shape: &ClientShape, message: u64) -> Option<u64> {
    let acknowledged = walk.means as u8 == means::ACKNOWLEDGED;
    let mut refused = walk.means & REFUSED != 0;
    if shape.error != NO_MEMBER && read::user::<i32>(message.wrapping_add(shape.error as u64))? != 0
    {
        if !acknowledged {
            return Some(0);
        }
        refused = true;
    }
    let mut offset = -1;
    if shape.offset != NO_MEMBER && !refused {
        offset = read::user::<i64>(message.wrapping_add(shape.offset as u64))?;
        if shape.options & option::OFFSET_BEHIND != 0 {
            if offset < 1 {
                return Some(0);
            }
            offset -= 1;
        }
    }
    let mut partition = -1;
    if shape.partition != NO_MEMBER {
        partition = read::user::<i32>(message.wrapping_add(shape.partition as u64))?;
    }
    let mut known = walk.known;
    if walk.means & NAMED == 0 {
        if known == 0 {
            known = message;
        }
    } else if shape.options & option::KNOWN_ON_STACK == 0 {
        known = read::user(message.wrapping_add(shape.known as u64))?;
        if known == 0 && acknowledged {
            return Some(0);
        }
    }
    let (text, text_len) = if shape.topic.base != NO_REG {
        text_at(shape, walk.topic)?
    } else {
        text(shape, message)?
    };
    let run = &mut walk.run;
    // Only what a call was given by its address finds what became of it by the same.
    let follows = run.count != 0
        && !acknowledged
        && run.text == text
        && run.text_len == text_len
        && run.partition == partition as i64
        && offset > run.last;
    if follows {
        run.last = offset;
        run.count += 1;
        return Some(0);
    }
    if begin(walk) != 0 {
        return Some(1);
    }
    walk.run = Run {
        count: 1,
        message: known,
        first: offset,
        last: offset,
        text,
        text_len,
        partition: partition as i64,
        key_len: length(message, shape.key, shape.key_len),
        value_len: length(message, shape.value, shape.value_len),
    };
    Some(0)
}

/// Length of a key or value.
#[inline(always)]
fn length(message: u64, pointer: u16, length: u16) -> i32 {
    if member::<u64>(message, pointer) == Some(0) {
        return NULL;
    }
    match member::<u64>(message, length) {
        Some(length) if length <= i32::MAX as u64 => length as i32,
        _ => NOT_READ,
    }
}

/// One step through nested arrays: a partition, else the next topic, else the next element of the outermost array.
extern "C" fn nested(_step: u32, walk: *mut Walk) -> i64 {
    (read::opaque(nested_step(walk)) & 1) as i64
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nested_step(walk: *mut Walk) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 1;
    };
    let Some(shape) = shape(walk.shape) else {
        return 1;
    };
    match inward(walk, shape) {
        Some(done) => done,
        None => walk.fault(),
    }
}

#[inline(always)]
fn inward(walk: &mut Walk, shape: &ClientShape) -> Option<u64> {
    let members = &shape.nested;
    if walk.partitions_left != 0 {
        let partition = walk.partitions;
        walk.partitions_left -= 1;
        walk.partitions = partition.wrapping_add(members.partition_stride as u64);
        return messages_of(walk, shape, partition);
    }
    if walk.topics_left != 0 {
        let topic = walk.topics;
        walk.topic = topic;
        walk.topics_left -= 1;
        walk.topics = topic.wrapping_add(members.topic_stride as u64);
        let (at, length) = slice(topic.wrapping_add(members.partitions as u64))?;
        walk.partitions = at;
        walk.partitions_left = length;
        return Some(0);
    }
    if walk.left != 0 {
        let outer = walk.at;
        walk.left -= 1;
        walk.at = outer.wrapping_add(members.stride as u64);
        let (at, length) = slice(outer.wrapping_add(members.topics as u64))?;
        walk.topics = at;
        walk.topics_left = length;
        return Some(0);
    }
    Some(1)
}

/// The messages of a partition are in order: the first and the last tell of all.
#[inline(always)]
fn messages_of(walk: &mut Walk, shape: &ClientShape, partition: u64) -> Option<u64> {
    let members = &shape.nested;
    let number = read::user::<i32>(partition.wrapping_add(members.partition as u64))?;
    let (at, count) = slice(partition.wrapping_add(members.messages as u64))?;
    if count == 0 {
        return Some(0);
    }
    let message: u64 = read::user(at)?;
    let end: u64 = read::user(at.wrapping_add((count - 1) * 8))?;
    let first = read::user::<i64>(message.wrapping_add(shape.offset as u64))?;
    let last = read::user::<i64>(end.wrapping_add(shape.offset as u64))?;
    let (text, text_len) = text(shape, walk.topic)?;
    if begin(walk) != 0 {
        return Some(1);
    }
    walk.run = Run {
        count,
        message,
        first,
        last,
        text,
        text_len,
        partition: number as i64,
        key_len: length(message, shape.key, shape.key_len),
        value_len: length(message, shape.value, shape.value_len),
    };
    Some(0)
}

/// Pointer and length of a Go slice.
#[inline(always)]
fn slice(at: u64) -> Option<(u64, u64)> {
    let start = read::user(at)?;
    let length: u64 = read::user(at.wrapping_add(8))?;
    if length > SLICE_LIMIT {
        return None;
    }
    Some((start, length))
}

/// Tells the run under way, so that another can begin. 1: there were enough.
#[inline(always)]
fn begin(walk: &mut Walk) -> u64 {
    if walk.run.count == 0 {
        return 0;
    }
    let most = if walk.means as u8 == means::ACKNOWLEDGED {
        ACKNOWLEDGEMENTS
    } else {
        RUNS
    };
    if walk.runs + 1 >= most as u64 {
        walk.flags |= call_flag::TRUNCATED as u64;
        return 1;
    }
    walk.runs += 1;
    tell(walk, 0);
    0
}

impl Walk {
    /// Something could not be read. 1: that is enough.
    #[inline(always)]
    fn fault(&mut self) -> u64 {
        self.flags |= call_flag::FAULT as u64;
        self.faults += 1;
        if self.faults < FAULTS {
            return 0;
        }
        self.flags |= call_flag::TRUNCATED as u64;
        1
    }
}

/// Tells the last run with what is known of the whole call; a call without messages is told when that means something.
#[inline(always)]
fn finish(walk: &mut Walk, shape: &ClientShape) {
    if walk.flags & UNPAIRED != 0 {
        count(stat::LOST_UNPAIRED);
    } else if walk.flags & call_flag::FAULT as u64 != 0 {
        count(stat::CALL_FAULT);
    }
    if walk.run.count == 0 {
        let idle = shape.means == means::HANDS_OVER && shape.options & option::QUIET == 0;
        if !idle && shape.walk != walk::NOTHING && walk.flags == 0 {
            return;
        }
        walk.run.first = -1;
        walk.run.last = -1;
        walk.run.partition = -1;
        walk.run.key_len = NOT_READ;
        walk.run.value_len = NOT_READ;
    }
    tell(walk, walk.flags | call_flag::LAST as u64);
}

/// Sends the run.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell(walk: *mut Walk, flags: u64) -> u64 {
    let Some(walk) = read::state(walk) else {
        return 0;
    };
    if walk.run.text_len >= SHORT as u64 || !send::<SHORT>(walk, flags) {
        send::<LONG>(walk, flags);
    }
    0
}

/// `false`: the topic's name does not fit.
#[inline(always)]
fn send<const SIZE: usize>(walk: &mut Walk, mut flags: u64) -> bool {
    let Some(record) = ring::reserve_call::<Named<SIZE>>() else {
        return true;
    };
    if walk.means & NAMED != 0 {
        flags |= call_flag::NAMED as u64;
    }
    let run = &walk.run;
    let mut length = 0;
    if run.text != 0 {
        let length_known = run.text_len;
        let topic = &mut record.payload.topic;
        if length_known == 0 {
            let read = read::user_text(topic, run.text);
            if read == SIZE as i64 && SIZE < LONG {
                ring::discard(record);
                return false;
            }
            if read > 0 {
                length = read as u64 - 1;
            } else {
                flags |= call_flag::FAULT as u64;
            }
        } else if length_known <= TOPIC_LIMIT as u64 {
            let bounded = read::opaque(length_known) & (SIZE as u64 - 1);
            if read::user_bytes(topic.as_mut_ptr(), bounded as u32, run.text) {
                length = bounded;
            } else {
                flags |= call_flag::FAULT as u64;
            }
        } else {
            flags |= call_flag::FAULT as u64;
        }
    }
    let stamp = Stamp {
        kind: kind::CALL,
        source: 0,
        len: (size_of::<ClientCall>() as u64 + length) as u32,
        conn: 0,
        began: walk.now,
        ended: walk.now,
        go: walk.goid,
        who: walk.who,
    };
    read::stamp(&raw mut record.header, stamp);
    let call = &mut record.payload.call;
    call.goid = walk.goid;
    call.parent = walk.parent;
    call.client = walk.client;
    call.message = run.message;
    call.first = run.first;
    call.last = run.last;
    call.partition = run.partition as i32;
    call.count = run.count as u32;
    call.key_len = run.key_len;
    call.value_len = run.value_len;
    call.shape = walk.shape as u16;
    call.topic_len = length as u16;
    call.means = walk.means as u8;
    call.flags = flags as u8;
    call.reserved = 0;
    ring::submit_call(record);
    count(stat::EVENTS_CALL);
    true
}

/// A call with room for the name of its topic.
#[repr(C)]
struct Named<const SIZE: usize> {
    call: ClientCall,
    topic: [u8; SIZE],
}
