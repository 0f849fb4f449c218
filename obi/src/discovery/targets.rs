//! Who is watched, and why. In: what processes map, fork, connect to, and what their connections proved to speak; out: [`Action`]s.
//!
//! Pure: no `/proc`, no kernel, no clock (milliseconds come in), so that every rule is tested by itself. A file that holds a Kafka
//! client is hooked as a whole. A general-purpose library is hooked process by process; while Kafka clients use it, or one that is installed
//! needs it, it is shared: hooked as a whole, and only followed processes are copied. A process whose connections prove not to be Kafka is
//! let go, to be taken up again when it connects to somewhere new. Every table has a cap.

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
/// A client that lived no longer than this was a short one: the next may be over before hooks could be attached.
const SHORT_MS: u64 = 60_000;
/// So long after such a client, or after the last that used a library, its successor finds the hooks in place.
const EXPECTED_MS: u64 = 600_000;

/// What the caller has to do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Hook a file for all of its processes, now and later; this replaces hooks of it that belong to single processes.
    AttachFile(Arc<KnownFile>),
    DetachFile(FileId),
    AttachProcess(Arc<KnownFile>, Pid),
    /// Drop all hooks that belong to this process alone.
    DetachProcess(Pid),
    /// Capture the sockets of a process and its calls into shared libraries, or stop it.
    WatchSockets(Pid, bool),
    /// Whoever connects there is followed from its first byte.
    KnowPeer(SocketAddr),
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
    /// Whoever connects to it may ask something by HTTP.
    listens: bool,
    /// Connections in the clear on which it speaks another protocol of a trace.
    app: u32,
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
    /// General-purpose files hooked as a whole, and when a client last used each.
    shared: HashMap<FileId, u64>,
    /// Those among them that an installed client library needs.
    installed: HashSet<FileId>,
    /// A client library is installed: its first process may come at any time.
    client_installed: bool,
    /// Until when plaintext clients are expected.
    expected: u64,
    kafka_peers: HashSet<SocketAddr>,
    /// The user chose processes: nothing is hooked for all processes of a file.
    one_by_one: bool,
    /// Other protocols than Kafka are read of Kafka's clients.
    app: bool,
}

impl Targets {
    pub fn new(one_by_one: bool, app: bool) -> Targets {
        Targets {
            one_by_one,
            app,
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

    /// More is known of a file than before: it counts from the next attach on.
    pub fn learnt(&mut self, file: &Arc<KnownFile>) {
        for process in self.processes.values_mut() {
            for known in &mut process.files {
                if known.id == file.id {
                    *known = Arc::clone(file);
                }
            }
        }
    }

    /// A file of an installed client library, or one that such a library needs: it waits hooked for the first process.
    pub fn installed(&mut self, file: &Arc<KnownFile>, now: u64, actions: &mut Vec<Action>) {
        if self.one_by_one {
            return;
        }
        self.client_installed |= file.plan.client.is_some();
        if file.plan.scope == Scope::File {
            self.file(file, actions);
        } else if file.plan.shows_tls() && file.plan.is_safe_for_all() {
            self.installed.insert(file.id);
            self.share(file, now, actions);
        }
    }

    /// Hooks a general-purpose file as a whole. Processes that were hooked one by one are followed from now on.
    fn share(&mut self, file: &Arc<KnownFile>, now: u64, actions: &mut Vec<Action>) {
        if self.shared.insert(file.id, now).is_some() {
            return;
        }
        actions.push(Action::AttachFile(Arc::clone(file)));
        for (pid, process) in &mut self.processes {
            if process.hooked.remove(&file.id) {
                process.follow(*pid, actions);
            }
        }
    }

    pub fn is_shared(&self, id: FileId) -> bool {
        self.shared.contains_key(&id)
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
        if !process.let_go {
            process.follow(pid, actions);
        }
        self.take_up(pid, now, actions);
    }

    /// A process was seen to hold a socket to which others connect.
    pub fn listens(&mut self, pid: Pid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.listens = true;
        }
    }

    /// Hooks what the process maps and is not hooked yet.
    fn take_up(&mut self, pid: Pid, now: u64, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if process.let_go {
            return;
        }
        if process.client {
            process.follow(pid, actions);
        }
        let client = process.client;
        for file in process.files.clone() {
            if file.plan.hooks.is_empty() {
                continue;
            }
            if file.plan.scope == Scope::File && !self.one_by_one {
                self.file(&file, actions);
                continue;
            }
            if client && !self.one_by_one && file.plan.is_safe_for_all() {
                self.share(&file, now, actions);
            }
            let shared = self.shared.get_mut(&file.id);
            let Some(process) = self.processes.get_mut(&pid) else {
                return;
            };
            if let Some(used) = shared {
                process.follow(pid, actions);
                if client {
                    *used = now;
                }
            } else if process.hooked.insert(file.id) {
                actions.push(Action::AttachProcess(file, pid));
            }
        }
    }

    /// The child runs the parent's program with its own memory. The kernel side followed it before its first instruction.
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
        self.processes.insert(child, inherited);
        self.take_up(child, now, actions);
    }

    /// The process ended.
    pub fn gone(&mut self, pid: Pid, now: u64, actions: &mut Vec<Action>) {
        if self.executed(pid, now, actions) {
            actions.push(Action::WatchSockets(pid, false));
        }
    }

