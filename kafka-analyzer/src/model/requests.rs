//! Requests of other protocols, and what was done for them. In: heads and ends of requests, database calls, each with its task; out: their
//! spans, and the request that a task works for.
//!
//! What a task does between the head of a request and its end, it does for that request. A task with several open requests (an event loop)
//! works for nobody in particular, unless the server says which it begins to serve ([`handlers`]). Above `spans_per_second` whole traces are left out,
//! by their id, but for the requests of messages that are kept: those are
//! chosen by their address on every node, and what caused them, which only this node knows, goes with them.

mod handlers;

use std::collections::{HashMap, VecDeque};

use app_wire::{Fault, Protocol};

use super::causes::{Cause, RequestKey, under};
use crate::capture::{Nanos, Pid, Task};
use crate::fact::{Begun, Queried, Served};
use crate::losses::Losses;
use crate::observation::{Ids, Observation, Origin, Query, Request};
use crate::settings::Settings;
use crate::trace::address::{SpanId, TraceId, own_ids};
use crate::trace::context::{Found, find};
use crate::trace::sampling::Sampler;
use handlers::Handlers;

/// Requests that are remembered at once.
const REQUESTS_MOST: usize = 16_384;
/// Open ones of one task.
const OF_TASK_MOST: usize = 256;
/// A request that did not end by then is over.
const PATIENCE: Nanos = 600_000_000_000;
/// One that ended is remembered for what it asked and was not told yet.
const AFTERWARDS: Nanos = 1_000_000_000;
/// How often it is looked for those that never end.
const SWEEP: Nanos = 60_000_000_000;

/// Spans that wait for a message to choose their request.
const HELD_MOST: usize = 16_384;

#[derive(Debug)]
pub(super) struct Requests {
    open: HashMap<RequestKey, Open>,
    tasks: HashMap<(Pid, Task), Vec<RequestKey>>,
    /// When to forget those that ended, in order of time.
    ended: VecDeque<(Nanos, RequestKey)>,
    sweep: Nanos,
    sampler: Sampler,
    /// Spans in all `held`.
    held: usize,
    handlers: Handlers,
}

#[derive(Debug)]
struct Open {
    pid: Pid,
    /// Who works for it: its handler, or while that is not known who read its head.
    task: Option<Task>,
    /// None: no spans.
    ids: Option<Ids>,
    /// It gets spans.
    chosen: bool,
    /// A message was handed to a library for it.
    asked: bool,
    /// Its spans until it is chosen.
    held: Vec<Observation>,
    /// From the head on, or the beginning of its handler.
    began: Nanos,
    ended: Option<Nanos>,
    /// Who read its head reads other requests of the connection meanwhile.
    multiplexed: bool,
    /// Its handler was seen to begin.
    handled: bool,
}

impl Requests {
    pub fn new(settings: &Settings) -> Requests {
        Requests {
            open: HashMap::new(),
            tasks: HashMap::new(),
            ended: VecDeque::new(),
            sweep: 0,
            sampler: Sampler::new(settings.told()),
            held: 0,
            handlers: Handlers::default(),
        }
    }

    /// A request's head was read.
    pub fn begun(&mut self, origin: Origin, pid: Pid, begun: &Begun, losses: &mut Losses) {
        while self.open.len() >= REQUESTS_MOST {
            let Some((_, over)) = self.ended.pop_front() else {
                losses.add("request_table_full", 1);
                return;
            };
            self.forget(over);
        }
        let key = (origin.connection, begun.request.number);
        let (ids, chosen) = self.ids(origin, begun).unzip();
        let open = Open {
            pid,
            task: begun.task,
            ids,
            chosen: chosen.unwrap_or(false),
            asked: false,
            held: Vec::new(),
            began: begun.request.head.last.ended,
            ended: None,
            multiplexed: matches!(begun.request.protocol, Protocol::Http2 | Protocol::Grpc),
            handled: false,
        };
        if let Some(task) = open.task {
            self.give((pid, task), key, losses);
        }
        self.open.insert(key, open);
    }

    /// The task works for the request.
    fn give(&mut self, task: (Pid, Task), key: RequestKey, losses: &mut Losses) {
        let of_task = self.tasks.entry(task).or_default();
        if of_task.len() >= OF_TASK_MOST {
            let open = &self.open;
            of_task.retain(|key| open.get(key).is_some_and(|open| open.ended.is_none()));
        }
        match of_task.len() < OF_TASK_MOST {
            true => of_task.push(key),
            false => losses.add("requests_of_task_full", 1),
        }
    }

