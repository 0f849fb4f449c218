//! Functions of applications that client libraries call with messages, or with what became of them. In: the address of one, as a process gave it to its library; out: hooks on it,
//! and word to the reader of calls whether it is followed.
//!
//! The file that holds it is hooked as a whole, so that its next process is seen from its first message (where the user chose processes: in that one
//! alone). Such hooks run for each message, and come and go with the overhead budget as others do. Code in no file (made at run time), or of
//! which nothing says that a function begins there, is not touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_analyzer::capture::Pid;
use symbolizer::Binary;
use tls_hooks::{CalledBack, HookPlan};

use super::{Announcement, Control};
use crate::attach::hooks::Attached;
use crate::attach::kernel::{Hooked, Target};
use crate::budget::windows::Place;
use crate::discovery::files::KnownFile;
use crate::discovery::process::{self, FileId};
use crate::pipeline::monotonic;

/// Functions followed of a process, and of a file.
const MOST: usize = 8;
/// Places that hold such functions.
const PLACES_MOST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Callbacks {
    /// Functions of a process that are hooked.
    followed: HashMap<Pid, Vec<Followed>>,
    /// Hooked functions, by where in their file they begin.
    hooked: BTreeMap<Place, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Followed {
    address: u64,
    /// The file that holds it.
    file: FileId,
    reports: bool,
}

impl Callbacks {
    fn of(&self, pid: Pid) -> &[Followed] {
        self.followed.get(&pid).map_or(&[], Vec::as_slice)
    }

    fn is_followed(&self, pid: Pid, address: u64) -> bool {
        self.of(pid).iter().any(|known| known.address == address)
    }

    fn is_hooked(&self, place: Place, offset: u64) -> bool {
        let hooked = self.hooked.get(&place);
        hooked.is_some_and(|hooked| hooked.contains(&offset))
    }

    /// Processes with a function in the file.
    pub fn users(&self, file: FileId) -> impl Iterator<Item = Pid> + '_ {
        let holds = move |known: &[Followed]| known.iter().any(|known| known.file == file);
        let of = self.followed.iter().filter(move |(_, known)| holds(known));
        of.map(|(pid, _)| *pid)
    }
}

fn called_with(reports: bool) -> &'static str {
    match reports {
        true => "called with delivery reports",
        false => "called with messages",
    }
}

impl Control {
    pub(super) fn called_back(&mut self, pid: Pid, address: u64, reports: bool) {
        let done = match self.callbacks.is_followed(pid, address) {
            true => Ok(()),
            false => self.follow(pid, address, reports),
        };
        if let Err(reason) = &done {
            tracing::info!(pid, reason, "{}, not followed", called_with(reports));
        }
        let said = Announcement::Callback {
            pid,
            address,
            followed: done.is_ok(),
        };
        if self.announce.try_send(said).is_err() {
            self.telemetry.lost("discovery_notices", 1);
        }
    }

    fn follow(&mut self, pid: Pid, address: u64, reports: bool) -> Result<(), String> {
        let known = self.callbacks.of(pid).len();
        if known >= MOST {
            return Err(format!("{known} functions of the process are followed"));
        }
        let (mapping, offset) = process::code_at(&self.proc_root, pid, address)
            .ok_or("its code is in no file that is mapped")?;
        let (file, id) = mapping
            .open(&self.proc_root, pid)
            .map_err(|error| error.to_string())?;
        let place = (id, self.filter.chooses_processes().then_some(pid));
        if !self.callbacks.is_hooked(place, offset) {
            let (library, plan, read) = self
                .library_of(pid)
                .ok_or("its client library is not hooked")?;
            let read = if reports { read.reports } else { read.messages };
            let plan = HookPlan {
                client: plan.client.clone(),
                ..HookPlan::default()
            };
            let mut file = KnownFile::new(id, &mapping.path, plan, false, file);
            let binary = Binary::open(&file.door()).map_err(|error| error.to_string())?;
            file.plan.calls = tls_hooks::callback(&binary, offset, &read)?;
            self.hook_callback(pid, place, library, file)?;
            let hooked = self.callbacks.hooked.entry(place).or_default();
            hooked.insert(offset);
            let path = mapping.path.display().to_string();
            tracing::info!(pid, path, "{}, followed", called_with(reports));
        }
        let followed = self.callbacks.followed.entry(pid).or_default();
        followed.push(Followed {
            address,
            file: id,
            reports,
        });
        self.tell_newcomers();
        Ok(())
    }