    /// The process runs another program now. The kernel side let go of it at that moment, and may follow the new program already: its mark
    /// is not touched. True: the old program was followed.
    pub fn executed(&mut self, pid: Pid, now: u64, actions: &mut Vec<Action>) -> bool {
        let Some(process) = self.processes.remove(&pid) else {
            return false;
        };
        if !process.hooked.is_empty() {
            actions.push(Action::DetachProcess(pid));
        }
        if process.client && now.saturating_sub(process.since) < SHORT_MS {
            self.expected = now + EXPECTED_MS;
        }
        self.connections
            .retain(|_, connection| connection.pid != pid);
        process.watched
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
            // The kernel side may have taken it up by itself.
            if source == Source::Socket && !process.watched {
                process.watched = true;
                process.let_go = false;
                process.since = now;
            }
        }
    }

    pub fn verdict(
        &mut self,
        id: ConnectionId,
        protocol: Protocol,
        now: u64,
        actions: &mut Vec<Action>,
    ) {
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
            let new = self.kafka_peers.insert(peer);
            if new && connection.source == Source::Socket && !self.one_by_one {
                actions.push(Action::KnowPeer(peer));
            }
        }
        let Some(process) = self.processes.get_mut(&connection.pid) else {
            return;
        };
        match protocol {
            Protocol::Kafka => {
                process.kafka = true;
                if connection.source == Source::Socket {
                    process.plaintext_kafka += 1;
                    self.expected = now + EXPECTED_MS;
                }
            }
            // Ciphertext on a socket says nothing about what it hides.
            Protocol::Tls => {}
            // Nobody is a Kafka client because of what else it speaks.
            Protocol::App | Protocol::Unknown => {
                process.other += 1;
                if protocol == Protocol::App && connection.source == Source::Socket {
                    process.app += 1;
                }
            }
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
        let of_kind = match (connection.source, connection.protocol) {
            (Source::Socket, Some(Protocol::Kafka)) => &mut process.plaintext_kafka,
            (Source::Socket, Some(Protocol::App)) => &mut process.app,
            _ => return,
        };
        *of_kind = of_kind.saturating_sub(1);
    }

    /// Lets go what proved not to be Kafka, and what no client has used for long.
    pub fn tick(&mut self, now: u64, actions: &mut Vec<Action>) {
        self.unshare(now, actions);
        for (pid, process) in &mut self.processes {
            if process.plaintext_kafka > 0 {
                self.expected = now + EXPECTED_MS;
            }
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

    /// Files that clients shared go back to single processes.
    fn unshare(&mut self, now: u64, actions: &mut Vec<Action>) {
        for process in self.processes.values().filter(|process| process.client) {
            for file in &process.files {
                if let Some(used) = self.shared.get_mut(&file.id) {
                    *used = now;
                }
            }
        }
        let unused = |id: &FileId, used: u64| {
            !self.installed.contains(id) && now.saturating_sub(used) >= EXPECTED_MS
        };
        let unused: Vec<FileId> = self
            .shared
            .iter()
            .filter(|(id, used)| unused(id, **used))
            .map(|(id, _)| *id)
            .collect();
        for id in unused {
            self.shared.remove(&id);
            actions.push(Action::DetachFile(id));
            let maps = |process: &Process| process.files.iter().any(|file| file.id == id);
            let users = self.processes.iter().filter(|(_, process)| maps(process));
            let users: Vec<Pid> = users.map(|(pid, _)| *pid).collect();
            for pid in users {
                self.take_up(pid, now, actions);
            }
        }
    }

    /// Whether the hooks on system calls are worth their cost now: a client is expected whose first bytes are at stake, a plaintext client
    /// lives, something watched may still turn out to be one, a TLS stream waits for its socket, or a client has requests and statements to show.
    pub fn needs_syscalls(&self, now: u64) -> bool {
        if self.client_installed || now < self.expected {
            return true;
        }
        let young = |time: u64| now.saturating_sub(time) < SOCKET_WINDOW_MS;
        // A process that only maps a shared library is followed too, but says nothing of sockets before it has one.
        let on_sockets = |process: &&Process| {
            process.watched && (process.client || process.open > 0 || !process.peers.is_empty())
        };
        let sockets = self.processes.values().filter(on_sockets);
        let mut sockets =
            sockets.filter(|process| process.plaintext_kafka > 0 || young(process.stirred));
        let unbound = |connection: &Connection| {
            connection.source != Source::Socket
                && connection.peer.is_none()
                && young(connection.opened)
        };
        sockets.next().is_some()
            || self.connections.values().any(unbound)
            || self.app && self.processes.values().any(Process::speaks_app)
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
    fn follow(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        if !self.watched {
            self.watched = true;
            actions.push(Action::WatchSockets(pid, true));
        }
    }

    /// A client of Kafka that serves others, or asks a database in the clear.
    fn speaks_app(&self) -> bool {
        (self.client || self.kafka) && self.watched && (self.listens || self.app > 0)
    }

    fn state(&self) -> State {
        let refused = || {
            self.files.iter().any(|file| !file.plan.refused.is_empty())
                && !self.files.iter().any(|file| file.plan.shows_tls())
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
