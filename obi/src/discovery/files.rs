//! Files that processes map, each looked into once. In: a mapping; out: its hook plan, by file identity and by build id.
//!
//! Looking takes milliseconds to seconds (a compiler's libraries hold hundreds of megabytes), so threads do it: one for files of processes
//! that begin now, one for those of a scan. A file with a client is answered twice: the calls of its client library come after what shows
//! the conversation (`looking`). All tables have a cap. A file that can be hooked stays open, because an attach through
//! `/proc/self/fd` reaches the very file that was read, whatever its name points to by now.

mod looking;

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use kafka_analyzer::capture::Pid;
use lru::LruCache;
use tls_hooks::HookPlan;

use super::process::{self, FileId, Mapping};
use looking::{Job, Queues};

/// Files remembered.
const FILES: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
/// Files that wait to be looked into; bounds the queues.
const WAITING: usize = 8192;

/// A file that has something to hook, or holds a Kafka client.
#[derive(Debug)]
pub struct KnownFile {
    pub id: FileId,
    /// As the first process that mapped it named it.
    pub path: PathBuf,
    pub plan: HookPlan,
    /// The calls of its client library are still looked for.
    pub awaits_calls: bool,
    file: Arc<File>,
}

impl KnownFile {
    pub fn new(
        id: FileId,
        path: &Path,
        plan: HookPlan,
        awaits_calls: bool,
        file: File,
    ) -> KnownFile {
        KnownFile {
            id,
            path: path.to_owned(),
            plan,
            awaits_calls,
            file: Arc::new(file),
        }
    }

    /// The same file after the search for calls.
    fn with_calls(&self, plan: HookPlan) -> KnownFile {
        KnownFile {
            id: self.id,
            path: self.path.clone(),
            plan,
            awaits_calls: false,
            file: Arc::clone(&self.file),
        }
    }

    /// The same file with another plan.
    pub fn with_plan(self, plan: HookPlan) -> KnownFile {
        KnownFile { plan, ..self }
    }

    /// A path that leads the kernel to this very file while the agent holds it open.
    pub fn door(&self) -> PathBuf {
        door(&self.file)
    }
}

fn door(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What looking into a file gave.
#[derive(Clone, Debug)]
pub enum Look {
    /// No TLS library, no Kafka client.
    Nothing,
    Something(Arc<KnownFile>),
}

/// How soon a file is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A process begins now: its first bytes are at stake.
    Now,
    /// It has been running for long.
    Later,
}

/// An answer of the threads; hand it to [`Files::answered`].
#[derive(Debug)]
pub enum Looked {
    /// `None` = the file vanished before.
    First { id: FileId, look: Option<Look> },
    /// What can be hooked now that its calls were looked for.
    Calls {
        file: Arc<KnownFile>,
        plan: HookPlan,
    },
}

/// What an answer says to those who asked.
#[derive(Debug)]
pub enum Answer {
    /// Of these processes.
    First(Vec<Pid>, Option<Look>),
    /// The calls of a file that was told of before are known now.
    Calls(Arc<KnownFile>),
    Nothing,
}

struct Waiting {
    pids: Vec<Pid>,
    urgent: bool,
}

pub struct Files {
    proc_root: PathBuf,
    looks: LruCache<FileId, Look>,
    waiting: HashMap<FileId, Waiting>,
    /// Whose calls are looked for; each was in `waiting` before.
    searched: HashSet<FileId>,
    queues: Queues,
}

