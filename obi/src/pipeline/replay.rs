//! The pipeline on a recording. In: a file; out: the findings that the live run had, the same at every repetition and for any number of shards.
//!
//! No threads, no privileges, no clock: time is in the events. Between them a tick goes to all shards at least every millisecond of
//! event time, so that deadlines fall at the same places however connections are spread.

use std::collections::BTreeMap;
use std::io::Read;

use kafka_analyzer::capture::{CaptureEvent, ConnectionId, GapReason, Nanos};
use kafka_analyzer::observation::Observation;
use kafka_analyzer::{Opening, Settings};

use super::findings::{Finding, Findings};
use super::shard::{Message, Shard};
use crate::capture::recording::{Problem, Reader};

const MILLISECOND: Nanos = 1_000_000;
/// A call may stand so far behind bytes of its time: their rings were read one after the other, with a nap of up to 100 ms between.
const APART: Nanos = 200_000_000;

struct Replay {
    shards: Vec<Shard>,
    findings: Findings,
    opening: Opening,
    ticked: Nanos,
    newest: Nanos,
}

/// What stands when a recording ends, before what is open is given up.
#[derive(Debug, Default)]
pub struct Left {
    /// Name, entries, and how many there may be.
    pub tables: Vec<(&'static str, usize, usize)>,
    pub losses: BTreeMap<&'static str, u64>,
}

/// Reads to the end, or to where the recording stops making sense; findings up to there are given in either case.
///
/// # Errors
/// What is wrong with the recording.
pub fn replay<R: Read>(
    mut recording: Reader<R>,
    settings: &Settings,
    shards: usize,
    left: &mut Left,
    mut found: impl FnMut(Finding<'_>),
) -> Result<(), Problem> {
    // What `obi record` left out is no finding of the capture.
    let mut found = |finding: Finding<'_>| match finding {
        Finding::Observation(Observation::CaptureGap(gap)) if gap.reason == GapReason::Redacted => {
        }
        finding => found(finding),
    };
    let shards: Vec<Shard> = (0..shards.max(1))
        .map(|n| Shard::new(n, settings))
        .collect();
    let opening = shards.first().map_or(
        Opening {
            spans: false,
            keep: 0,
        },
        |shard| shard.stage().opening(),
    );
    let findings = Findings::new(shards.len(), settings);
    let mut replay = Replay {
        shards,
        findings,
        opening,
        ticked: 0,
        newest: 0,
    };
    let mut read = || -> Result<(), Problem> {
        while recording.next(&mut |event| replay.event(event, &mut found))? {}
        Ok(())
    };
    let ended = read();
    replay.read_to(Nanos::MAX);
    replay.tell(&mut found);
    left.tables = replay.findings.model.tables().into();
    let stages = replay.shards.iter().map(|shard| shard.stage().losses());
    let of_model = replay.findings.losses();
    for (reason, total) in stages.flat_map(|losses| losses.iter()).chain(of_model) {
        *left.losses.entry(reason).or_default() += total;
    }
    replay.findings.finish(&mut found);
    ended
}

impl Replay {
    fn event(&mut self, event: &CaptureEvent<'_>, found: &mut impl FnMut(Finding<'_>)) {
        let (time, connection) = place(event);
        if time > self.newest {
            self.newest = time;
            self.read_to(time.saturating_sub(APART));
        }
        if time.saturating_sub(self.ticked) >= MILLISECOND {
            self.ticked = time;
            for shard in &mut self.shards {
                shard.event(&CaptureEvent::Tick { time });
            }
            self.tell(found);
        }
        match connection {
            Some(connection) => {
                let at = shard_of(connection, self.shards.len());
                if let Some(shard) = self.shards.get_mut(at) {
                    shard.event(event);
                }
            }
            None => {
                for shard in &mut self.shards {
                    shard.event(event);
                }
                self.tell(found);
            }
        }
    }

    fn read_to(&mut self, time: Nanos) {
        for shard in &mut self.shards {
            shard.read_to(time);
        }
    }

    fn tell(&mut self, found: &mut impl FnMut(Finding<'_>)) {
        for shard in &mut self.shards {
            for mut message in shard.messages() {
                if let Message::Facts { facts, .. } = &mut message {
                    facts
                        .iter_mut()
                        .filter(|fact| fact.needs_opening())
                        .for_each(|fact| fact.open(&self.opening));
                }
                self.findings.message(message, found);
            }
            // A replay has no kernel to tell.
            shard.verdicts.clear();
        }
    }
}

fn place(event: &CaptureEvent<'_>) -> (Nanos, Option<ConnectionId>) {
    match event {
        CaptureEvent::Clock { monotonic, .. } => (*monotonic, None),
        CaptureEvent::Process(_) => (0, None),
        // Calls of a process stay with one shard, whichever it is.
        CaptureEvent::Call(call) => (call.time, Some(ConnectionId(u64::from(call.pid)))),
        CaptureEvent::Window { pid, time, .. } => (*time, Some(ConnectionId(u64::from(*pid)))),
        CaptureEvent::Exited { time, .. } | CaptureEvent::Tick { time } => (*time, None),
        CaptureEvent::Opened {
            connection, time, ..
        }
        | CaptureEvent::Closed { connection, time } => (*time, Some(*connection)),
        CaptureEvent::Data {
            connection, ended, ..
        }
        | CaptureEvent::Gap {
            connection, ended, ..
        } => (*ended, Some(*connection)),
    }
}

/// By connection, never by CPU: a stream stays with one shard.
fn shard_of(ConnectionId(id): ConnectionId, shards: usize) -> usize {
    let spread = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(spread % (shards as u64).max(1)).unwrap_or(0)
}
