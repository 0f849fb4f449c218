//! Memory that is not what a shape takes it for, and a ring that nobody reads: what is missing is flagged or counted.

use super::*;

/// Pointers into unmapped memory, absurd lengths, a half without its other: flagged and counted, nothing is lost and nothing hangs.
pub fn hostile(object: &[u8]) -> Result<()> {
    let agent = handing_over(object)?;
    let topic = Topic::new("orders");
    let mut torn = message(&topic, 1, 5);
    torn.topic = NOWHERE;
    let (first, last) = (message(&topic, 1, 4), message(&topic, 1, 6));
    let pointers = [address(&first), address(&torn), NOWHERE, address(&last)];
    outer(1, pointers.as_ptr() as u64, 4);
    let seen = told(&agent)?;
    ensure!(
        seen == [run("orders", 1, 4, 6, 2, LAST | FAULT)],
        "{seen:?}"
    );
    outer(1, NOWHERE, i64::MAX);
    ensure!(
        told(&agent)? == [idle(LAST | FAULT | TRUNCATED)],
        "an array that is not there"
    );
    ensure!(agent.stat(stat::CALL_FAULT)? == 2, "faults");
    drop(agent);
    // A name without an end, and one that is not there.
    let frees = ClientShape {
        means: means::FREES,
        walk: walk::ONE,
        at: Place::register(DI),
        ..members()
    };
    let agent = agent_of(object, Function::Outer, Some(frees), None, false, None)?;
    let endless = Topic::new(&"x".repeat(1000));
    outer(address(&message(&endless, 1, 5)), 8, 0);
    let calls = calls(&agent)?;
    ensure!(
        calls.len() == 1 && calls[0].1.len() == 255,
        "a name of {} bytes",
        calls[0].1.len()
    );
    outer(NOWHERE, 8, 0);
    ensure!(told(&agent)? == [idle(LAST | FAULT)], "no message there");
    drop(agent);
    let agent = agent_of(
        object,
        Function::Go,
        None,
        Some(nested_shape()),
        false,
        None,
    )?;
    // Each slice says that it has more than memory holds.
    for depth in 0..4 {
        let mut lies = [[NOWHERE, u64::MAX, NOWHERE, u64::MAX, 0]; 4];
        let at = lies.as_ptr() as u64;
        if depth > 0 {
            lies[0][..2].copy_from_slice(&[at + 40, 1]);
        }
        if depth > 1 {
            lies[1] = [0, 0, at + 80, 1, 0];
        }
        if depth > 2 {
            lies[2] = [3, 0, NOWHERE, 1 << 20, 0];
        }
        // SAFETY: only the address is used.
        let data = unsafe { std::slice::from_raw_parts(lies.as_ptr().cast(), 1) };
        hooks::call_go(0, 0, data, 0);
        ensure!(told(&agent)? == [idle(LAST | FAULT)], "depth {depth}");
    }
    ensure!(agent.stat(stat::LOST_CALLS)? == 0, "lost");
    drop(agent);
    // A return whose entry was before the hooks.
    let agent = agent_of(object, Function::Outer, None, Some(gives()), false, None)?;
    outer(1, pointers.as_ptr() as u64, 1);
    ensure!(told(&agent)? == [idle(LAST | FAULT)], "unpaired");
    let counted = [stat::LOST_UNPAIRED, stat::CALL_FAULT].map(|index| agent.stat(index));
    ensure!(matches!(counted, [Ok(1), Ok(0)]), "{counted:?}");
    Ok(())
}

/// A ring that nobody reads: what does not fit is counted.
pub fn full(object: &[u8]) -> Result<()> {
    let asks = ClientShape {
        means: means::ASKS,
        ..ClientShape::NOTHING
    };
    let agent = agent_of(object, Function::Outer, Some(asks), None, false, None)?;
    for _ in 0..10_000 {
        outer(1, 8, 0);
    }
    let told = calls(&agent)?.len() as u64;
    ensure!(told > 1000 && told < 10_000, "{told} records in 1 MiB");
    ensure!(
        told + agent.stat(stat::LOST_CALLS)? == 10_000 && told == agent.stat(stat::EVENTS_CALL)?,
        "{told} told, {} lost",
        agent.stat(stat::LOST_CALLS)?
    );
    ensure!(agent.stat(stat::LOST_RING)? == 0, "the other ring");
    Ok(())
}
