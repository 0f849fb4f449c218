//! Machine code of one function: where it returns, what it calls, where a probe is cheap.
//!
//! In: bytes of the function and their address. Out: a [`Body`] and a [`Site`]. Only straight facts of the encoding:
//! no control-flow graph is built, and where a jump leaves the function or cannot be followed, [`Body::certain`]
//! says so instead of guessing.

mod aarch64;
mod x86;

use crate::elf::Machine;

/// A larger "function" is a wrong extent.
pub(crate) const FUNCTION_LIMIT: u64 = 1 << 20;

/// Argument registers of both calling conventions in use (System V, Go's ABIInternal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R14,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    C,
    /// The entry runs again after the stack has grown, so the site must lie behind that check.
    Go,
}

/// How the kernel carries out the probed instruction. Measured on a 6.18 VM: 0.5 µs replaced, 0.7 µs emulated, 9 µs single-stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A nop of five bytes: new kernels write a call in its place. Older ones single-step it, so no site is chosen for it.
    Replaced,
    Emulated,
    SingleStepped,
}

/// A probe site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    pub address: u64,
    pub cost: Cost,
}

/// A RET of a Go function and the straight run of code that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    pub address: u64,
    /// Calls through a register in that run: the deferred calls, in the reverse order of their `defer` statements.
    pub deferred: usize,
    /// The first result is loaded from here behind the last of them: bytes above the stack pointer.
    pub result_at: Option<u32>,
}

/// A cheap probe site near a function's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shallow {
    pub address: u64,
    /// How many bytes the stack pointer is below the return address.
    pub below: u32,
}

/// A word at a fixed distance from a register: a member of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Loaded(u64),
    /// Set to a constant.
    Set(u64, i64),
}

/// What decoding a whole function shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Return instructions, ascending.
    pub returns: Vec<u64>,
    /// Direct calls: (instruction, target).
    pub calls: Vec<(u64, u64)>,
    /// Direct jumps that leave the function: (instruction, target). Tail calls and `.cold` parts.
    pub leaves: Vec<(u64, u64)>,
    /// A jump through a register or memory: a switch, or a tail call.
    pub indirect: bool,
    /// Every byte decoded to an instruction.
    pub whole: bool,
}

impl Body {
    /// The function ends at `returns` and nowhere else.
    pub fn certain(&self) -> bool {
        self.whole && !self.indirect && self.leaves.is_empty() && !self.returns.is_empty()
    }
}

/// What a probe costs on the first instruction of these bytes; the dearest where they are none.
pub fn cost_of(machine: Machine, bytes: &[u8]) -> Cost {
    match machine {
        Machine::X86_64 => x86::cost_of(bytes),
        Machine::Aarch64 => Cost::SingleStepped,
    }
}

pub(crate) fn body(machine: Machine, bytes: &[u8], address: u64) -> Body {
    match machine {
        Machine::X86_64 => x86::body(bytes, address),
        Machine::Aarch64 => aarch64::body(bytes, address),
    }
}

pub(crate) fn entry_site(
    machine: Machine,
    bytes: &[u8],
    address: u64,
    args: &[Register],
    convention: Convention,
) -> Site {
    match machine {
        Machine::X86_64 => x86::entry_site(bytes, address, args, convention),
        // No register is written before the first instruction; what the kernel emulates here was not measured.
        Machine::Aarch64 => Site {
            address,
            cost: Cost::SingleStepped,
        },
    }
}

pub(crate) fn exits(machine: Machine, bytes: &[u8], address: u64) -> Vec<Exit> {
    match machine {
        Machine::X86_64 => x86::exits::exits(bytes, address),
        Machine::Aarch64 => Vec::new(),
    }
}

pub(crate) fn shallow_site(machine: Machine, bytes: &[u8], address: u64) -> Option<Shallow> {
    match machine {
        Machine::X86_64 => x86::exits::shallow_site(bytes, address),
        Machine::Aarch64 => None,
    }
}

pub(crate) fn kept_at(
    machine: Machine,
    bytes: &[u8],
    address: u64,
    register: Register,
) -> Option<u32> {
    match machine {
        Machine::X86_64 => x86::frames::kept_at(bytes, address, register),
        Machine::Aarch64 => None,
    }
}

pub(crate) fn members(machine: Machine, bytes: &[u8], address: u64) -> Vec<Member> {
    match machine {
        Machine::X86_64 => x86::frames::members(bytes, address),
        Machine::Aarch64 => Vec::new(),
    }
}

pub(crate) fn accessor_paths(
    machine: Machine,
    bytes: &[u8],
    address: u64,
) -> Option<Vec<Vec<u16>>> {
    match machine {
        Machine::X86_64 => x86::accessor::paths(bytes, address),
        Machine::Aarch64 => None,
    }
}

pub(crate) fn site_behind_call(
    machine: Machine,
    bytes: &[u8],
    address: u64,
    call: u64,
    keep: &[Register],
) -> Option<Site> {
    match machine {
        Machine::X86_64 => x86::site_behind_call(bytes, address, call, keep),
        Machine::Aarch64 => None,
    }
}

pub(crate) fn stack_argument(
    machine: Machine,
    bytes: &[u8],
    address: u64,
    call: u64,
    candidates: &[Register],
) -> Option<Register> {
    match machine {
        Machine::X86_64 => x86::stack_argument(bytes, address, call, candidates),
        Machine::Aarch64 => None,
    }
}
