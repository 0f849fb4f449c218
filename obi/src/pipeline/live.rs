//! The stream thread of a running agent. In: the data ring, announcements; out: messages to the model, verdicts to the kernel, notices to the
//! discovery. Drains, reassembles and decodes in place: a byte is copied once, by the kernel.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{
    CaptureEvent, ClientCall, ConnectionId, Copy, Means, Nanos, Pid, ProcessInfo, Protocol, Verdict,
};
use rustix::time::{ClockId, clock_gettime};

use super::callbacks::{Callbacks, Does};
use super::shard::{Message, Shard};
use crate::capture::live::{self, Pace, Rings};
use crate::discovery::control::{Announcement, Notice};
use crate::discovery::events::ProcessEvent;
use crate::discovery::filter::Filter;
use crate::enrich;
use crate::stop::Stop;
use crate::telemetry::Telemetry;

/// A call may block this long between an attach and its return.
const UNDER_WAY: Nanos = 30_000_000_000;
const SECOND: Nanos = 1_000_000_000;
/// A connection without a verdict that says nothing for this long is in no hurry.
const UNDECIDED: Nanos = 50_000_000;
/// The model is told this often, or of so many facts: waking it costs more than what it does with a few of them.
const TELL: Nanos = 50_000_000;
const FACTS: usize = 64;
/// Messages that may wait for a model thread that is behind, before facts are dropped.
const WAITING: usize = 64;
/// Processes remembered as announced.
const ANNOUNCED: usize = 65_536;
/// Connections remembered as not chosen.
const IGNORED: usize = 65_536;

pub struct StreamThread {
    pub rings: Rings,
    pub settings: Settings,
    pub filter: Filter,
    pub telemetry: Arc<Telemetry>,
    pub stop: Stop,
    pub announcements: Receiver<Announcement>,
    pub notices: Sender<Notice>,
    /// Where the kernel side's own execs and exits go, when there is no better source of them.
    pub process_events: Option<Sender<ProcessEvent>>,
    pub messages: Sender<Message>,
}

/// Sees every event before the stage does: `obi record`.
pub type Tee<'a> = &'a mut dyn FnMut(&CaptureEvent<'_>);

struct State<'a> {
    shard: Shard,
    announced: HashSet<Pid>,
    /// Children that were forked, by what their parents are.
    forked: HashMap<Pid, ProcessInfo>,
    /// Connections to peers that the user did not choose.
    ignored: HashSet<ConnectionId>,
    callbacks: Callbacks,
    waiting: VecDeque<Message>,
    /// Ended processes: announced during this round, and before it began.
    exited: Vec<Pid>,
    drained: Vec<Pid>,
    told: Nanos,
    /// What was there by then is being read.
    reading_to: Nanos,
    second: Nanos,
    /// Returns without their entry: all, and those of calls that were under way when hooks came.
    unpaired: (u64, u64),
    tee: Option<Tee<'a>>,
}

impl StreamThread {
    /// Runs until the agent stops.
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn run(&self, tee: Option<Tee<'_>>) -> std::io::Result<()> {
        let mut shard = Shard::new(0, &self.settings);
        shard.read_to(0);
        let state = RefCell::new(State {
            shard,
            announced: HashSet::new(),
            forked: HashMap::new(),
            ignored: HashSet::new(),
            callbacks: Callbacks::default(),
            waiting: VecDeque::new(),
            exited: Vec::new(),
            drained: Vec::new(),
            told: 0,
            reading_to: 0,
            second: 0,
            unpaired: (0, 0),
            tee,
        });
        live::read(
            &self.rings,
            &self.telemetry,
            |event| self.event(&mut state.borrow_mut(), &event),
            |event| self.process_event(event),
            |reached| self.between(&mut state.borrow_mut(), reached),
        )
    }

