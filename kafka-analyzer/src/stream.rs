//! The stream thread's part. In: the capture events of one ring; out: facts, and verdicts for the kernel side.
//!
//! Holds the table of connections and the event time. Finds what was lost in the ring: an offset that jumps without a gap event. Times come from
//! events only. Clock, Process, Exited and Tick events go to every shard; the others by connection.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use kafka_wire::Segment;

use crate::capture::{
    CaptureEvent, ConnectionId, Direction, GapReason, Nanos, Pid, Source, Task, Verdict,
};
use crate::connection::{Connection, Ending, Out, Role, Shared};
use crate::fact::{Fact, Says};
use crate::losses::Losses;
use crate::merge::HOLD;
use crate::names::Names;
use crate::observation::Origin;
use crate::open::Opening;
use crate::passing::Allowance;
use crate::reassembly::Piece;
use crate::settings::Settings;

/// Connections that are remembered at once.
const CONNECTIONS_MOST: usize = 16_384;
/// A connection without events is forgotten; brokers close idle ones after 10 minutes by default (`connections.max.idle.ms`).
const IDLE: Nanos = 7_200_000_000_000;
/// Processes remembered as Go programs.
const PROCESSES_MOST: usize = 65_536;
/// Gaps that one connection keeps until it proves to be Kafka; of more of them only the bytes are kept.
const GAPS_MOST: usize = 16;

/// One for each ring (shard).
#[derive(Debug)]
pub struct StreamStage {
    shared: Shared,
    connections: HashMap<ConnectionId, Entry>,
    /// When to look at a connection again; entries may be early.
    schedule: BinaryHeap<Reverse<(Nanos, ConnectionId)>>,
    clock: Nanos,
    /// Everything up to here is with this stage; and how far facts may have been taken for complete.
    read_to: Nanos,
    told: Nanos,
    /// Last event of a connection without a verdict.
    undecided: Nanos,
    /// Processes whose work is done by goroutines: a thread says nothing of it.
    goroutines: HashSet<Pid>,
}

#[derive(Debug)]
struct Entry {
    connection: Box<Connection>,
    written: Position,
    read: Position,
    scheduled: Nanos,
    /// More than one process moved its bytes (fork): the end of one is not the end of the connection, of which the socket tells.
    inherited: bool,
    /// Gaps of what looks like a client's stream, until it is proven to be one: only then something was lost.
    gaps: Vec<(u64, GapReason, u64)>,
}

/// Where a direction goes on.
#[derive(Debug, Default)]
struct Position {
    next: Option<u64>,
    /// Thread and entry time of the last call.
    call: (u32, Nanos),
}

impl StreamStage {
    pub fn new(settings: &Settings) -> StreamStage {
        StreamStage {
            shared: Shared {
                settings: settings.clone(),
                names: Names::default(),
                kept: 0,
                allowance: Allowance::default(),
                parked: 0,
                pending: 0,
                gathered: 0,
                losses: Losses::default(),
            },
            connections: HashMap::new(),
            schedule: BinaryHeap::new(),
            clock: 0,
            read_to: Nanos::MAX,
            told: 0,
            undecided: 0,
            goroutines: HashSet::new(),
        }
    }

