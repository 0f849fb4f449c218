//! Memory that is not the program's own: user memory, kernel memory, registers, map values. The `unsafe` of the
//! programs lives here, behind functions that the verifier (and the kernel's fault handling) keeps sound.
//!
//! A read that faults is a value (`None`), never an error that stops a program.

use core::arch::asm;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;

use aya_ebpf::helpers::{
    bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_get_current_task,
    bpf_get_current_task_btf, bpf_get_func_ret, bpf_ktime_get_ns, bpf_loop, bpf_task_pt_regs,
    generated,
};
use obi_abi::RecordHeader;

const _: () = assert!(size_of::<RecordHeader>() == 9 * size_of::<u64>());

/// Words of `pt_regs` that a call shape may name.
pub const REGISTERS: usize = 16;

/// One word of kernel memory; `None` when the address does not hold.
#[inline(always)]
pub fn kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes into `value` or fails; every T used here is a plain integer.
    unsafe {
        if generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        ) == 0
        {
            Some(value.assume_init())
        } else {
            None
        }
    }
}

/// One value of the current process's memory; `None` when the page is not resident or not mapped.
#[inline(always)]
pub fn user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: as in `kernel`.
    unsafe {
        if generated::bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        ) == 0
        {
            Some(value.assume_init())
        } else {
            None
        }
    }
}

/// Copies user memory to `to`, which must have room for `length` bytes (the verifier checks it).
#[inline(always)]
pub fn user_bytes(to: *mut u8, length: u32, address: u64) -> bool {
    // SAFETY: `to` points into a ring-buffer record or to the stack; the verifier refuses the program if `length` can exceed it.
    unsafe { generated::bpf_probe_read_user(to.cast(), length, address as *const c_void) == 0 }
}

/// The next `n` bytes (1 to 4) of user memory, as a big-endian number.
#[inline(always)]
pub fn user_number(address: u64, n: u32) -> Option<u64> {
    let mut place = 0u64;
    let bounded = opaque(n as u64) & 7;
    if user_bytes(ptr::from_mut(&mut place).cast(), bounded as u32, address) {
        Some(u64::from_be(place) >> ((8 - bounded) * 8 & 63))
    } else {
        None
    }
}

/// Copies a text that ends with 0; gives its length with the 0, or a negative error. A longer one is cut at `N`.
#[inline(always)]
pub fn user_text<const N: usize>(to: &mut [u8; N], address: u64) -> i64 {
    // SAFETY: `to` has room for N bytes.
    unsafe {
        generated::bpf_probe_read_user_str(
            to.as_mut_ptr().cast(),
            N as u32,
            address as *const c_void,
        )
    }
}

/// The first [`REGISTERS`] words of the probed thread's registers. Only constant offsets into the context are allowed,
/// hence a copy that is then indexed.
#[inline(always)]
pub fn registers(ctx: *mut c_void, place: &mut MaybeUninit<[u64; REGISTERS]>) -> &[u64; REGISTERS] {
    let words = ctx.cast::<u64>();
    let to = place.as_mut_ptr().cast::<u64>();
    macro_rules! copy {
        ($($index:literal)*) => {
            $( // SAFETY: pt_regs has 21 words, `place` 16; volatile keeps the accesses apart and at constant offsets.
               unsafe { ptr::write_volatile(to.add($index), ptr::read_volatile(words.add($index))) }; )*
        };
    }
    copy!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    // SAFETY: all 16 words were written.
    unsafe { place.assume_init_ref() }
}

/// One register, by its word number. A function of its own, so that the copy is gone from the stack when it returns.
#[inline(never)]
pub fn register_of(ctx: *mut c_void, index: u8) -> u64 {
    register(registers(ctx, &mut MaybeUninit::uninit()), index)
}

/// What a new record header says; the rest is 0.
pub struct Stamp {
    pub kind: u8,
    pub source: u8,
    /// Payload bytes.
    pub len: u32,
    pub conn: u64,
    pub began: u64,
    pub ended: u64,
    pub go: u64,
    /// Thread group id in the upper, thread id in the lower half.
    pub who: u64,
}

