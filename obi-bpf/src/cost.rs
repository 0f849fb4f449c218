//! What hooks cost the process that runs into them: hits by cell (`obi_abi::cost`) and time within the programs.
//!
//! The time is taken here and not from the kernel's statistics of programs: those know no process, and one process's calls with a thousand messages
//! would be charged to another's with one.

use core::ffi::c_void;

use obi_abi::cost::{CELL_SHIFT, CLASS_BITS, HOOK_MASK, HOOK_SHIFT};
use obi_abi::{Costs, stat};

use crate::config::settings;
use crate::maps::{COSTS, HOOKS};
use crate::{read, stat as stats};

/// Another CPU may make the entry at the same moment: its entry stays.
const NEW: u64 = 1;

static NOTHING: Costs = Costs::NOTHING;

/// Runs a program, which says how many bytes passed through its call, and charges it to the current process.
#[inline(always)]
pub fn metered(ctx: *mut c_void, run: fn(*mut c_void) -> u64) {
    let began = read::now();
    let bytes = run(ctx);
    charge(read::cookie(ctx), began, bytes);
}

/// A function of its own, so that its stack is not that of the program.
#[inline(never)]
fn charge(cookie: u64, began: u64, bytes: u64) {
    let cell = cookie >> CELL_SHIFT;
    let pid = (read::pid_tgid() >> 32) as u32;
    let mut costs = read::value(COSTS.get_ptr_mut(pid));
    if costs.is_none() {
        // What comes of it is seen by the next look.
        let _ = COSTS.insert(pid, &NOTHING, NEW);
        costs = read::value(COSTS.get_ptr_mut(pid));
    }
    let Some(costs) = costs else {
        stats::count(stat::LOST_TABLE);
        return;
    };
    read::add(read::element(&mut costs.hits, cell), 1);
    let ran = read::element(&mut costs.ran, cell >> CLASS_BITS);
    let took = read::now().wrapping_sub(began);
    read::add(ran, took);
    if bytes > 0 {
        read::add(&mut costs.bytes, bytes);
    }
    if read::constant(&settings().by_hook) == 0 {
        return;
    }
    let number = cookie >> HOOK_SHIFT & HOOK_MASK;
    if let Some(hook) = read::value(HOOKS.get_ptr_mut(number as u32)) {
        read::add(&mut hook.hits, 1);
        read::add(&mut hook.ran, took);
    }
}