    fn event(&self, state: &mut State<'_>, event: &CaptureEvent<'_>) {
        if self.is_ignored(state, event) {
            return;
        }
        let pid = match event {
            CaptureEvent::Opened { pid, .. }
            | CaptureEvent::Data { pid, .. }
            | CaptureEvent::Gap { pid, .. } => Some(*pid),
            CaptureEvent::Call(call) => Some(call.pid),
            _ => None,
        };
        if let Some(pid) = pid
            && !state.announced.contains(&pid)
        {
            self.introduce(state, pid);
        }
        match event {
            CaptureEvent::Opened {
                connection,
                pid,
                source,
                peer,
                ..
            } => {
                self.notify(Notice::Opened {
                    connection: *connection,
                    pid: *pid,
                    source: *source,
                    peer: *peer,
                });
            }
            CaptureEvent::Closed { connection, .. } => self.notify(Notice::Closed {
                connection: *connection,
            }),
            CaptureEvent::Call(call) if self.is_followed(state, call) => return,
            _ => {}
        }
        state.pass(event);
    }

    /// A call that names a function which is called with messages, when these are seen, or may be. Reports that are not seen are no loss: what became of a
    /// message is known by order then.
    fn is_followed(&self, state: &mut State<'_>, call: &ClientCall) -> bool {
        let reports = call.means == Means::ReportsTo;
        if !reports && call.means != Means::LosesSight {
            return false;
        }
        let does = state.callbacks.call(call);
        if does == Does::Ask {
            self.notify(Notice::Callback {
                pid: call.pid,
                address: call.client,
                reports,
            });
        }
        reports || does != Does::Pass
    }

    /// A connection is ignored from the moment its peer is known and was not chosen.
    fn is_ignored(&self, state: &mut State<'_>, event: &CaptureEvent<'_>) -> bool {
        match event {
            CaptureEvent::Opened {
                connection,
                time,
                peer,
                ..
            } if !self.filter.peer(*peer) => {
                if state.ignored.len() < IGNORED && state.ignored.insert(*connection) {
                    state.pass(&CaptureEvent::Closed {
                        connection: *connection,
                        time: *time,
                    });
                    state.shard.verdicts.push(Verdict {
                        connection: *connection,
                        protocol: Protocol::Unknown,
                        copy: Copy::None,
                    });
                }
                true
            }
            CaptureEvent::Closed { connection, .. } => state.ignored.remove(connection),
            CaptureEvent::Opened { connection, .. }
            | CaptureEvent::Data { connection, .. }
            | CaptureEvent::Gap { connection, .. } => state.ignored.contains(connection),
            _ => false,
        }
    }

    /// A process that was not announced yet (its file was hooked for another one).
    fn introduce(&self, state: &mut State<'_>, pid: Pid) {
        self.take_announcements(state);
        if state.announced.contains(&pid) {
            return;
        }
        let info = enrich::process_info(Path::new("/proc"), pid);
        // Gone already: its messages still count, under no name.
        let info = info.or_else(|| state.forked.remove(&pid));
        let info = info.unwrap_or_else(|| ProcessInfo {
            pid,
            service: Arc::from("unknown"),
            ..ProcessInfo::default()
        });
        state.process(info);
    }

    fn take_announcements(&self, state: &mut State<'_>) {
        for announcement in self.announcements.try_iter() {
            match announcement {
                Announcement::Process(info) => state.process(info),
                Announcement::Forked(info) => {
                    if state.forked.len() >= ANNOUNCED {
                        state.forked.clear();
                    }
                    state.forked.insert(info.pid, info);
                }
                Announcement::Executed(pid) => {
                    state.forked.remove(&pid);
                    state.announced.remove(&pid);
                    state.callbacks.forget(pid);
                }
                Announcement::Callback {
                    pid,
                    address,
                    followed,
                } => {
                    for call in state.callbacks.answered(pid, address, followed) {
                        state.pass(&CaptureEvent::Call(call));
                    }
                }
                Announcement::Window { pid, time, window } => {
                    state.pass(&CaptureEvent::Window { pid, time, window });
                }
                // What it moved last may still be in the ring.
                Announcement::Exited(pid) => state.exited.push(pid),
            }
        }
    }

    /// Processes whose end was announced before the ring was drained: all that they moved was seen.
    fn end_processes(state: &mut State<'_>) {
        for pid in std::mem::take(&mut state.drained) {
            state.announced.remove(&pid);
            state.forked.remove(&pid);
            state.callbacks.forget(pid);
            state.pass(&CaptureEvent::Exited {
                pid,
                time: monotonic(),
            });
        }
    }

    fn process_event(&self, event: ProcessEvent) {
        if let Some(process_events) = &self.process_events
            && process_events.try_send(event).is_err()
        {
            self.telemetry.lost("process_events", 1);
        }
    }

