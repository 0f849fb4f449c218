//! The control line: from process events to attached hooks. In: [`ProcessEvent`]s, what the stream thread learnt of connections; out: hooks on
//! the kernel, who processes are, the tables that `obi doctor` and telemetry show.
//!
//! One thread owns it. Rare by nature: nothing here is on the way of a byte. Rules are in `targets`; this file reads `/proc`, calls the kernel,
//! and records what became of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use kafka_analyzer::capture::{ConnectionId, Nanos, Pid, ProcessInfo, Protocol, Source, Window};
use std::net::SocketAddr;

use tls_hooks::HookPlan;

use super::connections::{Connections, Held};
use super::detacher::Detacher;
use super::events::ProcessEvent;
use super::files::{Answer, Files, KnownFile, Look, Looked, Urgency};
use super::filter::Filter;
use super::installed;
use super::process::{self, FileId, Mapping};
use super::targets::{Action, Targets};
use crate::attach::Kernel;
use crate::attach::hooks::HookState;
use crate::attach::kernel::{Hooked, Target};
use crate::attach::numbers::CostByHook;
use crate::budget::bodies::Bodies;
use crate::budget::bucket::Budget;
use crate::budget::windows::{Place, Windows};
use crate::budget::{Bill, Ledger};
use crate::doctor::{WATCHED_SCHEMA, Watched, WatchedFile};
use crate::enrich;
use crate::pipeline::monotonic;
use crate::telemetry::Telemetry;

/// An attach takes 10 ms. A process that merely loads a TLS library may be one of a hundred short ones: it is hooked once it has lived this
/// long, and never keeps a process with a Kafka client waiting.
const DEFER_MS: u64 = 20;

/// What the stream thread learns.
#[derive(Clone, Debug)]
pub enum Notice {
    Opened {
        connection: ConnectionId,
        pid: Pid,
        source: Source,
        peer: Option<SocketAddr>,
    },
    Verdict {
        connection: ConnectionId,
        protocol: Protocol,
    },
    Closed {
        connection: ConnectionId,
    },
    /// A client library is to call the function at this address with messages, or (`reports`) with what became of messages.
    Callback {
        pid: Pid,
        address: u64,
        reports: bool,
    },
}

/// What the control line tells the stream thread.
#[derive(Clone, Debug)]
pub enum Announcement {
    Process(ProcessInfo),
    /// A child of a followed process, which it takes after until it runs a program of its own; for when it cannot be read any more.
    Forked(ProcessInfo),
    /// It runs another program: what was said of it does not hold.
    Executed(Pid),
    Exited(Pid),
    /// Before the first of its hooks goes or comes, and after the last one did.
    Window {
        pid: Pid,
        time: Nanos,
        window: Window,
    },
    /// What became of [`Notice::Callback`].
    Callback {
        pid: Pid,
        address: u64,
        followed: bool,
    },
}

/// For so long after its start a program is looked at each second.
const YOUNG_MS: u64 = 60_000;
const YOUNG_MOST: usize = 512;
/// Each so many seconds all processes are looked at.
const ALL_TICKS: u32 = 15;

pub struct Control {
    kernel: Kernel,
    filter: Filter,
    ledger: Ledger,
    bill: Bill,
    files: Files,
    targets: Targets,
    connections: Connections,
    windows: Windows,
    bodies: Bodies,
    detacher: Detacher,
    /// Places whose hooks come back, one after the other.
    opening: VecDeque<Place>,
    attached: BTreeMap<Place, (Arc<KnownFile>, Hooked)>,
    /// Functions of applications that client libraries call with messages.
    callbacks: Callbacks,
    /// Hooks for processes without a client library, and when they are due.
    deferred: VecDeque<(u64, Arc<KnownFile>, Pid)>,
    /// Executables by pid, as far as they were asked for.
    chosen: HashMap<Pid, bool>,
    /// Programs that began lately, and when: a client without a known library shows itself by its connections only.
    young: VecDeque<(u64, Pid)>,
    ticks: u32,
    announce: Sender<Announcement>,
    telemetry: Arc<Telemetry>,
    proc_root: PathBuf,
    /// Files of installed client libraries and what they need.
    installed: HashSet<FileId>,
    began: Instant,
}

