//! The loaded BPF object. In: the object built into this binary and what this kernel takes of it; out: attached hooks, maps.
//!
//! Only this folder and `capture::live` know the loader. Dropping the value detaches and unloads everything.

mod plans;

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use kafka_analyzer::capture::{Nanos, Pid};
use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, ProgramAttachType,
    ProgramMut,
};
use obi_abi::client::CLIENT_SHAPES;
use obi_abi::{CallShape, ClientShape, SHAPES, news, pid_flag};
use zerocopy::{FromZeros, IntoBytes};

use super::costs::CostTable;
use super::error::Error;
use super::globals::Globals;
use super::hooks::{self, Programs};
use super::ladder::{Purpose, SocketPath, Step, purpose};
use super::links::ProbeKind;
use super::numbers::{HookCost, Numbers};
use super::shapes::Shapes;
use super::{kernel_offsets, layouts, log};
use crate::budget::OwnSite;
use crate::budget::prices::Prices;
use crate::capture::live::Rings;

use plans::CLIENT_PROGRAMS;
pub use plans::{Hooked, Target};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Rebuilt by `make bpf`; the build refuses one that does not match its sources.
const OBJECT: &[u8] = include_bytes!("../../../obi-bpf/prebuilt/obi.bpf.o");

pub struct Options {
    /// Bytes of the data ring: a power of two, at least a page.
    pub ring_bytes: u32,
    pub settings: obi_abi::Settings,
    /// Client libraries are hooked too.
    pub client_hooks: bool,
}

pub struct Kernel {
    // Links before the object: they are dropped in this order.
    socket_links: Vec<Link>,
    _life: Vec<Link>,
    _samples: Vec<Link>,
    object: Object,
    shapes: Shapes<CallShape>,
    client_shapes: Shapes<ClientShape>,
    client_hooks: bool,
    numbers: Numbers,
    /// Requests of other protocols are read: who serves them is of interest.
    pub app: bool,
    kind: ProbeKind,
    sockets: Option<SocketPath>,
    /// What was tried on the way, and what came of it.
    pub steps: Vec<Step>,
}

