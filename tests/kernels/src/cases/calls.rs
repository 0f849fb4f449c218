//! Hooked calls: what is taken at the return, byte for byte.

use anyhow::{Context, Result, ensure};
use obi_abi::{CallShape, NO_REG, Settings, abi, count, direction, gap, kind, role, source, stat};

use crate::agent::{Agent, Record};
use crate::hooks::{self, Function, Hook, call, hook_inner, hook_jump, hook_middle, hook_outer};

pub const READ: u8 = 0;
pub const WRITE: u8 = 1;
const WRITE_EX: u8 = 2;
pub const SET_FD: u8 = 3;
pub const FREE: u8 = 4;
pub const GO_READ: u8 = 5;
const NO_COUNT: usize = 0;

/// System V registers: di handle, si buffer, dx length, cx count pointer; Go: ax, bx, cx, r14.
pub fn c_shape(role: u8, count: u8) -> CallShape {
    CallShape {
        role,
        source: source::OPENSSL,
        abi: abi::C,
        handle: 14,
        buffer: 13,
        length: 12,
        count,
        count_arg: 11,
        result: 10,
        task: NO_REG,
        fd_steps: 0,
        reserved: 0,
        fd_path: [0; 4],
        itab: 0,
        goid: 0,
        reader: 0,
    }
}

pub fn go_shape() -> CallShape {
    CallShape {
        source: source::GO_TLS,
        abi: abi::GO,
        handle: 10,
        buffer: 5,
        length: 11,
        task: 1,
        ..c_shape(role::READ, count::RETURN)
    }
}

/// An agent with hooks on `functions`.
pub fn agent(
    object: &[u8],
    functions: &[(Function, u8)],
    uretprobe: bool,
    settings: Settings,
    ring: Option<u32>,
) -> Result<Agent> {
    agent_with(object, functions, uretprobe, settings, ring, &[])
}

/// The same, with more programs loaded.
pub fn agent_with(
    object: &[u8],
    functions: &[(Function, u8)],
    uretprobe: bool,
    settings: Settings,
    ring: Option<u32>,
    more: &[&str],
) -> Result<Agent> {
    let returning = if uretprobe {
        "call_uretprobe"
    } else {
        "call_return"
    };
    let multi = crate::cases::has_multi(object)?;
    let programs = [
        &["call_entry", returning, "sock_state", "sock_destroy"],
        more,
    ]
    .concat();
    let mut agent = Agent::load(object, &programs, settings, ring, multi)?;
    agent.set_shape(READ, c_shape(role::READ, count::RETURN))?;
    agent.set_shape(WRITE, c_shape(role::WRITE, count::RETURN))?;
    agent.set_shape(WRITE_EX, c_shape(role::WRITE, count::POINTER))?;
    agent.set_shape(
        SET_FD,
        CallShape {
            length: 13,
            ..c_shape(role::SET_FD, count::RETURN)
        },
    )?;
    agent.set_shape(FREE, c_shape(role::FREE, count::RETURN))?;
    agent.set_shape(GO_READ, go_shape())?;
    let (entries, returns) = hooks::sites(functions)?;
    if !entries.is_empty() {
        agent.attach_sites("call_entry", false, &entries)?;
    }
    if uretprobe {
        let own: Vec<_> = functions
            .iter()
            .filter(|(f, _)| !matches!(f, Function::SetFd | Function::Free))
            .copied()
            .collect();
        agent.attach_sites(returning, true, &hooks::sites(&own)?.0)?;
    } else {
        agent.attach_sites(returning, false, &returns)?;
    }
    agent.attach("sock_state")?;
    agent.attach("sock_destroy")?;
    Ok(agent)
}

/// Bytes that differ at each position and between streams.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

