//! Hooks come and go while a process calls what they are on: what the overhead budget does to a busy one, many times, and once with hundreds of sites. In: a process
//! that knows which call it is at. Out: each call within a window told once, none beyond; nothing left when it is shut; the process's own results.
//!
//! By uprobe.multi where the kernel has it, and by single probes, as kernels before 6.6 need.

pub mod caller;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use obi_abi::client::{Place, base, call_flag, means};
use obi_abi::{ClientCall, ClientShape, NO_REG, Settings, kind, stat};
use zerocopy::FromBytes;

use crate::agent::{Agent, Site};
use crate::hooks;
use caller::{At, Caller};

const ENTRY: u8 = 0;
const RETURN: u8 = 1;
const DI: u8 = 14;
const PROGRAMS: [&str; 2] = ["client_entry", "client_return"];
/// Calls made within a window, and after it, at least.
const CALLS: u64 = 100;
const WINDOWS: u32 = 50;
const SOME_WINDOWS: u32 = 10;
/// Single probes are attached and taken away so many at a time, between which the ring is read.
const AT_ONCE: usize = 8;

/// Fifty windows on two functions; single probes where these are not what the agent takes: some.
pub fn many(object: &[u8]) -> Result<()> {
    let multi = super::has_multi(object)?;
    let ways = [(multi, WINDOWS), (false, SOME_WINDOWS)];
    for (multi, number) in ways.into_iter().take(1 + usize::from(multi)) {
        let (opened, shut) = windows(&mut agent(object, multi)?, number, 2)
            .with_context(|| format!("uprobe.multi: {multi}"))?;
        println!(
            "     4 sites, uprobe.multi: {multi}: a window takes {} us to open, {} us to shut",
            opened.as_micros() / u128::from(number),
            shut.as_micros() / u128::from(number),
        );
    }
    Ok(())
}

/// A window on all functions.
pub fn large(object: &[u8]) -> Result<()> {
    let multi = super::has_multi(object)?;
    let (opened, shut) = windows(&mut agent(object, multi)?, 1, hooks::MANY)?;
    println!(
        "     {} sites, uprobe.multi: {multi}: {} ms to open, {} ms to shut",
        2 * hooks::MANY,
        opened.as_millis(),
        shut.as_millis(),
    );
    Ok(())
}

fn agent(object: &[u8], multi: bool) -> Result<Agent> {
    let agent = Agent::load(object, &PROGRAMS, Settings::DEFAULT, None, multi)?;
    let asks = ClientShape {
        means: means::ASKS,
        client: Place::register(DI),
        keeps: 1,
        keep: [DI, NO_REG, NO_REG, NO_REG],
        pair: 1,
        ..ClientShape::NOTHING
    };
    let gives = ClientShape {
        means: means::HANDS_OVER,
        client: Place::register(base::KEPT),
        pair: 1,
        ..ClientShape::NOTHING
    };
    agent.set_client_shape(ENTRY, asks)?;
    agent.set_client_shape(RETURN, gives)?;
    Ok(agent)
}

/// What was told of calls, by their numbers.
#[derive(Default)]
struct Told {
    begun: BTreeSet<u64>,
    returned: BTreeSet<u64>,
}

impl Told {
    fn read(&mut self, agent: &Agent, pid: u32) -> Result<()> {
        for record in agent.drain()? {
            let header = &record.header;
            ensure!(header.kind == kind::CALL && header.pid == pid, "{header:?}");
            let (call, _) = ClientCall::read_from_prefix(&record.payload)
                .ok()
                .context("short")?;
            let of = match call.means {
                means::ASKS => &mut self.begun,
                // Its entry was not seen.
                _ if call.flags & call_flag::FAULT != 0 => continue,
                _ => &mut self.returned,
            };
            ensure!(of.insert(call.client), "told again: {call:?}");
        }
        Ok(())
    }
}

/// Opens and shuts windows on the first `functions` functions; how long that took in all.
fn windows(agent: &mut Agent, windows: u32, functions: usize) -> Result<(Duration, Duration)> {
    let (entries, returns) = hooks::sites_of_many(functions, [ENTRY, RETURN])?;
    let links = if agent.multi { 2 } else { 2 * functions };
    let mut caller = Caller::start(functions)?;
    caller.goes_on(CALLS)?;
    let files = open_files()?;
    let (mut opening, mut shutting) = (Duration::ZERO, Duration::ZERO);
    let mut unfinished = BTreeSet::new();
    for _ in 0..windows {
        let mut told = Told::default();
        let before = caller.at()?;
        let began = Instant::now();
        attach(agent, PROGRAMS[1], &returns, &mut told, caller.pid())?;
        attach(agent, PROGRAMS[0], &entries, &mut told, caller.pid())?;
        opening += began.elapsed();
        let open = caller.at()?;
        let there = agent.links_of(&PROGRAMS)?;
        ensure!(there == links, "{there} links of {links}");
        let ends = caller.goes_on(CALLS)?;
        let began = Instant::now();
        while agent.detach(AT_ONCE) {
            told.read(agent, caller.pid())?;
        }
        shutting += began.elapsed();
        let shut = caller.at()?;
        caller.goes_on(CALLS)?;
        told.read(agent, caller.pid())?;
        let within = (before, open, ends, shut);
        // What is kept of a call whose return was not seen goes with the next return, which comes before entries are back.
        told.returned.retain(|call| !unfinished.contains(call));
        all_within("begun", &told.begun, within)?;
        all_within("returned", &told.returned, within)?;
        let unknown = told.returned.difference(&told.begun).next();
        ensure!(unknown.is_none(), "{unknown:?} returned and never began");
        unfinished = &told.begun - &told.returned;
        ensure!(unfinished.len() <= 1, "{unfinished:?} did not return");
        let there = agent.links_of(&PROGRAMS)?;
        ensure!(there == 0, "{there} links are left");
        let left = open_files()?;
        ensure!(left == files, "{left} open files, before {files}");
    }
    for lost in [stat::LOST_CALLS, stat::LOST_TABLE] {
        let count = agent.stat(lost)?;
        ensure!(count == 0, "{count} lost by {lost}");
    }
    caller.end()?;
    Ok((opening, shutting))
}

fn attach(
    agent: &mut Agent,
    program: &str,
    sites: &[Site],
    told: &mut Told,
    pid: u32,
) -> Result<()> {
    let most = if agent.multi { sites.len() } else { AT_ONCE };
    for some in sites.chunks(most) {
        agent.attach_sites(program, false, some)?;
        told.read(agent, pid)?;
    }
    Ok(())
}

/// All calls within the window; at its edges some; none beyond.
fn all_within(
    what: &str,
    calls: &BTreeSet<u64>,
    (before, open, ends, shut): (At, At, At, At),
) -> Result<()> {
    let missing = (open.begun + 1..=ends.done).find(|call| !calls.contains(call));
    ensure!(missing.is_none(), "{what}: {missing:?} of the window");
    let (first, last) = (calls.first().copied(), calls.last().copied());
    ensure!(
        first > Some(before.done) && last <= Some(shut.begun),
        "{what}: from {first:?} to {last:?}, and the window began after {} and was shut at {}",
        before.done,
        shut.begun
    );
    Ok(())
}

fn open_files() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}