/// Writes a record header word by word. An assignment would become a call of `memset`, which writes byte by byte.
#[inline(always)]
pub fn stamp(to: *mut RecordHeader, with: Stamp) {
    let to = to.cast::<u64>();
    // SAFETY: a header is nine words, aligned to a word, and every bit pattern is one.
    unsafe {
        ptr::write_volatile(
            to,
            with.kind as u64 | (with.source as u64) << 16 | (with.len as u64) << 32,
        );
        ptr::write_volatile(to.add(1), with.conn);
        ptr::write_volatile(to.add(2), 0);
        ptr::write_volatile(to.add(3), 0);
        ptr::write_volatile(to.add(4), with.began);
        ptr::write_volatile(to.add(5), with.ended);
        ptr::write_volatile(to.add(6), with.go);
        ptr::write_volatile(to.add(7), with.who.rotate_left(32));
        ptr::write_volatile(to.add(8), 0);
    }
}

/// A value of whole words in `place`, all 0.
#[inline(always)]
pub fn zeroed<T>(place: &mut MaybeUninit<T>) -> &mut T {
    zero(place.as_mut_ptr());
    // SAFETY: all words were written, and every T used here is made of plain integers.
    unsafe { place.assume_init_mut() }
}

/// Zeroes a value of whole words, for the same reason.
#[inline(always)]
pub fn zero<T>(to: *mut T) {
    let to = to.cast::<u64>();
    for index in 0..size_of::<T>() / 8 {
        // SAFETY: within `to`, whose type has no padding and is valid when all bits are 0.
        unsafe { ptr::write_volatile(to.add(index), 0) };
    }
}

/// Copies a record header word by word. An assignment would become a call of `memcpy`, which copies byte by byte.
#[inline(always)]
pub fn copy_header(from: &RecordHeader, to: &mut RecordHeader) {
    let from = ptr::from_ref(from).cast::<u64>();
    let to = ptr::from_mut(to).cast::<u64>();
    macro_rules! copy {
        ($($index:literal)*) => {
            $( // SAFETY: a header is nine words, aligned to a word, and every bit pattern is one.
               unsafe { ptr::write_volatile(to.add($index), ptr::read_volatile(from.add($index))) }; )*
        };
    }
    copy!(0 1 2 3 4 5 6 7 8);
}

/// The register with word number `index`; 0 for `NO_REG`.
#[inline(always)]
pub fn register(all: &[u64; REGISTERS], index: u8) -> u64 {
    if index == obi_abi::NO_REG {
        return 0;
    }
    let index = opaque(index as u64) & (REGISTERS as u64 - 1);
    // SAFETY: masked to the length of the array.
    unsafe { ptr::read_volatile(all.as_ptr().add(index as usize)) }
}

/// Word `INDEX` of the context.
#[inline(always)]
pub fn context<const INDEX: usize>(ctx: *mut c_void) -> u64 {
    // SAFETY: the verifier checks the constant offset against the context type of the program.
    unsafe { ptr::read_volatile(ctx.cast::<u64>().add(INDEX)) }
}

/// Word `INDEX` behind a pointer that the context gave and whose type the verifier knows.
#[inline(always)]
pub fn followed<const INDEX: usize>(pointer: u64) -> u64 {
    // SAFETY: the verifier checks the offset against the pointer's type; a fault gives 0.
    unsafe { ptr::read_volatile((pointer as *const u64).add(INDEX)) }
}

/// Address of the `pt_regs` with which the current task entered the kernel.
#[inline(always)]
pub fn user_registers() -> u64 {
    // SAFETY: the helper takes the pointer that the other gives.
    unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) as u64 }
}

/// Result of the traced function, in an fexit program (helper `bpf_get_func_ret`, kernel 5.17).
#[inline(always)]
pub fn result(ctx: *mut c_void) -> i64 {
    let mut value = 0u64;
    // SAFETY: `ctx` is the program's context.
    unsafe { bpf_get_func_ret(ctx, &mut value) };
    value as i64
}

/// What a map lookup found. The value stays readable for the run of the program, also when another CPU removes it.
#[inline(always)]
pub fn value<T>(found: Option<*mut T>) -> Option<&'static mut T> {
    // SAFETY: a lookup gives a pointer to a whole value or none; values are plain integers, valid for all bit patterns.
    found.map(|pointer| unsafe { &mut *pointer })
}

