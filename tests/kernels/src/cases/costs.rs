//! What hooks cost whom: hits by process and kind of site, to the last one.

use anyhow::{Context, Result, ensure};
use obi_abi::client::means;
use obi_abi::cost::{OfHook, group};
use obi_abi::{ClientShape, Settings};

use crate::agent::Agent;
use crate::hooks::{self, ENTRY_CELL, Function, RETURN_CELL, call, hook_outer};
use crate::net;

const OWN: u64 = 1000;
const CHILD: u64 = 7;
const SHAPE: u8 = 3;
const KTHREADD: u32 = 2;

fn calls(n: u64) {
    for _ in 0..n {
        call(hook_outer, 1, &[], &0, || 0);
    }
}

/// Each process is charged with its own calls, each kind of site in its own cell; who made none is not there.
pub fn by_process(object: &[u8]) -> Result<()> {
    let multi = super::has_multi(object)?;
    let programs = ["client_entry", "client_return"];
    let mut agent = Agent::load(object, &programs, Settings::DEFAULT, None, multi)?;
    let told = ClientShape {
        means: means::ASKS,
        ..ClientShape::NOTHING
    };
    agent.set_client_shape(SHAPE, told)?;
    let (entries, returns) = hooks::sites(&[(Function::Outer, SHAPE)])?;
    agent.attach_sites("client_return", false, &returns)?;
    agent.attach_sites("client_entry", false, &entries)?;
    let own = std::process::id();
    ensure!(agent.costs(own)?.is_none(), "charged before the first call");
    calls(OWN);
    let mut forked = 0;
    net::forked(
        |pid| {
            forked = pid;
            Ok(())
        },
        || calls(CHILD),
    )?;
    for (pid, expected) in [(own, OWN), (forked, CHILD)] {
        let costs = agent.costs(pid)?.context("nobody was charged")?;
        for (cell, hits) in costs.hits.iter().enumerate() {
            let ours = [ENTRY_CELL, RETURN_CELL].map(usize::from).contains(&cell);
            let expected = if ours { expected } else { 0 };
            ensure!(
                *hits == expected,
                "{hits} hits in cell {cell}, not {expected}"
            );
        }
        for (at, ran) in costs.ran.iter().enumerate() {
            let ours = at == usize::from(group::EACH_MESSAGE);
            ensure!((*ran > 0) == ours, "{ran} ns in group {at}");
        }
    }
    // Kernel threads call nothing; the first process may be this one.
    ensure!(agent.costs(KTHREADD)?.is_none(), "charged without a call");
    agent.detach_all();
    calls(OWN);
    let costs = agent.costs(own)?.context("it is gone")?;
    ensure!(
        costs.hits[usize::from(ENTRY_CELL)] == OWN,
        "hits after the detach"
    );
    let hook = agent.of_hook(ENTRY_CELL)?;
    ensure!(hook == OfHook::default(), "nobody asked, and {hook:?}");
    Ok(())
}

/// Asked for, each hook is told by itself, and their sum is what its process was charged.
pub fn by_hook(object: &[u8]) -> Result<()> {
    let multi = super::has_multi(object)?;
    let programs = ["client_entry", "client_return"];
    let settings = Settings {
        by_hook: 1,
        ..Settings::DEFAULT
    };
    let mut agent = Agent::load(object, &programs, settings, None, multi)?;
    agent.set_client_shape(SHAPE, ClientShape::NOTHING)?;
    let (entries, returns) = hooks::sites(&[(Function::Outer, SHAPE)])?;
    agent.attach_sites("client_entry", false, &entries)?;
    calls(CHILD);
    agent.attach_sites("client_return", false, &returns)?;
    calls(OWN);
    let (entry, leave) = (agent.of_hook(ENTRY_CELL)?, agent.of_hook(RETURN_CELL)?);
    ensure!(entry.hits == OWN + CHILD, "entry: {entry:?}");
    ensure!(leave.hits == OWN, "return: {leave:?}");
    let costs = agent.costs(std::process::id())?;
    let ran: u64 = costs.context("nobody was charged")?.ran.iter().sum();
    ensure!(
        entry.ran > 0 && leave.ran > 0 && entry.ran + leave.ran == ran,
        "{entry:?} and {leave:?}, of {ran} ns"
    );
    Ok(())
}
