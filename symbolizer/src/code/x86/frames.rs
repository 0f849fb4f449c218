//! What a Go function keeps in its frame, and which members of a struct it names.
//!
//! Go moves the stack pointer in the prologue and before a RET only, so that a slot is at one distance from it all through the function.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind};

use super::super::{Member, Register};
use super::{decoder, full, writes_any};

/// Where the function keeps the argument that arrives in `register`: bytes above the stack pointer. `None` when it is not kept before the first
/// call, or something else is put there later.
pub(in super::super) fn kept_at(bytes: &[u8], address: u64, register: Register) -> Option<u32> {
    let mut info = InstructionInfoFactory::new();
    let mut kept = None;
    let mut is_argument = true;
    for instruction in &mut decoder(bytes, address) {
        let slot = stored_on_stack(&instruction);
        let is_move = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op1_kind() == OpKind::Register
            && instruction.op1_register() == full(register);
        if slot.is_some() && slot == kept {
            return None;
        }
        if is_argument && is_move && kept.is_none() {
            kept = slot;
        }
        is_argument = is_argument
            && instruction.flow_control() != FlowControl::Call
            && !writes_any(&mut info, &instruction, &[register]);
    }
    kept
}

/// `mov [rsp + n], ...`, and whatever else writes there.
fn stored_on_stack(instruction: &Instruction) -> Option<u32> {
    let stores = instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == iced_x86::Register::RSP
        && instruction.memory_index() == iced_x86::Register::None
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
    stores.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

/// Every word that the function loads from, or sets to a constant, at a fixed distance from a register other than the stack pointer.
pub(in super::super) fn members(bytes: &[u8], address: u64) -> Vec<Member> {
    let moves = decoder(bytes, address)
        .into_iter()
        .filter(|i| i.mnemonic() == Mnemonic::Mov);
    moves.filter_map(|i| member(&i)).collect()
}

fn member(instruction: &Instruction) -> Option<Member> {
    let fixed = !matches!(
        instruction.memory_base(),
        iced_x86::Register::RSP | iced_x86::Register::RIP | iced_x86::Register::None
    ) && instruction.memory_index() == iced_x86::Register::None;
    let offset = instruction.memory_displacement64();
    match (instruction.op0_kind(), instruction.op1_kind()) {
        (OpKind::Register, OpKind::Memory) if fixed && instruction.op0_register().is_gpr64() => {
            Some(Member::Loaded(offset))
        }
        (OpKind::Memory, OpKind::Immediate32to64) if fixed => {
            Some(Member::Set(offset, instruction.immediate32to64()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// push rbp; mov rbp, rsp; sub rsp, 0x58; mov [rsp+0x68], rax; mov [rsp+0x70], rbx; call; mov rsi, [rsp+0x68];
    /// mov qword [rsi+0x2e8], -1; mov rdi, [rsi+0x2d0]; ret
    const READ: [u8; 46] = [
        0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x58, 0x48, 0x89, 0x44, 0x24, 0x68, 0x48, 0x89,
        0x5c, 0x24, 0x70, 0xe8, 0, 0, 0, 0, 0x48, 0x8b, 0x74, 0x24, 0x68, 0x48, 0xc7, 0x86, 0xe8,
        0x02, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x48, 0x8b, 0xbe, 0xd0, 0x02, 0, 0,
    ];

    #[test]
    fn arguments_are_kept_until_something_else_stands_there() {
        assert_eq!(kept_at(&READ, 0x1000, Register::Rax), Some(0x68));
        assert_eq!(kept_at(&READ, 0x1000, Register::Rbx), Some(0x70));
        assert_eq!(kept_at(&READ, 0x1000, Register::Rcx), None);
        // mov [rsp+0x68], rcx behind it
        let mut again = READ.to_vec();
        again.extend([0x48, 0x89, 0x4c, 0x24, 0x68]);
        assert_eq!(kept_at(&again, 0x1000, Register::Rax), None);
        // xor eax, eax before it: another value is kept
        let mut other = vec![0x31, 0xc0];
        other.extend(READ);
        assert_eq!(kept_at(&other, 0x1000, Register::Rax), None);
    }

    #[test]
    fn members_are_loaded_and_set() {
        assert_eq!(
            members(&READ, 0x1000),
            [Member::Set(0x2e8, -1), Member::Loaded(0x2d0)]
        );
    }
}