    /// It does no more.
    fn take(&mut self, task: (Pid, Task), key: RequestKey) {
        if let Some(of_task) = self.tasks.get_mut(&task) {
            of_task.retain(|other| *other != key);
            if of_task.is_empty() {
                self.tasks.remove(&task);
            }
        }
    }

    /// And whether it gets spans by itself. None: it never does.
    fn ids(&mut self, origin: Origin, begun: &Begun) -> Option<(Ids, bool)> {
        let level = self.sampler.level(origin.time, 1)?;
        let context = &begun.request.context;
        let headers = context
            .iter()
            .map(|(name, value)| (*name, Some(value.as_bytes())));
        let own = place(b"request", origin, begun.request.head.first.began);
        let ids = match find(headers) {
            Found::None => Ids {
                trace_id: own.0,
                span_id: own.1,
                ..Ids::default()
            },
            Found::Context(context) if context.sampled => Ids {
                trace_id: context.trace_id,
                span_id: own.1,
                parent: Some(context.span_id),
                trace_state: context.trace_state,
            },
            Found::Context(_) | Found::Denied => return None,
        };
        let chosen = keeps(level, &ids.trace_id);
        Some((ids, chosen))
    }

    /// A request is over: its span.
    pub fn served(
        &mut self,
        origin: Origin,
        pid: Pid,
        served: Served,
        losses: &mut Losses,
    ) -> Option<Observation> {
        let key = (origin.connection, served.call.request.number);
        let Some(open) = self.open.get_mut(&key) else {
            losses.add("request_forgotten", 1);
            return None;
        };
        open.ended = Some(served.ended);
        self.ended
            .push_back((origin.time.saturating_add(AFTERWARDS), key));
        let (ids, task) = (open.ids.clone()?, open.task);
        if !open.chosen && !open.asked {
            self.held = self.held.saturating_sub(open.held.len());
            open.held.clear();
            return None;
        }
        let chosen = open.chosen;
        let request = Observation::Request(request(origin, pid, ids, task, served));
        if chosen {
            return Some(request);
        }
        self.hold(key, request, losses);
        None
    }

    /// A message was handed to a library for a request that has no spans yet.
    pub fn asked(&mut self, key: RequestKey) {
        if let Some(open) = self.open.get_mut(&key) {
            open.asked = true;
        }
    }

    /// A message that was sent for the request gets a span: the request does, too. Gives what is known of it so far.
    pub fn choose(&mut self, key: RequestKey, out: &mut Vec<Observation>) -> Cause {
        let Some(open) = self.open.get_mut(&key) else {
            return Cause::Unknown;
        };
        let Some(ids) = &open.ids else {
            return Cause::Unsampled;
        };
        open.chosen = true;
        self.held = self.held.saturating_sub(open.held.len());
        out.append(&mut open.held);
        cause_of(ids)
    }

    fn hold(&mut self, key: RequestKey, span: Observation, losses: &mut Losses) {
        if self.held >= HELD_MOST {
            losses.add("request_hold_full", 1);
        } else if let Some(open) = self.open.get_mut(&key) {
            self.held += 1;
            open.held.push(span);
        }
    }

    /// The database answered: its span, and whether it goes also when nobody turns out to be its cause.
    pub fn queried(
        &mut self,
        origin: Origin,
        pid: Pid,
        queried: Queried,
        cause: &Cause,
        losses: &mut Losses,
    ) -> Option<(Observation, bool)> {
        let level = self.sampler.level(origin.time, 1)?;
        let began = queried.call.asked.first.began;
        let own = place(b"query", origin, began);
        let alone = keeps(level, &own.0);
        if *cause == Cause::Unknown && !alone {
            return None;
        }
        let ids = Ids {
            trace_id: own.0,
            span_id: own.1,
            ..Ids::default()
        };
        let call = queried.call;
        let query = Observation::Query(Query {
            origin,
            pid,
            ids,
            began,
            ended: call.answered.last.ended,
            statement: call.statement,
            operation: call.operation,
            collection: call.collection,
            database: queried.database,
            rows: call.rows,
            error: call.sqlstate.map(Into::into),
            server: queried.server,
            task: queried.task,
        });
        if let Cause::Perhaps(key) = cause {
            let ids = self.open.get(key).and_then(|open| open.ids.as_ref());
            let query = ids.and_then(|ids| under(query, &cause_of(ids)));
            if let Some(query) = query {
                self.hold(*key, query, losses);
            }
            return None;
        }
        Some((under(query, cause)?, alone))
    }