/// The stream of one direction, put together; every record must continue where the last one ended.
pub fn stream(records: &[Record], conn: u64, direction: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in records
        .iter()
        .filter(|r| r.header.conn == conn && r.header.direction == direction)
    {
        if record.header.kind == kind::DATA {
            ensure!(
                record.header.offset == bytes.len() as u64,
                "record at {} after {} bytes",
                record.header.offset,
                bytes.len()
            );
            ensure!(
                record.payload.len() == record.header.len as usize,
                "record is shorter than it says"
            );
            bytes.extend_from_slice(&record.payload);
        } else {
            ensure!(
                record.header.kind != kind::GAP,
                "gap of {} bytes, reason {}",
                record.header.gap,
                record.header.reason
            );
        }
    }
    Ok(bytes)
}

pub fn opened(records: &[Record]) -> Vec<u64> {
    let mut conns: Vec<u64> = records
        .iter()
        .filter(|r| r.header.kind == kind::OPENED)
        .map(|r| r.header.conn)
        .collect();
    conns.dedup();
    conns
}

/// The only connection that the records open.
pub fn only(records: &[Record]) -> Result<u64> {
    let conns = opened(records);
    ensure!(
        conns.len() == 1,
        "{} connections instead of one",
        conns.len()
    );
    Ok(conns[0])
}

fn write(hook: Hook, handle: u64, data: &[u8]) {
    call(hook, handle, data, &NO_COUNT, || data.len() as i64);
}

const SIZES: [usize; 22] = [
    0,
    1,
    2,
    255,
    256,
    257,
    1023,
    1024,
    2047,
    2048,
    4095,
    4096,
    8191,
    8192,
    16383,
    16384,
    32767,
    32768,
    32769,
    33 * 1024,
    65536,
    1 << 20,
];

/// Every size class and its borders, in both directions, by RET sites and by uretprobes.
pub fn every_size(object: &[u8]) -> Result<()> {
    for uretprobe in [false, true] {
        let agent = agent(
            object,
            &[(Function::Outer, WRITE), (Function::Inner, READ)],
            uretprobe,
            whole(),
            None,
        )?;
        let handle = 0x1000;
        let mut records = Vec::new();
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for (index, size) in SIZES.into_iter().enumerate() {
            let data = pattern(size, index as u32 + 1);
            write(hook_outer, handle, &data);
            written.extend_from_slice(&data);
            let data = pattern(size, index as u32 + 100);
            write(hook_inner, handle, &data);
            read.extend_from_slice(&data);
            records.extend(agent.drain()?);
        }
        let conn = only(&records)?;
        ensure!(
            stream(&records, conn, direction::WRITE)? == written,
            "written bytes differ (uretprobe {uretprobe})"
        );
        ensure!(
            stream(&records, conn, direction::READ)? == read,
            "read bytes differ (uretprobe {uretprobe})"
        );
        let calls = (SIZES.len() - 1) as u64 * 2;
        ensure!(
            agent.stat(stat::EVENTS_OPENSSL)? == calls,
            "{} events",
            agent.stat(stat::EVENTS_OPENSSL)?
        );
        ensure!(
            agent.stat(stat::BYTES_OPENSSL)? == (written.len() + read.len()) as u64,
            "bytes counted differ"
        );
        let costs = agent.costs(std::process::id())?;
        ensure!(
            costs.context("nobody was charged")?.bytes == (written.len() + read.len()) as u64,
            "bytes charged differ"
        );
        for lost in [
            stat::LOST_RING,
            stat::LOST_UNPAIRED,
            stat::LOST_TABLE,
            stat::GAP_FAULT,
            stat::GAP_LIMIT,
        ] {
            ensure!(
                agent.stat(lost)? == 0,
                "counter {lost} is {}",
                agent.stat(lost)?
            );
        }
    }
    Ok(())
}

/// Settings that copy everything before a verdict.
pub fn whole() -> Settings {
    Settings {
        undecided_limit: u64::MAX,
        ..Settings::DEFAULT
    }
}

