//! OpenSSL 1.1.1 to 4.x wherever it is defined: libssl.so, inside another shared object, inside a program.
//!
//! In: symbols. Out: hooks of the calls that move plaintext and of those that bind or end a handle. SSL_read and the
//! others are thin: they check their arguments and call one inner function with a pointer to the byte count. Where
//! that call is found, the hook sits on it ([`inner`]): the kernel emulates a `call`, and no uretprobe is needed. Else the
//! hook is the function itself with a uretprobe. Mere imports of SSL_read are not hooked: the library they lead to is.

mod inner;
mod stripped;

use obi_abi::{CallShape, NO_REG, abi, count, role, source};
use symbolizer::code::{Body, Convention, Register};
use symbolizer::{Binary, Function, Machine};

use crate::facts::Facts;
use crate::registers::word;
use crate::{Hook, HookPlan, Refusal, Returns};

const LIBRARY: &str = "openssl";

/// A call that moves plaintext: (SSL *, void *, length, ...).
#[derive(Clone, Copy)]
struct Transfer {
    name: &'static str,
    role: u8,
    /// Where the `size_t *` for the count stands in the `_ex` forms.
    count: Option<Register>,
}

const TRANSFERS: [Transfer; 5] = [
    Transfer {
        name: "SSL_read",
        role: role::READ,
        count: None,
    },
    Transfer {
        name: "SSL_read_ex",
        role: role::READ,
        count: Some(Register::Rcx),
    },
    Transfer {
        name: "SSL_write",
        role: role::WRITE,
        count: None,
    },
    Transfer {
        name: "SSL_write_ex",
        role: role::WRITE,
        count: Some(Register::Rcx),
    },
    // OpenSSL 3.3: (s, buf, num, flags, written).
    Transfer {
        name: "SSL_write_ex2",
        role: role::WRITE,
        count: Some(Register::R8),
    },
];

/// Calls that bind (`fd` in the second argument) or end the stream of a handle.
const BINDINGS: [(&str, u8); 5] = [
    ("SSL_set_fd", role::SET_FD),
    ("SSL_set_rfd", role::SET_FD),
    ("SSL_set_wfd", role::SET_FD),
    ("SSL_free", role::FREE),
    ("SSL_clear", role::FREE),
];

pub(super) fn plan(facts: &Facts<'_>, plan: &mut HookPlan) {
    let binary = facts.binary;
    let names: Vec<&'static str> = TRANSFERS
        .iter()
        .map(|t| t.name)
        .chain(BINDINGS.iter().map(|b| b.0))
        .chain(inner::NAMES)
        .collect();
    let mut found = binary.functions(&names);
    // A compiler's variant may take other arguments; only the inner functions are checked by their calls.
    for function in found.iter_mut().take(TRANSFERS.len() + BINDINGS.len()) {
        *function = function.take().filter(|f| {
            f.variant
                .as_deref()
                .is_none_or(|v| v.starts_with(".localalias"))
        });
    }
    let (transfers, rest) = found.split_at(TRANSFERS.len());
    let (bindings, inner_functions) = rest.split_at(BINDINGS.len());
    if transfers.iter().all(Option::is_none) {
        return stripped::plan(facts, plan);
    }
    if binary.machine() != Machine::X86_64 {
        let reason = "only x86-64 programs can be hooked".to_owned();
        return plan.refused.push(Refusal {
            hook: "openssl",
            reason,
            mend: String::new(),
        });
    }
    // Go's own TLS, when it is there too, keeps its name in the plan: it has the client more often.
    if plan.tls.is_none() {
        plan.tls = Some((LIBRARY, version(binary)));
    }
    let bodies: Vec<Option<Body>> = transfers.iter().map(|f| binary.body(f.as_ref()?)).collect();
    let inner = inner::Inner::find(binary, transfers, &bodies, inner_functions);
    for ((transfer, function), body) in TRANSFERS.iter().zip(transfers).zip(&bodies) {
        let Some(function) = function else { continue };
        if forwards(transfers, body.as_ref()) {
            continue;
        }
        let hook = inner
            .hook(binary, transfer, function, body.as_ref())
            .or_else(|| whole_function(binary, transfer, function, body.as_ref()));
        match hook {
            Some(hook) => plan.hooks.push(hook),
            None => plan.refused.push(Refusal {
                hook: transfer.name,
                reason: "its symbol lies outside the file's code".into(),
                mend: "reinstall the library: the file looks damaged".into(),
            }),
        }
    }
    for ((name, role), function) in BINDINGS.iter().zip(bindings) {
        plan.hooks.extend(
            function
                .as_ref()
                .and_then(|function| binding(binary, name, *role, function)),
        );
    }
}

