//! A message that a call names in parts; a topic that all messages of a call have; a message that is known by what holds it; a guard turned round.

use obi_abi::client::{Kinds, Nested};

use super::*;

const KINDS: Kinds = Kinds {
    name: 1,
    handle: 2,
    partition: 3,
    value: 4,
    key: 5,
    header: 9,
};
const OTHER: u64 = 7;

fn shape(at: Place, count: Place, stride: u16) -> ClientShape {
    ClientShape {
        means: means::PRODUCES,
        walk: walk::PARTS,
        client: Place::register(DI),
        at,
        count,
        stride,
        topic_form: topic_form::C,
        topic: Place {
            steps: 1,
            path: [16, 0, 0],
            add: 8,
            ..Place::NOWHERE
        },
        nested: Nested::of_kinds(KINDS),
        ..ClientShape::NOTHING
    }
}

/// (client, topic, partition, key, value, flags) of the only record.
fn produced(agent: &Agent) -> Result<(u64, String, i32, i32, i32, u8)> {
    let mut calls = calls(agent)?;
    let (call, topic) = calls.pop().context("nothing was told")?;
    ensure!(
        calls.is_empty() && (call.first, call.last, call.count) == (-1, -1, 1),
        "{call:?}"
    );
    let lengths = (call.key_len, call.value_len);
    Ok((
        call.client,
        topic,
        call.partition,
        lengths.0,
        lengths.1,
        call.flags,
    ))
}

/// Arguments in registers and on the stack, and an array of structs.
pub fn parts(object: &[u8]) -> Result<()> {
    let variadic = shape(Place::NOWHERE, Place::NOWHERE, 0);
    let agent = agent_of(object, Function::Free, Some(variadic), None, false, None)?;
    let name = c"orders".as_ptr() as u64;
    let handle = Topic::new("payments");
    // The upper half of an `int` means nothing; what stands behind the end is not read.
    let noise = 0xdead_beef << 32;
    let (n, h, p) = (noise | 1, noise | 2, noise | 3);
    let calls = [
        (
            [
                n,
                name,
                5,
                0x1000,
                7,
                4,
                0x2000,
                9,
                p,
                noise | 6,
                0,
                n,
                8,
                0,
                0,
                0,
            ],
            ("orders", 6, 7, 9),
        ),
        (
            [
                OTHER,
                2,
                9,
                1,
                2,
                3,
                5,
                0,
                0,
                h,
                handle.at(),
                4,
                0x1000,
                1 << 40,
                0,
                0,
            ],
            ("payments", -1, -1, -2),
        ),
        (
            [4, 0, 8, n, name, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ("orders", -1, -2, -1),
        ),
        (
            [0, n, name, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ("", -1, -2, -2),
        ),
    ];
    for (words, (topic, partition, key, value)) in calls {
        hooks::parts(words);
        let seen = produced(&agent)?;
        let expected = (1, topic.to_owned(), partition, key, value, LAST);
        ensure!(seen == expected, "{seen:?} is not {expected:?}");
    }
    // No end: the walk has one.
    let no_end = [OTHER, 0].repeat(8);
    hooks::parts(no_end.try_into().unwrap_or_default());
    ensure!(produced(&agent)?.1.is_empty(), "no end");
    drop(agent);
    let array = shape(Place::register(SI), Place::register(DX), 72);
    let agent = agent_of(object, Function::Outer, Some(array), None, false, None)?;
    let part = |kind: u64, first: u64, second: u64| [kind, first, second, 0, 0, 0, 0, 0, 0];
    let all = [
        part(9, 1, 2),
        part(5, 0x1000, 12),
        part(noise | 3, noise | 4, 0),
        part(2, handle.at(), 0),
        part(4, 0x2000, 13),
        part(1, 0, 0),
    ];
    // SAFETY: only address and length are used.
    let data = unsafe { std::slice::from_raw_parts(all.as_ptr().cast::<u8>(), 5) };
    call(hook_outer, 1, data, &0, || 0);
    let seen = produced(&agent)?;
    ensure!(seen == (1, "payments".into(), 4, 12, 13, LAST), "{seen:?}");
    // SAFETY: not even the address is a good one; the hook does not follow it.
    let data = unsafe { std::slice::from_raw_parts(NOWHERE as *const u8, 5) };
    call(hook_outer, 1, data, &0, || 0);
    let seen = produced(&agent)?;
    ensure!(
        seen == (1, String::new(), -1, -2, -2, LAST | FAULT),
        "{seen:?}"
    );
    ensure!(agent.stat(stat::CALL_FAULT)? == 1, "faults");
    Ok(())
}

/// The topic of a producer, of which each message holds none; a message inside an event.
pub fn elsewhere(object: &[u8]) -> Result<()> {
    let writes = ClientShape {
        means: means::PRODUCES,
        walk: walk::STRUCTS,
        at: Place::register(SI),
        count: Place::register(DX),
        topic_form: topic_form::GO,
        topic: Place::address(DI, 8),
        stride: 16,
        value: 0,
        value_len: 8,
        // The topic's length.
        guard: Place::word(DI, 16),
        options: option::UNLESS,
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(writes), None, false, None)?;
    let topic = "orders";
    let writer = [0, topic.as_ptr() as u64, topic.len() as u64];
    let nameless = [0, 0, 0];
    let messages = [[0x1000u64, 5], [0x2000, 6]];
    // SAFETY: only address and length are used.
    let data = unsafe { std::slice::from_raw_parts(messages.as_ptr().cast::<u8>(), 2) };
    for writer in [writer, nameless] {
        call(hook_outer, writer.as_ptr() as u64, data, &0, || 0);
    }
    let seen = told(&agent)?;
    let expected = [
        run("orders", -1, -1, -1, 1, 0),
        run("orders", -1, -1, -1, 1, LAST),
    ];
    ensure!(seen == expected, "{seen:?}");
    drop(agent);
    let next = ClientShape {
        means: means::HANDS_OVER,
        walk: walk::ONE,
        at: Place::register(AX),
        options: option::KNOWN_BY_KEPT,
        pair: 1,
        ..members()
    };
    let agent = agent_of(
        object,
        Function::Outer,
        Some(keeping()),
        Some(next),
        false,
        None,
    )?;
    let topic = Topic::new("orders");
    let one = message(&topic, 1, 4);
    outer(0xe7e47, 8, address(&one) as i64);
    let calls = calls(&agent)?;
    let [(seen, _)] = calls.as_slice() else {
        anyhow::bail!("{} records", calls.len())
    };
    ensure!((seen.message, seen.first) == (0xe7e47, 4), "{seen:?}");
    drop(agent);
    // The offset behind a message, in a register.
    let marks = ClientShape {
        means: means::SETTLES,
        walk: walk::ARGUMENTS,
        topic_form: topic_form::REGISTERS,
        topic: Place {
            path: [DI.into(), NO_MEMBER, 0],
            ..Place::NOWHERE
        },
        offset: DX.into(),
        options: option::OFFSET_BEHIND,
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(marks), None, false, None)?;
    for length in [42, 0] {
        call(
            hook_outer,
            c"orders".as_ptr() as u64,
            &vec![0; length],
            &0,
            || 0,
        );
    }
    let seen = told(&agent)?;
    ensure!(seen == [run("orders", -1, 41, 41, 1, LAST)], "{seen:?}");
    Ok(())
}