/// The count that the library reports decides, not the length asked for; failures give nothing.
pub fn count_reported(object: &[u8]) -> Result<()> {
    let agent = agent(
        object,
        &[(Function::Outer, READ), (Function::Middle, WRITE_EX)],
        false,
        whole(),
        None,
    )?;
    let data = pattern(5000, 7);
    let mut count = 0usize;
    call(hook_outer, 1, &data, &NO_COUNT, || 1234);
    call(hook_outer, 1, &data, &NO_COUNT, || -1);
    call(hook_outer, 1, &data, &NO_COUNT, || 0);
    // SSL_read returns an int: the upper half of the register means nothing.
    call(hook_outer, 1, &data, &NO_COUNT, || 0x7f00_0000_0000 + 16);
    count += 4321;
    call(hook_middle, 1, &data, &count, || 1);
    call(hook_middle, 1, &data, &count, || 0);
    call(hook_middle, 1, &data, &count, || -1);
    // More than the buffer holds: not a return of this call.
    count = 5001;
    call(hook_middle, 1, &data, &count, || 1);
    let records = agent.drain()?;
    let conn = only(&records)?;
    let read = stream(&records, conn, direction::READ)?;
    ensure!(
        read == [&data[..1234], &data[..16]].concat(),
        "{} bytes read",
        read.len()
    );
    let written = stream(&records, conn, direction::WRITE)?;
    ensure!(written == data[..4321], "{} bytes written", written.len());
    Ok(())
}

/// SSL_write_ex reaches SSL_write_ex2, which reaches an internal one: counted once, with the outer call's arguments.
pub fn nested_once(object: &[u8]) -> Result<()> {
    for uretprobe in [false, true] {
        let functions = [
            (Function::Outer, WRITE_EX),
            (Function::Middle, WRITE_EX),
            (Function::Inner, WRITE),
        ];
        let agent = agent(object, &functions, uretprobe, whole(), None)?;
        let data = pattern(3000, 9);
        let count = 3000usize;
        for _ in 0..3 {
            call(hook_outer, 5, &data, &count, || {
                call(hook_middle, 5, &data, &count, || {
                    call(hook_inner, 5, &data, &NO_COUNT, || 3000).signum()
                })
            });
        }
        let records = agent.drain()?;
        let conn = only(&records)?;
        ensure!(
            stream(&records, conn, direction::WRITE)? == data.repeat(3),
            "uretprobe {uretprobe}: bytes differ"
        );
        ensure!(
            agent.stat(stat::NESTED)? == 6,
            "{} nested",
            agent.stat(stat::NESTED)?
        );
        ensure!(agent.stat(stat::LOST_UNPAIRED)? == 0, "unpaired");
    }
    Ok(())
}

/// A read of one handle inside a write of another (TLS in TLS): both are counted, each on its own connection.
pub fn two_handles(object: &[u8]) -> Result<()> {
    let agent = agent(
        object,
        &[(Function::Outer, WRITE), (Function::Inner, READ)],
        false,
        whole(),
        None,
    )?;
    let (outer, inner) = (pattern(700, 11), pattern(900, 12));
    call(hook_outer, 5, &outer, &NO_COUNT, || {
        write(hook_inner, 6, &inner);
        700
    });
    let records = agent.drain()?;
    let conns = opened(&records);
    ensure!(conns.len() == 2, "{} connections", conns.len());
    ensure!(
        stream(&records, conns[0], direction::READ)? == inner,
        "inner bytes differ"
    );
    ensure!(
        stream(&records, conns[1], direction::WRITE)? == outer,
        "outer bytes differ"
    );
    ensure!(agent.stat(stat::NESTED)? == 0, "counted as nested");
    Ok(())
}

/// A function that ends in a jump to another hooked one has no return of its own.
pub fn jump(object: &[u8]) -> Result<()> {
    for uretprobe in [false, true] {
        let agent = agent(
            object,
            &[(Function::Jump, WRITE), (Function::Middle, WRITE)],
            uretprobe,
            whole(),
            None,
        )?;
        let data = pattern(100, 13);
        for _ in 0..10 {
            write(hook_jump, 5, &data);
        }
        let records = agent.drain()?;
        let conn = only(&records)?;
        let written = stream(&records, conn, direction::WRITE)?;
        ensure!(
            written == data.repeat(10),
            "uretprobe {uretprobe}: {} bytes",
            written.len()
        );
    }
    Ok(())
}

