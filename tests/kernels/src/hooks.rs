//! Functions to hook: C and Go calling conventions, nested, and one that ends in a jump to another.
//!
//! Each calls back into the test while it is under way, so that the test decides what happens inside. They are written
//! in assembly because a test must know where their RET instructions are.

use std::arch::{asm, global_asm};
use std::ffi::c_void;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use obi_abi::cost::{CLASS_BITS, class, group};

use crate::agent::Site;

// C: rdi handle, rsi buffer, rdx length, rcx count pointer, r8 what happens inside, r9 its argument.
global_asm!(
    ".macro hook name",
    ".globl \\name",
    ".globl \\name\\()_ret",
    "\\name:",
    "push rbp",
    "mov rbp, rsp",
    "mov rdi, r9",
    "call r8",
    "pop rbp",
    "\\name\\()_ret:",
    "ret",
    ".endm",
    "hook hook_outer",
    "hook hook_middle",
    "hook hook_inner",
    ".globl hook_jump",
    "hook_jump:",
    "push rbp",
    "pop rbp",
    "jmp hook_middle",
    // Go: rax handle, rbx buffer, rcx length, r14 g; the result was put into r8.
    ".globl hook_go",
    ".globl hook_go_ret",
    "hook_go:",
    "push rbp",
    "mov rax, r8",
    "pop rbp",
    "hook_go_ret:",
    "ret",
    // Go with a deferred call: while that runs, the result stands in a slot of this frame.
    ".globl hook_go_deferring",
    "hook_go_deferring:",
    "push rbp",
    "sub rsp, 24",
    "mov [rsp + 16], r8",
    "xor eax, eax",
    "call hook_go_deferred",
    "mov rax, [rsp + 16]",
    "add rsp, 24",
    "pop rbp",
    "ret",
    ".globl hook_go_deferred",
    "hook_go_deferred:",
    "push rbp",
    "pop rbp",
    "ret",
    // Go, where a TLS record was opened: the error in rax, the arguments in slots of this frame.
    ".globl hook_go_record",
    ".globl hook_go_record_opened",
    "hook_go_record:",
    "push rbp",
    "sub rsp, 40",
    "mov [rsp + 16], rax",
    "mov [rsp + 24], rbx",
    "mov [rsp + 32], rcx",
    "mov rax, r8",
    "test rax, rax",
    "hook_go_record_opened:",
    "jne hook_go_record_end",
    "hook_go_record_end:",
    "add rsp, 40",
    "pop rbp",
    "ret",
    // Many: what they return is made of their argument.
    ".p2align 4",
    ".globl hook_many",
    "hook_many:",
    ".rept {many}",
    "push rbp",
    "pop rbp",
    "lea rax, [rdi + 2 * rdi + 1]",
    "ret",
    ".p2align 4",
    ".endr",
    // Two arguments and nothing inside: SSL_set_fd, SSL_free.
    ".globl hook_set_fd",
    "hook_set_fd:",
    "push rbp",
    "pop rbp",
    "ret",
    ".globl hook_free",
    "hook_free:",
    "push rbp",
    "pop rbp",
    "ret",
    many = const MANY,
);

/// Functions behind `hook_many`, how far they are apart, and where in each its RET stands.
pub const MANY: usize = 128;
const APART: usize = 16;
const RET: usize = 7;

pub type Inside = extern "C" fn(*mut c_void) -> i64;
pub type Hook =
    unsafe extern "C" fn(u64, *const u8, usize, *const usize, Inside, *mut c_void) -> i64;

unsafe extern "C" {
    pub fn hook_outer(
        handle: u64,
        buffer: *const u8,
        length: usize,
        count: *const usize,
        inside: Inside,
        with: *mut c_void,
    ) -> i64;
    pub fn hook_middle(
        handle: u64,
        buffer: *const u8,
        length: usize,
        count: *const usize,
        inside: Inside,
        with: *mut c_void,
    ) -> i64;
    pub fn hook_inner(
        handle: u64,
        buffer: *const u8,
        length: usize,
        count: *const usize,
        inside: Inside,
        with: *mut c_void,
    ) -> i64;
    pub fn hook_jump(
        handle: u64,
        buffer: *const u8,
        length: usize,
        count: *const usize,
        inside: Inside,
        with: *mut c_void,
    ) -> i64;
    fn hook_outer_ret();
    fn hook_middle_ret();
    fn hook_inner_ret();
    fn hook_go();
    fn hook_go_ret();
    fn hook_go_deferring();
    fn hook_go_deferred();
    fn hook_go_record();
    fn hook_go_record_opened();
    fn hook_many();
    fn hook_set_fd(handle: u64, fd: i32);
    fn hook_free(handle: u64, ...);
}

/// Calls a C hook; `inside` runs in the middle and gives the result.
pub fn call(
    hook: Hook,
    handle: u64,
    data: &[u8],
    count: &usize,
    mut inside: impl FnMut() -> i64,
) -> i64 {
    extern "C" fn run<F: FnMut() -> i64>(with: *mut c_void) -> i64 {
        // SAFETY: `with` is the closure that `call` keeps alive until the hook returns.
        unsafe { (*with.cast::<F>())() }
    }
    fn start<F: FnMut() -> i64>(_: &F) -> Inside {
        run::<F>
    }
    let code = start(&inside);
    // SAFETY: the hook only calls `inside` with its argument and touches neither handle nor buffer.
    unsafe {
        hook(
            handle,
            data.as_ptr(),
            data.len(),
            count,
            code,
            (&raw mut inside).cast(),
        )
    }
}