/// The state that `repeat`, or the caller of a global function, passes by pointer.
#[inline(always)]
pub fn state<'a, T>(pointer: *mut T) -> Option<&'a mut T> {
    // SAFETY: the verifier checks at the call that it points to a whole T.
    unsafe { pointer.as_mut() }
}

/// Element `index` of an array whose length is a power of two; beyond it, the index is cut.
#[inline(always)]
pub fn element<T, const N: usize>(array: &mut [T; N], index: u64) -> &mut T {
    const { assert!(N.is_power_of_two()) };
    let index = opaque(index) & (N as u64 - 1);
    // SAFETY: masked to the length of the array.
    unsafe { &mut *array.as_mut_ptr().add(index as usize) }
}

/// As [`element`], to be read.
#[inline(always)]
pub fn of<T, const N: usize>(array: &[T; N], index: u64) -> &T {
    const { assert!(N.is_power_of_two()) };
    let index = opaque(index) & (N as u64 - 1);
    // SAFETY: masked to the length of the array.
    unsafe { &*array.as_ptr().add(index as usize) }
}

/// A value that another CPU or user space may change at any time.
#[inline(always)]
pub fn volatile<T: Copy>(place: &T) -> T {
    // SAFETY: a reference is valid for reads.
    unsafe { ptr::read_volatile(place) }
}

/// A constant of `.rodata`, as user space has set it.
#[inline(always)]
pub fn constant<T: Copy>(value: &T) -> T {
    volatile(value)
}

/// Hides from the compiler what it knows about `n`. Without it LLVM drops a mask that an earlier comparison implies, and
/// the verifier of 6.1, which has not followed the comparison, refuses the program.
#[inline(always)]
pub fn opaque(mut n: u64) -> u64 {
    // SAFETY: moves a register to itself. An empty sequence would leave two line records on one instruction, which the
    // kernel refuses.
    unsafe { asm!("{0} = {0}", inout(reg) n) };
    n
}

/// Adds to a counter in a map value that other CPUs may touch; gives the value before.
#[inline(always)]
pub fn add(counter: *mut u64, mut n: u64) -> u64 {
    // SAFETY: `counter` points into a map value and is 8-byte aligned. Written as an instruction, because the target
    // declares no compare-and-swap and therefore offers no fetch_add.
    unsafe {
        asm!("{n} = atomic_fetch_add((u64 *)({p} + 0), {n})", n = inout(reg) n, p = in(reg) counter)
    };
    n
}

/// Writes `new` where `seen` still stands; gives what stood there. Written as an instruction, as in [`add`].
#[inline(always)]
pub fn exchange(place: *mut u64, seen: u64, new: u64) -> u64 {
    let before;
    // SAFETY: as in `add`. The instruction compares with r0 and leaves the old value there.
    unsafe {
        asm!("r0 = cmpxchg_64({p} + 0, r0, {n})", p = in(reg) place, n = in(reg) new, inout("r0") seen => before)
    };
    before
}

/// Calls `step(index, state)` up to `times` times, until it returns 1 (helper `bpf_loop`, kernel 5.17).
#[inline(always)]
pub fn repeat<T>(times: u32, step: extern "C" fn(u32, *mut T) -> i64, state: &mut T) {
    // SAFETY: `step` takes the pointer that is passed as `state`; bpf_loop keeps it only for the duration of the call.
    unsafe { bpf_loop(times, step as *mut c_void, ptr::from_mut(state).cast(), 0) };
}

/// `CLOCK_MONOTONIC` nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Thread group id in the upper, thread id in the lower half.
#[inline(always)]
pub fn pid_tgid() -> u64 {
    bpf_get_current_pid_tgid()
}

/// Address of the current `task_struct`.
#[inline(always)]
pub fn task() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task() }
}

/// The number given when the site was attached.
#[inline(always)]
pub fn cookie(ctx: *mut c_void) -> u64 {
    // SAFETY: `ctx` is the program's context.
    unsafe { bpf_get_attach_cookie(ctx) }
}