impl Kernel {
    /// Loads what this kernel takes, best form first.
    ///
    /// # Errors
    /// Nothing loads at all; the error says why and what would mend it.
    pub fn load(options: &Options) -> Result<Kernel, Error> {
        super::preconditions()?;
        let mut steps = Vec::new();
        let paths = SocketPath::ALL
            .map(Some)
            .into_iter()
            .filter(|path| path.is_some_and(has_programs))
            .chain([None]);
        let mut last = Error::Load("the object holds no programs".into());
        for path in paths {
            match Kernel::load_as(options, ProbeKind::Multi, path) {
                Ok(mut kernel) => {
                    kernel.sockets_tried(path, None, &mut steps);
                    return kernel.with_working_probes(options, path, steps);
                }
                Err(error) => {
                    if let Some(path) = path {
                        steps.push(Step::lost(path.feature(), error.to_string()));
                    }
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// To try what the kernel takes: small, and everything.
    pub fn least() -> Options {
        Options {
            ring_bytes: 64 * 1024,
            settings: obi_abi::Settings::DEFAULT,
            client_hooks: true,
        }
    }

    /// Tries each feature by itself, whether or not a better one works.
    ///
    /// # Errors
    /// Nothing can be loaded here.
    pub fn probe() -> Result<Vec<Step>, Error> {
        super::preconditions()?;
        let options = Kernel::least();
        let mut steps = Vec::new();
        let step = |feature, tried: Result<(), String>| match tried {
            Ok(()) => Step::works(feature),
            Err(reason) => Step::lost(feature, reason),
        };
        let multi = Kernel::load_as(&options, ProbeKind::Multi, None)?;
        steps.push(Step::works("ring buffer"));
        steps.push(step("uprobe.multi", multi.try_probe()));
        drop(multi);
        let perf =
            Kernel::load_as(&options, ProbeKind::Perf, None).map_err(|error| error.to_string());
        steps.push(step("uprobe", perf.and_then(|kernel| kernel.try_probe())));
        for path in SocketPath::ALL
            .into_iter()
            .filter(|path| has_programs(*path))
        {
            let tried = Kernel::load_as(&options, ProbeKind::Multi, Some(path));
            steps.push(step(
                path.feature(),
                tried.map(drop).map_err(|error| error.to_string()),
            ));
        }
        Ok(steps)
    }

    fn sockets_tried(
        &mut self,
        path: Option<SocketPath>,
        reason: Option<String>,
        steps: &mut Vec<Step>,
    ) {
        if let Some(path) = path {
            steps.push(reason.map_or_else(
                || Step::works(path.feature()),
                |reason| Step::lost(path.feature(), reason),
            ));
        }
    }

    /// Keeps uprobe.multi if this kernel attaches it, else loads again for perf uprobes.
    fn with_working_probes(
        mut self,
        options: &Options,
        path: Option<SocketPath>,
        mut steps: Vec<Step>,
    ) -> Result<Kernel, Error> {
        match self.try_probe() {
            Ok(()) => steps.push(Step::works("uprobe.multi")),
            Err(reason) => {
                steps.push(Step::lost("uprobe.multi", reason));
                drop(self);
                self = Kernel::load_as(options, ProbeKind::Perf, path)?;
                match self.try_probe() {
                    Ok(()) => steps.push(Step::works("uprobe")),
                    Err(reason) => {
                        return Err(Error::Load(format!("no uprobe can be attached: {reason}")));
                    }
                }
            }
        }
        self.steps = steps;
        Ok(self)
    }

    fn load_as(
        options: &Options,
        kind: ProbeKind,
        sockets: Option<SocketPath>,
    ) -> Result<Kernel, Error> {
        log::capture();
        let refused = |error: libbpf_rs::Error| match log::is_forbidden(&error) {
            true => Error::Refused(log::explain(&error)),
            false => Error::Load(log::explain(&error)),
        };
        let mut open = ObjectBuilder::default()
            .open_memory(OBJECT)
            .map_err(|error| Error::Object(log::explain(&error)))?;
        choose(&mut open, kind, sockets, options.client_hooks);
        settle(&mut open, options)?;
        let object = open.load().map_err(refused)?;
        let mut kernel = Kernel {
            socket_links: Vec::new(),
            _life: Vec::new(),
            _samples: Vec::new(),
            object,
            shapes: Shapes::new(SHAPES),
            client_shapes: Shapes::new(CLIENT_SHAPES),
            client_hooks: options.client_hooks,
            numbers: Numbers::new(options.settings.by_hook != 0),
            app: false,
            kind,
            sockets,
            steps: Vec::new(),
        };
        kernel.write_layouts()?;
        kernel._life = kernel
            .attach_all(|of| of == Purpose::Life)
            .map_err(refused)?;
        // A kprobe loads on kernels that cannot attach it.
        kernel.set_socket_calls(true).map_err(refused)?;
        kernel.set_socket_calls(false).map_err(refused)?;
        Ok(kernel)
    }

    fn attach_all(&self, wanted: impl Fn(Purpose) -> bool) -> libbpf_rs::Result<Vec<Link>> {
        let programs = self.object.progs_mut().filter(|program| {
            program.autoload() && wanted(purpose(&program.section().to_string_lossy()))
        });
        programs.map(|program| program.attach()).collect()
    }

    fn program(&self, name: &str) -> Option<ProgramMut<'_>> {
        self.object
            .progs_mut()
            .find(|program| program.name() == OsStr::new(name))
    }

    fn hook_programs(&self, shared: bool) -> Option<Programs<'_>> {
        self.programs(if shared {
            ["shared_entry", "shared_return", "call_uretprobe"]
        } else {
            ["call_entry", "call_return", "call_uretprobe"]
        })
    }

    fn programs(&self, [entry, site, uretprobe]: [&str; 3]) -> Option<Programs<'_>> {
        Some(Programs {
            entry: self.program(entry)?,
            site: self.program(site)?,
            uretprobe: self.program(uretprobe)?,
            kind: self.kind,
        })
    }

    /// A real attach to the agent's own entry point, which has long been passed.
    fn try_probe(&self) -> Result<(), String> {
        let programs = self
            .hook_programs(false)
            .ok_or("the object has no hook programs")?;
        let own = Path::new("/proc/self/exe");
        let entry = super::entry_point(own)
            .ok_or("the entry point of the agent's own file is not known")?;
        programs
            .try_at(own, std::process::id(), entry)
            .map_err(|error| log::explain(&error))
    }

    /// Client libraries are hooked too.
    pub fn hooks_clients(&self) -> bool {
        self.client_hooks
    }

    fn intern(&mut self, shape: CallShape) -> Result<u32, String> {
        let found = self.shapes.intern(shape);
        self.write_shape("SHAPES", found, shape.as_bytes())
    }

    fn intern_client(&mut self, shape: ClientShape) -> Result<u32, String> {
        let found = self.client_shapes.intern(shape);
        self.write_shape("CLIENT_SHAPES", found, shape.as_bytes())
    }

    fn write_shape(
        &self,
        table: &str,
        found: Option<(u32, bool)>,
        shape: &[u8],
    ) -> Result<u32, String> {
        let (index, new) = found.ok_or("the table of call shapes is full")?;
        if new {
            let map = self
                .map(table)
                .ok_or_else(|| format!("the object has no map {table}"))?;
            let written = map.update(&index.to_ne_bytes(), shape, MapFlags::ANY);
            written.map_err(|error| format!("the call shape was not written: {error}"))?;
        }
        Ok(index)
    }

    fn write_layouts(&self) -> Result<(), Error> {
        let (table, of) = (self.handle("LAYOUTS")?, self.handle("LAYOUT_OF")?);
        let known = layouts::known();
        let written = (0u32..)
            .zip(&known.layouts)
            .try_for_each(|(index, layout)| {
                table.update(&index.to_ne_bytes(), layout.as_bytes(), MapFlags::ANY)
            });
        written
            .and_then(|()| {
                known.of.iter().try_for_each(|(message, layout)| {
                    of.update(&message.to_ne_bytes(), &layout.to_ne_bytes(), MapFlags::ANY)
                })
            })
            .map_err(|error| Error::Load(error.to_string()))
    }

    fn map(&self, name: &str) -> Option<libbpf_rs::Map<'_>> {
        self.object
            .maps()
            .find(|map| map.name() == OsStr::new(name))
    }