impl Files {
    /// Starts the threads; they end when this value is dropped. `client_hooks`: calls of client libraries are looked for.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn start(proc_root: &Path, client_hooks: bool) -> io::Result<Files> {
        let mut looks = LruCache::new(FILES);
        if let Some(own) = process::own_file() {
            looks.put(own, Look::Nothing);
        }
        Ok(Files {
            queues: looking::start(proc_root, client_hooks)?,
            proc_root: proc_root.to_owned(),
            looks,
            waiting: HashMap::new(),
            searched: HashSet::new(),
        })
    }

    pub fn looked(&self) -> Receiver<Looked> {
        self.queues.looked.clone()
    }

    /// The answer of an earlier look; else the process waits for one.
    pub fn ask(&mut self, pid: Pid, mapping: &Mapping, urgency: Urgency) -> Option<Look> {
        let id = mapping.id(&self.proc_root, pid)?;
        if let Some(look) = self.looks.get(&id) {
            return Some(look.clone());
        }
        let urgent = urgency == Urgency::Now;
        if let Some(waiting) = self.waiting.get_mut(&id) {
            if !waiting.pids.contains(&pid) {
                waiting.pids.push(pid);
            }
            if waiting.urgent || !urgent {
                return None;
            }
            // It may stand far back in the slow queue.
            waiting.urgent = true;
        } else if self.waiting.len() < WAITING {
            self.waiting.insert(
                id,
                Waiting {
                    pids: vec![pid],
                    urgent,
                },
            );
        } else {
            return None;
        }
        let file = if urgent {
            mapping
                .open(&self.proc_root, pid)
                .ok()
                .map(|(file, _)| file)
        } else {
            None
        };
        let job = Job {
            pid,
            mapping: mapping.clone(),
            id,
            file,
        };
        let Queues {
            urgent: now, later, ..
        } = &self.queues;
        let queue = if urgent { now } else { later };
        // The workers live as long as this value.
        let _ = queue.send(job);
        None
    }

    /// Looks into a file that no process is known to map. `None`: it is not there, or too many wait.
    pub fn ask_installed(&mut self, root: &Path, path: &Path) -> Option<FileId> {
        let name = path.strip_prefix("/").unwrap_or(path);
        let file = File::open(root.join(name)).ok()?;
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        let id = FileId::of(&metadata);
        if self.looks.contains(&id) || self.waiting.contains_key(&id) {
            return Some(id);
        }
        if self.waiting.len() >= WAITING {
            return None;
        }
        let waiting = Waiting {
            pids: Vec::new(),
            urgent: true,
        };
        self.waiting.insert(id, waiting);
        let mapping = Mapping {
            start: 0,
            end: 0,
            path: path.to_owned(),
        };
        let job = Job {
            pid: 0,
            mapping,
            id,
            file: Some(file),
        };
        // The worker lives as long as this value.
        let _ = self.queues.urgent.send(job);
        Some(id)
    }

    /// Takes an answer.
    pub fn answered(&mut self, looked: Looked) -> Answer {
        match looked {
            Looked::First { id, look } => {
                let waiting = self.waiting.remove(&id);
                let pids = waiting.map(|waiting| waiting.pids).unwrap_or_default();
                // Asked for twice (later, then now), the first answer stands.
                if let Some(known) = self.looks.get(&id) {
                    return Answer::First(pids, Some(known.clone()));
                }
                if let Some(look) = &look {
                    self.looks.put(id, look.clone());
                    if matches!(look, Look::Something(file) if file.awaits_calls) {
                        self.searched.insert(id);
                    }
                }
                Answer::First(pids, look)
            }
            // Looked into twice, it is searched twice.
            Looked::Calls { file, .. } if !self.searched.remove(&file.id) => Answer::Nothing,
            Looked::Calls { file, plan } => {
                let file = Arc::new(file.with_calls(plan));
                self.looks.put(file.id, Look::Something(Arc::clone(&file)));
                Answer::Calls(file)
            }
        }
    }

    /// The process is gone, or runs another program: it waits for nothing.
    pub fn forget(&mut self, pid: Pid) {
        for waiting in self.waiting.values_mut() {
            waiting.pids.retain(|waiter| *waiter != pid);
        }
    }

    /// Files that wait to be looked into, or for their calls.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.searched.len()
    }
}

#[cfg(test)]
mod tests;
