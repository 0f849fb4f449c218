//! What a hit costs beside the time within the program, by the instruction under the probe.

use obi_abi::cost::{CLASSES, class};

/// Nanoseconds a hit, by `obi_abi::cost::class`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    pub ns: [u64; CLASSES],
    /// On this machine, when the agent started; else [`Prices::ASSUMED`].
    pub measured: bool,
}

impl Prices {
    /// Rather too dear: a virtual machine, where a single step leaves the guest.
    pub const ASSUMED: Prices = Prices {
        ns: [100, 600, 800, 10_000, 500, 1000, 1300, 10_500],
        measured: false,
    };

    pub fn of(&self, class: u8) -> u64 {
        self.ns.get(usize::from(class)).copied().unwrap_or(0)
    }
}

/// Classes and what they are called.
pub const NAMES: [(u8, &str); CLASSES] = [
    (class::SHARED, "a site that another hook stands on too"),
    (class::NOP5, "a nop of five bytes"),
    (
        class::EMULATED,
        "an emulated instruction (push, call, jump)",
    ),
    (class::STEPPED, "a single-stepped instruction"),
    (
        class::RETURN | class::SHARED,
        "the return of a function whose entry is hooked too",
    ),
    (
        class::RETURN | class::NOP5,
        "the return, entry at a nop of five bytes",
    ),
    (
        class::RETURN | class::EMULATED,
        "the return, entry at an emulated instruction",
    ),
    (
        class::RETURN | class::STEPPED,
        "the return, entry at a single-stepped instruction",
    ),
];