    fn handle(&self, name: &str) -> Result<MapHandle, Error> {
        let map = self
            .map(name)
            .ok_or_else(|| Error::Object(format!("it has no map named {name}")))?;
        MapHandle::try_from(&map).map_err(|error| Error::Load(error.to_string()))
    }

    /// # Errors
    /// The object lacks a map, or the process is out of descriptors.
    pub fn rings(&self) -> Result<Rings, Error> {
        Ok(Rings {
            ring: self.handle("RING")?,
            events: self.handle("EVENTS")?,
            calls: self.handle("CALLS")?,
            reader: self.handle("READER")?,
            verdicts: self.handle("VERDICTS")?,
            news: self.handle("NEWS")?,
            stats: self.handle("STATS")?,
        })
    }

    /// What hooks cost processes.
    ///
    /// # Errors
    /// As [`Kernel::rings`].
    pub fn costs(&self) -> Result<CostTable, Error> {
        self.handle("COSTS").map(CostTable::new)
    }

    /// What each hook costs; `None` when that is not counted (`Settings::by_hook`).
    pub fn cost_by_hook(&self, prices: &Prices) -> Option<Vec<HookCost>> {
        self.numbers.costs(&self.map("HOOKS")?, prices)
    }

    /// Hooks functions of the agent itself, to be timed.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn attach_samples(&mut self, sites: &[OwnSite]) -> Result<(), String> {
        let nothing = CallShape::new_zeroed();
        let index = self.intern(nothing)?;
        let programs = self.hook_programs(false);
        let programs = programs.ok_or("the object has no hook programs")?;
        let own = (Path::new("/proc/self/exe"), std::process::id());
        let links = hooks::attach_own(&programs, own, u64::from(index), sites)
            .map_err(|error| log::explain(&error))?;
        self._samples = links;
        Ok(())
    }

    /// Whoever connects to this listener is followed before its first byte.
    pub fn know_peer(&self, peer: SocketAddr) {
        let Some(peers) = self.map("PEERS") else {
            return;
        };
        for key in peer_keys(peer) {
            if let Err(error) = peers.update(key.as_bytes(), &[1], MapFlags::ANY) {
                tracing::warn!(%peer, %error, "a Kafka listener could not be remembered");
            }
        }
    }

    /// The process is a Go program that has the id of a goroutine there in its `g`.
    pub fn know_go(&self, pid: Pid, goid: u16) {
        let Some(map) = self.map("GOES") else { return };
        let layout = obi_abi::GoLayout { goid };
        if let Err(error) = map.update(&pid.to_ne_bytes(), layout.as_bytes(), MapFlags::ANY) {
            tracing::warn!(pid, %error, "the goroutines of a process cannot be told apart");
        }
    }

    /// Leaves out the bodies of record batches of a process, or not any more; `now` is another time than that of any call before.
    pub fn leave_bodies(&self, pid: Pid, on: bool, now: Nanos) {
        self.set_flag(pid, pid_flag::NO_BODIES, on);
        let Some(news) = self.map("NEWS") else { return };
        let (index, now) = (news::BODIES.to_ne_bytes(), now.to_ne_bytes());
        if let Err(error) = news.update(&index, &now, MapFlags::ANY) {
            tracing::warn!(pid, on, %error, "record batches of a process could not be chosen");
        }
    }

    /// Captures the plaintext of a process's sockets and its calls into shared libraries, or stops it.
    pub fn watch_sockets(&self, pid: Pid, on: bool) {
        self.set_flag(pid, pid_flag::SOCKETS, on);
    }

    /// Sets or clears a bit of a process; the others are for others to set.
    fn set_flag(&self, pid: Pid, flag: u8, on: bool) {
        let Some(pids) = self.map("PIDS") else { return };
        let key = pid.to_ne_bytes();
        let others = pids
            .lookup(&key, MapFlags::ANY)
            .ok()
            .flatten()
            .and_then(|v| v.first().copied())
            .unwrap_or(0)
            & !flag;
        let value = if on { others | flag } else { others };
        let done = match value {
            0 => pids.delete(&key).or_else(|error| {
                if error.kind() == libbpf_rs::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(error)
                }
            }),
            value => pids.update(&key, &[value], MapFlags::ANY),
        };
        if let Err(error) = done {
            tracing::warn!(pid, flag, on, %error, "what is read of a process could not be chosen");
        }
    }

    /// Attaches or detaches the hooks on socket calls, which cost every process something.
    ///
    /// # Errors
    /// As the kernel refuses.
    pub fn set_socket_calls(&mut self, on: bool) -> libbpf_rs::Result<()> {
        if !on {
            self.socket_links.clear();
        } else if self.socket_links.is_empty()
            && let Some(path) = self.sockets
        {
            self.socket_links = self.attach_all(|of| of == Purpose::Socket(path))?;
        }
        Ok(())
    }

    pub fn socket_calls(&self) -> bool {
        !self.socket_links.is_empty()
    }

    pub fn socket_path(&self) -> Option<SocketPath> {
        self.sockets
    }
}

