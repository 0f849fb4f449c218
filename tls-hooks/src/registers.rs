//! Word numbers of registers in x86-64 `pt_regs`, as [`obi_abi::CallShape`] wants them.

use symbolizer::code::Register;

pub(crate) const fn word(register: Register) -> u8 {
    match register {
        Register::R14 => 1,
        Register::R11 => 6,
        Register::R10 => 7,
        Register::Rbx => 5,
        Register::R9 => 8,
        Register::R8 => 9,
        Register::Rax => 10,
        Register::Rcx => 11,
        Register::Rdx => 12,
        Register::Rsi => 13,
        Register::Rdi => 14,
    }
}
