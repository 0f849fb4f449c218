//! The threads that look into files. In: a file's name and who maps it; out: its plan, in two stages.
//!
//! The first stage finds what shows the conversation, in tens of milliseconds, because a process that begins connects soon. The second finds calls of
//! the client library, which takes ten times as long for a large program; it has a thread of its own that goes before nobody.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use kafka_analyzer::capture::Pid;
use symbolizer::{Binary, Cache, Identity};
use tls_hooks::{HookPlan, Refusal};

use super::{KnownFile, Look, Looked, door};
use crate::attach::privileges;
use crate::discovery::process::{FileId, Mapping};

/// Plans remembered by build id.
const PLANS: usize = 1024;
/// Files whose calls wait to be looked for.
const SEARCHES: usize = 1024;

pub(super) struct Job {
    pub pid: Pid,
    pub mapping: Mapping,
    pub id: FileId,
    /// Opened at once when urgent: a short process may be gone before its turn.
    pub file: Option<File>,
}

pub(super) struct Queues {
    pub urgent: Sender<Job>,
    pub later: Sender<Job>,
    pub looked: Receiver<Looked>,
}

/// Starts the threads; they end when the queues are dropped. `client_hooks`: calls of client libraries are looked for.
pub(super) fn start(proc_root: &Path, client_hooks: bool) -> io::Result<Queues> {
    let (answers, looked) = unbounded();
    let plans = Plans::new();
    let searches = match client_hooks {
        true => Some(search(plans.clone(), answers.clone())?),
        false => None,
    };
    let looker = Looker {
        proc_root: proc_root.to_owned(),
        plans,
        answers,
        searches,
    };
    Ok(Queues {
        urgent: looker.clone().start("obi-look")?,
        later: looker.start("obi-look-later")?,
        looked,
    })
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        privileges::drop_unused_or_warn();
        run();
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}

/// The plans of both stages by build id: a library has copies in many containers.
#[derive(Clone)]
struct Plans(Arc<Mutex<Cache<Plan>>>);

#[derive(Clone)]
struct Plan {
    hooks: HookPlan,
    awaits_calls: bool,
}

impl Plans {
    fn new() -> Plans {
        Plans(Arc::new(Mutex::new(Cache::new(PLANS))))
    }

    fn get(&self, identity: &Identity) -> Option<Plan> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(identity).cloned()
    }

    fn keep(&self, identity: Identity, plan: &Plan) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.insert(identity, plan.clone());
    }
}

#[derive(Clone)]
struct Looker {
    proc_root: PathBuf,
    plans: Plans,
    answers: Sender<Looked>,
    /// Calls of client libraries are looked for there.
    searches: Option<Sender<Arc<KnownFile>>>,
}

impl Looker {
    fn start(self, name: &str) -> io::Result<Sender<Job>> {
        let (jobs, queue) = unbounded::<Job>();
        thread(name, move || {
            for job in queue {
                if !self.answer(job) {
                    return;
                }
            }
        })?;
        Ok(jobs)
    }

    /// False: nobody listens any more.
    fn answer(&self, job: Job) -> bool {
        let id = job.id;
        let look = self.look(job);
        let awaits = match &look {
            Some(Look::Something(file)) if file.awaits_calls => Some(Arc::clone(file)),
            _ => None,
        };
        if self.answers.send(Looked::First { id, look }).is_err() {
            return false;
        }
        // The second answer follows the first.
        let Some(file) = awaits else { return true };
        match self.searches.as_ref().map(|queue| queue.try_send(file)) {
            Some(Err(error)) => {
                let file = error.into_inner();
                let plan = unsearched(&file.plan, "too many files wait to be searched".to_owned());
                self.answers.send(Looked::Calls { file, plan }).is_ok()
            }
            Some(Ok(())) | None => true,
        }
    }

    fn look(&self, job: Job) -> Option<Look> {
        let (file, id) = match job.file {
            Some(file) => (file, job.id),
            None => job.mapping.open(&self.proc_root, job.pid).ok()?,
        };
        if id != job.id {
            return None;
        }
        Some(self.analyse(file, id, &job.mapping.path))
    }

    fn analyse(&self, file: File, id: FileId, path: &Path) -> Look {
        let binary = match Binary::open(&door(&file)) {
            Ok(binary) => binary,
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "file not understood");
                return Look::Nothing;
            }
        };
        let identity = binary.identity();
        let plan = self.plans.get(&identity).unwrap_or_else(|| {
            let hooks = tls_hooks::plan_without_calls(&binary);
            let awaits_calls = self.searches.is_some() && hooks.client.is_some();
            let plan = Plan {
                hooks,
                awaits_calls,
            };
            self.plans.keep(identity, &plan);
            plan
        });
        let hooks = &plan.hooks;
        if hooks.hooks.is_empty() && hooks.client.is_none() && hooks.refused.is_empty() {
            return Look::Nothing;
        }
        let known = KnownFile::new(id, path, plan.hooks, plan.awaits_calls, file);
        Look::Something(Arc::new(known))
    }
}

/// The thread for calls: nothing is late because of it, so it does not take the CPU from those whom the agent watches.
fn search(plans: Plans, answers: Sender<Looked>) -> io::Result<Sender<Arc<KnownFile>>> {
    let (searches, queue) = bounded::<Arc<KnownFile>>(SEARCHES);
    thread("obi-look-calls", move || {
        if let Err(error) = rustix::process::setpriority_process(None, 0) {
            tracing::debug!(%error, "a thread keeps its priority");
        }
        for file in queue {
            let plan = with_calls(&file, &plans);
            if answers.send(Looked::Calls { file, plan }).is_err() {
                return;
            }
        }
    })?;
    Ok(searches)
}

fn with_calls(file: &KnownFile, plans: &Plans) -> HookPlan {
    let binary = match Binary::open(&file.door()) {
        Ok(binary) => binary,
        Err(error) => {
            return unsearched(
                &file.plan,
                format!("the file cannot be read again: {error}"),
            );
        }
    };
    let identity = binary.identity();
    // A copy of it was searched meanwhile.
    if let Some(known) = plans.get(&identity).filter(|known| !known.awaits_calls) {
        return known.hooks;
    }
    let mut hooks = file.plan.clone();
    tls_hooks::add_calls(&binary, &mut hooks);
    let plan = Plan {
        hooks,
        awaits_calls: false,
    };
    plans.keep(identity, &plan);
    plan.hooks
}

fn unsearched(plan: &HookPlan, reason: String) -> HookPlan {
    let mut plan = plan.clone();
    let hook = plan.client.as_ref().map_or("unknown", |(name, _)| *name);
    plan.calls_refused.push(Refusal {
        hook,
        reason,
        mend: "start obi again".to_owned(),
    });
    plan
}
