//! Counters of what the kernel side met (`obi_abi::stat`), summed over CPUs by user space.

use crate::maps::STATS;
use crate::read;

/// Adds `n` to the counter. Atomic also on one CPU: a program may be preempted by another.
#[inline(always)]
pub fn add(counter: u32, n: u64) {
    if let Some(value) = STATS.get_ptr_mut(counter) {
        read::add(value, n);
    }
}

#[inline(always)]
pub fn count(counter: u32) {
    add(counter, 1);
}
