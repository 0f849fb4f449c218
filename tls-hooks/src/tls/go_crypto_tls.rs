//! Go crypto/tls: `(*Conn).Read`, `Write` and `Close` of Go 1.18 to 1.26, stripped or not.
//!
//! ABIInternal on amd64: receiver in rax, slice pointer in rbx, length in rcx, g in r14; results n in rax. A uretprobe breaks when the
//! stack is copied, and a probe on a RET is single-stepped. Returns are caught in the deferred unlock, where n stands in a
//! slot of the caller's frame, and at the RETs that it does not lead to. The socket is read from the connection: interface data word,
//! netFD, Sysfd.
//!
//! What is read is seen once a TLS record, where Read has just opened one (`records`): kafka-go takes a record of 16 KiB in pieces of 4 KiB, and
//! two hits for each of them were most of what hooks on TLS cost it.

use obi_abi::{CallShape, NO_REG, abi, count, role, source};
use symbolizer::code::{Convention, Cost, Exit, Member, Register};
use symbolizer::{Binary, Function, Go, Machine};

use crate::facts::Facts;
use crate::registers::word;
use crate::{Hook, HookPlan, Refusal, ReturnSite, Returns};

const LIBRARY: &str = "go_crypto_tls";
/// Go versions whose calling convention and tables were checked (1.N).
const SUPPORTED: std::ops::RangeInclusive<u32> = 18..=26;

struct Call {
    name: &'static str,
    role: u8,
    /// The deferred unlock, by its name since Go 1.21 and before.
    unlock: [&'static str; 2],
    /// Deferred calls on every way out that has taken the lock; the unlock is the first to run.
    deferred: usize,
}

const CALLS: [Call; 3] = [
    Call {
        name: "crypto/tls.(*Conn).Read",
        role: role::READ,
        unlock: [
            "crypto/tls.(*Conn).Read.deferwrap1",
            "crypto/tls.(*Conn).Read.func1",
        ],
        deferred: 1,
    },
    Call {
        name: "crypto/tls.(*Conn).Write",
        role: role::WRITE,
        unlock: [
            "crypto/tls.(*Conn).Write.deferwrap2",
            "crypto/tls.(*Conn).Write.func2",
        ],
        deferred: 2,
    },
    Call {
        name: "crypto/tls.(*Conn).Close",
        role: role::FREE,
        unlock: [""; 2],
        deferred: 0,
    },
];

pub(super) fn plan(facts: &Facts<'_>, plan: &mut HookPlan) {
    let Some(go) = &facts.go else { return };
    let version = &go.info.version;
    let refuse = |plan: &mut HookPlan, hook, reason: String, mend: &str| {
        plan.refused.push(Refusal {
            hook,
            reason,
            mend: mend.to_owned(),
        });
    };
    if let Some(minor) = version.minor().filter(|minor| minor < SUPPORTED.start()) {
        let reason = format!(
            "built by Go 1.{minor}, whose calling convention is not supported (1.18 and later are)"
        );
        return refuse(
            plan,
            "crypto/tls",
            reason,
            "build the program with Go 1.18 or later",
        );
    }
    if go.function_count().is_none() {
        let reason = format!("no readable function table (.gopclntab) in this {version} binary");
        return refuse(
            plan,
            "crypto/tls",
            reason,
            "build the program with the standard Go linker and without packing it",
        );
    }
    let found = go.functions(&CALLS.map(|call| call.name));
    if found.iter().take(2).all(Option::is_none) {
        return;
    }
    if facts.binary.machine() != Machine::X86_64 {
        return refuse(
            plan,
            "crypto/tls",
            "only x86-64 programs can be hooked".into(),
            "",
        );
    }
    plan.tls = Some((LIBRARY, version.to_string()));
    let mut descriptor = Descriptor::find(facts.binary, go).unwrap_or_default();
    descriptor.goid = facts.goid().unwrap_or(0);
    let program = Program {
        binary: facts.binary,
        go,
        descriptor,
    };
    for (call, function) in CALLS.iter().zip(found) {
        match function {
            Some(function) => match hook(&program, call, &function) {
                Some(hook) => plan.hooks.push(hook),
                None => refuse(
                    plan,
                    call.name,
                    "its machine code could not be decoded".into(),
                    "",
                ),
            },
            // Close may be unused and then is not linked in; without Read or Write half of the stream is missing.
            None if call.role == role::FREE => {}
            None => refuse(
                plan,
                call.name,
                "not linked into the program: it is never called directly".into(),
                "",
            ),
        }
    }
}

/// Where the functions are, and how a descriptor is found.
struct Program<'a> {
    binary: &'a Binary,
    go: &'a Go<'a>,
    descriptor: Descriptor,
}