    fn notify(&self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            self.telemetry.lost("discovery_notices", 1);
        }
    }

    /// `reached`: all was read that was there when it was so last.
    fn between(&self, state: &mut State<'_>, reached: bool) -> ControlFlow<(), Pace> {
        if reached {
            // The rings are read one after another: one may have gone further than the other, but both as far as this.
            state.shard.read_to(state.reading_to);
            Self::end_processes(state);
        }
        self.take_announcements(state);
        if reached {
            state.drained = std::mem::take(&mut state.exited);
        }
        let now = monotonic();
        if now.saturating_sub(state.second) >= SECOND {
            state.second = now;
            self.each_second(state, now);
        }
        state.pass(&CaptureEvent::Tick { time: now });
        for verdict in std::mem::take(&mut state.shard.verdicts) {
            live::write_verdict(&self.rings, &verdict);
            self.notify(Notice::Verdict {
                connection: verdict.connection,
                protocol: verdict.protocol,
            });
        }
        let stopping = self.stop.requested();
        let due = now.saturating_sub(state.told) >= TELL || state.shard.facts() >= FACTS;
        if due || stopping || !state.waiting.is_empty() {
            state.told = now;
            self.send(state);
        }
        if stopping {
            return ControlFlow::Break(());
        }
        if reached {
            state.reading_to = monotonic();
        }
        let undecided = now.saturating_sub(state.shard.stage().undecided());
        ControlFlow::Continue(if undecided < UNDECIDED {
            Pace::Eager
        } else {
            Pace::Steady
        })
    }

    fn each_second(&self, state: &mut State<'_>, now: Nanos) {
        state.pass(&CaptureEvent::Clock {
            monotonic: now,
            wall: wall(),
        });
        let unpaired = live::read_stats(&self.rings.stats, &self.telemetry);
        state.unpaired(unpaired, now, &self.telemetry);
        for (reason, total) in state.shard.stage().losses().iter() {
            self.telemetry.set_lost(reason, total);
        }
    }

    fn send(&self, state: &mut State<'_>) {
        let State { shard, waiting, .. } = state;
        waiting.extend(shard.messages());
        while let Some(message) = waiting.pop_front() {
            match self.messages.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    waiting.push_front(message);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => self.stop.request(),
            }
        }
        if waiting.len() > WAITING {
            self.drop_facts(waiting);
        }
    }

    /// The model is far behind: facts go, and are counted; who processes are and what time it is stays.
    fn drop_facts(&self, waiting: &mut VecDeque<Message>) {
        for message in waiting.iter_mut() {
            if let Message::Facts { facts, .. } = message {
                self.telemetry.lost("model_queue_full", facts.len() as u64);
                facts.clear();
            }
        }
        let newest = waiting
            .iter()
            .rposition(|message| matches!(message, Message::Facts { .. }));
        let mut at = 0;
        waiting.retain(|message| {
            at += 1;
            !matches!(message, Message::Facts { .. }) || newest == Some(at - 1)
        });
    }
}

impl State<'_> {
    /// A call that was entered before its hooks were there returns without an entry: its stream is joined after it, nothing that was
    /// captured is lost. Only what comes later is a loss.
    fn unpaired(&mut self, total: u64, now: Nanos, telemetry: &Telemetry) {
        let (before, under_way) = &mut self.unpaired;
        let attached = telemetry.attached.load(Ordering::Relaxed);
        if now.saturating_sub(attached) < UNDER_WAY {
            *under_way += total.saturating_sub(*before);
        }
        *before = total;
        telemetry.set_lost("unpaired_return", total.saturating_sub(*under_way));
    }

    fn pass(&mut self, event: &CaptureEvent<'_>) {
        if let Some(tee) = &mut self.tee {
            tee(event);
        }
        self.shard.event(event);
    }

    fn process(&mut self, info: ProcessInfo) {
        if self.announced.len() >= ANNOUNCED {
            self.announced.clear();
        }
        self.announced.insert(info.pid);
        self.pass(&CaptureEvent::Process(info));
    }
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(SECOND)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// As `bpf_ktime_get_ns`.
pub fn monotonic() -> Nanos {
    nanos(ClockId::Monotonic)
}

pub fn wall() -> u64 {
    nanos(ClockId::Realtime)
}