/// A return that is never seen (longjmp, a thread that ends) must not hide the calls after it.
pub fn missed_return(object: &[u8]) -> Result<()> {
    let agent = agent(
        object,
        &[
            (Function::Jump, READ),
            (Function::Outer, WRITE),
            (Function::Inner, READ),
        ],
        false,
        whole(),
        None,
    )?;
    let (read, written) = (pattern(50, 14), pattern(60, 15));
    for _ in 0..20 {
        // Its return is in a function without hooks.
        write(hook_jump, 5, &read);
        write(hook_outer, 5, &written);
        write(hook_inner, 5, &read);
    }
    let records = agent.drain()?;
    let conn = only(&records)?;
    ensure!(
        stream(&records, conn, direction::WRITE)? == written.repeat(20),
        "written bytes differ"
    );
    ensure!(
        stream(&records, conn, direction::READ)? == read.repeat(20),
        "read bytes differ"
    );
    Ok(())
}

/// Goroutines move between threads: a call is known by its g. A function begun again counts once.
pub fn go_calls(object: &[u8]) -> Result<()> {
    let agent = agent(object, &[(Function::Go, GO_READ)], false, whole(), None)?;
    // A `g` with its id, and one that is not there.
    agent.set_shape(
        GO_READ,
        CallShape {
            goid: 16,
            ..go_shape()
        },
    )?;
    let known = [0u64, 0, 4711];
    let data = pattern(40_000, 16);
    for g in [known.as_ptr() as u64, 0xc000_0020] {
        hooks::call_go(g, 0xc000_1000, &data, 40_000);
        hooks::call_go(g, 0xc000_1000, &data, -1);
    }
    let records = agent.drain()?;
    let conn = only(&records)?;
    ensure!(
        stream(&records, conn, direction::READ)? == data.repeat(2),
        "bytes differ"
    );
    let tasks: Vec<u64> = records
        .iter()
        .filter(|r| r.header.kind == kind::DATA)
        .map(|r| r.header.task)
        .collect();
    ensure!(tasks == [4711, 4711, 0, 0], "goroutines {tasks:?}");
    ensure!(
        records.iter().all(|r| r.header.source == source::GO_TLS),
        "source"
    );
    Ok(())
}

/// A return caught in a deferred call: the result is read from the caller's frame; 0 and errors give nothing.
pub fn go_deferred(object: &[u8]) -> Result<()> {
    let functions = [(Function::GoDeferring, GO_READ)];
    let agent = agent(object, &functions, false, whole(), None)?;
    let data = pattern(40_000, 17);
    for result in [30_000, 0, -1, 40_000] {
        hooks::call_go_deferring(0xc000_0010, 0xc000_1000, &data, result);
    }
    let records = agent.drain()?;
    let conn = only(&records)?;
    ensure!(
        stream(&records, conn, direction::READ)? == [&data[..30_000], &data[..]].concat(),
        "bytes differ"
    );
    ensure!(
        agent.stat(stat::LOST_UNPAIRED)? == 0,
        "a return found no entry"
    );
    Ok(())
}