fn hook(program: &Program<'_>, call: &Call, function: &Function) -> Option<Hook> {
    if call.role == role::READ
        && let Some(hook) = records(program, call, function)
    {
        return Some(hook);
    }
    let binary = program.binary;
    let end = call.role == role::FREE;
    let args: &[Register] = if end {
        &[Register::Rax, Register::R14]
    } else {
        &[Register::Rax, Register::Rbx, Register::Rcx, Register::R14]
    };
    let entry = binary.file_offset(binary.entry_site(function, args, Convention::Go)?.address)?;
    let returns = if end {
        Returns::None
    } else {
        let body = binary.body(function)?;
        // Go has no tail calls between functions, and a function that never returns is not Read or Write.
        if !body.whole || body.returns.is_empty() {
            return None;
        }
        let sites = match deferred(program, call, function) {
            Some(sites) => sites,
            None => body
                .returns
                .iter()
                .map(|ret| Some(ReturnSite::in_register(binary.file_offset(*ret)?)))
                .collect::<Option<_>>()?,
        };
        Returns::Sites(sites)
    };
    let entry = Some(entry);
    let shape = match end {
        true => CallShape {
            buffer: NO_REG,
            length: NO_REG,
            ..shape(program.descriptor, call)
        },
        false => shape(program.descriptor, call),
    };
    Some(Hook {
        name: call.name,
        shape,
        entry,
        returns,
    })
}

fn shape(descriptor: Descriptor, call: &Call) -> CallShape {
    CallShape {
        role: call.role,
        source: source::GO_TLS,
        abi: abi::GO,
        handle: word(Register::Rax),
        buffer: word(Register::Rbx),
        length: word(Register::Rcx),
        count: count::RETURN,
        count_arg: NO_REG,
        result: word(Register::Rax),
        task: word(Register::R14),
        fd_steps: descriptor.steps,
        reserved: 0,
        fd_path: descriptor.path,
        itab: descriptor.itab,
        goid: descriptor.goid,
        reader: 0,
    }
}

/// Opens a TLS record; `readRecord`, which only calls it, is inlined into Read.
const READ_RECORD: &str = "crypto/tls.(*Conn).readRecordOrCCS";

/// Read, seen where it has opened a record: at the jump behind each call of `readRecordOrCCS`, while the error is still in its register. The
/// plaintext stands in `Conn.input` then, whole, for this and later calls of Read. `None` when the code is not as expected, or a socket could only be
/// learnt from calls inside Read.
fn records(program: &Program<'_>, call: &Call, function: &Function) -> Option<Hook> {
    let Program {
        binary,
        go,
        descriptor,
    } = *program;
    let opens = go.functions(&[READ_RECORD]).into_iter().next()??.address;
    let body = binary.body(function)?;
    if !body.whole || descriptor.steps == 0 {
        return None;
    }
    // Go keeps the words of its arguments side by side.
    let handle = binary.kept_at(function, Register::Rax)?;
    if binary.kept_at(function, Register::Rcx)? != handle.checked_add(16)? {
        return None;
    }
    let stack = u16::try_from(handle).ok()?;
    let keep = [Register::Rax, Register::R14];
    let calls = body.calls.iter().filter(|(_, target)| *target == opens);
    let sites: Vec<ReturnSite> = calls
        .map(|(at, _)| {
            let site = binary.site_behind_call(function, *at, &keep)?;
            let at = binary.file_offset(site.address)?;
            (site.cost == Cost::Emulated).then_some(ReturnSite { at, stack })
        })
        .collect::<Option<_>>()?;
    if sites.is_empty() {
        return None;
    }
    let shape = CallShape {
        buffer: NO_REG,
        length: NO_REG,
        count: count::RECORD,
        reader: input(&binary.members_named(function))?,
        ..shape(descriptor, call)
    };
    Some(Hook {
        name: call.name,
        shape,
        entry: None,
        returns: Returns::Sites(sites),
    })
}

/// Members of a `bytes.Reader`.
const READER_LENGTH: u64 = 8;
const READER_TAKEN: u64 = 24;
const READER_PREVIOUS: u64 = 32;

/// Offset of `Conn.input`, a `bytes.Reader`, whose Read is inlined: it sets `prevRune` to -1, and asks for slice, length and how far it was taken.
fn input(members: &[Member]) -> Option<u16> {
    let mut set = members.iter().filter_map(|member| match member {
        Member::Set(offset, -1) => Some(*offset),
        _ => None,
    });
    let previous = set.next()?;
    if set.any(|other| other != previous) {
        return None;
    }
    let reader = previous.checked_sub(READER_PREVIOUS)?;
    let loads = |at: u64| members.contains(&Member::Loaded(at));
    let known = [0, READER_LENGTH, READER_TAKEN]
        .into_iter()
        .all(|member| reader.checked_add(member).is_some_and(loads));
    known.then(|| u16::try_from(reader).ok())?
}

