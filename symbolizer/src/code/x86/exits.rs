//! How a Go function with deferred calls ends: which RETs stand behind its deferred calls, and where the result waits meanwhile.
//!
//! A RET is single-stepped under a probe, an instruction at the beginning of a deferred call need not be. While it runs, the result
//! of its caller stands in a slot of the caller's stack frame, from which the code behind the call loads it.

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::super::{Exit, Shallow};
use super::{ENTRY_INSTRUCTIONS, branch_targets, decoder, direct_target, grows_stack, is_emulated};

/// Every RET, with what the straight run of code before it does. A run begins behind a jump or at a jump's target, so that whoever
/// reaches the RET has come through all of it.
pub(in super::super) fn exits(bytes: &[u8], address: u64) -> Vec<Exit> {
    let targets = branch_targets(bytes, address);
    let mut exits = Vec::new();
    let mut run = Exit::default();
    for instruction in &mut decoder(bytes, address) {
        if targets.contains(&instruction.ip()) {
            run = Exit::default();
        }
        match instruction.flow_control() {
            FlowControl::IndirectCall => {
                run.deferred += 1;
                run.result_at = None;
            }
            FlowControl::Return => {
                run.address = instruction.ip();
                exits.push(std::mem::take(&mut run));
            }
            FlowControl::Next => {
                run.result_at = loaded_from(&instruction).or(run.result_at);
            }
            // A direct call is no deferred one, and what follows is another way out (runtime.deferreturn).
            _ => run = Exit::default(),
        }
    }
    exits
}

/// `mov rax, [rsp + n]`
fn loaded_from(instruction: &Instruction) -> Option<u32> {
    let load = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == Register::RAX
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None;
    load.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

/// The first cheap instruction behind the stack check, and how far below its value at the entry the stack pointer is there.
pub(in super::super) fn shallow_site(bytes: &[u8], address: u64) -> Option<Shallow> {
    let targets = branch_targets(bytes, address);
    let mut below = 0u32;
    for instruction in decoder(bytes, address).iter().take(ENTRY_INSTRUCTIONS) {
        let at = instruction.ip();
        if instruction.is_invalid() || targets.iter().any(|t| *t > address && *t <= at) {
            return None;
        }
        let conditional = instruction.flow_control() == FlowControl::ConditionalBranch;
        if conditional && grows_stack(&instruction, bytes, address) {
            continue;
        }
        if is_emulated(&instruction) {
            // A jump back to the entry that is not the stack check's would run it again.
            let again = targets.contains(&address) && direct_target(&instruction) == Some(address);
            return (!again).then_some(Shallow { address: at, below });
        }
        if instruction.flow_control() != FlowControl::Next {
            return None;
        }
        let moves_stack = instruction.op_count() > 0
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register() == Register::RSP
            && instruction.mnemonic() != Mnemonic::Cmp;
        if moves_stack {
            if instruction.mnemonic() != Mnemonic::Sub || instruction.op1_kind() == OpKind::Register
            {
                return None;
            }
            below = below.checked_add(u32::try_from(instruction.immediate(1)).ok()?)?;
        }
        if matches!(instruction.mnemonic(), Mnemonic::Push | Mnemonic::Pop) {
            return None;
        }
    }
    None
}