/// A TLS record is told once, where it was opened: what stands in the connection's `bytes.Reader` untaken. Errors, records of a handshake
/// and lengths that no record has give nothing. Who reads one byte waits for somebody else.
pub fn go_record(object: &[u8]) -> Result<()> {
    let functions = [(Function::GoRecord, GO_READ)];
    let agent = agent(object, &functions, false, whole(), None)?;
    agent.set_shape(
        GO_READ,
        CallShape {
            buffer: NO_REG,
            length: NO_REG,
            count: count::RECORD,
            goid: 16,
            reader: 24,
            ..go_shape()
        },
    )?;
    let g = [0u64, 0, 4711];
    let data = pattern(16_384, 18);
    // Two connections of which the reader stands behind three words: bytes, length, capacity, taken.
    let mut conns = [[0u64; 7]; 2];
    let mut open = |conn: usize, room: usize, [length, taken]: [u64; 2], error: i64| {
        let at = data.as_ptr() as u64;
        conns[conn][3..].copy_from_slice(&[at, length, 16_384, taken]);
        let handle = conns[conn].as_ptr() as u64;
        hooks::call_go_record(g.as_ptr() as u64, handle, &data[..room], error);
    };
    open(0, 4096, [16_384, 0], 0);
    open(1, 4096, [100, 0], 0);
    open(0, 1, [5, 0], 0);
    for (reader, error) in [
        ([7, 0], 0xc000_0000),
        ([0, 0], 0),
        ([100, 100], 0),
        ([16_385, 0], 0),
    ] {
        open(0, 4096, reader, error);
    }
    hooks::call_go_record(g.as_ptr() as u64, 0x1000, &[], 0);
    let records = agent.drain()?;
    let told: Vec<_> = records
        .iter()
        .filter(|record| record.header.kind == kind::DATA)
        .collect();
    let payloads: Vec<&[u8]> = told.iter().map(|told| told.payload.as_slice()).collect();
    ensure!(
        payloads == [&data[..], &data[..100], &data[..5]],
        "lengths {:?}",
        payloads.iter().map(|p| p.len()).collect::<Vec<_>>()
    );
    let headers = [0, 1, 2].map(|at| told[at].header);
    let [first, other, second] = headers;
    ensure!(
        first.conn == second.conn && first.conn != other.conn && second.offset == 16_384,
        "{headers:?}"
    );
    ensure!(
        headers
            .iter()
            .all(|header| header.direction == direction::READ
                && header.source == source::GO_TLS
                && header.began_ns > 0),
        "{headers:?}"
    );
    ensure!(
        headers.map(|header| header.task) == [4711, 4711, 0],
        "goroutines {headers:?}"
    );
    let counted = [stat::EVENTS_GO_TLS, stat::CALL_FAULT, stat::LOST_UNPAIRED];
    let counted = counted.map(|index| agent.stat(index));
    let [events, faults, unpaired] = counted;
    ensure!(
        (events?, faults?, unpaired?) == (3, 1, 0),
        "what was counted differs"
    );
    Ok(())
}

/// Over the limit of one call: the first bytes, then one gap of the rest; the stream's position holds.
pub fn over_the_limit(object: &[u8]) -> Result<()> {
    let settings = Settings {
        call_limit: 100_000,
        ..whole()
    };
    let agent = agent(object, &[(Function::Outer, WRITE)], false, settings, None)?;
    let data = pattern(1_000_000, 17);
    write(hook_outer, 5, &data);
    write(hook_outer, 5, &data[..10]);
    let records = agent.drain()?;
    let conn = only(&records)?;
    let gaps: Vec<_> = records
        .iter()
        .filter(|r| r.header.kind == kind::GAP)
        .collect();
    ensure!(gaps.len() == 1, "{} gaps", gaps.len());
    let header = gaps[0].header;
    ensure!(
        (header.reason, header.offset, header.gap) == (gap::CALL_LIMIT, 100_000, 900_000),
        "{header:?}"
    );
    let sent: Vec<u8> = records
        .iter()
        .filter(|r| r.header.kind == kind::DATA)
        .flat_map(|r| r.payload.clone())
        .collect();
    ensure!(
        sent == [&data[..100_000], &data[..10]].concat(),
        "bytes differ"
    );
    let last = records
        .last()
        .map(|r| (r.header.conn, r.header.offset, r.header.call_len));
    ensure!(last == Some((conn, 1_000_000, 10)), "{last:?}");
    ensure!(agent.stat(stat::GAP_LIMIT)? == 900_000, "counter");
    Ok(())
}

/// 16 MiB in one call, the largest that is copied whole, through a ring that holds it.
pub fn largest_call(object: &[u8]) -> Result<()> {
    let agent = agent(
        object,
        &[(Function::Outer, WRITE)],
        false,
        whole(),
        Some(32 << 20),
    )?;
    let data = pattern(obi_abi::CALL_LIMIT, 18);
    write(hook_outer, 5, &data);
    let records = agent.drain()?;
    let conn = only(&records)?;
    ensure!(
        stream(&records, conn, direction::WRITE)? == data,
        "bytes differ"
    );
    Ok(())
}
