//! The data ring of the running kernel. In: the maps of the loaded object; out: capture events, borrowed from the ring, on the calling thread.
//!
//! Under traffic the ring is drained at a [`Pace`], and the kernel side wakes the thread earlier only when a quarter of the ring is unread.
//! After a quiet while the thread says in READER that it sleeps, looks once more, and waits for the wake-up that the next record then gives.
//! Each drain costs two context switches, whatever it finds: at a steady 1 ms they were half of what the agent took.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use kafka_analyzer::capture::{CaptureEvent, Copy, Source, Verdict};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use obi_abi::{reader, stat};

use super::calls::Calls;
use super::decode::{Record, record};
use super::ring::{Alarm, Ring};
use crate::discovery::events::ProcessEvent;
use crate::pipeline::monotonic;
use crate::telemetry::Telemetry;

/// Between two looks at a busy ring while a connection waits for its verdict: until then its bytes are copied whole.
const EAGER: Duration = Duration::from_millis(1);
/// Between two looks at a busy ring else.
const STEADY: Duration = Duration::from_millis(20);
/// A ring is quiet after this.
const QUIET: Duration = Duration::from_millis(60);
/// Longest sleep: deadlines of the analysis go on by it.
const NAP: Duration = Duration::from_millis(100);
/// A record that is being written for so long is not waited for: its program may wait for a page of a file that is far away.
const STUCK: Duration = Duration::from_secs(1);
/// Records of one drain, so that facts and verdicts leave in time under a flood.
const BATCH: usize = 4096;

/// What the stream thread needs of the loaded object.
pub struct Rings {
    pub ring: MapHandle,
    /// Execs and exits: rare, and their record wakes the reader.
    pub events: MapHandle,
    /// Calls of client libraries.
    pub calls: MapHandle,
    pub reader: MapHandle,
    pub verdicts: MapHandle,
    pub news: MapHandle,
    pub stats: MapHandle,
}

/// How soon the next drain of a busy ring is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Eager,
    Steady,
}

