//! Handlers of HTTP/2 requests. In: that a task begins to read a connection, or to serve one of its streams, as hooks in the server tell; out: the
//! task that works for a request.
//!
//! The hooks name a connection by the server's object for it, the wire by the task that reads it: the beginning of the reader ties the two. A
//! connection whose reader began unseen is tied by who started the handler, where that is the reader itself (gRPC).

use std::collections::{HashMap, HashSet};

use super::{RequestKey, Requests, SWEEP};
use crate::capture::{ClientCall, Nanos, Pid, Task};
use crate::losses::Losses;

/// Connections whose reader is known.
const READERS_MOST: usize = 16_384;
/// Processes that are known to tell of their handlers.
const PROCESSES_MOST: usize = 65_536;
/// A connection that serves nothing for so long is forgotten.
const IDLE: Nanos = 10 * SWEEP;

#[derive(Debug, Default)]
pub(super) struct Handlers {
    /// By process, and the server's object for the connection.
    readers: HashMap<(Pid, u64), Reader>,
    telling: HashSet<Pid>,
}

#[derive(Debug)]
struct Reader {
    task: Task,
    /// Who started it: it may have read the first bytes.
    starter: Option<Task>,
    used: Nanos,
}

impl Handlers {
    /// The process tells of its handlers: who reads requests of a multiplexed connection works for none of them.
    pub fn tells(&self, pid: Pid) -> bool {
        self.telling.contains(&pid)
    }

    pub fn sweep(&mut self, now: Nanos) {
        self.readers
            .retain(|_, reader| reader.used.saturating_add(IDLE) > now);
    }

    pub fn exited(&mut self, pid: Pid) {
        self.readers.retain(|(of, _), _| *of != pid);
        self.telling.remove(&pid);
    }

    fn reads(&mut self, call: &ClientCall, losses: &mut Losses) {
        let key = (call.pid, call.client);
        if self.readers.len() >= READERS_MOST && !self.readers.contains_key(&key) {
            losses.add("request_reader_table_full", 1);
            return;
        }
        let reader = Reader {
            task: call.task,
            starter: call.parent.map(Task::Goroutine),
            used: call.time,
        };
        self.readers.insert(key, reader);
    }

    /// Who may have read the head of a request whose handler begins.
    fn readers(&mut self, call: &ClientCall) -> impl Iterator<Item = Task> + use<> {
        let reader = self.readers.get_mut(&(call.pid, call.client));
        let known = reader.map(|reader| {
            reader.used = call.time;
            (reader.task, reader.starter)
        });
        let (reader, starter) = known.unzip();
        let parent = call.parent.map(Task::Goroutine);
        reader.into_iter().chain(starter.flatten()).chain(parent)
    }
}

impl Requests {
    /// A task begins to read a connection, or to serve a stream.
    pub fn serves(&mut self, call: &ClientCall, losses: &mut Losses) {
        if self.handlers.telling.len() < PROCESSES_MOST {
            self.handlers.telling.insert(call.pid);
        }
        if call.count == 0 && !call.fault {
            self.handlers.reads(call, losses);
            return;
        }
        // The member has half the size of the word that is read.
        let stream = u64::try_from(call.first & i64::from(u32::MAX)).unwrap_or(0);
        let readers: Vec<Task> = self.handlers.readers(call).collect();
        let found = readers.into_iter().find_map(|reader| {
            let key = self.unhandled(call.pid, reader, stream)?;
            Some((reader, key))
        });
        let Some((reader, key)) = found else {
            // Stream 0: a request that another server serves, and knows.
            losses.add("request_handler_unknown", u64::from(stream != 0));
            return;
        };
        self.take((call.pid, reader), key);
        self.give((call.pid, call.task), key, losses);
        if let Some(open) = self.open.get_mut(&key) {
            (open.task, open.began, open.handled) = (Some(call.task), call.time, true);
        }
    }

    /// The request of that stream whose head this task read, and that nobody serves yet.
    fn unhandled(&self, pid: Pid, reader: Task, stream: u64) -> Option<RequestKey> {
        let mut read = self.tasks.get(&(pid, reader))?.iter();
        let fits = |key: &&RequestKey| {
            let open = self.open.get(key);
            key.1 == stream && open.is_some_and(|open| open.multiplexed && !open.handled)
        };
        read.find(fits).copied()
    }
}
