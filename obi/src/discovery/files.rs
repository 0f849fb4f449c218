//! Files that processes map, each looked into once. In: a mapping; out: its hook plan, by file identity and by build id.
//!
//! Looking takes milliseconds to seconds (a compiler's libraries hold hundreds of megabytes), so two threads do it: one for files of processes
//! that begin now, one for those of a scan. All tables have a cap. A file that can be hooked stays open, because an attach through
//! `/proc/self/fd` reaches the very file that was read, whatever its name points to by now.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use kafka_analyzer::capture::Pid;
use lru::LruCache;
use symbolizer::{Binary, Cache};
use tls_hooks::{HookPlan, Planner};

use super::process::{self, FileId, Mapping};
use crate::attach::privileges;

/// Files remembered.
const FILES: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
/// Plans remembered by build id.
const PLANS: usize = 1024;
/// Files that wait to be looked into; bounds the queues.
const WAITING: usize = 8192;

/// A file that has something to hook, or holds a Kafka client.
#[derive(Debug)]
pub struct KnownFile {
    pub id: FileId,
    /// As the first process that mapped it named it.
    pub path: PathBuf,
    pub plan: HookPlan,
    file: File,
}

impl KnownFile {
    pub fn new(id: FileId, path: &Path, plan: HookPlan, file: File) -> KnownFile {
        KnownFile {
            id,
            path: path.to_owned(),
            plan,
            file,
        }
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

/// A file was looked into; `None` = it vanished before.
#[derive(Debug)]
pub struct Looked {
    id: FileId,
    look: Option<Look>,
}

struct Job {
    pid: Pid,
    mapping: Mapping,
    id: FileId,
    /// Opened at once when urgent: a short process may be gone before its turn.
    file: Option<File>,
}

struct Waiting {
    pids: Vec<Pid>,
    urgent: bool,
}

pub struct Files {
    proc_root: PathBuf,
    looks: LruCache<FileId, Look>,
    waiting: HashMap<FileId, Waiting>,
    urgent: Sender<Job>,
    later: Sender<Job>,
    pub looked: Receiver<Looked>,
}

impl Files {
    /// Starts the two threads; they end when this value is dropped.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn start(proc_root: &Path, planner: Planner) -> io::Result<Files> {
        let plans = Arc::new(Mutex::new(Cache::new(PLANS)));
        let (answers, looked) = unbounded();
        let worker = |name: &str| -> io::Result<Sender<Job>> {
            let (jobs, queue) = unbounded::<Job>();
            let (answers, plans, proc_root) =
                (answers.clone(), Arc::clone(&plans), proc_root.to_owned());
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    privileges::drop_unused_or_warn();
                    for job in queue {
                        let answer = Looked {
                            id: job.id,
                            look: look(job, &proc_root, &plans, planner),
                        };
                        if answers.send(answer).is_err() {
                            return;
                        }
                    }
                })?;
            Ok(jobs)
        };
        let mut looks = LruCache::new(FILES);
        if let Some(own) = process::own_file() {
            looks.put(own, Look::Nothing);
        }
        Ok(Files {
            urgent: worker("obi-look")?,
            later: worker("obi-look-later")?,
            proc_root: proc_root.to_owned(),
            looks,
            waiting: HashMap::new(),
            looked,
        })
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
        let queue = if urgent { &self.urgent } else { &self.later };
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
        let _ = self.urgent.send(job);
        Some(id)
    }

    /// Takes an answer: the processes that waited for it.
    pub fn answered(&mut self, Looked { id, look }: Looked) -> (Vec<Pid>, Option<Look>) {
        let pids = self
            .waiting
            .remove(&id)
            .map(|waiting| waiting.pids)
            .unwrap_or_default();
        // Asked for twice (later, then now), the first answer stands.
        if let Some(known) = self.looks.get(&id) {
            return (pids, Some(known.clone()));
        }
        if let Some(look) = &look {
            self.looks.put(id, look.clone());
        }
        (pids, look)
    }

    /// The process is gone, or runs another program: it waits for nothing.
    pub fn forget(&mut self, pid: Pid) {
        for waiting in self.waiting.values_mut() {
            waiting.pids.retain(|waiter| *waiter != pid);
        }
    }

    /// Files that wait to be looked into.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

fn look(
    job: Job,
    proc_root: &Path,
    plans: &Mutex<Cache<HookPlan>>,
    planner: Planner,
) -> Option<Look> {
    let (file, id) = match job.file {
        Some(file) => (file, job.id),
        None => job.mapping.open(proc_root, job.pid).ok()?,
    };
    if id != job.id {
        return None;
    }
    Some(analyse(file, id, &job.mapping.path, plans, planner))
}

fn analyse(
    file: File,
    id: FileId,
    path: &Path,
    plans: &Mutex<Cache<HookPlan>>,
    planner: Planner,
) -> Look {
    let binary = match Binary::open(&door(&file)) {
        Ok(binary) => binary,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "file not understood");
            return Look::Nothing;
        }
    };
    let identity = binary.identity();
    let known = plans
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&identity)
        .cloned();
    let plan = known.unwrap_or_else(|| {
        let plan = planner(&binary);
        plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(identity, plan.clone());
        plan
    });
    if plan.hooks.is_empty() && plan.client.is_none() && plan.refused.is_empty() {
        return Look::Nothing;
    }
    Look::Something(Arc::new(KnownFile::new(id, path, plan, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_into_once_and_all_who_wait_are_told() {
        let root = Path::new("/proc");
        let pid = std::process::id();
        let mut files = Files::start(root, tls_hooks::plan).unwrap();
        let libc = process::mappings(root, pid)
            .into_iter()
            .find(|m| m.path.to_string_lossy().contains("libc.so"))
            .unwrap();
        assert!(files.ask(pid, &libc, Urgency::Later).is_none());
        assert!(files.ask(pid, &libc, Urgency::Now).is_none());
        assert_eq!(files.waiting(), 1);
        let first = files.looked.recv().unwrap();
        let (told, look) = files.answered(first);
        assert_eq!(told, [pid]);
        assert!(matches!(look, Some(Look::Nothing)));
        let second = files.looked.recv().unwrap();
        assert_eq!(files.answered(second).0, [0; 0]);
        assert!(matches!(
            files.ask(pid, &libc, Urgency::Now),
            Some(Look::Nothing)
        ));
        assert_eq!(files.waiting(), 0);
    }
}