    /// The request that a task works for at `time`, and since when.
    pub fn of(&self, pid: Pid, task: Task, time: Nanos) -> Option<(Nanos, Cause)> {
        let of_task = self.tasks.get(&(pid, task))?;
        let tells = self.handlers.tells(pid);
        let live = of_task
            .iter()
            .filter_map(|key| Some((key, self.open.get(key)?)))
            .filter(|(_, open)| open.began <= time && open.ended.is_none_or(|ended| time < ended))
            .filter(|(_, open)| open.handled || !(open.multiplexed && tells));
        // A task that begins with the next is done with the one before, though its answer may still be written.
        let handled = live.clone().filter(|(_, open)| open.handled);
        let newest = handled.max_by_key(|(_, open)| open.began);
        let (key, of) = newest.or_else(|| {
            let mut live = live;
            live.next().filter(|_| live.next().is_none())
        })?;
        let cause = match &of.ids {
            None => Cause::Unsampled,
            Some(ids) if of.chosen => cause_of(ids),
            Some(_) => Cause::Perhaps(*key),
        };
        Some((of.began, cause))
    }

    /// Forgets what is over.
    pub fn advance(&mut self, now: Nanos, losses: &mut Losses) {
        while self.ended.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.ended.pop_front() {
                self.forget(key);
            }
        }
        if now >= self.sweep {
            self.sweep = now.saturating_add(SWEEP);
            let due = now.saturating_sub(PATIENCE);
            let never = self.forget_if(|open| open.ended.is_none() && open.began < due);
            losses.add("request_never_ended", never);
            self.handlers.sweep(now);
        }
    }

    /// The process ended.
    pub fn exited(&mut self, pid: Pid) {
        self.forget_if(|open| open.pid == pid);
        self.handlers.exited(pid);
    }

    fn forget_if(&mut self, is_over: impl Fn(&Open) -> bool) -> u64 {
        let over = self.open.iter().filter(|(_, open)| is_over(open));
        let over: Vec<RequestKey> = over.map(|(key, _)| *key).collect();
        for key in &over {
            self.forget(*key);
        }
        over.len() as u64
    }

    fn forget(&mut self, key: RequestKey) {
        let Some(open) = self.open.remove(&key) else {
            return;
        };
        self.held = self.held.saturating_sub(open.held.len());
        if let Some(task) = open.task {
            self.take((open.pid, task), key);
        }
    }

    pub fn table(&self) -> (&'static str, usize, usize) {
        ("requests", self.open.len(), REQUESTS_MOST)
    }
}

fn cause_of(ids: &Ids) -> Cause {
    Cause::Span(ids.trace_id, ids.span_id, ids.trace_state.clone())
}

fn request(origin: Origin, pid: Pid, ids: Ids, task: Option<Task>, served: Served) -> Request {
    let call = served.call;
    let asked = &call.request;
    let grpc = asked.protocol == Protocol::Grpc;
    let error = match call.fault {
        Some(Fault::Closed) => Some("CONNECTION_CLOSED".into()),
        Some(Fault::Reset(_)) => Some("RESET".into()),
        None if grpc => call.grpc_status.and_then(grpc_error).map(Into::into),
        None => call
            .status
            .filter(|status| *status >= 500)
            .map(|status| status.to_string().into()),
    };
    Request {
        origin,
        pid,
        ids,
        began: call.received.first.began.min(asked.head.first.began),
        ended: served.ended,
        version: match asked.protocol {
            Protocol::Http10 => "1.0",
            Protocol::Http11 => "1.1",
            Protocol::Http2 | Protocol::Grpc => "2",
        },
        grpc,
        method: asked.method.clone(),
        path: asked.path.clone(),
        host: asked.host.clone(),
        status: call.status,
        grpc_status: call.grpc_status,
        error,
        encrypted: served.encrypted,
        local: served.local,
        peer: served.peer,
        task,
    }
}

/// Statuses that are the server's fault (semantic conventions for gRPC).
fn grpc_error(status: u32) -> Option<&'static str> {
    Some(match status {
        2 => "UNKNOWN",
        4 => "DEADLINE_EXCEEDED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        _ => return None,
    })
}

/// Does a trace get spans? Each level leaves out half of those of the one below.
fn keeps(level: u32, trace_id: &TraceId) -> bool {
    u128::from_be_bytes(*trace_id).trailing_zeros() >= level
}

/// What makes a span unique: its place in its connection, and when it began.
fn place(kind: &[u8], origin: Origin, began: Nanos) -> (TraceId, SpanId) {
    own_ids(&[
        kind,
        &origin.connection.0.to_be_bytes(),
        &origin.offset.to_be_bytes(),
        &began.to_be_bytes(),
    ])
}

#[cfg(test)]
mod tests;
