//! Calls of client libraries: every form in which messages stand in memory, and memory that is not what a shape takes it for.

mod acknowledged;
mod hostile;
mod parts;

use anyhow::{Context, Result, ensure};
use obi_abi::client::{
    NO_MEMBER, Nested, Place, RUNS, WALK_LIMIT, base, call_flag, means, option, topic_form, walk,
};
use obi_abi::{ClientCall, ClientShape, Settings, abi, kind, stat};
use zerocopy::FromBytes;

use crate::agent::Agent;
use crate::hooks::{self, Function, call, hook_outer};

pub use acknowledged::{acknowledged, numbered, reports};
pub use hostile::{full, hostile};
pub use parts::{elsewhere, parts};

const ENTRY: u8 = 0;
const RETURN: u8 = 1;
const AX: u8 = 10;
const BX: u8 = 5;
const CX: u8 = 11;
const DX: u8 = 12;
const SI: u8 = 13;
const DI: u8 = 14;
const R14: u8 = 1;
/// An address that is never mapped.
const NOWHERE: u64 = 0x10;

/// A message as librdkafka's public ABI has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Message {
    error: i32,
    pad: i32,
    topic: u64,
    partition: i32,
    pad2: i32,
    value: u64,
    value_len: u64,
    key: u64,
    key_len: u64,
    offset: i64,
    private: u64,
}

/// A topic's handle, which leads to its name by one more step.
struct Topic {
    handle: Box<[u64; 3]>,
    _name: (Box<[u64; 2]>, Vec<u8>),
}

impl Topic {
    fn new(name: &str) -> Topic {
        let text = [name.as_bytes(), &[0]].concat();
        let inner = Box::new([0, text.as_ptr() as u64]);
        Topic {
            handle: Box::new([0, 0, inner.as_ptr() as u64]),
            _name: (inner, text),
        }
    }

    fn at(&self) -> u64 {
        self.handle.as_ptr() as u64
    }
}

fn message(topic: &Topic, partition: i32, offset: i64) -> Message {
    Message {
        error: 0,
        pad: 0,
        topic: topic.at(),
        partition,
        pad2: 0,
        value: 0x1000,
        value_len: 100,
        key: 0,
        key_len: 0,
        offset,
        private: 0,
    }
}

fn address(message: &Message) -> u64 {
    std::ptr::from_ref(message) as u64
}

/// The members of [`Message`].
fn members() -> ClientShape {
    ClientShape {
        abi: abi::C,
        topic_form: topic_form::C,
        stride: size_of::<Message>() as u16,
        topic: Place {
            steps: 2,
            path: [8, 16, 0],
            add: 8,
            ..Place::NOWHERE
        },
        partition: 16,
        offset: 56,
        error: 0,
        key: 40,
        key_len: 48,
        value: 24,
        value_len: 32,
        ..ClientShape::NOTHING
    }
}

/// What is kept from the entry of an outer call: its first two arguments.
fn keeping() -> ClientShape {
    ClientShape {
        keeps: 1,
        keep: [DI, SI, obi_abi::NO_REG, obi_abi::NO_REG],
        pair: 1,
        ..ClientShape::NOTHING
    }
}

fn agent_of(
    object: &[u8],
    function: Function,
    entry: Option<ClientShape>,
    return_: Option<ClientShape>,
    uretprobe: bool,
    ring: Option<u32>,
) -> Result<Agent> {
    let multi = crate::cases::has_multi(object)?;
    let returning = if uretprobe {
        "client_uretprobe"
    } else {
        "client_return"
    };
    let programs = ["client_entry", returning];
    let mut agent = Agent::load(object, &programs, Settings::DEFAULT, ring, multi)?;
    let (entries, _) = hooks::sites(&[(function, ENTRY)])?;
    let (starts, returns) = hooks::sites(&[(function, RETURN)])?;
    if let Some(shape) = return_ {
        agent.set_client_shape(RETURN, shape)?;
        let sites = if uretprobe { &starts } else { &returns };
        agent.attach_sites(returning, uretprobe, sites)?;
    }
    if let Some(shape) = entry {
        agent.set_client_shape(ENTRY, shape)?;
        agent.attach_sites("client_entry", false, &entries)?;
    }
    Ok(agent)
}

