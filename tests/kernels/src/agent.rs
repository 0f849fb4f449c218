//! Loads the object as the agent does: constants set, programs chosen, sites attached, records read.
//!
//! In: the bytes of the object and the names of the programs wanted. Out: records as they came from the ring.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use libbpf_rs::query::LinkInfoIter;
use libbpf_rs::{
    Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, PrintLevel, Program,
    ProgramAttachType, ProgramMut,
};
use obi_abi::cost::{CELL_SHIFT, HOOK_SHIFT, OfHook};
use obi_abi::walk::Layout;
use obi_abi::{
    CallShape, ClientShape, Costs, GoLayout, Peer, RESULT_AT_SHIFT, RecordHeader, Settings, news,
};
use object::{Object as _, ObjectSymbol};
use zerocopy::{FromBytes, IntoBytes};

use crate::kernel_offsets;
use crate::links::{self, ProbeKind, Sites};
use crate::ring::{Alarm, Ring};

/// One record of a ring, copied.
#[derive(Clone, Debug)]
pub struct Record {
    pub header: RecordHeader,
    pub payload: Vec<u8>,
}

/// A site to attach: offset in the file, index of the shape, where the result stands on the stack (0: in the register), the cell that its
/// hits are counted in; the same number is that of its hook.
#[derive(Clone, Copy)]
pub struct Site {
    pub offset: usize,
    pub shape: u8,
    pub stack: u16,
    pub cell: u8,
}

impl Site {
    fn cookie(&self) -> u64 {
        u64::from(self.shape)
            | u64::from(self.stack) << RESULT_AT_SHIFT
            | u64::from(self.cell) << CELL_SHIFT
            | u64::from(self.cell) << HOOK_SHIFT
    }
}

pub struct Agent {
    // Dropped in this order: links before the object they belong to.
    links: Vec<Link>,
    rings: RefCell<Vec<Ring>>,
    alarm: Alarm,
    object: Object,
    /// Sites are attached by one uprobe.multi link (6.6 and later), else one by one.
    pub multi: bool,
}

impl Agent {
    pub fn load(
        bytes: &[u8],
        programs: &[&str],
        settings: Settings,
        ring: Option<u32>,
        multi: bool,
    ) -> Result<Agent> {
        let object = open(bytes, programs, settings, ring, multi)?
            .load()
            .context("the kernel refused the object")?;
        let maps: Vec<_> = object
            .maps()
            .filter(|m| {
                ["RING", "EVENTS", "CALLS"]
                    .iter()
                    .any(|name| m.name() == *name)
            })
            .collect();
        let open = |map: &libbpf_rs::Map<'_>| Ring::open(map.as_fd(), map.max_entries());
        let rings = maps
            .iter()
            .map(open)
            .collect::<Result<_, _>>()
            .context("cannot map the rings")?;
        let descriptors: Vec<_> = maps.iter().map(AsFd::as_fd).collect();
        let alarm = Alarm::new(&descriptors)?;
        Ok(Agent {
            links: Vec::new(),
            rings: RefCell::new(rings),
            alarm,
            object,
            multi,
        })
    }

    pub fn set_shape(&self, index: u8, shape: CallShape) -> Result<()> {
        self.update("SHAPES", &u32::from(index).to_ne_bytes(), shape.as_bytes())
    }

    pub fn set_client_shape(&self, index: u8, shape: ClientShape) -> Result<()> {
        self.update(
            "CLIENT_SHAPES",
            &u32::from(index).to_ne_bytes(),
            shape.as_bytes(),
        )
    }

    pub fn set_pid(&self, pid: u32, flags: u8) -> Result<()> {
        self.update("PIDS", &pid.to_ne_bytes(), &[flags])
    }

    pub fn know_go(&self, pid: u32, layout: GoLayout) -> Result<()> {
        self.update("GOES", &pid.to_ne_bytes(), layout.as_bytes())
    }

