//! Who is watched, and why. In: what processes map, fork, connect to, and what their connections proved to speak; out: [`Action`]s.
//!
//! Pure: no `/proc`, no kernel, no clock (milliseconds come in), so that every rule is tested by itself. A file that holds a Kafka
//! client is hooked as a whole. A general-purpose library is hooked process by process, and a process whose connections prove not
//! to be Kafka is let go, to be taken up again when it connects to somewhere new. Every table has a cap.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use kafka_analyzer::capture::{ConnectionId, Pid, Protocol, Source};
use tls_hooks::Scope;

use super::files::KnownFile;
use super::process::FileId;

/// Processes followed at a time.
pub const PROCESSES: usize = 16_384;
/// Connections followed at a time.
const CONNECTIONS: usize = 65_536;
/// Peers remembered of a process that was let go.
const PEERS: usize = 256;
/// A process is not let go before this age.
const PATIENCE_MS: u64 = 30_000;
/// A process that was let go is taken up again this often at most.
const RETRIES: u32 = 5;
/// A new client or connection is given this long to show what it speaks over plain sockets.
const SOCKET_WINDOW_MS: u64 = 10_000;

/// What the caller has to do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Hook a file for all of its processes, now and later.
    AttachFile(Arc<KnownFile>),
    AttachProcess(Arc<KnownFile>, Pid),
    /// Drop all hooks that belong to this process alone.
    DetachProcess(Pid),
    /// Capture the sockets of a process, or stop it.
    WatchSockets(Pid, bool),
}

/// What a process is to us: `obi_processes{state}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A connection of it speaks Kafka.
    Kafka,
    /// Hooked or watched; nothing is proved yet.
    Candidate,
    /// Its connections are not Kafka.
    LetGo,
    /// It holds a Kafka client, and its TLS library cannot be hooked.
    Refused,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Kafka => "kafka",
            State::Candidate => "candidate",
            State::LetGo => "not_kafka",
            State::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Process {
    files: Vec<Arc<KnownFile>>,
    /// Holds a Kafka client library.
    client: bool,
    /// Files hooked for this process alone.
    hooked: BTreeSet<FileId>,
    watched: bool,
    since: u64,
    /// Last time when something new could speak: exec, new library, new connection.
    stirred: u64,
    kafka: bool,
    plaintext_kafka: u32,
    other: u32,
    open: u32,
    let_go: bool,
    retries: u32,
    peers: HashSet<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    pid: Pid,
    source: Source,
    peer: Option<SocketAddr>,
    protocol: Option<Protocol>,
    opened: u64,
}

#[derive(Debug, Default)]
pub struct Targets {
    processes: HashMap<Pid, Process>,
    connections: HashMap<ConnectionId, Connection>,
    /// Files hooked as a whole.
    whole: HashSet<FileId>,
    kafka_peers: HashSet<SocketAddr>,
    /// The user chose processes: nothing is hooked for all processes of a file.
    one_by_one: bool,
}

impl Targets {
    pub fn new(one_by_one: bool) -> Targets {
        Targets {
            one_by_one,
            ..Targets::default()
        }
    }

    fn process(&mut self, pid: Pid, now: u64) -> Option<&mut Process> {
        if !self.processes.contains_key(&pid) && self.processes.len() >= PROCESSES {
            return None;
        }
        Some(self.processes.entry(pid).or_insert_with(|| Process {
            since: now,
            stirred: now,
            ..Process::default()
        }))
    }

    /// A process maps a file that can be hooked or holds a client.
    pub fn mapped(&mut self, pid: Pid, file: &Arc<KnownFile>, now: u64, actions: &mut Vec<Action>) {
        let Some(process) = self.process(pid, now) else {
            return;
        };
        if process.files.iter().any(|known| known.id == file.id) {
            return;
        }
        process.files.push(Arc::clone(file));
        process.stirred = now;
        if file.plan.client.is_some() {
            process.client = true;
            process.let_go = false;
        }
        self.take_up(pid, now, actions);
    }

    /// A file became known: one with a client is hooked at once, whoever maps it.
    pub fn file(&mut self, file: &Arc<KnownFile>, actions: &mut Vec<Action>) {
        let as_whole =
            file.plan.scope == Scope::File && !self.one_by_one && !file.plan.hooks.is_empty();
        if as_whole && self.whole.insert(file.id) {
            actions.push(Action::AttachFile(Arc::clone(file)));
        }
    }

    /// A process was seen to hold a connection.
    pub fn connected(&mut self, pid: Pid, peer: SocketAddr, now: u64, actions: &mut Vec<Action>) {
        let kafka_peer = self.kafka_peers.contains(&peer);
        let Some(process) = self.process(pid, now) else {
            return;
        };
        if process.peers.len() >= PEERS || !process.peers.insert(peer) {
            return;
        }
        process.stirred = now;
        if process.let_go && (kafka_peer || process.retries < RETRIES) {
            process.let_go = false;
            process.retries += 1;
            process.since = now;
        }
        let process_watched = process.watched;
        if !process.let_go && !process_watched {
            process.watched = true;
            actions.push(Action::WatchSockets(pid, true));
        }
        self.take_up(pid, now, actions);
    }

    /// Hooks what the process maps and is not hooked yet.
    fn take_up(&mut self, pid: Pid, _now: u64, actions: &mut Vec<Action>) {
        let one_by_one = self.one_by_one;
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if process.let_go {
            return;
        }
        if process.client && !process.watched {
            process.watched = true;
            actions.push(Action::WatchSockets(pid, true));
        }
        for file in &process.files {
            if file.plan.hooks.is_empty() {
                continue;
            }
            if file.plan.scope == Scope::File && !one_by_one {
                if self.whole.insert(file.id) {
                    actions.push(Action::AttachFile(Arc::clone(file)));
                }
            } else if process.hooked.insert(file.id) {
                actions.push(Action::AttachProcess(Arc::clone(file), pid));
            }
        }
    }