/// Calls since the last time, with the names of their topics.
fn calls(agent: &Agent) -> Result<Vec<(ClientCall, String)>> {
    let mut calls = Vec::new();
    for record in agent.drain()? {
        let header = &record.header;
        ensure!(
            header.kind == kind::CALL && header.pid == std::process::id(),
            "{header:?}"
        );
        ensure!(header.began_ns == header.ended_ns && header.began_ns > 0);
        let (call, topic) = ClientCall::read_from_prefix(&record.payload)
            .ok()
            .context("short")?;
        ensure!(call.topic_len as usize == topic.len(), "{call:?}");
        ensure!(call.goid == header.task, "{call:?}");
        calls.push((call, String::from_utf8(topic.to_vec())?));
    }
    Ok(calls)
}

/// (topic, partition, first, last, count, flags) of each record.
type Told = (String, i32, i64, i64, u32, u8);

fn told(agent: &Agent) -> Result<Vec<Told>> {
    let told = |(call, topic): (ClientCall, String)| {
        let ClientCall {
            partition,
            first,
            last,
            count,
            flags,
            ..
        } = call;
        (topic, partition, first, last, count, flags)
    };
    Ok(calls(agent)?.into_iter().map(told).collect())
}

fn run(topic: &str, partition: i32, first: i64, last: i64, count: u32, flags: u8) -> Told {
    (topic.to_owned(), partition, first, last, count, flags)
}

const IDLE: (i32, i64, i64, u32) = (-1, -1, -1, 0);

fn idle(flags: u8) -> Told {
    run("", IDLE.0, IDLE.1, IDLE.2, IDLE.3, flags)
}

use call_flag::{FAULT, LAST, TRUNCATED};

fn outer(first: u64, second: u64, result: i64) {
    // SAFETY: the hook passes the pointer on and does not follow it.
    let data = unsafe { std::slice::from_raw_parts(second as *const u8, 0) };
    call(hook_outer, first, data, &0, || result);
}

/// A poll that gives one message: an idle one, an error, a message; by RET and by uretprobe.
pub fn one(object: &[u8]) -> Result<()> {
    let topic = Topic::new("orders");
    let mut event = message(&topic, 3, 77);
    event.error = -191;
    let mut real = message(&topic, 3, 77);
    (real.key, real.key_len) = (0x2000, 7);
    for uretprobe in [false, true] {
        let asks = ClientShape {
            means: means::ASKS,
            client: Place::register(DI),
            ..keeping()
        };
        let gives = ClientShape {
            means: means::HANDS_OVER,
            walk: walk::ONE,
            at: Place::register(AX),
            client: Place::register(base::KEPT),
            pair: 1,
            ..members()
        };
        let agent = agent_of(
            object,
            Function::Outer,
            Some(asks),
            Some(gives),
            uretprobe,
            None,
        )?;
        for result in [0, address(&event), address(&real)] {
            outer(0xc11e, 8, result as i64);
        }
        let calls = calls(&agent)?;
        let seen: Vec<u8> = calls.iter().map(|(call, _)| call.means).collect();
        ensure!(
            seen == [means::ASKS, means::HANDS_OVER].repeat(3),
            "{seen:?}"
        );
        ensure!(
            calls
                .iter()
                .all(|(call, _)| call.client == 0xc11e && call.flags == LAST),
            "{calls:?}"
        );
        let [_, (empty, _), _, (error, _), _, (given, name)] = calls.as_slice() else {
            anyhow::bail!("{} records", calls.len())
        };
        ensure!((empty.count, empty.message, error.count, error.message) == (0, 0, 0, 0));
        let expected = ClientCall {
            client: 0xc11e,
            message: address(&real),
            first: 77,
            last: 77,
            partition: 3,
            count: 1,
            key_len: 7,
            value_len: 100,
            shape: RETURN.into(),
            topic_len: 6,
            means: means::HANDS_OVER,
            flags: LAST,
            ..ClientCall::default()
        };
        ensure!(*given == expected && name == "orders", "{given:?} {name}");
        ensure!(agent.stat(stat::EVENTS_CALL)? == 6, "events");
    }
    Ok(())
}