/// The deferred unlock, and the RETs that do not stand behind it. `None` when the code is not as expected: then the RETs are all there is.
fn deferred(program: &Program<'_>, call: &Call, function: &Function) -> Option<Vec<ReturnSite>> {
    let Program { binary, go, .. } = *program;
    let unlock = go.functions(&call.unlock).into_iter().flatten().next()?;
    let site = binary.shallow_site(&unlock)?;
    let (behind, others): (Vec<Exit>, Vec<Exit>) = binary
        .exits(function)?
        .into_iter()
        .partition(|exit| exit.deferred == call.deferred && exit.result_at.is_some());
    let slot = behind.first()?.result_at?;
    if behind.iter().any(|exit| exit.result_at != Some(slot)) {
        return None;
    }
    // Below the caller's stack pointer stand the return address and what the unlock took by then.
    let stack = slot.checked_add(site.below)?.checked_add(8)?;
    let mut sites = vec![ReturnSite {
        at: binary.file_offset(site.address)?,
        stack: u16::try_from(stack).ok()?,
    }];
    for exit in others {
        sites.push(ReturnSite::in_register(binary.file_offset(exit.address)?));
    }
    Some(sites)
}

/// How a descriptor is read from a `*tls.Conn`, and the itab that its `conn` must hold for that.
#[derive(Clone, Copy, Default)]
struct Descriptor {
    path: [u16; 4],
    steps: u8,
    itab: u32,
    /// Member of `g`; 0 = not known.
    goid: u16,
}

impl Descriptor {
    /// Data word of `conn` (an interface: itab, data), `fd` of net.TCPConn, `pfd.Sysfd` of netFD. Nothing when the
    /// layout or the itab is not known: through a connection of another type the path would lead to a number that
    /// is no descriptor, and the kernel side learns the socket from the calls inside Read and Write as well.
    fn find(binary: &Binary, go: &Go<'_>) -> Option<Descriptor> {
        let members = go.members(&[
            ("crypto/tls.Conn", "conn"),
            ("net.conn", "fd"),
            ("net.netFD", "pfd"),
            ("internal/poll.FD", "Sysfd"),
        ]);
        let [Some(conn), Some(fd), Some(pfd), Some(sysfd)] = members[..] else {
            return None;
        };
        let step = |offset: Option<u64>| u16::try_from(offset?).ok();
        let path = [
            step(conn.checked_add(8))?,
            step(Some(fd))?,
            step(pfd.checked_add(sysfd))?,
            0,
        ];
        Some(Descriptor {
            path,
            steps: 3,
            itab: u32::try_from(itab(binary, go)?).ok()?,
            goid: 0,
        })
    }
}

/// Methods of net.Conn in the order of an itab.
const NET_CONN: [&str; 8] = [
    "net.(*TCPConn).Close",
    "net.(*TCPConn).LocalAddr",
    "net.(*TCPConn).Read",
    "net.(*TCPConn).RemoteAddr",
    "net.(*TCPConn).SetDeadline",
    "net.(*TCPConn).SetReadDeadline",
    "net.(*TCPConn).SetWriteDeadline",
    "net.(*TCPConn).Write",
];
/// What stands for a method that the linker found to be never called.
const UNREACHABLE: &str = "runtime.unreachableMethod";
/// Methods of an itab stand behind interface type, type and hash.
const ITAB_METHODS: u64 = 24;

/// Address of the itab of (*net.TCPConn, net.Conn): by symbol (`go:` since Go 1.20), in stripped files by its methods.
fn itab(binary: &Binary, go: &Go<'_>) -> Option<u64> {
    let names = [
        "go:itab.*net.TCPConn,net.Conn",
        "go.itab.*net.TCPConn,net.Conn",
    ];
    if let Some(address) = binary.variables(&names).into_iter().flatten().next() {
        return Some(address);
    }
    let names: Vec<&str> = NET_CONN.into_iter().chain([UNREACHABLE]).collect();
    let functions = go.functions(&names);
    let (unreachable, methods) = functions.split_last()?;
    let unreachable = unreachable.as_ref().map(|f| f.address);
    let words: Option<Vec<u64>> = methods
        .iter()
        .map(|m| m.as_ref().map(|f| f.address).or(unreachable))
        .collect();
    match binary.find_words(&words?, 2).as_slice() {
        [methods] => methods.checked_sub(ITAB_METHODS),
        _ => None,
    }
}
