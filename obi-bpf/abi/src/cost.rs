//! What hooks cost a process: hits by the price of their site, and the time that the programs ran.
//!
//! What a hit costs depends on the instruction under the probe far more than on the program. User space knows the instruction when it attaches,
//! and says so in the attach cookie; the kernel side only counts.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The attach cookie shifted right by this is the cell that a hit is counted in: `group << CLASS_BITS | class`.
pub const CELL_SHIFT: u32 = 56;
pub const CLASS_BITS: u32 = 3;
/// The attach cookie shifted right by this, masked, is the number of the hook: by it hits are told apart when `Settings::by_hook` is set.
pub const HOOK_SHIFT: u32 = 32;
pub const HOOK_MASK: u64 = HOOKS as u64 - 1;
/// Hooks that are told apart; number 0 is that of all others.
pub const HOOKS: u32 = 1024;
pub const CLASSES: usize = 1 << CLASS_BITS;
pub const GROUPS: usize = 4;
pub const CELLS: usize = GROUPS * CLASSES;
/// Processes whose costs are kept at a time.
pub const PROCESSES: u32 = 1024;

/// What a hook is for. The groups can be detached apart from each other.
pub mod group {
    pub const TLS: u8 = 0;
    /// Calls of a client library that come once a batch or more seldom.
    pub const BATCHES: u8 = 1;
    pub const EACH_MESSAGE: u8 = 2;
}

/// How the kernel carries out the instruction under a probe.
pub mod class {
    /// Another site stands on the same instruction: only the program is run besides.
    pub const SHARED: u8 = 0;
    /// A nop of five bytes, which newer kernels replace by a call.
    pub const NOP5: u8 = 1;
    /// `push`, near `call`, `jmp` and `jcc`, one-byte `nop`.
    pub const EMULATED: u8 = 2;
    /// Single-stepped.
    pub const STEPPED: u8 = 3;
    /// Added for a uretprobe on such an instruction.
    pub const RETURN: u8 = 4;
}

/// Value of the map `COSTS`, keyed by thread group id, one for each CPU. Since the entry was made.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Costs {
    pub hits: [u64; CELLS],
    /// Nanoseconds within programs, by group.
    pub ran: [u64; GROUPS],
    /// Bytes that passed through hooked calls, copied or not.
    pub bytes: u64,
}

/// Value of the map `HOOKS`, one for each CPU: one hook in all processes. Since the load.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct OfHook {
    pub hits: u64,
    /// Nanoseconds within its program.
    pub ran: u64,
}

impl Costs {
    pub const NOTHING: Costs = Costs {
        hits: [0; CELLS],
        ran: [0; GROUPS],
        bytes: 0,
    };

    /// Adds what another CPU counted.
    pub fn add(&mut self, other: &Costs) {
        let hits = self.hits.iter_mut().zip(&other.hits);
        let ran = self.ran.iter_mut().zip(&other.ran);
        for (sum, more) in hits.chain(ran) {
            *sum = sum.wrapping_add(*more);
        }
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}