/// Frees, settles by a message; a null key; what has no message says nothing; a topic's name of every length.
pub fn arguments(object: &[u8]) -> Result<()> {
    let frees = ClientShape {
        means: means::FREES,
        walk: walk::ONE,
        at: Place::register(DI),
        ..members()
    };
    let agent = agent_of(object, Function::Outer, Some(frees), None, false, None)?;
    outer(0, 8, 0);
    ensure!(told(&agent)?.is_empty(), "nothing was freed");
    for length in [1, 62, 63, 64, 65, 249] {
        let name = "t".repeat(length);
        let topic = Topic::new(&name);
        let one = message(&topic, 0, i64::from(u32::MAX));
        outer(address(&one), 8, 0);
        let calls = calls(&agent)?;
        let [(call, seen)] = calls.as_slice() else {
            anyhow::bail!("{} records", calls.len())
        };
        ensure!(*seen == name, "{} of {length}", seen.len());
        ensure!(
            call.key_len == -1 && call.first == i64::from(u32::MAX),
            "{call:?}"
        );
    }
    drop(agent);
    // (topic handle, partition, .., offset) in registers: rd_kafka_seek.
    let seeks = ClientShape {
        means: means::SEEKS,
        walk: walk::ARGUMENTS,
        at: Place::register(DI),
        topic_form: topic_form::C,
        topic: Place {
            steps: 1,
            path: [16, 0, 0],
            add: 8,
            ..Place::NOWHERE
        },
        partition: SI.into(),
        offset: DX.into(),
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(seeks), None, false, None)?;
    let topic = Topic::new("orders");
    let data = vec![0; 42];
    call(hook_outer, topic.at(), &data, &0, || 0);
    let seen = told(&agent)?;
    let partition = data.as_ptr() as u64 as i32;
    ensure!(
        seen == [run("orders", partition, 42, 42, 1, LAST)],
        "{seen:?}"
    );
    drop(agent);
    // Go: a string in registers.
    let marks = ClientShape {
        means: means::SETTLES,
        abi: abi::GO,
        task: R14,
        walk: walk::ARGUMENTS,
        topic_form: topic_form::REGISTERS,
        topic: Place {
            path: [BX.into(), CX.into(), 0],
            ..Place::NOWHERE
        },
        offset: AX.into(),
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Go, Some(marks), None, false, None)?;
    hooks::call_go(0, 5, b"payments", 0);
    let seen = told(&agent)?;
    ensure!(seen == [run("payments", -1, 5, 5, 1, LAST)], "{seen:?}");
    drop(agent);
    // C: a text in a register.
    let text = ClientShape {
        means: means::PRODUCES,
        walk: walk::ARGUMENTS,
        topic_form: topic_form::REGISTERS,
        topic: Place {
            path: [DI.into(), NO_MEMBER, 0],
            ..Place::NOWHERE
        },
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(text), None, false, None)?;
    outer(c"orders".as_ptr() as u64, 8, 0);
    let seen = told(&agent)?;
    ensure!(seen == [run("orders", -1, -1, -1, 1, LAST)], "{seen:?}");
    Ok(())
}

/// `outer` gives an array of pointers: its address is kept at the entry, how many it holds comes at the return.
fn gives() -> ClientShape {
    ClientShape {
        means: means::HANDS_OVER,
        walk: walk::POINTERS,
        at: Place::register(base::KEPT + 1),
        count: Place::register(AX),
        pair: 1,
        ..members()
    }
}

fn handing_over(object: &[u8]) -> Result<Agent> {
    let (entry, gives) = (Some(keeping()), Some(gives()));
    agent_of(object, Function::Outer, entry, gives, false, None)
}

