//! Hooks by number, to tell what each costs. In: sites that are attached; out: numbers for their cookies (`obi_abi::cost::HOOK_SHIFT`), and
//! hits and time of each, as the kernel side counts them.
//!
//! Off, as it is unless `obi run --cost-by-hook` was said, all have the number 0 and the kernel side counts nothing.

use std::sync::{Arc, Mutex, PoisonError};

use libbpf_rs::{MapCore, MapFlags};
use obi_abi::cost::{CELL_SHIFT, CLASSES, HOOK_SHIFT, HOOKS, OfHook};
use serde::Serialize;
use zerocopy::FromBytes;

use super::shapes::Shapes;
use crate::budget::Group;
use crate::budget::prices::{self, Prices};

/// Where a function is hooked, and what for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NamedHook {
    pub name: &'static str,
    pub returning: bool,
    pub group: Group,
}

/// The sites of a hook, in all files, that stand on instructions of one class.
#[derive(Clone, Debug, PartialEq)]
struct Site {
    hook: NamedHook,
    class: u8,
}

/// What a hook cost since the agent began: all processes, and all files that have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookCost {
    pub hook: &'static str,
    /// `entry` or `return`
    pub at: &'static str,
    pub group: &'static str,
    /// What its instruction is.
    pub site: &'static str,
    pub hits: u64,
    /// What a hit costs beside the program.
    pub price_ns: u64,
    /// Within its programs.
    pub ran_ns: u64,
}

/// All hooks that were hit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CostByHook {
    /// When the kernel's table was read (monotonic): that is once a second.
    pub at_ns: u64,
    pub hooks: Vec<HookCost>,
}

/// Shared with whoever attaches.
#[derive(Clone)]
pub struct Numbers(Option<Arc<Mutex<Shapes<Site>>>>);

impl Numbers {
    pub fn new(on: bool) -> Numbers {
        // 0 is nobody's.
        let empty = || Arc::new(Mutex::new(Shapes::new(HOOKS - 1)));
        Numbers(on.then(empty))
    }

    /// The cookie with the number of the hook. Its cell it has already.
    pub fn cookie(&self, cookie: u64, hook: NamedHook) -> u64 {
        let Some(known) = &self.0 else { return cookie };
        let site = Site {
            hook,
            class: (cookie >> CELL_SHIFT) as u8 % CLASSES as u8,
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let number = known.intern(site).map_or(0, |(at, _)| u64::from(at) + 1);
        cookie | number << HOOK_SHIFT
    }

    /// Hooks that were hit; `None` when they are not told apart. `map` is the kernel's table.
    pub fn costs(&self, map: &impl MapCore, prices: &Prices) -> Option<Vec<HookCost>> {
        let known = self.0.as_ref()?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = |(at, site): (usize, &Site)| {
            let number = u32::try_from(at + 1).ok()?;
            let of_each_cpu = map.lookup_percpu(&number.to_ne_bytes(), MapFlags::ANY);
            let mut sum = OfHook::default();
            for value in &of_each_cpu.ok()?? {
                let more = OfHook::read_from_bytes(value).ok()?;
                sum.hits = sum.hits.wrapping_add(more.hits);
                sum.ran = sum.ran.wrapping_add(more.ran);
            }
            (sum.hits > 0).then(|| site.cost(&sum, prices))
        };
        Some(known.known().iter().enumerate().filter_map(cost).collect())
    }
}

impl Site {
    fn cost(&self, sum: &OfHook, prices: &Prices) -> HookCost {
        let name = prices::NAMES.iter().find(|(class, _)| *class == self.class);
        HookCost {
            hook: self.hook.name,
            at: if self.hook.returning {
                "return"
            } else {
                "entry"
            },
            group: self.hook.group.name(),
            site: name.map_or("", |(_, name)| name),
            hits: sum.hits,
            price_ns: prices.of(self.class),
            ran_ns: sum.ran,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: NamedHook = NamedHook {
        name: "SSL_read",
        returning: false,
        group: Group::Tls,
    };

    fn numbers(numbers: &Numbers) -> Vec<u64> {
        let returning = NamedHook {
            returning: true,
            ..READ
        };
        let of = |cell: u64, hook| {
            let cookie = numbers.cookie(cell << CELL_SHIFT | 0x1234, hook);
            assert_eq!((cookie & 0xffff, cookie >> CELL_SHIFT), (0x1234, cell));
            cookie >> HOOK_SHIFT & obi_abi::cost::HOOK_MASK
        };
        vec![of(2, READ), of(2, returning), of(3, READ), of(2, READ)]
    }

    #[test]
    fn hooks_have_numbers_when_they_are_told_apart_only() {
        assert_eq!(numbers(&Numbers::new(true)), [1, 2, 3, 1]);
        assert_eq!(numbers(&Numbers::new(false)), [0; 4]);
    }
}