/// A body that is nothing but a jump to another hooked function (SSL_write_ex to SSL_write_ex2): that one counts.
fn forwards(transfers: &[Option<Function>], body: Option<&Body>) -> bool {
    let Some(body) =
        body.filter(|b| b.whole && b.returns.is_empty() && b.calls.is_empty() && !b.indirect)
    else {
        return false;
    };
    matches!(body.leaves.as_slice(), [(_, target)] if transfers.iter().flatten().any(|f| f.address == *target))
}

fn whole_function(
    binary: &Binary,
    transfer: &Transfer,
    function: &Function,
    body: Option<&Body>,
) -> Option<Hook> {
    let true_entry = binary.file_offset(function.address)?;
    let mut args = vec![Register::Rdi, Register::Rsi, Register::Rdx];
    args.extend(transfer.count);
    let site = binary.entry_site(function, &args, Convention::C);
    let entry = site
        .and_then(|site| binary.file_offset(site.address))
        .unwrap_or(true_entry);
    let sites = body
        .filter(|body| body.certain())
        .map(|body| body.returns.as_slice())
        .unwrap_or_default();
    let sites = sites
        .iter()
        .map(|site| binary.file_offset(*site))
        .collect::<Option<Vec<u64>>>()
        .unwrap_or_default();
    let returns = Returns::Uretprobe {
        function: true_entry,
        sites,
    };
    Some(Hook {
        name: transfer.name,
        shape: shape(transfer.role, transfer.count),
        entry: Some(entry),
        returns,
    })
}

fn binding(binary: &Binary, name: &'static str, role: u8, function: &Function) -> Option<Hook> {
    let set_fd = role == role::SET_FD;
    let args: &[Register] = if set_fd {
        &[Register::Rdi, Register::Rsi]
    } else {
        &[Register::Rdi]
    };
    let site = binary
        .entry_site(function, args, Convention::C)
        .map_or(function.address, |site| site.address);
    let mut shape = shape(role, None);
    shape.buffer = NO_REG;
    shape.length = if set_fd { word(Register::Rsi) } else { NO_REG };
    Some(Hook {
        name,
        shape,
        entry: Some(binary.file_offset(site)?),
        returns: Returns::None,
    })
}

fn shape(role: u8, count: Option<Register>) -> CallShape {
    CallShape {
        role,
        source: source::OPENSSL,
        abi: abi::C,
        handle: word(Register::Rdi),
        buffer: word(Register::Rsi),
        length: word(Register::Rdx),
        count: if count.is_some() {
            count::POINTER
        } else {
            count::RETURN
        },
        count_arg: count.map_or(NO_REG, word),
        result: word(Register::Rax),
        task: NO_REG,
        fd_steps: 0,
        reserved: 0,
        fd_path: [0; 4],
        itab: 0,
        goid: 0,
        reader: 0,
    }
}

/// `OpenSSL 3.5.8 ...` in read-only data; else the major version that the name of the library holds.
fn version(binary: &Binary) -> String {
    if let Some(version) = stripped::version_text(binary) {
        return version;
    }
    binary
        .soname()
        .and_then(|name| name.strip_prefix("libssl.so.").map(str::to_owned))
        .unwrap_or_default()
}