    /// Eats one event; appends what it says and what the kernel side should copy from now on.
    pub fn event(
        &mut self,
        event: &CaptureEvent<'_>,
        facts: &mut Vec<Fact>,
        verdicts: &mut Vec<Verdict>,
    ) {
        let time = match event {
            CaptureEvent::Clock { monotonic, .. } => *monotonic,
            CaptureEvent::Exited { time, .. }
            | CaptureEvent::Window { time, .. }
            | CaptureEvent::Opened { time, .. }
            | CaptureEvent::Closed { time, .. }
            | CaptureEvent::Tick { time } => *time,
            CaptureEvent::Data { ended, .. } | CaptureEvent::Gap { ended, .. } => *ended,
            CaptureEvent::Call(call) => call.time,
            CaptureEvent::Process(_) => self.clock,
        };
        self.told = self.told.max(self.up_to());
        let (before, told) = (facts.len(), self.told.saturating_sub(HOLD));
        self.clock = self.clock.max(time);
        self.shared.allowance.refill(self.clock);
        self.run_schedule(facts, verdicts);
        match *event {
            CaptureEvent::Call(ref call) => facts.push(Fact {
                known: call.time,
                // Equal times of two processes keep one order in every replay.
                origin: Origin {
                    offset: u64::from(call.pid),
                    ..Origin::at(call.time)
                },
                pid: call.pid,
                says: Says::Call(Box::new(call.clone())),
            }),
            CaptureEvent::Window { pid, time, window } => facts.push(Fact {
                known: time,
                origin: Origin {
                    offset: u64::from(pid),
                    ..Origin::at(time)
                },
                pid,
                says: Says::Window(window),
            }),
            CaptureEvent::Opened {
                connection,
                time,
                pid,
                source,
                local,
                peer,
            } => {
                let new = New {
                    pid,
                    source,
                    next: Some(0),
                };
                if let Some(entry) = entry(&mut self.connections, connection, new, &mut self.shared)
                {
                    entry.connection.last_event = time;
                    entry.connection.local = local.or(entry.connection.local);
                    entry.connection.bind(peer, time, facts);
                    if entry.connection.role == Role::Undecided {
                        self.undecided = self.undecided.max(time);
                    }
                }
            }
            CaptureEvent::Data {
                connection,
                direction,
                offset,
                began,
                ended,
                pid,
                tid,
                goroutine,
                source,
                bytes,
            } => {
                let call = (tid, began);
                let moved = Moved {
                    connection,
                    direction,
                    offset,
                    began,
                    ended,
                    pid,
                    task: self.task(pid, tid, goroutine),
                    source,
                };
                self.moved(moved, Segment::Bytes(bytes), Some(call), facts, verdicts);
            }
            CaptureEvent::Gap {
                connection,
                direction,
                offset,
                length,
                began,
                ended,
                pid,
                source,
                reason,
            } => {
                let moved = Moved {
                    connection,
                    direction,
                    offset,
                    began,
                    ended,
                    pid,
                    task: None,
                    source,
                };
                if reason == GapReason::Records
                    && let Some(entry) = self.connections.get_mut(&connection)
                {
                    entry.connection.leaves_bodies(direction);
                }
                let gap = self.moved(moved, Segment::Elided(length), None, facts, verdicts);
                if let Some(entry) = self.connections.get_mut(&connection) {
                    say_gap(entry, ended, (offset, reason, gap), facts);
                }
            }
            CaptureEvent::Closed { connection, time } => {
                self.close(Ending::Closed, connection, time, facts, verdicts)
            }
            CaptureEvent::Exited { pid, time } => {
                self.goroutines.remove(&pid);
                let mut gone: Vec<ConnectionId> = self
                    .connections
                    .iter()
                    .filter(|(_, entry)| entry.connection.pid == pid && !entry.inherited)
                    .map(|(id, _)| *id)
                    .collect();
                gone.sort_unstable();
                for connection in gone {
                    self.close(Ending::Abandoned, connection, time, facts, verdicts);
                }
                facts.push(Fact {
                    known: time,
                    origin: Origin {
                        offset: u64::from(pid),
                        ..Origin::at(time)
                    },
                    pid,
                    says: Says::Exited,
                });
            }
            CaptureEvent::Process(ref info) => {
                if !info.goroutines {
                    self.goroutines.remove(&info.pid);
                } else if self.goroutines.len() < PROCESSES_MOST {
                    self.goroutines.insert(info.pid);
                }
            }
            CaptureEvent::Clock { .. } | CaptureEvent::Tick { .. } => {}
        }
        // A call that copied megabytes reaches the ring later than younger ones.
        raise(facts, before, told);
    }

    /// Everything up to `time` is with this stage; of what is later perhaps not all: calls and bytes come by two rings, which are read one
    /// after the other.
    pub fn read_to(&mut self, time: Nanos) {
        self.read_to = time;
    }

    /// `up_to` of [`crate::Merge::push`].
    pub fn up_to(&self) -> Nanos {
        self.clock.min(self.read_to)
    }

    /// Event time so far.
    pub fn clock(&self) -> Nanos {
        self.clock
    }

    /// Last event of a connection without a verdict: the kernel side copies all of it until there is one.
    pub fn undecided(&self) -> Nanos {
        self.undecided
    }

