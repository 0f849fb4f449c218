//! One plan onto one file. In: a hook plan, a path to the file, all processes or one; out: links, and for each hook what became of it.
//!
//! Returns are hooked before entries, so that a call caught at its entry is caught at its return too. A kernel that refuses one
//! site of a group refuses the group: then each hook is tried by itself, so that one bad site costs one hook.

use std::path::Path;

use libbpf_rs::{Link, ProgramMut};
use obi_abi::RESULT_AT_SHIFT;
use obi_abi::cost::{CELL_SHIFT, class};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tls_hooks::{CallHook, CallSite, Hook, Returns};

use super::cells::Cells;
use super::links::{self, ProbeKind, Sites};
use super::numbers::NamedHook;
use crate::budget::{Group, OwnSite};
use crate::discovery::process::ReturnProbe;
use kafka_analyzer::capture::Pid;

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    pub hook: &'static str,
    /// Why the kernel refused it.
    pub refused: Option<String>,
}

impl HookState {
    pub fn state(&self) -> &'static str {
        if self.refused.is_some() {
            "refused"
        } else {
            "attached"
        }
    }

    pub fn report(&self) -> HookReport {
        HookReport {
            hook: self.hook.to_owned(),
            state: self.state().to_owned(),
            reason: self.refused.clone(),
        }
    }
}

/// One hook of a process, as `obi doctor` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookReport {
    pub hook: String,
    /// planned, attached, paused (by the overhead budget, for a while) or refused.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Dropping it detaches.
pub struct Attached {
    /// Dropped from the first: entries go before returns.
    links: Vec<Link>,
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
        links::attach(&self.entry, self.kind, (path, Some(pid)), &site, false).map(drop)
    }
}

impl Attached {
    pub fn nothing() -> Attached {
        Attached {
            links: Vec::new(),
            hooks: Vec::new(),
        }
    }

    /// Gives up the links, to be dropped where that may take its time; what became of the hooks stays known.
    pub fn let_go(&mut self) -> Detaching {
        Detaching {
            links: std::mem::take(&mut self.links),
        }
    }

    /// Takes others to its own.
    pub fn join(&mut self, others: Attached) {
        self.links.extend(others.links);
        self.hooks.extend(others.hooks);
    }

    /// Something is attached.
    pub fn is_there(&self) -> bool {
        !self.links.is_empty()
    }
}

/// Hooks on their way out: dropping it takes a tenth of a second for each probe on kernels without uprobe.multi.
pub struct Detaching {
    /// As [`Attached`]: entries go before returns.
    pub links: Vec<Link>,
}

/// The three groups of one attach.
#[derive(Default)]
pub struct Groups {
    entries: Sites,
    returns: Sites,
    uretprobes: Sites,
}

impl Groups {
    fn extend(&mut self, other: &Groups) {
        for (all, more) in [
            (&mut self.entries, &other.entries),
            (&mut self.returns, &other.returns),
            (&mut self.uretprobes, &other.uretprobes),
        ] {
            all.offsets.extend(&more.offsets);
            all.cookies.extend(&more.cookies);
        }
    }

    /// `sites` are taken in place of a uretprobe where that is not safe.
    fn uretprobe(
        &mut self,
        function: u64,
        sites: &[u64],
        cookie: u64,
        safety: ReturnProbe,
    ) -> Result<(), String> {
        if safety == ReturnProbe::Safe {
            self.uretprobes.push(function, cookie);
            return Ok(());
        }
        if sites.is_empty() {
            let why = match safety {
                ReturnProbe::Seccomp => "the process runs under a seccomp filter",
                _ => "the process uses a shadow stack",
            };
            return Err(format!(
                "{why}, and the return instructions are not known for certain"
            ));
        }
        sites
            .iter()
            .for_each(|site| self.returns.push(*site, cookie));
        Ok(())
    }
}

impl Sites {
    fn priced(&mut self, cells: &mut Cells, hook: NamedHook, uretprobe: bool) {
        for (offset, cookie) in self.offsets.iter().zip(&mut self.cookies) {
            *cookie = cells.cookie(*cookie, *offset as u64, hook, uretprobe);
        }
    }
}

impl Groups {
    /// Says in each cookie in which cell hits are counted.
    fn priced(mut self, cells: &mut Cells, name: &'static str, group: Group) -> Groups {
        let hook = |returning| NamedHook {
            name,
            returning,
            group,
        };
        self.returns.priced(cells, hook(true), false);
        self.uretprobes.priced(cells, hook(true), true);
        self.entries.priced(cells, hook(false), false);
        self
    }
}