    /// Something of this kind changed.
    pub fn tell(&self, news: u32) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let now = (now.as_nanos() as u64).to_ne_bytes();
        self.update("NEWS", &news.to_ne_bytes(), &now)
    }

    pub fn forget_pid(&self, pid: u32) -> Result<()> {
        let map = self.object.maps().find(|m| m.name() == "PIDS");
        Ok(map.context("no map PIDS")?.delete(&pid.to_ne_bytes())?)
    }

    pub fn know_peer(&self, peer: &Peer) -> Result<()> {
        self.update("PEERS", peer.as_bytes(), &[1])
    }

    pub fn set_verdict(&self, conn: u64, copy: u8) -> Result<()> {
        self.update("VERDICTS", &conn.to_ne_bytes(), &[copy])?;
        self.tell(news::VERDICTS)
    }

    pub fn set_layout(&self, index: u32, layout: &Layout) -> Result<()> {
        self.update("LAYOUTS", &index.to_ne_bytes(), layout.as_bytes())
    }

    pub fn set_layout_of(&self, message: u32, layout: u32) -> Result<()> {
        self.update("LAYOUT_OF", &message.to_ne_bytes(), &layout.to_ne_bytes())
    }

    fn update(&self, map: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let map = self
            .object
            .maps()
            .find(|m| m.name() == map)
            .with_context(|| format!("no map {map}"))?;
        Ok(map.update(key, value, MapFlags::ANY)?)
    }

    /// Whether the map holds the key.
    pub fn holds(&self, map: &str, key: &[u8]) -> Result<bool> {
        let map = self
            .object
            .maps()
            .find(|m| m.name() == map)
            .with_context(|| format!("no map {map}"))?;
        Ok(map.lookup(key, MapFlags::ANY)?.is_some())
    }

    /// A counter of `obi_abi::stat`, summed over CPUs.
    pub fn stat(&self, index: u32) -> Result<u64> {
        let values = self
            .of_each_cpu("STATS", index)?
            .context("no such counter")?;
        values
            .iter()
            .map(|v| u64::read_from_bytes(v).map_err(|_| anyhow!("counter is no u64")))
            .sum()
    }

    /// What hooks cost a process, summed over CPUs.
    pub fn costs(&self, pid: u32) -> Result<Option<Costs>> {
        let Some(values) = self.of_each_cpu("COSTS", pid)? else {
            return Ok(None);
        };
        let mut sum = Costs::NOTHING;
        for value in &values {
            let costs = Costs::read_from_bytes(value).map_err(|_| anyhow!("no costs"))?;
            sum.add(&costs);
        }
        Ok(Some(sum))
    }

    /// What a hook costs, summed over CPUs.
    pub fn of_hook(&self, number: u8) -> Result<OfHook> {
        let values = self.of_each_cpu("HOOKS", number.into())?;
        let mut sum = OfHook::default();
        for value in &values.context("no such hook")? {
            let more = OfHook::read_from_bytes(value).map_err(|_| anyhow!("no hook"))?;
            sum.hits += more.hits;
            sum.ran += more.ran;
        }
        Ok(sum)
    }

    fn of_each_cpu(&self, map: &str, key: u32) -> Result<Option<Vec<Vec<u8>>>> {
        let map = self
            .object
            .maps()
            .find(|m| m.name() == map)
            .with_context(|| format!("no map {map}"))?;
        Ok(map.lookup_percpu(&key.to_ne_bytes(), MapFlags::ANY)?)
    }

    /// Attaches a program that says itself where it belongs.
    pub fn attach(&mut self, program: &str) -> Result<()> {
        let link = self
            .program(program)?
            .attach()
            .with_context(|| format!("cannot attach {program}"))?;
        self.links.push(link);
        Ok(())
    }

    /// Attaches a call hook to sites of this test's own file. What is attached last goes first.
    pub fn attach_sites(&mut self, program: &str, retprobe: bool, sites: &[Site]) -> Result<()> {
        let mut all = Sites::default();
        for site in sites {
            all.push(site.offset as u64, site.cookie());
        }
        let kind = match self.multi {
            true => ProbeKind::Multi,
            false => ProbeKind::Perf,
        };
        let place = (Path::new("/proc/self/exe"), None);
        let new = links::attach(&self.program(program)?, kind, place, &all, retprobe)
            .with_context(|| format!("{program}, {kind:?}"))?;
        self.links.splice(0..0, new);
        Ok(())
    }

    pub fn detach_all(&mut self) {
        self.links.clear();
    }

    /// Takes away so many links, those attached last first. False: there was none.
    pub fn detach(&mut self, most: usize) -> bool {
        let gone = self.links.drain(..most.min(self.links.len()));
        gone.count() > 0
    }

    /// Links of these programs that the kernel has, whoever holds them.
    pub fn links_of(&self, programs: &[&str]) -> Result<usize> {
        let id =
            |name: &&str| -> Result<u32> { Ok(Program::id_from_fd(self.program(name)?.as_fd())?) };
        let ids = programs.iter().map(id).collect::<Result<Vec<_>>>()?;
        let ours = |link: &libbpf_rs::query::LinkInfo| ids.contains(&link.prog_id);
        Ok(LinkInfoIter::default().filter(ours).count())
    }

    fn program(&self, name: &str) -> Result<ProgramMut<'_>> {
        self.object
            .progs_mut()
            .find(|p| p.name() == name)
            .with_context(|| format!("no program {name}"))
    }

    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Everything in the rings since the last call.
    pub fn drain(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for ring in self.rings.borrow_mut().iter_mut() {
            ring.read(usize::MAX, |bytes| {
                if let Ok((header, rest)) = RecordHeader::read_from_prefix(bytes) {
                    let payload = rest.get(..header.len as usize).unwrap_or(rest).to_vec();
                    records.push(Record { header, payload });
                }
            })?;
        }
        Ok(records)
    }

    /// Bytes in the rings that nobody has read.
    pub fn unread(&self) -> u64 {
        self.rings.borrow().iter().map(Ring::unread).sum()
    }

    /// Says in READER what the reader does.
    pub fn set_reader(&self, doing: u32) -> Result<()> {
        self.update("READER", &0u32.to_ne_bytes(), &doing.to_ne_bytes())
    }

    /// Waits until the kernel side wakes this thread or the time is over; false when it was not woken.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.alarm.wait(timeout)
    }
}

