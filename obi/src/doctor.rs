//! `obi doctor`: what this kernel allows, and for each process that looks like a Kafka client what is hooked and what would mend it.
//!
//! In: the running kernel (each feature is really loaded and attached), `/proc`, the running agent if there is one; out: a [`Report`].
//! It changes nothing and needs the agent's privileges for the kernel part only.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use symbolizer::Binary;
use tls_hooks::{Hook, HookPlan};

use crate::attach::hooks::HookReport;
use crate::attach::{self, Kernel, hooks};
use crate::budget;
use crate::budget::bill::{self, Costs, HookSeconds, Price};
use crate::discovery::events;
use crate::discovery::process::{self, FileId, ReturnProbe};
use crate::enrich;

pub const SCHEMA: &str = "obi.doctor/1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub schema: String,
    pub kernel: KernelReport,
    /// What hooks cost on this machine; absent where none can be attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// A running agent answered on its socket.
    pub agent_running: bool,
    pub processes: Vec<ProcessReport>,
    /// What an operator should look at; empty: all is well.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelReport {
    pub release: String,
    /// Each was tried by loading and attaching it.
    pub features: Vec<Feature>,
    /// The kernel's own word, for example `[none] integrity confidentiality`; absent where securityfs does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<String>,
}

/// What a hit of a hook costs beside the time within the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prices {
    /// By the running agent when it started, else now; else they are assumed.
    pub measured: bool,
    pub sites: Vec<Price>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    pub feature: String,
    pub works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessReport {
    pub pid: u32,
    pub service: String,
    pub exe: String,
    /// What the running agent takes it for: kafka, candidate, not_kafka, refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    pub libraries: Vec<Library>,
    /// Seconds that hooks have cost it; absent while they have not, or no agent is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<HookSeconds>,
}

/// A file of the process that holds a Kafka client or a TLS library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Library {
    pub path: String,
    /// Name and version, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<(String, String)>,
    pub hooks: Vec<HookReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    pub what: String,
    /// The one step that would mend it; empty where there is none.
    pub mend: String,
}

/// What the running agent has attached, as it tells on its socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    pub schema: String,
    /// Process states by pid.
    pub processes: BTreeMap<u32, String>,
    pub files: Vec<WatchedFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchedFile {
    pub dev: u64,
    pub ino: u64,
    /// Absent: hooked for all of its processes.
    pub pid: Option<u32>,
    pub hooks: Vec<HookReport>,
}

pub const WATCHED_SCHEMA: &str = "obi.watched/1";

/// Looks at this machine. `watched`, `costs`: what a running agent says.
pub fn report(watched: Option<&Watched>, costs: Option<&Costs>) -> Report {
    let mut findings = Vec::new();
    let kernel = kernel(&mut findings);
    let mut processes = Vec::new();
    let mut plans: Plans = process::own_file()
        .map(|id| (id, None))
        .into_iter()
        .collect();
    let root = Path::new("/proc");
    let mut pids = process::pids(root);
    pids.sort_unstable();
    for pid in pids.into_iter().filter(|pid| *pid != std::process::id()) {
        if let Some(mut process) = look(root, pid, watched, &mut plans, &mut findings) {
            process.cost = costs.and_then(|costs| costs.processes.get(&pid).copied());
            processes.push(process);
        }
    }
    Report {
        schema: SCHEMA.to_owned(),
        kernel,
        prices: costs.map_or_else(measured, |costs| {
            Some(Prices {
                measured: costs.measured,
                sites: costs.prices.clone(),
            })
        }),
        agent_running: watched.is_some(),
        processes,
        findings,
    }
}

fn kernel(findings: &mut Vec<Finding>) -> KernelReport {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown")
        .ok()
        .map(|text| text.trim().to_owned());
    let feature = |name: &str, reason: Option<String>| Feature {
        feature: name.to_owned(),
        works: reason.is_none(),
        reason,
    };
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let mut features = vec![feature(
        "btf",
        (!btf).then(|| "/sys/kernel/btf/vmlinux is missing".to_owned()),
    )];
    let (sender, _events) = crossbeam_channel::bounded(1);
    features.push(feature(
        "perf mmap events",
        events::watch(sender).err().map(|error| error.to_string()),
    ));
    match Kernel::probe() {
        Ok(steps) => {
            let works = |prefix: &str| {
                steps
                    .iter()
                    .any(|step| step.works && step.feature.starts_with(prefix))
            };
            if !works("fentry") && !works("kprobe") && !works("tp_btf") && !works("raw_tp") {
                findings.push(Finding {
                    pid: None,
                    what: "plaintext connections cannot be seen: this kernel takes none of the hooks on socket calls".to_owned(),
                    mend: "look for kernel lockdown or an LSM policy that forbids tracing".to_owned(),
                });
            }
            let cheap = works("fentry") || works("kprobe");
            features.push(feature(
                "requests and statements (instrumentation.app.enabled: auto)",
                (!cheap).then(|| "neither fentry nor kprobes: hooks on sockets cost every system call of the node; `true` reads them all the same".to_owned()),
            ));
            features.extend(steps.into_iter().map(|step| Feature {
                feature: step.feature.to_owned(),
                works: step.works,
                reason: step.reason,
            }));
        }
        Err(error) => {
            findings.push(Finding {
                pid: None,
                what: error.to_string(),
                mend: error.mend().to_owned(),
            });
            features.push(feature("bpf", Some(error.to_string())));
        }
    }
    KernelReport {
        release,
        features,
        lockdown,
    }
}