    pub fn losses(&self) -> &Losses {
        &self.shared.losses
    }

    /// For [`Fact::open`].
    pub fn opening(&self) -> Opening {
        let settings = &self.shared.settings;
        Opening {
            spans: settings.spans,
            keep: settings.keep(),
        }
    }

    /// Bytes of streams that are held: cut headers, bodies that are gathered, answers that wait for their request.
    pub fn buffered(&self) -> usize {
        let entries = self.connections.values();
        entries.map(|entry| entry.connection.held()).sum::<usize>() + self.shared.parked
    }

    /// Bytes of keys, headers and compressed bodies that wait for an acknowledgement or the end of an answer, at most 8 MiB; and the windows of
    /// batches that are opened as they pass, at most 12 MiB.
    pub fn kept(&self) -> usize {
        self.shared.kept + self.shared.allowance.held()
    }

    /// Connections in the table.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Who made a call, if that is known.
    fn task(&self, pid: Pid, tid: u32, goroutine: Option<u64>) -> Option<Task> {
        match goroutine {
            Some(id) => Some(Task::Goroutine(id)),
            None if self.goroutines.contains(&pid) => None,
            None => Some(Task::Thread(tid)),
        }
    }

    /// Bytes or a gap of a direction. Returns the part of the gap that was new.
    fn moved(
        &mut self,
        moved: Moved,
        segment: Segment<'_>,
        call: Option<(u32, Nanos)>,
        facts: &mut Vec<Fact>,
        verdicts: &mut Vec<Verdict>,
    ) -> u64 {
        let Moved {
            connection: id,
            direction,
            offset,
            began,
            ended,
            pid,
            task,
            source,
        } = moved;
        let new = New {
            pid,
            source,
            next: None,
        };
        // Looked up once: this is done for every event.
        let Some(entry) = entry(&mut self.connections, id, new, &mut self.shared) else {
            return 0;
        };
        entry.inherited |= entry.connection.pid != pid;
        entry.connection.pid = pid;
        entry.connection.last_event = ended;
        let position = match direction {
            Direction::Write => &mut entry.written,
            Direction::Read => &mut entry.read,
        };
        let starts_call = call.is_some_and(|call| call != position.call);
        position.call = call.unwrap_or(position.call);
        let next = position.next.unwrap_or(offset);
        let mut piece = Piece {
            offset,
            began,
            ended,
            starts_call,
            task,
            segment,
        };
        // Offsets never go back; should they, what was seen already is left out.
        piece.take(next.saturating_sub(offset));
        let missing = offset.saturating_sub(next);
        position.next = Some(next.max(offset.saturating_add(piece_end(segment))));
        let mut out = Out {
            shared: &mut self.shared,
            facts,
            verdicts,
        };
        expire(&mut entry.connection, ended, &mut out);
        let before = out.facts.len();
        if missing > 0 {
            let hole = Piece {
                offset: next,
                began,
                ended,
                starts_call: false,
                task: None,
                segment: Segment::Elided(missing),
            };
            entry.connection.data(direction, hole, &mut out);
        }
        let new = piece.len();
        if new > 0 {
            entry.connection.data(direction, piece, &mut out);
        }
        if entry.connection.role == Role::Undecided {
            self.undecided = self.undecided.max(ended);
        }
        schedule(&mut self.schedule, id, entry);
        say_gap(entry, ended, (next, GapReason::RingFull, missing), facts);
        // An answer that came before its request is told with it: then, not at its own time, for the merge.
        raise(facts, before, ended);
        new
    }

    fn close(
        &mut self,
        ending: Ending,
        id: ConnectionId,
        time: Nanos,
        facts: &mut Vec<Fact>,
        verdicts: &mut Vec<Verdict>,
    ) {
        if let Some(mut entry) = self.connections.remove(&id) {
            entry.connection.close(
                ending,
                time,
                &mut Out {
                    shared: &mut self.shared,
                    facts,
                    verdicts,
                },
            );
        }
    }