impl Control {
    /// `app`: other protocols than Kafka are read of Kafka's clients.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn new(
        kernel: Kernel,
        filter: Filter,
        (ledger, budget): (Ledger, Budget),
        app: bool,
        announce: Sender<Announcement>,
        telemetry: Arc<Telemetry>,
    ) -> std::io::Result<Control> {
        let proc_root = PathBuf::from("/proc");
        let files = Files::start(&proc_root, kernel.hooks_clients())?;
        Ok(Control {
            kernel,
            targets: Targets::new(filter.chooses_processes(), app),
            filter,
            ledger,
            bill: Bill::default(),
            files,
            connections: Connections::new(&proc_root),
            windows: Windows::new(budget),
            bodies: Bodies::new(budget),
            detacher: Detacher::start()?,
            opening: VecDeque::new(),
            attached: BTreeMap::new(),
            callbacks: Callbacks::default(),
            deferred: VecDeque::new(),
            chosen: HashMap::new(),
            young: VecDeque::new(),
            ticks: 0,
            announce,
            telemetry,
            proc_root,
            installed: HashSet::new(),
            began: Instant::now(),
        })
    }

    /// Answers about files come here; hand them to [`Control::looked`].
    pub fn answers(&self) -> Receiver<Looked> {
        self.files.looked()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Client libraries that are installed, before their first process: on the node, as its first process sees files, and beside the agent,
    /// because a sandbox may hide the node's.
    pub fn look_at_installed(&mut self) {
        for root in [self.proc_root.join("1/root"), PathBuf::from("/")] {
            for path in installed::libraries(&root) {
                let known = self.files.ask_installed(&root, &path);
                tracing::debug!(path = %path.display(), found = known.is_some(), "installed");
                self.installed.extend(known);
            }
        }
    }

    /// All processes there are. Finds what began before the agent, what events missed, and new connections.
    pub fn scan(&mut self) {
        let pids = process::pids(&self.proc_root);
        let mut chosen = pids.clone();
        chosen.retain(|pid| self.is_chosen(*pid));
        for pid in &chosen {
            for mapping in process::mappings(&self.proc_root, *pid) {
                self.mapped(*pid, &mapping, Urgency::Later);
            }
        }
        self.look_at_connections(&chosen);
        for pid in self.targets.pids() {
            if !pids.contains(&pid) {
                self.gone(pid);
            }
        }
        self.chosen.retain(|pid, _| pids.contains(pid));
        self.publish();
    }

    pub fn event(&mut self, event: &ProcessEvent) {
        match event {
            ProcessEvent::Exec { pid } => {
                tracing::debug!(pid, "exec");
                self.forget(*pid);
                if self.targets.state(*pid).is_some() {
                    let _ = self.announce.try_send(Announcement::Executed(*pid));
                }
                let mut actions = Vec::new();
                self.targets.executed(*pid, self.now(), &mut actions);
                self.carry_out(actions);
                if self.young.len() == YOUNG_MOST {
                    self.young.pop_front();
                }
                self.young.push_back((self.now(), *pid));
            }
            ProcessEvent::Mapped { pid, mapping } => {
                if self.is_chosen(*pid) {
                    self.mapped(*pid, mapping, Urgency::Now);
                }
            }
            ProcessEvent::Forked { parent, child } => {
                let mut actions = Vec::new();
                self.targets
                    .forked(*parent, *child, self.now(), &mut actions);
                if self.targets.state(*child).is_some()
                    && let Some(info) = enrich::process_info(&self.proc_root, *parent)
                {
                    let info = ProcessInfo {
                        pid: *child,
                        ..info
                    };
                    let _ = self.announce.try_send(Announcement::Forked(info));
                }
                self.carry_out(actions);
                self.tell_newcomers();
            }
            // The first thread may end before the others: the process is still there then.
            ProcessEvent::Exited { pid } if process::exe(&self.proc_root, *pid).is_none() => {
                if self.targets.state(*pid).is_some() {
                    let _ = self.announce.try_send(Announcement::Exited(*pid));
                }
                self.gone(*pid);
            }
            ProcessEvent::Exited { .. } => {}
            ProcessEvent::Missed => {
                self.telemetry.lost("process_events", 1);
                self.scan();
            }
        }
    }

    pub fn notice(&mut self, notice: Notice) {
        let now = self.now();
        match notice {
            Notice::Opened {
                connection,
                pid,
                source,
                peer,
            } => {
                self.targets.opened(connection, pid, source, peer, now);
                if let Some(peer) = peer {
                    let mut actions = Vec::new();
                    self.targets.connected(pid, peer, now, &mut actions);
                    self.carry_out(actions);
                }
            }
            Notice::Verdict {
                connection,
                protocol,
            } => {
                let mut actions = Vec::new();
                self.targets
                    .verdict(connection, protocol, now, &mut actions);
                self.carry_out(actions);
            }
            Notice::Closed { connection } => self.targets.closed(connection),
            Notice::Callback {
                pid,
                address,
                reports,
            } => self.called_back(pid, address, reports),
        }
    }

    /// Hooks one process that has lived long enough; true while others wait.
    pub fn deferred(&mut self) -> bool {
        let now = self.now();
        while let Some((due, file, pid)) = self.deferred.pop_front() {
            if due > now {
                self.deferred.push_front((due, file, pid));
                break;
            }
            let mut known = self.targets.files(pid).iter();
            // As it is known by now.
            let known = known.find(|known| known.id == file.id).map(Arc::clone);
            if let Some(file) = known
                && !self.targets.is_shared(file.id)
                && process::exe(&self.proc_root, pid).is_some()
            {
                self.attach(&file, Some(pid), Some(pid));
                break;
            }
        }
        !self.deferred.is_empty()
    }

    /// Once a second: new connections of followed processes, processes to let go, hooks on system calls, tables.
    pub fn tick(&mut self) {
        let pids = self.with_connections();
        self.look_at_connections(&pids);
        let mut actions = Vec::new();
        self.targets.tick(self.now(), &mut actions);
        self.carry_out(actions);
        self.settle();
        self.publish();
    }

    /// Books what hooks cost whom.
    fn settle(&mut self) {
        for (pid, spent) in self.ledger.all() {
            let name = || {
                enrich::process_info(&self.proc_root, pid)
                    .map_or_else(|| Arc::from("unknown"), |info| info.service)
            };
            self.bill.charge(pid, spent, name);
            // Its end was missed.
            if process::exe(&self.proc_root, pid).is_none() {
                self.ledger.close(pid);
                self.bill.close(pid);
                self.forget_bodies(pid);
            }
        }
        let now = monotonic();
        let mut costs = self.bill.costs(now, &self.ledger.prices);
        self.bill.limit(
            &mut costs,
            self.windows.budget(),
            &self.windows.shares(now).collect(),
            &self.bodies.shares(now).collect(),
        );
        self.telemetry.set_costs(costs);
        if let Some(hooks) = self.kernel.cost_by_hook(&self.ledger.prices) {
            let at_ns = monotonic();
            self.telemetry.set_cost_by_hook(CostByHook { at_ns, hooks });
        }
    }

    /// Processes whose connections are looked at: those followed, those that began lately, and now and then all.
    fn with_connections(&mut self) -> Vec<Pid> {
        self.ticks = self.ticks.wrapping_add(1);
        let now = self.now();
        let is_old = |(began, _): &(u64, Pid)| now.saturating_sub(*began) > YOUNG_MS;
        while self.young.front().is_some_and(is_old) {
            self.young.pop_front();
        }
        let mut pids = if self.ticks.is_multiple_of(ALL_TICKS) {
            process::pids(&self.proc_root)
        } else {
            self.young.iter().map(|(_, pid)| *pid).collect()
        };
        pids.retain(|pid| self.is_chosen(*pid));
        pids.extend(self.targets.pids());
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn is_chosen(&mut self, pid: Pid) -> bool {
        if let Some(chosen) = self.chosen.get(&pid) {
            return *chosen;
        }
        let Some(exe) = process::exe(&self.proc_root, pid) else {
            return false;
        };
        let chosen = self.filter.process(pid, &exe);
        self.chosen.insert(pid, chosen);
        chosen
    }

    fn mapped(&mut self, pid: Pid, mapping: &Mapping, urgency: Urgency) {
        if let Some(Look::Something(file)) = self.files.ask(pid, mapping, urgency) {
            self.maps(pid, &file);
        }
    }

    /// A file was looked into: those who waited for it go on.
    pub fn looked(&mut self, looked: Looked) {
        let (pids, file) = match self.files.answered(looked) {
            Answer::First(pids, Some(Look::Something(file))) => (pids, file),
            Answer::Calls(file) => return self.calls_known(&file),
            Answer::First(..) | Answer::Nothing => return,
        };
        // The first process may have ended meanwhile; the next one of this file is still seen from its first byte.
        let mut actions = Vec::new();
        if self.installed.contains(&file.id) {
            self.targets.installed(&file, self.now(), &mut actions);
        } else {
            self.targets.file(&file, &mut actions);
        }
        self.carry_out(actions);
        for pid in pids {
            self.maps(pid, &file);
        }
    }

    /// Files are still being looked into, or hooks that were found wait for their turn.
    pub fn is_looking(&self) -> bool {
        self.files.waiting() > 0 || !self.opening.is_empty()
    }

    fn maps(&mut self, pid: Pid, file: &Arc<KnownFile>) {
        if self.targets.files(pid).is_empty() {
            self.announce(pid);
        }
        if let Some(goid) = file.plan.goid {
            self.kernel.know_go(pid, goid);
        }
        let mut actions = Vec::new();
        self.targets.mapped(pid, file, self.now(), &mut actions);
        self.carry_out(actions);
        self.tell_newcomers();
    }

    fn look_at_connections(&mut self, pids: &[Pid]) {
        let mut actions = Vec::new();
        let now = self.now();
        for (pid, held) in self.connections.new_ones(pids) {
            match held {
                Held::Connection(peer) if self.filter.peer(Some(peer)) => {
                    self.targets.connected(pid, peer, now, &mut actions);
                }
                Held::Connection(_) => {}
                Held::Listener => self.targets.listens(pid),
            }
        }
        self.carry_out(actions);
    }

    /// Says who a process is before its first byte can be captured.
    fn announce(&self, pid: Pid) {
        if let Some(info) = enrich::process_info(&self.proc_root, pid)
            && self.announce.try_send(Announcement::Process(info)).is_err()
        {
            tracing::debug!(
                pid,
                "announcement dropped: the stream thread asks by itself"
            );
        }
    }

    fn gone(&mut self, pid: Pid) {
        self.forget(pid);
        self.windows.forget(pid);
        self.forget_bodies(pid);
        let spent = self.ledger.close(pid);
        self.bill.charge(pid, spent, || Arc::from("unknown"));
        self.bill.close(pid);
        let mut actions = Vec::new();
        self.targets.gone(pid, self.now(), &mut actions);
        self.carry_out(actions);
    }

    fn forget(&mut self, pid: Pid) {
        self.chosen.remove(&pid);
        self.files.forget(pid);
        self.connections.forget(pid);
        self.forget_callbacks(pid);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        for action in actions {
            match action {
                Action::AttachFile(file) => {
                    self.attach(&file, None, None);
                    self.attached
                        .retain(|(id, owner), _| *id != file.id || owner.is_none());
                    self.follow_again(file.id);
                }
                Action::DetachFile(id) => {
                    self.attached.remove(&(id, None));
                }
                Action::AttachProcess(file, pid) if self.targets.is_client(pid) => {
                    self.attach(&file, Some(pid), Some(pid));
                    self.follow_again(file.id);
                }
                Action::AttachProcess(file, pid) => {
                    self.deferred.push_back((self.now() + DEFER_MS, file, pid))
                }
                Action::DetachProcess(pid) => {
                    self.attached.retain(|(_, owner), _| *owner != Some(pid))
                }
                Action::WatchSockets(pid, on) => {
                    tracing::debug!(pid, on, "sockets");
                    // A call that is under way in a shared library returns without an entry.
                    self.telemetry
                        .attached
                        .store(monotonic(), Ordering::Relaxed);
                    self.kernel.watch_sockets(pid, on);
                }
                Action::KnowPeer(peer) => self.kernel.know_peer(peer),
            }
        }
        self.choose_socket_calls();
    }

    fn attach(&mut self, file: &Arc<KnownFile>, pid: Option<Pid>, user: Option<Pid>) {
        let began = Instant::now();
        let users = user.map_or_else(|| self.users(file.id), |pid| vec![pid]);
        let target = Target {
            path: &file.door(),
            pid,
            plan: &file.plan,
            safety: self.safety(users),
        };
        let each = self.windows.begins((file.id, pid));
        let attached = self.kernel.attach(&target, each);
        // A process that ended meanwhile needs no hooks and is no finding.
        if let Some(pid) = pid
            && process::exe(&self.proc_root, pid).is_none()
        {
            return;
        }
        warn_of_refused(attached.all(), file, pid);
        say_hooked(file, pid, &attached, began);
        self.telemetry
            .attached
            .store(monotonic(), Ordering::Relaxed);
        self.attached
            .insert((file.id, pid), (Arc::clone(file), attached));
    }

    /// A file hooked as a whole is entered by processes that are not known yet; the strictest known one decides.
    fn safety(&self, users: Vec<Pid>) -> process::ReturnProbe {
        users
            .into_iter()
            .map(|pid| process::return_probe(&self.proc_root, pid))
            .find(|safety| *safety != process::ReturnProbe::Safe)
            .unwrap_or(process::ReturnProbe::Safe)
    }

    fn users(&self, id: FileId) -> Vec<Pid> {
        self.targets
            .pids()
            .into_iter()
            .filter(|pid| self.targets.files(*pid).iter().any(|file| file.id == id))
            .collect()
    }

    fn choose_socket_calls(&mut self) {
        let wanted = self.targets.needs_syscalls(self.now());
        if wanted == self.kernel.socket_calls() || self.kernel.socket_path().is_none() {
            return;
        }
        match self.kernel.set_socket_calls(wanted) {
            Ok(()) => tracing::debug!(wanted, "hooks on socket calls"),
            Err(error) => tracing::warn!(%error, "hooks on socket calls are refused"),
        }
    }

    fn publish(&mut self) {
        self.choose_socket_calls();
        let mut hooks = BTreeMap::new();
        for (file, attached) in self.attached.values() {
            let HookPlan {
                tls,
                client,
                refused,
                ..
            } = &file.plan;
            let mut count = |library: &Option<(&'static str, String)>, hook: &str, state| {
                let library = library.as_ref().map_or("unknown", |(name, _)| *name);
                let key = (library.to_owned(), hook.to_owned(), state);
                *hooks.entry(key).or_insert(0) += 1;
            };
            for hook in &attached.tls.hooks {
                count(tls, hook.hook, hook.state());
            }
            for hook in &attached.batches.hooks {
                count(client, hook.hook, hook.state());
            }
            for hook in &attached.each_message.hooks {
                count(client, hook.hook, attached.state(hook));
            }
            for refusal in refused {
                count(tls, refusal.hook, "refused");
            }
        }
        self.telemetry.set_watched(self.watched());
        self.telemetry.set_hooks(hooks);
        let mut processes = BTreeMap::new();
        for (_, state) in self.targets.states() {
            *processes.entry(state.as_str()).or_insert(0) += 1;
        }
        self.telemetry.set_processes(processes);
    }
}

mod callbacks;
mod windows;

use callbacks::Callbacks;

fn say_hooked(file: &KnownFile, pid: Option<Pid>, hooked: &Hooked, began: Instant) {
    let there = |hooks: &mut dyn Iterator<Item = &HookState>| {
        hooks.filter(|hook| hook.refused.is_none()).count()
    };
    tracing::info!(
        path = %file.path.display(),
        pid,
        hooks = there(&mut hooked.tls.hooks.iter()),
        calls = there(&mut hooked.calls()),
        micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        "{}",
        // The calls of its client library follow.
        if file.awaits_calls { "conversation hooked" } else { "hooks attached" }
    );
}

fn warn_of_refused<'a>(
    hooks: impl Iterator<Item = &'a HookState>,
    file: &KnownFile,
    pid: Option<Pid>,
) {
    for HookState { hook, refused } in hooks {
        if let Some(reason) = refused {
            tracing::warn!(kafka = "hook refused", hook, path = %file.path.display(), pid, reason, "hook refused");
        }
    }
}

impl Control {
    /// For `obi doctor`.
    fn watched(&self) -> Watched {
        let files = self
            .attached
            .iter()
            .map(|((id, pid), (file, attached))| WatchedFile {
                dev: id.dev,
                ino: id.ino,
                pid: *pid,
                hooks: attached.reports(file.awaits_calls),
            });
        Watched {
            schema: WATCHED_SCHEMA.to_owned(),
            processes: self
                .targets
                .states()
                .map(|(pid, state)| (pid, state.as_str().to_owned()))
                .collect(),
            files: files.collect(),
        }
    }
}