/// Without a running agent.
fn measured() -> Option<Prices> {
    let mut kernel = Kernel::load(&Kernel::least()).ok()?;
    let ledger = budget::open(&mut kernel).ok()?;
    Some(Prices {
        measured: ledger.prices.measured,
        sites: bill::list(&ledger.prices),
    })
}

/// Exit code for a machine that cannot be watched at all.
pub fn refusal() -> Option<u8> {
    attach::preconditions().err().map(|error| error.exit_code())
}

type Plans = HashMap<FileId, Option<HookPlan>>;

fn look(
    root: &Path,
    pid: u32,
    watched: Option<&Watched>,
    plans: &mut Plans,
    findings: &mut Vec<Finding>,
) -> Option<ProcessReport> {
    let state = watched.and_then(|watched| watched.processes.get(&pid).cloned());
    let safety = process::return_probe(root, pid);
    let mut files = Vec::new();
    for mapping in process::mappings(root, pid) {
        let Some(id) = mapping.id(root, pid) else {
            continue;
        };
        let plan = plans.entry(id).or_insert_with(|| {
            let (file, _) = mapping.open(root, pid).ok()?;
            let door = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            Binary::open(Path::new(&door))
                .ok()
                .map(|binary| tls_hooks::plan(&binary))
        });
        if let Some(plan) = plan
            .as_ref()
            .filter(|plan| plan.client.is_some() || plan.tls.is_some())
        {
            files.push((
                mapping.path.to_string_lossy().into_owned(),
                id,
                plan.clone(),
            ));
        }
    }
    let is_client =
        files.iter().any(|(_, _, plan)| plan.client.is_some()) || state.as_deref() == Some("kafka");
    if !is_client {
        return None;
    }
    let info = enrich::process_info(root, pid)?;
    let hooked = files.iter().any(|(_, _, plan)| plan.shows_tls());
    if !hooked && state.as_deref() != Some("kafka") {
        findings.push(Finding {
            pid: Some(pid),
            what: format!(
                "{}: no TLS library that can be hooked; only plaintext connections are seen",
                info.service
            ),
            mend: String::new(),
        });
    }
    let libraries = files
        .into_iter()
        .map(|(path, id, plan)| library(pid, path, id, plan, safety, watched, findings))
        .collect();
    Some(ProcessReport {
        pid,
        service: info.service.to_string(),
        exe: info.exe,
        state,
        libraries,
        cost: None,
    })
}

fn library(
    pid: u32,
    path: String,
    id: FileId,
    plan: HookPlan,
    safety: ReturnProbe,
    watched: Option<&Watched>,
    findings: &mut Vec<Finding>,
) -> Library {
    let live = watched.and_then(|watched| {
        watched.files.iter().find(|file| {
            (file.dev, file.ino) == (id.dev, id.ino) && file.pid.is_none_or(|owner| owner == pid)
        })
    });
    let mut hooks: Vec<HookReport> = match live {
        Some(file) => file.hooks.clone(),
        None => planned(&plan, safety),
    };
    for hook in hooks.iter().filter(|hook| hook.state == "refused") {
        let mend = plan.calls_refused.iter().find(|r| r.hook == hook.hook);
        findings.push(Finding {
            pid: Some(pid),
            what: format!(
                "{} in {path} is refused: {}",
                hook.hook,
                hook.reason.as_deref().unwrap_or("no reason given")
            ),
            mend: mend.map(|refusal| refusal.mend.clone()).unwrap_or_default(),
        });
    }
    for refusal in &plan.refused {
        findings.push(Finding {
            pid: Some(pid),
            what: format!(
                "{} in {path} cannot be hooked: {}",
                refusal.hook, refusal.reason
            ),
            mend: refusal.mend.clone(),
        });
        hooks.push(HookReport {
            hook: refusal.hook.to_owned(),
            state: "refused".to_owned(),
            reason: Some(refusal.reason.clone()),
        });
    }
    let named = |library: Option<(&'static str, String)>| {
        library.map(|(name, version)| (name.to_owned(), version))
    };
    Library {
        path,
        client: named(plan.client),
        tls: named(plan.tls),
        hooks,
    }
}

/// What would be attached to such a process. Whether calls of client libraries are hooked too, only a running agent knows.
fn planned(plan: &HookPlan, safety: ReturnProbe) -> Vec<HookReport> {
    let report = |hook: &Hook| {
        let reason = hooks::of_hook(hook, 0, safety).err();
        let state = if reason.is_some() {
            "refused"
        } else {
            "planned"
        };
        HookReport {
            hook: hook.name.to_owned(),
            state: state.to_owned(),
            reason,
        }
    };
    plan.hooks.iter().map(report).collect()
}