/// An array whose address was known at the entry, and how many it holds at the return.
pub fn pointers(object: &[u8]) -> Result<()> {
    let agent = handing_over(object)?;
    let (orders, payments) = (Topic::new("orders"), Topic::new("payments"));
    let mut messages = vec![
        message(&orders, 0, 10),
        message(&orders, 0, 11),
        // Compaction left a hole.
        message(&orders, 0, 14),
        message(&orders, 1, 15),
        message(&payments, 1, 16),
        message(&payments, 1, 9),
    ];
    let mut error = message(&payments, 1, 10);
    error.error = 5;
    messages.push(error);
    messages.push(message(&payments, 1, 10));
    let pointers: Vec<u64> = messages.iter().map(address).collect();
    let given = |count: i64| outer(1, pointers.as_ptr() as u64, count);
    given(8);
    let seen = told(&agent)?;
    let expected = [
        run("orders", 0, 10, 14, 3, 0),
        run("orders", 1, 15, 15, 1, 0),
        run("payments", 1, 16, 16, 1, 0),
        run("payments", 1, 9, 10, 2, LAST),
    ];
    ensure!(seen == expected, "{seen:?}");
    // An error, an empty answer.
    given(-1);
    given(0);
    ensure!(told(&agent)? == [idle(LAST), idle(LAST)], "idle");
    // More partitions than are told; more messages than are looked at.
    let many: Vec<Message> = (0..100).map(|p| message(&orders, p, 1)).collect();
    let pointers: Vec<u64> = many.iter().map(address).collect();
    outer(1, pointers.as_ptr() as u64, 100);
    let seen = told(&agent)?;
    ensure!(seen.len() == RUNS as usize, "{} runs", seen.len());
    ensure!(
        seen.last() == Some(&run("orders", 63, 1, 1, 1, LAST | TRUNCATED)),
        "{:?}",
        seen.last()
    );
    let long: Vec<Message> = (0..5000)
        .map(|offset| message(&orders, 0, offset))
        .collect();
    let pointers: Vec<u64> = long.iter().map(address).collect();
    outer(1, pointers.as_ptr() as u64, 5000);
    let most = WALK_LIMIT as i64;
    let seen = told(&agent)?;
    ensure!(
        seen == [run("orders", 0, 0, most - 1, WALK_LIMIT, LAST | TRUNCATED)],
        "{seen:?}"
    );
    ensure!(agent.stat(stat::CALL_FAULT)? == 0, "faults");
    Ok(())
}

