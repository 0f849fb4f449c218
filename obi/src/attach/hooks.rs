//! One plan onto one file. In: a hook plan, a path to the file, all processes or one; out: links, and for each hook what became of it.
//!
//! Returns are hooked before entries, so that a call caught at its entry is caught at its return too. A kernel that refuses one
//! site of a group refuses the group: then each hook is tried by itself, so that one bad site costs one hook.

use std::path::Path;

use libbpf_rs::{Link, ProgramMut, UprobeMultiOpts, UprobeOpts};
use obi_abi::RESULT_AT_SHIFT;
use tls_hooks::{Hook, Returns};

use crate::discovery::process::ReturnProbe;
use crate::doctor::HookReport;
use kafka_analyzer::capture::Pid;

/// How the kernel takes many sites of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// One link for all sites (Linux 6.6).
    Multi,
    /// A perf event for each site.
    Perf,
}

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    pub hook: &'static str,
    /// Why the kernel refused it.
    pub refused: Option<String>,
}

impl HookState {
    pub fn report(&self) -> HookReport {
        let state = if self.refused.is_some() {
            "refused"
        } else {
            "attached"
        };
        HookReport {
            hook: self.hook.to_owned(),
            state: state.to_owned(),
            reason: self.refused.clone(),
        }
    }
}

/// Dropping it detaches.
pub struct Attached {
    /// Dropped from the first: entries go before returns.
    _links: Vec<Link>,
    pub hooks: Vec<HookState>,
}

pub struct Programs<'obj> {
    pub entry: ProgramMut<'obj>,
    pub site: ProgramMut<'obj>,
    pub uretprobe: ProgramMut<'obj>,
    pub kind: ProbeKind,
}

impl Programs<'_> {
    /// Attaches at one site of a process and detaches again.
    pub fn try_at(&self, path: &Path, pid: Pid, offset: u64) -> libbpf_rs::Result<()> {
        let mut site = Sites::default();
        site.push(offset, 0);
        one_kind(&self.entry, self.kind, path, Some(pid), &site, false).map(drop)
    }
}

impl Attached {
    pub fn nothing() -> Attached {
        Attached {
            _links: Vec::new(),
            hooks: Vec::new(),
        }
    }
}

/// Probe sites of one kind with their cookies.
#[derive(Default)]
struct Sites {
    offsets: Vec<usize>,
    cookies: Vec<u64>,
}

impl Sites {
    fn push(&mut self, offset: u64, cookie: u64) {
        if let Ok(offset) = usize::try_from(offset) {
            self.offsets.push(offset);
            self.cookies.push(cookie);
        }
    }
}

/// The three groups of one attach.
#[derive(Default)]
struct Groups {
    entries: Sites,
    returns: Sites,
    uretprobes: Sites,
}

/// `hooks` with their cookies; `pid` None = every process that maps the file.
pub fn attach(
    programs: &Programs<'_>,
    path: &Path,
    pid: Option<Pid>,
    hooks: &[(&Hook, u64)],
    safety: ReturnProbe,
) -> Attached {
    let mut states = Vec::new();
    let mut usable = Vec::new();
    for (hook, cookie) in hooks {
        match groups(&[(hook, *cookie)], safety) {
            Ok(_) => usable.push((*hook, *cookie)),
            Err(reason) => states.push(HookState {
                hook: hook.name,
                refused: Some(reason),
            }),
        }
    }
    let mut links = Vec::new();
    let together = groups(&usable, safety).and_then(|groups| link(programs, path, pid, &groups));
    match together {
        Ok(all) => {
            links = all;
            states.extend(usable.iter().map(|(hook, _)| HookState {
                hook: hook.name,
                refused: None,
            }));
        }
        // The process ended: trying hook by hook would only take ten times as long.
        Err(_) if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()) => {
            return Attached::nothing();
        }
        Err(_) => {
            for one in &usable {
                let refused = match groups(&[*one], safety)
                    .and_then(|groups| link(programs, path, pid, &groups))
                {
                    Ok(own) => {
                        links.extend(own);
                        None
                    }
                    Err(reason) => Some(reason),
                };
                states.push(HookState {
                    hook: one.0.name,
                    refused,
                });
            }
        }
    }
    Attached {
        _links: links,
        hooks: states,
    }
}

fn groups(hooks: &[(&Hook, u64)], safety: ReturnProbe) -> Result<Groups, String> {
    let mut groups = Groups::default();
    for (hook, cookie) in hooks {
        groups.entries.push(hook.entry, *cookie);
        match &hook.returns {
            Returns::None => {}
            Returns::Sites(sites) => sites.iter().for_each(|site| {
                let stack = u64::from(site.stack) << RESULT_AT_SHIFT;
                groups.returns.push(site.at, *cookie | stack);
            }),
            Returns::Uretprobe { function, .. } if safety == ReturnProbe::Safe => {
                groups.uretprobes.push(*function, *cookie)
            }
            Returns::Uretprobe { sites, .. } if !sites.is_empty() => {
                sites
                    .iter()
                    .for_each(|site| groups.returns.push(*site, *cookie));
            }
            Returns::Uretprobe { .. } => {
                let why = match safety {
                    ReturnProbe::Seccomp => "the process runs under a seccomp filter",
                    _ => "the process uses a shadow stack",
                };
                return Err(format!(
                    "{why}, and the return instructions are not known for certain"
                ));
            }
        }
    }
    Ok(groups)
}

/// Entries stand first in the answer.
fn link(
    programs: &Programs<'_>,
    path: &Path,
    pid: Option<Pid>,
    groups: &Groups,
) -> Result<Vec<Link>, String> {
    let mut links = Vec::new();
    let mut add = |program: &ProgramMut<'_>, sites: &Sites, retprobe: bool| -> Result<(), String> {
        if !sites.offsets.is_empty() {
            let new = one_kind(program, programs.kind, path, pid, sites, retprobe)
                .map_err(|error| format!("{error:#}"))?;
            links.splice(0..0, new);
        }
        Ok(())
    };
    add(&programs.site, &groups.returns, false)?;
    add(&programs.uretprobe, &groups.uretprobes, true)?;
    add(&programs.entry, &groups.entries, false)?;
    Ok(links)
}

fn one_kind(
    program: &ProgramMut<'_>,
    kind: ProbeKind,
    path: &Path,
    pid: Option<Pid>,
    sites: &Sites,
    retprobe: bool,
) -> libbpf_rs::Result<Vec<Link>> {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(-1);
    match kind {
        ProbeKind::Multi => {
            let opts = UprobeMultiOpts {
                offsets: sites.offsets.clone(),
                cookies: sites.cookies.clone(),
                retprobe,
                ..Default::default()
            };
            Ok(vec![
                program.attach_uprobe_multi_with_opts(pid, path, "", opts)?,
            ])
        }
        ProbeKind::Perf => sites
            .offsets
            .iter()
            .zip(&sites.cookies)
            .map(|(offset, cookie)| {
                let opts = UprobeOpts {
                    cookie: *cookie,
                    retprobe,
                    ..Default::default()
                };
                program.attach_uprobe_with_opts(pid, path, *offset, opts)
            })
            .collect(),
    }
}