    /// Gives up what was due. A little late, because events of one ring may be out of order by that much.
    fn run_schedule(&mut self, facts: &mut Vec<Fact>, verdicts: &mut Vec<Verdict>) {
        let now = self.clock.saturating_sub(HOLD);
        while let Some(Reverse((at, id))) = self
            .schedule
            .peek()
            .copied()
            .filter(|Reverse((at, _))| *at <= now)
        {
            self.schedule.pop();
            let Some(entry) = self.connections.get_mut(&id) else {
                continue;
            };
            if entry.scheduled != at {
                continue;
            }
            entry.scheduled = Nanos::MAX;
            let idle = entry.connection.last_event.saturating_add(IDLE);
            let mut out = Out {
                shared: &mut self.shared,
                facts,
                verdicts,
            };
            expire(&mut entry.connection, now, &mut out);
            if idle <= now {
                self.close(Ending::Abandoned, id, idle, facts, verdicts);
                self.shared.losses.add("connection_idle", 1);
            } else {
                schedule(&mut self.schedule, id, entry);
            }
        }
    }
}

/// What a connection begins with.
struct New {
    pid: Pid,
    source: Source,
    /// Where both directions go on, if that is known.
    next: Option<u64>,
}

fn entry<'a>(
    connections: &'a mut HashMap<ConnectionId, Entry>,
    id: ConnectionId,
    new: New,
    shared: &mut Shared,
) -> Option<&'a mut Entry> {
    if connections.len() >= CONNECTIONS_MOST && !connections.contains_key(&id) {
        // The kernel side sends nothing more of these.
        connections.retain(|_, entry| entry.connection.role != Role::Ignored);
        if connections.len() >= CONNECTIONS_MOST {
            shared.losses.add("connection_table_full", 1);
            return None;
        }
    }
    Some(connections.entry(id).or_insert_with(|| {
        let position = || Position {
            next: new.next,
            ..Position::default()
        };
        Entry {
            inherited: false,
            connection: Box::new(Connection::new(id, new.pid, new.source, &shared.settings)),
            written: position(),
            read: position(),
            scheduled: Nanos::MAX,
            gaps: Vec::new(),
        }
    }))
}

/// A gap is told once the connection is proven to be a client's; of no bytes, only those before it are. What nobody wanted is not missing.
fn say_gap(entry: &mut Entry, time: Nanos, gap: (u64, GapReason, u64), facts: &mut Vec<Fact>) {
    let missing = gap.2 > 0 && gap.1 != GapReason::Records;
    if missing && entry.connection.role == Role::Client {
        let full = entry.gaps.len() >= GAPS_MOST;
        match entry.gaps.last_mut() {
            Some(last) if full => last.2 = last.2.saturating_add(gap.2),
            _ => entry.gaps.push(gap),
        }
    }
    if entry.connection.role == Role::Ignored {
        entry.gaps = Vec::new();
    } else if entry.connection.proven {
        for (offset, reason, bytes) in entry.gaps.drain(..) {
            let says = Says::Gap { reason, bytes };
            entry.connection.emit(time, offset, says, facts);
        }
    }
}

/// Sees to it that a connection is looked at again in time.
fn schedule(
    schedule: &mut BinaryHeap<Reverse<(Nanos, ConnectionId)>>,
    id: ConnectionId,
    entry: &mut Entry,
) {
    let idle = entry.connection.last_event.saturating_add(IDLE);
    let at = entry.connection.deadline().unwrap_or(idle).min(idle);
    if at < entry.scheduled {
        entry.scheduled = at;
        schedule.push(Reverse((at, id)));
    }
}

/// Gives up what was due up to `now`, each at its own time.
fn expire(connection: &mut Connection, now: Nanos, out: &mut Out<'_>) {
    while let Some(deadline) = connection.deadline().filter(|deadline| *deadline <= now) {
        let before = out.facts.len();
        connection.expire(deadline, out);
        raise(out.facts, before, deadline);
    }
}

/// Facts from `from` on became known at this time.
fn raise(facts: &mut [Fact], from: usize, known: Nanos) {
    for fact in facts.iter_mut().skip(from) {
        fact.known = fact.known.max(known);
    }
}

struct Moved {
    connection: ConnectionId,
    direction: Direction,
    offset: u64,
    began: Nanos,
    ended: Nanos,
    pid: Pid,
    task: Option<Task>,
    source: Source,
}

fn piece_end(segment: Segment<'_>) -> u64 {
    match segment {
        Segment::Bytes(bytes) => bytes.len() as u64,
        Segment::Elided(n) => n,
    }
}