    /// The child runs the parent's program with its own memory.
    pub fn forked(&mut self, parent: Pid, child: Pid, now: u64, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get(&parent) else {
            return;
        };
        if process.let_go || self.processes.len() >= PROCESSES {
            return;
        }
        let inherited = Process {
            files: process.files.clone(),
            client: process.client,
            peers: process.peers.clone(),
            since: now,
            stirred: now,
            watched: process.watched,
            ..Process::default()
        };
        if inherited.watched {
            actions.push(Action::WatchSockets(child, true));
        }
        self.processes.insert(child, inherited);
        self.take_up(child, now, actions);
    }

    /// The process ended, or runs another program now.
    pub fn gone(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        if !process.hooked.is_empty() {
            actions.push(Action::DetachProcess(pid));
        }
        if process.watched {
            actions.push(Action::WatchSockets(pid, false));
        }
        self.connections
            .retain(|_, connection| connection.pid != pid);
    }

    /// The kernel side saw a connection, or learnt its peer.
    pub fn opened(
        &mut self,
        id: ConnectionId,
        pid: Pid,
        source: Source,
        peer: Option<SocketAddr>,
        now: u64,
    ) {
        if let Some(known) = self.connections.get_mut(&id) {
            known.peer = peer.or(known.peer);
            return;
        }
        if self.connections.len() >= CONNECTIONS {
            return;
        }
        self.connections.insert(
            id,
            Connection {
                pid,
                source,
                peer,
                protocol: None,
                opened: now,
            },
        );
        if let Some(process) = self.process(pid, now) {
            process.open += 1;
            process.stirred = now;
        }
    }

    pub fn verdict(&mut self, id: ConnectionId, protocol: Protocol) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.protocol.replace(protocol).is_some() {
            return;
        }
        if protocol == Protocol::Kafka
            && let Some(peer) = connection.peer
            && self.kafka_peers.len() < CONNECTIONS
        {
            self.kafka_peers.insert(peer);
        }
        let Some(process) = self.processes.get_mut(&connection.pid) else {
            return;
        };
        match protocol {
            Protocol::Kafka => {
                process.kafka = true;
                process.plaintext_kafka += u32::from(connection.source == Source::Socket);
            }
            // Ciphertext on a socket says nothing about what it hides.
            Protocol::Tls => {}
            Protocol::Unknown => process.other += 1,
        }
    }

    pub fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&connection.pid) else {
            return;
        };
        process.open = process.open.saturating_sub(1);
        if connection.source == Source::Socket && connection.protocol == Some(Protocol::Kafka) {
            process.plaintext_kafka = process.plaintext_kafka.saturating_sub(1);
        }
    }

    /// Lets go what proved not to be Kafka.
    pub fn tick(&mut self, now: u64, actions: &mut Vec<Action>) {
        for (pid, process) in &mut self.processes {
            let patient = now.saturating_sub(process.since) < PATIENCE_MS
                || now.saturating_sub(process.stirred) < SOCKET_WINDOW_MS;
            if process.let_go || process.kafka || process.client || process.other == 0 || patient {
                continue;
            }
            process.let_go = true;
            process.other = 0;
            if !std::mem::take(&mut process.hooked).is_empty() {
                actions.push(Action::DetachProcess(*pid));
            }
            if std::mem::take(&mut process.watched) {
                actions.push(Action::WatchSockets(*pid, false));
            }
        }
    }

    /// Whether the hooks on system calls are worth their cost now: a plaintext client lives, something watched may still turn out to be one, or a
    /// TLS stream waits for its socket.
    pub fn needs_syscalls(&self, now: u64) -> bool {
        let young = |time: u64| now.saturating_sub(time) < SOCKET_WINDOW_MS;
        let sockets = self.processes.values().filter(|process| process.watched);
        let mut sockets =
            sockets.filter(|process| process.plaintext_kafka > 0 || young(process.stirred));
        let unbound = |connection: &Connection| {
            connection.source != Source::Socket
                && connection.peer.is_none()
                && young(connection.opened)
        };
        sockets.next().is_some() || self.connections.values().any(unbound)
    }

    /// Pids that are followed.
    pub fn pids(&self) -> Vec<Pid> {
        self.processes.keys().copied().collect()
    }

    /// It maps a Kafka client library.
    pub fn is_client(&self, pid: Pid) -> bool {
        self.processes
            .get(&pid)
            .is_some_and(|process| process.client)
    }

    pub fn state(&self, pid: Pid) -> Option<State> {
        self.processes.get(&pid).map(Process::state)
    }

    pub fn states(&self) -> impl Iterator<Item = (Pid, State)> + '_ {
        self.processes
            .iter()
            .map(|(pid, process)| (*pid, process.state()))
    }

    /// Files that a process maps, of those that say something.
    pub fn files(&self, pid: Pid) -> &[Arc<KnownFile>] {
        self.processes
            .get(&pid)
            .map_or(&[], |process| &process.files)
    }
}

impl Process {
    fn state(&self) -> State {
        let refused = || {
            self.files.iter().any(|file| !file.plan.refused.is_empty())
                && self.files.iter().all(|file| file.plan.hooks.is_empty())
        };
        match () {
            () if self.kafka => State::Kafka,
            () if self.let_go => State::LetGo,
            () if self.client && refused() => State::Refused,
            () => State::Candidate,
        }
    }
}

#[cfg(test)]
mod tests;