    /// The hooked library of a process that calls back, and how its calls are read.
    fn library_of(&self, pid: Pid) -> Option<(Place, &HookPlan, CalledBack)> {
        let mappings = process::mappings(&self.proc_root, pid);
        let ids = mappings
            .iter()
            .filter_map(|mapping| mapping.id(&self.proc_root, pid));
        ids.flat_map(|id| [(id, None), (id, Some(pid))])
            .find_map(|place| {
                let (file, _) = self.attached.get(&place)?;
                let read = file.plan.calls_back.as_deref()?;
                Some((place, &file.plan, *read))
            })
    }

    fn hook_callback(
        &mut self,
        pid: Pid,
        place: Place,
        library: Place,
        file: KnownFile,
    ) -> Result<(), String> {
        self.make_room();
        let hooked = &self.callbacks.hooked;
        let full = hooked.len() >= PLACES_MOST && !hooked.contains_key(&place);
        if full || hooked.get(&place).is_some_and(|all| all.len() >= MOST) {
            return Err("too many functions are followed".into());
        }
        let safety = self.safety(vec![pid]);
        // Together with the library's own, which may be away.
        let open = self.windows.begins(place) && !self.windows.is_shut(&library);
        let new = match open {
            true => self.kernel.attach_each_message(&Target {
                path: &file.door(),
                pid: place.1,
                plan: &file.plan,
                safety,
            }),
            false => Attached::nothing(),
        };
        let mut refused = new.hooks.iter().filter_map(|hook| hook.refused.clone());
        if let Some(reason) = refused.next() {
            return Err(reason);
        }
        self.telemetry
            .attached
            .store(monotonic(), Ordering::Relaxed);
        match self.attached.get_mut(&place) {
            // The file has other hooks.
            Some((known, hooked)) => {
                let mut plan = known.plan.clone();
                plan.calls.extend(file.plan.calls.iter().cloned());
                *known = Arc::new(file.with_plan(plan));
                hooked.each_message.join(new);
            }
            None => {
                let hooked = Hooked {
                    tls: Attached::nothing(),
                    batches: Attached::nothing(),
                    each_message: new,
                };
                self.attached.insert(place, (Arc::new(file), hooked));
            }
        }
        if !open {
            let users = self.window_users();
            self.look(&users);
            self.windows.shut(place, &users);
            self.tell_windows(&users);
        }
        Ok(())
    }

    /// Lets a file go whose processes are gone, when there are many.
    fn make_room(&mut self) {
        if self.callbacks.hooked.len() < PLACES_MOST {
            return;
        }
        let mut places = self.callbacks.hooked.keys();
        let unused = places.find(|(file, _)| self.callbacks.users(*file).next().is_none());
        if let Some(place) = unused.copied() {
            self.callbacks.hooked.remove(&place);
            let others = |(file, _): &(Arc<KnownFile>, Hooked)| !file.plan.hooks.is_empty();
            if !self.attached.get(&place).is_some_and(others) {
                self.attached.remove(&place);
            }
        }
    }

    /// All hooks on a file were replaced.
    pub(super) fn follow_again(&mut self, file: FileId) {
        self.callbacks.hooked.retain(|(id, _), _| *id != file);
        let users: Vec<Pid> = self.callbacks.users(file).collect();
        for pid in users {
            for known in self.callbacks.followed.remove(&pid).unwrap_or_default() {
                self.called_back(pid, known.address, known.reports);
            }
        }
    }

    /// The process ended, or runs another program; word of that may come late, when the new one is followed.
    pub(super) fn forget_callbacks(&mut self, pid: Pid) {
        let Some(known) = self.callbacks.followed.remove(&pid) else {
            return;
        };
        let (kept, gone): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| {
            let there = process::code_at(&self.proc_root, pid, known.address);
            let id = there.and_then(|(mapping, _)| mapping.id(&self.proc_root, pid));
            id == Some(known.file)
        });
        for known in gone {
            let own = (known.file, Some(pid));
            if self.callbacks.hooked.remove(&own).is_some() {
                self.attached.remove(&own);
            }
        }
        if !kept.is_empty() {
            self.callbacks.followed.insert(pid, kept);
        }
    }
}
