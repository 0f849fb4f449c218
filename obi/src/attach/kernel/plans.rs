//! What a plan says, attached. In: a file, its plan, whose processes; out: hooks by group, as they stand.

use std::path::Path;

use kafka_analyzer::capture::Pid;
use obi_abi::client::means;
use tls_hooks::{CallHook, HookPlan, Scope};

use super::Kernel;
use crate::attach::cells::Cells;
use crate::attach::hooks::{Attached, HookReport, HookState, Wanted, attach, of_call, of_hook};
use crate::attach::log;
use crate::budget::Group;
use crate::discovery::process::ReturnProbe;

/// Entry, return instruction, uretprobe.
pub(super) const CLIENT_PROGRAMS: [&str; 3] = ["client_entry", "client_return", "client_uretprobe"];

/// Whose functions are hooked.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Leads to the file, whatever its name is by now.
    pub path: &'a Path,
    /// One process of the file, or all.
    pub pid: Option<Pid>,
    pub plan: &'a HookPlan,
    pub safety: ReturnProbe,
}

/// What is attached to one file, or to one process of it.
pub struct Hooked {
    pub tls: Attached,
    /// Calls of the client library that come once a batch or more seldom, and those that come with each message.
    pub batches: Attached,
    pub each_message: Attached,
}

impl Hooked {
    /// Hooks on the client library.
    pub fn calls(&self) -> impl Iterator<Item = &HookState> {
        self.batches.hooks.iter().chain(&self.each_message.hooks)
    }

    /// Of a hook that fires for each message: it may be away for a while.
    pub fn state(&self, hook: &HookState) -> &'static str {
        match hook.refused {
            None if !self.each_message.is_there() => "paused",
            _ => hook.state(),
        }
    }

    /// As they stand now. `awaits_calls`: those of the client library are still looked for.
    pub fn reports(&self, awaits_calls: bool) -> Vec<HookReport> {
        let each = self.each_message.hooks.iter().map(|hook| HookReport {
            state: self.state(hook).to_owned(),
            ..hook.report()
        });
        let others = self.tls.hooks.iter().chain(&self.batches.hooks);
        let awaited = awaits_calls.then(|| HookReport {
            hook: "calls of the client library".to_owned(),
            state: "planned".to_owned(),
            reason: Some("they are still looked for".to_owned()),
        });
        let others = others.map(HookState::report).chain(each);
        others.chain(awaited).collect()
    }

    pub fn all(&self) -> impl Iterator<Item = &HookState> {
        self.tls.hooks.iter().chain(self.calls())
    }
}

impl Kernel {
    /// Carries out a plan. A general-purpose file that is hooked for all shows those processes that are followed.
    pub fn attach(&mut self, target: &Target<'_>, each_message: bool) -> Hooked {
        let Target {
            path, pid, plan, ..
        } = *target;
        let mut wanted: Vec<Wanted> = Vec::new();
        for hook in &plan.hooks {
            let index = self.intern(hook.shape);
            let groups = index.and_then(|index| of_hook(hook, u64::from(index), target.safety));
            wanted.push((hook.name, groups));
        }
        log::capture();
        let shared = pid.is_none() && plan.scope == Scope::Process;
        let cells = &mut Cells::of(path, self.numbers.clone());
        let tls = match self.hook_programs(shared) {
            Some(programs) => attach(&programs, path, pid, wanted, Group::Tls, cells),
            None => Attached::nothing(),
        };
        let batches = self.attach_batches(target);
        let each_message = match each_message {
            true => self.attach_each_message(target),
            false => Attached::nothing(),
        };
        Hooked {
            tls,
            batches,
            each_message,
        }
    }

    /// Of these the calls that come once a batch or more seldom. Groups of their own: those that fire for each message can go while the others stay.
    pub fn attach_batches(&mut self, target: &Target<'_>) -> Attached {
        let mut attached = self.attach_calls(target, Group::Batches);
        if self.client_hooks {
            let refused = target.plan.calls_refused.iter().map(|refusal| HookState {
                hook: refusal.hook,
                refused: Some(refusal.reason.clone()),
            });
            attached.hooks.extend(refused);
        }
        attached
    }

    /// Of these the calls that come with each message.
    pub fn attach_each_message(&mut self, target: &Target<'_>) -> Attached {
        self.attach_calls(target, Group::EachMessage)
    }

    fn attach_calls(&mut self, target: &Target<'_>, group: Group) -> Attached {
        let of_group = |call: &&CallHook| call.per_message == (group == Group::EachMessage);
        let mut wanted: Vec<Wanted> = Vec::new();
        for call in target.plan.calls.iter().filter(of_group) {
            if call.shape.means == means::SERVES && !self.app {
                continue;
            }
            let index = self.intern_client(call.shape);
            let groups = index.and_then(|index| of_call(call, u64::from(index), target.safety));
            wanted.push((call.name, groups));
        }
        if wanted.is_empty() || !self.client_hooks {
            return Attached::nothing();
        }
        log::capture();
        // A site that stands with another group's is taken for one by itself: it costs no more than that.
        let Target { path, pid, .. } = *target;
        let cells = &mut Cells::of(path, self.numbers.clone());
        match self.programs(CLIENT_PROGRAMS) {
            Some(programs) => attach(&programs, path, pid, wanted, group, cells),
            None => Attached::nothing(),
        }
    }
}
