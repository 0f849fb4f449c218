//! What hooks cost the process that runs into them: hits by cell (`obi_abi::cost`) and time within the programs.
//!
//! The time is taken here and not from the kernel's statistics of programs: those know no process, and one process's calls with a thousand messages
//! would be charged to another's with one.

use core::ffi::c_void;

use obi_abi::cost::{CELL_SHIFT, CLASS_BITS};
use obi_abi::{Costs, stat};

use crate::maps::COSTS;
use crate::{read, stat as stats};

/// Another CPU may make the entry at the same moment: its entry stays.
const NEW: u64 = 1;

static NOTHING: Costs = Costs::NOTHING;

/// Runs a program and charges it to the current process.
#[inline(always)]
pub fn metered(ctx: *mut c_void, run: fn(*mut c_void)) {
    let began = read::now();
    run(ctx);
    charge(read::cookie(ctx) >> CELL_SHIFT, began);
}

/// A function of its own, so that its stack is not that of the program.
#[inline(never)]
fn charge(cell: u64, began: u64) {
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
    read::add(ran, read::now().wrapping_sub(began));
}