/// Reads until `between` breaks. `between` runs after each drain, at least every 100 ms; it hears whether all was read that was there when it
/// heard that last. Under a flood it was not; nor while a program on a busy CPU was interrupted within a record, behind which a ring cannot be read.
///
/// # Errors
/// A ring cannot be mapped, or holds what no kernel writes.
pub fn read(
    rings: &Rings,
    telemetry: &Telemetry,
    mut on_event: impl FnMut(CaptureEvent<'_>),
    mut on_process: impl FnMut(ProcessEvent),
    mut between: impl FnMut(bool) -> ControlFlow<(), Pace>,
) -> io::Result<()> {
    let mut data = Ring::open(rings.ring.as_fd(), rings.ring.max_entries())?;
    let mut events = Ring::open(rings.events.as_fd(), rings.events.max_entries())?;
    let mut called = Ring::open(rings.calls.as_fd(), rings.calls.max_entries())?;
    let alarm = Alarm::new(&[
        rings.ring.as_fd(),
        rings.events.as_fd(),
        rings.calls.as_fd(),
    ])?;
    let quarter = |ring: &MapHandle| u64::from(ring.max_entries()) / 4;
    let (quarter, quarter_called) = (quarter(&rings.ring), quarter(&rings.calls));
    let mut calls = Calls::default();
    let mut busy = Instant::now();
    let (mut ends, mut marked) = ([0; 3], Instant::now());
    loop {
        let records = data.read(BATCH, |bytes| match record(bytes) {
            Record::Event(event) => on_event(event),
            Record::Exec { .. } | Record::Exit { .. } | Record::Malformed => {
                telemetry.lost("malformed_record", 1)
            }
        })?;
        let calling = called.read(BATCH, |bytes| match calls.call(bytes) {
            Some(call) => on_event(CaptureEvent::Call(call)),
            None => telemetry.lost("malformed_record", 1),
        })?;
        telemetry.calls_taken.fetch_add(calling as u64, Relaxed);
        let happened = events.read(BATCH, |bytes| match record(bytes) {
            Record::Exec { pid } => on_process(ProcessEvent::Exec { pid }),
            Record::Exit { pid } => on_process(ProcessEvent::Exited { pid }),
            Record::Event(_) | Record::Malformed => telemetry.lost("malformed_record", 1),
        })?;
        let all = records < BATCH && calling < BATCH && happened < BATCH;
        let all_rings = [&data, &called, &events];
        let mut marks = all_rings.iter().zip(ends);
        let reached = marks.all(|(ring, end)| ring.read_to() >= end) || marked.elapsed() > STUCK;
        let nap = match between(reached) {
            ControlFlow::Break(()) => return Ok(()),
            ControlFlow::Continue(Pace::Eager) => EAGER,
            ControlFlow::Continue(Pace::Steady) => STEADY,
        };
        if reached {
            (ends, marked) = (all_rings.map(Ring::end), Instant::now());
        }
        if records + calling + happened > 0 {
            busy = Instant::now();
        }
        if !all {
            continue;
        }
        let (doing, most, most_called, pause) = if busy.elapsed() < QUIET {
            (reader::NAPPING, quarter, quarter_called, nap)
        } else {
            (reader::ASLEEP, 0, 0, NAP)
        };
        say(rings, doing);
        // What came before the kernel side saw the flag gave no wake-up.
        if data.unread() <= most && called.unread() <= most_called && events.unread() == 0 {
            alarm.wait(pause);
        }
        say(rings, reader::AWAKE);
    }
}

fn say(rings: &Rings, doing: u32) {
    if let Err(error) =
        rings
            .reader
            .update(&0u32.to_ne_bytes(), &doing.to_ne_bytes(), MapFlags::ANY)
    {
        tracing::debug!(%error, "the reader's state was not written; the next look is 100 ms away at most");
    }
}

/// Tells the kernel side what to copy of a connection from now on.
pub fn write_verdict(rings: &Rings, verdict: &Verdict) {
    let copy = match verdict.copy {
        Copy::Whole => obi_abi::copy::WHOLE,
        Copy::Batches => obi_abi::copy::BATCHES,
        Copy::Heads => obi_abi::copy::HEADS,
        Copy::None => obi_abi::copy::NONE,
    };
    let connection = verdict.connection.0.to_ne_bytes();
    let written = rings.verdicts.update(&connection, &[copy], MapFlags::ANY);
    let now = monotonic().to_ne_bytes();
    let index = obi_abi::news::VERDICTS.to_ne_bytes();
    if let Err(error) = written.and_then(|()| rings.news.update(&index, &now, MapFlags::ANY)) {
        tracing::debug!(%error, "a verdict was not written; the kernel side goes on as before");
    }
}

/// Carries the kernel side's counters over to the telemetry; gives the total of returns without their entry, which need a second look.
pub fn read_stats(stats: &MapHandle, telemetry: &Telemetry) -> u64 {
    let total = |index: u32| -> u64 {
        let slots = stats
            .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
            .ok()
            .flatten()
            .unwrap_or_default();
        slots
            .iter()
            .filter_map(|slot| Some(u64::from_ne_bytes(slot.get(..8)?.try_into().ok()?)))
            .sum()
    };
    for (source, events, bytes) in [
        (Source::Socket, stat::EVENTS_SOCKET, stat::BYTES_SOCKET),
        (Source::Openssl, stat::EVENTS_OPENSSL, stat::BYTES_OPENSSL),
        (Source::GoTls, stat::EVENTS_GO_TLS, stat::BYTES_GO_TLS),
    ] {
        let count = telemetry.source(source);
        count.events.store(total(events), Relaxed);
        count.bytes.store(total(bytes), Relaxed);
    }
    telemetry.calls.store(total(stat::EVENTS_CALL), Relaxed);
    for (reason, index) in [
        ("ring_full", stat::LOST_RING),
        ("table_full", stat::LOST_TABLE),
        ("page_fault", stat::GAP_FAULT),
        ("call_limit", stat::GAP_LIMIT),
        ("calls_ring_full", stat::LOST_CALLS),
        ("call_page_fault", stat::CALL_FAULT),
    ] {
        telemetry.set_lost(reason, total(index));
    }
    total(stat::LOST_UNPAIRED)
}
