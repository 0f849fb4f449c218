//! Which goroutine makes a socket call. In: the registers with which the thread entered the kernel; out: `runtime.g.goid`.
//!
//! Go keeps the running `g` in r14 (ABIInternal), also at its SYSCALL instruction. Whether it does is not taken on trust: C code called by cgo
//! keeps anything there. A `g` begins with the bounds of its stack, and the stack pointer lies between them; else the goroutine is not known.

use obi_abi::GoLayout;

use crate::maps::GOES;
use crate::read;

/// `g.stack.hi`; `lo` stands before it (runtime2.go, since Go 1.5).
const STACK_HI: u64 = 8;

/// The program of the current process is Go, and its layout is this.
#[inline(always)]
pub fn know(who: u64, goid: u16) {
    if goid != 0 {
        let _ = GOES.insert((who >> 32) as u32, GoLayout { goid }, 0);
    }
}

/// Another program runs there now, or none.
#[inline(always)]
pub fn forget(who: u64) {
    let _ = GOES.remove((who >> 32) as u32);
}

/// Id of the goroutine; 0 = not known.
#[inline(always)]
pub fn of(who: u64, g: u64, sp: u64) -> u64 {
    let Some(layout) = read::value(GOES.get_ptr_mut((who >> 32) as u32)) else {
        return 0;
    };
    let low = read::user::<u64>(g).unwrap_or(u64::MAX);
    let high = read::user::<u64>(g.wrapping_add(STACK_HI)).unwrap_or(0);
    if sp < low || sp >= high {
        return 0;
    }
    let goid = read::volatile(&layout.goid) as u64;
    read::user(g.wrapping_add(goid)).unwrap_or(0)
}