/// A function with Go's calling convention.
macro_rules! go_call {
    ($(#[$doc:meta])* $name:ident, $hook:ident) => {
        $(#[$doc])*
        pub fn $name(g: u64, handle: u64, data: &[u8], result: i64) {
            // SAFETY: the hook touches only rax, and the stack below its own frame; rbx and r14 are put back.
            unsafe {
                asm!(
                    "push rbx", "push r14",
                    "mov rbx, rsi", "mov r14, rdx",
                    "call {hook}",
                    "pop r14", "pop rbx",
                    hook = sym $hook, in("rsi") data.as_ptr(), in("rdx") g,
                    inout("rax") handle => _, inout("rcx") data.len() => _, in("r8") result,
                    clobber_abi("C"),
                );
            }
        }
    };
}

go_call!(
    /// Calls the Go hook on goroutine `g`.
    call_go,
    hook_go
);
go_call!(
    /// The same, with the return caught in a deferred call.
    call_go_deferring,
    hook_go_deferring
);
go_call!(
    /// A record was opened, with this error or 0; what it held is read from the handle.
    call_go_record,
    hook_go_record
);

pub fn set_fd(handle: u64, fd: i32) {
    // SAFETY: does nothing but to be hooked.
    unsafe { hook_set_fd(handle, fd) }
}

pub fn free(handle: u64) {
    // SAFETY: as above.
    unsafe { hook_free(handle) }
}

/// Calls the hook of [`free`] with words behind its handle: the first five in registers, the others on the stack.
pub fn parts(words: [u64; 16]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = words;
    // SAFETY: as above; its caller takes away what it put on the stack.
    unsafe { hook_free(1, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) }
}

type Many = extern "C" fn(u64) -> u64;

/// Calls one of [`MANY`] functions.
pub fn many(index: usize, argument: u64) -> u64 {
    let at = (hook_many as *const ()).wrapping_byte_add(index % MANY * APART);
    // SAFETY: a function stands there that takes one number and touches only rax.
    let function: Many = unsafe { std::mem::transmute(at) };
    function(argument)
}

/// Entries and RET instructions of the first `count` of them.
pub fn sites_of_many(count: usize, [entry, ret]: [u8; 2]) -> Result<(Vec<Site>, Vec<Site>)> {
    let first = file_offset(hook_many as *const () as usize)?;
    let site = |offset, shape, cell| Site {
        offset,
        shape,
        stack: 0,
        cell,
    };
    let each = |index: usize| {
        let at = first + index % MANY * APART;
        (
            site(at, entry, ENTRY_CELL),
            site(at + RET, ret, RETURN_CELL),
        )
    };
    let file = std::fs::File::open("/proc/self/exe")?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, (first + RET) as u64)?;
    ensure!(byte == [0xc3], "{byte:x?} is no RET");
    Ok((0..count).map(each).unzip())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Outer,
    Middle,
    Inner,
    Jump,
    Go,
    GoDeferring,
    GoRecord,
    SetFd,
    Free,
}

/// Cells in which hits at entries and at RET instructions are counted.
pub const ENTRY_CELL: u8 = group::EACH_MESSAGE << CLASS_BITS | class::EMULATED;
pub const RETURN_CELL: u8 = group::EACH_MESSAGE << CLASS_BITS | class::STEPPED;

fn both(entry: *const (), ret: *const ()) -> (usize, Option<usize>) {
    (entry as usize, Some(ret as usize))
}

/// Entries, and RET instructions, with the index of the shape that each has.
pub fn sites(functions: &[(Function, u8)]) -> Result<(Vec<Site>, Vec<Site>)> {
    let mut entries = Vec::new();
    let mut returns = Vec::new();
    for &(function, shape) in functions {
        let (entry, ret): (usize, Option<usize>) = match function {
            Function::Outer => both(hook_outer as *const (), hook_outer_ret as *const ()),
            Function::Middle => both(hook_middle as *const (), hook_middle_ret as *const ()),
            Function::Inner => both(hook_inner as *const (), hook_inner_ret as *const ()),
            Function::Jump => (hook_jump as *const () as usize, None),
            Function::Go => both(hook_go as *const (), hook_go_ret as *const ()),
            Function::GoDeferring => both(
                hook_go_deferring as *const (),
                hook_go_deferred as *const (),
            ),
            // It has no entry.
            Function::GoRecord => {
                returns.push(Site {
                    offset: file_offset(hook_go_record_opened as *const () as usize)?,
                    shape,
                    stack: 16,
                    cell: RETURN_CELL,
                });
                continue;
            }
            Function::SetFd => (hook_set_fd as *const () as usize, None),
            Function::Free => (hook_free as *const () as usize, None),
        };
        entries.push(Site {
            offset: file_offset(entry)?,
            shape,
            stack: 0,
            cell: ENTRY_CELL,
        });
        if let Some(ret) = ret {
            returns.push(Site {
                offset: file_offset(ret)?,
                shape,
                // The slot, and the return address below it.
                stack: if function == Function::GoDeferring {
                    16 + 8
                } else {
                    0
                },
                cell: RETURN_CELL,
            });
        }
    }
    Ok((entries, returns))
}

/// Where an address of this process stands in its file.
fn file_offset(address: usize) -> Result<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    maps.lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let (start, end) = (
                usize::from_str_radix(start, 16).ok()?,
                usize::from_str_radix(end, 16).ok()?,
            );
            let offset = usize::from_str_radix(words.nth(1)?, 16).ok()?;
            (start..end)
                .contains(&address)
                .then(|| address - start + offset)
        })
        .context("the address is in no mapping")
}