/// As an IPv4 socket sees the listener, and as an IPv6 socket does.
fn peer_keys(peer: SocketAddr) -> Vec<obi_abi::Peer> {
    let port = peer.port();
    let key = |family: u16, bytes: &[u8]| {
        let mut address = [0; 16];
        address
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
        obi_abi::Peer {
            address,
            family,
            port,
        }
    };
    match peer.ip() {
        IpAddr::V4(v4) => vec![
            key(AF_INET, &v4.octets()),
            key(AF_INET6, &v4.to_ipv6_mapped().octets()),
        ],
        IpAddr::V6(v6) => vec![key(AF_INET6, &v6.octets())],
    }
}

fn has_programs(path: SocketPath) -> bool {
    let Ok(open) = ObjectBuilder::default().open_memory(OBJECT) else {
        return false;
    };
    open.progs()
        .any(|program| purpose(&program.section().to_string_lossy()) == Purpose::Socket(path))
}

fn choose(open: &mut OpenObject, kind: ProbeKind, sockets: Option<SocketPath>, client_hooks: bool) {
    for mut program in open.progs_mut() {
        if !client_hooks && CLIENT_PROGRAMS.iter().any(|name| program.name() == *name) {
            program.set_autoload(false);
        }
        let of = purpose(&program.section().to_string_lossy());
        match of {
            Purpose::Hook if kind == ProbeKind::Perf => {
                program.set_attach_type(ProgramAttachType::from(0))
            }
            Purpose::Socket(path) => program.set_autoload(sockets == Some(path)),
            _ => {}
        }
    }
}

