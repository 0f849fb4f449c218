//! Go crypto/tls: `(*Conn).Read`, `Write` and `Close` of Go 1.18 to 1.26, stripped or not.
//!
//! ABIInternal on amd64: receiver in rax, slice pointer in rbx, length in rcx, g in r14; results n in rax. Returns
//! are caught at the RET instructions: a uretprobe breaks when the stack is copied. The socket is read from the
//! connection: interface data word, netFD, Sysfd.

use obi_abi::{CallShape, NO_REG, abi, count, role, source};
use symbolizer::code::{Convention, Register};
use symbolizer::{Function, Go, Machine};

use crate::facts::Facts;
use crate::registers::word;
use crate::{Hook, HookPlan, Refusal, Returns};

const LIBRARY: &str = "go_crypto_tls";
/// Go versions whose calling convention and tables were checked (1.N).
const SUPPORTED: std::ops::RangeInclusive<u32> = 18..=26;

struct Call {
    name: &'static str,
    role: u8,
}

const CALLS: [Call; 3] = [
    Call {
        name: "crypto/tls.(*Conn).Read",
        role: role::READ,
    },
    Call {
        name: "crypto/tls.(*Conn).Write",
        role: role::WRITE,
    },
    Call {
        name: "crypto/tls.(*Conn).Close",
        role: role::FREE,
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
    for (call, function) in CALLS.iter().zip(found) {
        match function {
            Some(function) => match hook(facts, go, call, &function) {
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

fn hook(facts: &Facts<'_>, go: &Go<'_>, call: &Call, function: &Function) -> Option<Hook> {
    let binary = facts.binary;
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
        Returns::Sites(
            body.returns
                .iter()
                .map(|site| binary.file_offset(*site))
                .collect::<Option<_>>()?,
        )
    };
    let (fd_path, fd_steps) = fd_path(go);
    let shape = CallShape {
        role: call.role,
        source: source::GO_TLS,
        abi: abi::GO,
        handle: word(Register::Rax),
        buffer: if end { NO_REG } else { word(Register::Rbx) },
        length: if end { NO_REG } else { word(Register::Rcx) },
        count: count::RETURN,
        count_arg: NO_REG,
        result: word(Register::Rax),
        task: word(Register::R14),
        fd_steps,
        reserved: 0,
        fd_path,
        itab: itab(facts),
    };
    Some(Hook {
        name: call.name,
        shape,
        entry,
        returns,
    })
}

/// From `*tls.Conn` to the descriptor: the data word of `conn` (an interface: itab, data), `fd` of net.TCPConn,
/// `pfd.Sysfd` of netFD. No steps when the layout is not known.
fn fd_path(go: &Go<'_>) -> ([u16; 4], u8) {
    let known = || {
        let conn = go.member("crypto/tls.Conn", "conn")?.checked_add(8)?;
        let fd = go.member("net.conn", "fd")?;
        let sysfd = go
            .member("net.netFD", "pfd")?
            .checked_add(go.member("internal/poll.FD", "Sysfd")?)?;
        Some([
            u16::try_from(conn).ok()?,
            u16::try_from(fd).ok()?,
            u16::try_from(sysfd).ok()?,
            0,
        ])
    };
    known().map_or(([0; 4], 0), |path| (path, 3))
}

/// Address of the itab of (*net.TCPConn, net.Conn), by symbol; 0 in stripped files.
fn itab(facts: &Facts<'_>) -> u32 {
    let names = [
        "go:itab.*net.TCPConn,net.Conn",
        "go.itab.*net.TCPConn,net.Conn",
    ];
    let found = facts.binary.variables(&names);
    found
        .into_iter()
        .flatten()
        .next()
        .and_then(|address| u32::try_from(address).ok())
        .unwrap_or(0)
}