/// The sites of a hook, or why it cannot be in such a process.
pub fn of_hook(hook: &Hook, cookie: u64, safety: ReturnProbe) -> Result<Groups, String> {
    let mut groups = Groups::default();
    if let Some(entry) = hook.entry {
        groups.entries.push(entry, cookie);
    }
    match &hook.returns {
        Returns::None => {}
        Returns::Sites(sites) => sites.iter().for_each(|site| {
            let stack = u64::from(site.stack) << RESULT_AT_SHIFT;
            groups.returns.push(site.at, cookie | stack);
        }),
        Returns::Uretprobe { function, sites } => {
            groups.uretprobe(*function, sites, cookie, safety)?;
        }
    }
    Ok(groups)
}

/// The same of a call of a client library.
pub fn of_call(call: &CallHook, cookie: u64, safety: ReturnProbe) -> Result<Groups, String> {
    let mut groups = Groups::default();
    match &call.at {
        CallSite::Entry(at) => groups.entries.push(*at, cookie),
        CallSite::Returns(sites) => sites
            .iter()
            .for_each(|site| groups.returns.push(*site, cookie)),
        CallSite::Uretprobe { function, sites } => {
            groups.uretprobe(*function, sites, cookie, safety)?;
        }
    }
    Ok(groups)
}

/// A hook by its name: its sites, or why it cannot be.
pub type Wanted = (&'static str, Result<Groups, String>);

/// Attaches all that is possible; `pid` None = every process that maps the file. Hits are charged to `group`.
pub fn attach(
    programs: &Programs<'_>,
    path: &Path,
    pid: Option<Pid>,
    wanted: Vec<Wanted>,
    group: Group,
    cells: &mut Cells,
) -> Attached {
    let mut states = Vec::new();
    let mut usable = Vec::new();
    let mut all = Groups::default();
    for (hook, groups) in wanted {
        match groups {
            Ok(groups) => {
                let groups = groups.priced(cells, hook, group);
                all.extend(&groups);
                usable.push((hook, groups));
            }
            Err(reason) => say(&mut states, hook, Some(reason)),
        }
    }
    let mut links = Vec::new();
    match link(programs, path, pid, &all) {
        Ok(together) => {
            links = together;
            usable
                .iter()
                .for_each(|(hook, _)| say(&mut states, hook, None));
        }
        // The process ended: trying hook by hook would only take ten times as long.
        Err(_) if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()) => {
            return Attached::nothing();
        }
        Err(_) => {
            for (hook, groups) in &usable {
                match link(programs, path, pid, groups) {
                    Ok(own) => {
                        links.extend(own);
                        say(&mut states, hook, None);
                    }
                    Err(reason) => say(&mut states, hook, Some(reason)),
                }
            }
        }
    }
    Attached {
        links,
        hooks: states,
    }
}

/// Hooks on functions of the agent itself; `index` is of a shape of which nothing is looked at.
pub fn attach_own(
    programs: &Programs<'_>,
    (path, pid): (&Path, Pid),
    index: u64,
    sites: &[OwnSite],
) -> libbpf_rs::Result<Vec<Link>> {
    let (mut entries, mut returns) = (Sites::default(), Sites::default());
    for site in sites {
        for cell in &site.cells {
            let returning = cell & class::RETURN != 0;
            let cookie = index | u64::from(*cell) << CELL_SHIFT;
            let kind = if returning {
                &mut returns
            } else {
                &mut entries
            };
            kind.push(site.offset, cookie);
        }
    }
    let (kind, place) = (programs.kind, (path, Some(pid)));
    let mut links = links::attach(&programs.entry, kind, place, &entries, false)?;
    links.extend(links::attach(
        &programs.uretprobe,
        kind,
        place,
        &returns,
        true,
    )?);
    Ok(links)
}

/// A function with several probes is one hook: refused when one of them is.
fn say(states: &mut Vec<HookState>, hook: &'static str, refused: Option<String>) {
    match states.iter_mut().find(|known| known.hook == hook) {
        Some(known) => known.refused = known.refused.take().or(refused),
        None => states.push(HookState { hook, refused }),
    }
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
            let new = links::attach(program, programs.kind, (path, pid), sites, retprobe)
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