/// Writes what the programs need to know before they are verified.
fn settle(open: &mut OpenObject, options: &Options) -> Result<(), Error> {
    let globals = Globals::of(OBJECT)?;
    let offsets =
        kernel_offsets::of_running_kernel().map_err(|error| Error::Load(error.to_string()))?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name == "RING" {
            map.set_max_entries(options.ring_bytes)
                .map_err(|error| Error::Load(error.to_string()))?;
        } else if name == "HOOKS" && options.settings.by_hook == 0 {
            map.set_max_entries(1)
                .map_err(|error| Error::Load(error.to_string()))?;
        } else if name.ends_with(".rodata") {
            let bytes = map
                .initial_value_mut()
                .ok_or_else(|| Error::Object("its constants cannot be written".into()))?;
            globals.set(bytes, "SETTINGS", options.settings.as_bytes())?;
            globals.set(bytes, "KERNEL", offsets.as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            ring_bytes: 1 << 20,
            settings: obi_abi::Settings::DEFAULT,
            client_hooks: true,
        }
    }

    #[test]
    fn the_object_loads_and_a_probe_attaches_on_this_kernel() {
        let mut kernel = Kernel::load(&options()).unwrap();
        assert!(
            kernel
                .steps
                .iter()
                .any(|step| step.works && step.feature.starts_with("uprobe")),
            "{:?}",
            kernel.steps
        );
        kernel.set_socket_calls(true).unwrap();
        assert_eq!(kernel.socket_calls(), kernel.socket_path().is_some());
        kernel.set_socket_calls(false).unwrap();
        assert!(!kernel.socket_calls());
        assert_eq!(kernel.rings().unwrap().ring.max_entries(), 1 << 20);
    }

    #[test]
    fn a_process_is_chosen_and_let_go() {
        let kernel = Kernel::load(&options()).unwrap();
        let value = || {
            kernel
                .map("PIDS")
                .unwrap()
                .lookup(&7u32.to_ne_bytes(), MapFlags::ANY)
                .unwrap()
        };
        kernel.watch_sockets(7, false);
        assert_eq!(value(), None);
        kernel.watch_sockets(7, true);
        assert_eq!(value(), Some(vec![pid_flag::SOCKETS]));
        kernel
            .map("PIDS")
            .unwrap()
            .update(
                &7u32.to_ne_bytes(),
                &[pid_flag::SOCKETS | pid_flag::BIND],
                MapFlags::ANY,
            )
            .unwrap();
        kernel.watch_sockets(7, false);
        assert_eq!(
            value(),
            Some(vec![pid_flag::BIND]),
            "the kernel side's own bit stays"
        );
    }
}