/// Messages side by side; a guard.
pub fn structs(object: &[u8]) -> Result<()> {
    let gives = ClientShape {
        means: means::HANDS_OVER,
        walk: walk::STRUCTS,
        at: Place::register(BX),
        count: Place::register(CX),
        // Go: the message's own member stands for the text.
        abi: abi::GO,
        task: R14,
        topic_form: topic_form::GO,
        topic: Place::NOWHERE,
        partition: 16,
        offset: 24,
        stride: 32,
        guard: Place::register(AX),
        expect: 7,
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Go, None, Some(gives), false, None)?;
    #[repr(C)]
    struct Go {
        topic: &'static str,
        partition: i64,
        offset: i64,
    }
    let one = |topic, partition, offset| Go {
        topic,
        partition,
        offset,
    };
    let messages = [one("orders", 4, 8), one("orders", 4, 9), one("", 5, 1)];
    // SAFETY: only the address is used; the hook's length is that of the slice.
    let data = unsafe { std::slice::from_raw_parts(messages.as_ptr().cast(), messages.len()) };
    hooks::call_go(0, 0, data, 7);
    hooks::call_go(0, 0, data, 6);
    let seen = told(&agent)?;
    let expected = [
        run("orders", 4, 8, 9, 2, 0),
        run("", 5, 1, 1, 1, LAST),
        idle(LAST),
    ];
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

/// A list of offsets to be committed, with its length in an `int`, or no list at all; an event that is not one of messages.
pub fn lists(object: &[u8]) -> Result<()> {
    let settles = ClientShape {
        means: means::SETTLES,
        walk: walk::STRUCTS,
        at: Place::word(DI, 8),
        count: Place::word(DI, 0),
        topic_form: topic_form::C,
        partition: 8,
        offset: 16,
        stride: 32,
        options: option::COUNT_INT | option::OFFSET_BEHIND,
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(settles), None, false, None)?;
    let (orders, payments) = (c"orders".as_ptr() as u64, c"payments".as_ptr() as u64);
    let of = |topic, partition, offset: i64| [topic, partition, offset as u64, 0u64];
    let offsets = [
        of(orders, 0, 12),
        of(orders, 1, -1001),
        of(payments, 2, 1),
        of(0, 3, 5),
    ];
    // The upper half of the count is the room that there is.
    let list = [4 | 9 << 32, offsets.as_ptr() as u64];
    outer(list.as_ptr() as u64, 8, 0);
    outer(0, 8, 0);
    let seen = told(&agent)?;
    let expected = [
        run("orders", 0, 11, 11, 1, 0),
        run("payments", 2, 0, 0, 1, 0),
        run("", 3, 4, 4, 1, LAST),
    ];
    ensure!(seen == expected, "{seen:?}");
    drop(agent);
    let all = ClientShape {
        means: means::SETTLES_ALL,
        guard: Place::register(DI),
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(all), None, false, None)?;
    outer(list.as_ptr() as u64, 8, 0);
    outer(0, 8, 0);
    ensure!(told(&agent)? == [idle(LAST)], "all");
    drop(agent);
    let event = ClientShape {
        means: means::HANDS_OVER,
        walk: walk::ONE,
        at: Place::register(AX),
        guard: Place::word(base::KEPT, 16),
        expect: 2,
        options: option::QUIET,
        pair: 1,
        ..members()
    };
    let agent = agent_of(
        object,
        Function::Outer,
        Some(keeping()),
        Some(event),
        false,
        None,
    )?;
    let topic = Topic::new("orders");
    let one = message(&topic, 1, 4);
    let (fetched, reported) = ([0u64, 0, 7 << 32 | 2], [0u64, 0, 1]);
    for result in [address(&one), 0] {
        for event in [&fetched, &reported] {
            outer(event.as_ptr() as u64, 8, result as i64);
        }
    }
    let seen = told(&agent)?;
    ensure!(seen == [run("orders", 1, 4, 4, 1, LAST)], "{seen:?}");
    Ok(())
}

/// Members of the nested form below.
fn nested_shape() -> ClientShape {
    ClientShape {
        means: means::HANDS_OVER,
        abi: abi::GO,
        task: R14,
        goid: 8,
        parent: 16,
        walk: walk::NESTED,
        at: Place::register(BX),
        count: Place::register(CX),
        topic_form: topic_form::GO,
        topic: Place::NOWHERE,
        offset: 8,
        nested: Nested {
            stride: 24,
            topics: 0,
            topic_stride: 40,
            partitions: 16,
            partition_stride: 40,
            partition: 0,
            messages: 16,
            reserved: 0,
        },
        ..ClientShape::NOTHING
    }
}

/// Fetches of topics of partitions of messages, and the goroutine that got them.
pub fn nested(object: &[u8]) -> Result<()> {
    let agent = agent_of(
        object,
        Function::Go,
        None,
        Some(nested_shape()),
        false,
        None,
    )?;
    let records: Vec<[i64; 2]> = (100..110).map(|offset| [0, offset]).collect();
    let pointers: Vec<u64> = records.iter().map(|r| r.as_ptr() as u64).collect();
    let at = |range: std::ops::Range<usize>| {
        [
            0,
            0,
            pointers[range.start..].as_ptr() as u64,
            range.len() as u64,
            10,
        ]
    };
    let mut partitions = [at(0..4), at(4..4), at(4..5), at(5..10)];
    for (number, partition) in partitions.iter_mut().enumerate() {
        partition[0] = number as u64 + 7;
    }
    let topic = |name: &'static str, range: std::ops::Range<usize>| {
        [
            name.as_ptr() as u64,
            name.len() as u64,
            partitions[range.start..].as_ptr() as u64,
            range.len() as u64,
            4,
        ]
    };
    let topics = [topic("orders", 0..2), topic("payments", 2..4)];
    let fetch = |range: std::ops::Range<usize>| {
        [topics[range.start..].as_ptr() as u64, range.len() as u64, 2]
    };
    let fetches = [fetch(0..0), fetch(0..1), fetch(1..2)];
    // SAFETY: only address and length are used.
    let data = unsafe { std::slice::from_raw_parts(fetches.as_ptr().cast(), fetches.len()) };
    let g = [0u64, 4242, 17];
    hooks::call_go(g.as_ptr() as u64, 0, data, 0);
    let calls = calls(&agent)?;
    ensure!(
        calls
            .iter()
            .all(|(call, _)| call.goid == 4242 && call.parent == 17),
        "{calls:?}"
    );
    let seen: Vec<(&str, i32, i64, i64, u32, u8, u64)> = calls
        .iter()
        .map(|(c, topic)| {
            (
                topic.as_str(),
                c.partition,
                c.first,
                c.last,
                c.count,
                c.flags,
                c.message,
            )
        })
        .collect();
    let expected = [
        ("orders", 7, 100, 103, 4, 0, pointers[0]),
        ("payments", 9, 104, 104, 1, 0, pointers[4]),
        ("payments", 10, 105, 109, 5, LAST, pointers[5]),
    ];
    ensure!(seen == expected, "{seen:?}");
    // A `g` that cannot be read is no goroutine; nothing fetched is an idle poll.
    hooks::call_go(NOWHERE, 0, &[], 0);
    ensure!(told(&agent)? == [idle(LAST)], "idle");
    Ok(())
}