/// Opens the object, sets its constants and chooses its programs.
pub fn open(
    bytes: &[u8],
    programs: &[&str],
    settings: Settings,
    ring: Option<u32>,
    multi: bool,
) -> Result<OpenObject> {
    libbpf_rs::set_print(Some((PrintLevel::Warn, print)));
    let mut open = ObjectBuilder::default().name("obi")?.open_memory(bytes)?;
    let kernel = kernel_offsets::of_running_kernel()?;
    for mut map in open.maps_mut() {
        if map.name().to_string_lossy().ends_with(".rodata") {
            let constants = map.initial_value_mut().context("no constants")?;
            set(bytes, constants, "SETTINGS", settings.as_bytes())?;
            set(bytes, constants, "KERNEL", kernel.as_bytes())?;
        } else if map.name() == "RING"
            && let Some(size) = ring
        {
            map.set_max_entries(size)?;
        }
    }
    let mut found = 0;
    for mut program in open.progs_mut() {
        let wanted = programs.iter().any(|name| program.name() == *name);
        found += usize::from(wanted);
        program.set_autoload(wanted);
        if !multi && program.section().to_string_lossy().contains(".multi") {
            program.set_attach_type(ProgramAttachType::from(0));
        }
    }
    if found != programs.len() {
        bail!("of {programs:?} only {found} are in the object");
    }
    Ok(open)
}

/// Writes a constant where its symbol stands in `.rodata`.
fn set(object: &[u8], constants: &mut [u8], name: &str, value: &[u8]) -> Result<()> {
    let file = object::File::parse(object)?;
    let symbol = file
        .symbols()
        .find(|s| s.name() == Ok(name))
        .with_context(|| format!("no constant {name}"))?;
    let start = symbol.address() as usize;
    let place = constants
        .get_mut(start..start + value.len())
        .with_context(|| format!("{name} is out of .rodata"))?;
    place.copy_from_slice(value);
    Ok(())
}

/// The beginning and the end of what libbpf says: a verifier log can be megabytes.
fn print(_: PrintLevel, text: String) {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if at < 3 || at + 20 > lines.len() {
            println!("  {line}");
        }
    }
}
