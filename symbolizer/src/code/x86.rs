//! x86-64 by iced-x86.
//!
//! Which instructions the kernel emulates under a uprobe, and so needs no single step for, is in
//! arch/x86/kernel/uprobes.c (`branch_setup_xol_ops`, `push_setup_xol_ops`): `push` of a 64-bit register, one-byte
//! `nop`, near `call`, `jmp` and `jcc` without operand-size prefix. Longer nops only on new kernels, so they do not count.

pub(super) mod accessor;
pub(super) mod exits;
pub(super) mod frames;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind,
};

use super::{Body, Convention, Cost, Register, Site};

/// How far behind the entry a site is looked for. Prologues are shorter.
const ENTRY_INSTRUCTIONS: usize = 24;

fn decoder(bytes: &[u8], address: u64) -> Decoder<'_> {
    Decoder::with_ip(64, bytes, address, DecoderOptions::NONE)
}

fn direct_target(instruction: &Instruction) -> Option<u64> {
    matches!(instruction.op0_kind(), OpKind::NearBranch64).then(|| instruction.near_branch_target())
}

pub(super) fn body(bytes: &[u8], address: u64) -> Body {
    let end = address.saturating_add(bytes.len() as u64);
    let mut body = Body {
        whole: true,
        ..Body::default()
    };
    for instruction in &mut decoder(bytes, address) {
        let at = instruction.ip();
        if instruction.is_invalid() {
            body.whole = false;
            continue;
        }
        let target = direct_target(&instruction);
        match instruction.flow_control() {
            FlowControl::Return => body.returns.push(at),
            FlowControl::Call => body.calls.extend(target.map(|target| (at, target))),
            FlowControl::IndirectBranch => body.indirect = true,
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => match target {
                Some(target) if target >= address && target < end => {}
                Some(target) => body.leaves.push((at, target)),
                None => body.indirect = true,
            },
            _ => {}
        }
    }
    body
}

pub(super) fn entry_site(
    bytes: &[u8],
    address: u64,
    args: &[Register],
    convention: Convention,
) -> Site {
    let mut fallback = Site {
        address,
        cost: Cost::SingleStepped,
    };
    let targets = branch_targets(bytes, address);
    // A Go function whose stack check is still ahead: the entry runs again once the stack has grown.
    let mut checked = convention == Convention::C || !targets.contains(&address);
    let mut info = InstructionInfoFactory::new();
    for instruction in decoder(bytes, address).iter().take(ENTRY_INSTRUCTIONS) {
        let at = instruction.ip();
        if instruction.is_invalid() {
            break;
        }
        // A jump back to here (or, in C, to the entry) would count one call twice.
        let back = targets
            .iter()
            .any(|t| *t > address && *t <= at || *t == address && convention == Convention::C);
        if back {
            break;
        }
        let conditional = instruction.flow_control() == FlowControl::ConditionalBranch;
        if conditional && convention == Convention::Go && grows_stack(&instruction, bytes, address)
        {
            checked = true;
            if !targets.contains(&instruction.next_ip()) {
                fallback.address = instruction.next_ip();
            }
            continue;
        }
        if checked && is_emulated(&instruction) {
            return Site {
                address: at,
                cost: Cost::Emulated,
            };
        }
        if instruction.flow_control() != FlowControl::Next
            || writes_any(&mut info, &instruction, args)
        {
            break;
        }
    }
    fallback
}

/// The first cheap instruction behind the call at `call` that only that call leads to, `keep` intact; else the
/// instruction right behind it.
pub(super) fn site_behind_call(
    bytes: &[u8],
    address: u64,
    call: u64,
    keep: &[Register],
) -> Option<Site> {
    let targets = branch_targets(bytes, address);
    let mut info = InstructionInfoFactory::new();
    let mut instructions = decoder(bytes, address)
        .into_iter()
        .skip_while(|i| i.ip() < call);
    let instruction = instructions
        .next()
        .filter(|i| i.ip() == call && i.is_call_near())?;
    let behind = instruction.next_ip();
    let mut first = None;
    for instruction in instructions.take(ENTRY_INSTRUCTIONS) {
        let at = instruction.ip();
        if instruction.is_invalid() || targets.iter().any(|target| (behind..=at).contains(target)) {
            break;
        }
        if is_emulated(&instruction) {
            return Some(Site {
                address: at,
                cost: Cost::Emulated,
            });
        }
        first = first.or(Some(Site {
            address: at,
            cost: Cost::SingleStepped,
        }));
        if instruction.flow_control() != FlowControl::Next
            || writes_any(&mut info, &instruction, keep)
        {
            break;
        }
    }
    first
}

/// The one of `candidates` into which the code before the call at `call` puts an address on the stack.
pub(super) fn stack_argument(
    bytes: &[u8],
    address: u64,
    call: u64,
    candidates: &[Register],
) -> Option<Register> {
    let mut info = InstructionInfoFactory::new();
    let mut on_stack = vec![false; candidates.len()];
    for instruction in decoder(bytes, address).iter().take_while(|i| i.ip() < call) {
        for (candidate, on_stack) in candidates.iter().zip(&mut on_stack) {
            if writes_any(&mut info, &instruction, &[*candidate]) {
                *on_stack = takes_stack_address(&instruction);
            }
        }
    }
    let mut found = candidates
        .iter()
        .zip(on_stack)
        .filter(|(_, on_stack)| *on_stack);
    let (candidate, _) = found.next()?;
    found.next().is_none().then_some(*candidate)
}

fn takes_stack_address(instruction: &Instruction) -> bool {
    let stack = |register| matches!(register, iced_x86::Register::RSP | iced_x86::Register::RBP);
    match instruction.mnemonic() {
        Mnemonic::Lea => stack(instruction.memory_base()),
        Mnemonic::Mov => {
            instruction.op1_kind() == OpKind::Register
                && instruction.op1_register() == iced_x86::Register::RSP
        }
        _ => false,
    }
}

fn branch_targets(bytes: &[u8], address: u64) -> Vec<u64> {
    let end = address.saturating_add(bytes.len() as u64);
    let jumps = decoder(bytes, address).into_iter().filter(|i| {
        matches!(
            i.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        )
    });
    jumps
        .filter_map(|i| direct_target(&i))
        .filter(|t| *t >= address && *t < end)
        .collect()
}

/// Go's stack check: the branch leads to a call of runtime.morestack and from there back to the entry.
fn grows_stack(branch: &Instruction, bytes: &[u8], address: u64) -> bool {
    let Some(target) = direct_target(branch) else {
        return false;
    };
    let Some(rest) = target
        .checked_sub(address)
        .and_then(|at| bytes.get(usize::try_from(at).ok()?..))
    else {
        return false;
    };
    let mut called = false;
    for instruction in decoder(rest, target).iter().take(ENTRY_INSTRUCTIONS) {
        match instruction.flow_control() {
            FlowControl::Call => called = true,
            FlowControl::UnconditionalBranch => {
                return called && direct_target(&instruction) == Some(address);
            }
            FlowControl::Next => {}
            _ => return false,
        }
    }
    false
}

pub(super) fn cost_of(bytes: &[u8]) -> Cost {
    const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
    if bytes.starts_with(&NOP5) {
        return Cost::Replaced;
    }
    let instruction = decoder(bytes, 0).decode();
    if !instruction.is_invalid() && is_emulated(&instruction) {
        Cost::Emulated
    } else {
        Cost::SingleStepped
    }
}

fn is_emulated(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            // loop, jrcxz have an 8-bit target too but are not jcc; a notrack or bnd prefix does not occur with rel32.
            direct_target(instruction).is_some()
                && (instruction.is_jcc_short_or_near()
                    || instruction.is_jmp_short_or_near()
                    || instruction.is_call_near())
        }
        _ => match instruction.mnemonic() {
            Mnemonic::Push => instruction.op0_register().is_gpr64() && instruction.len() <= 2,
            Mnemonic::Nop => instruction.len() == 1,
            _ => false,
        },
    }
}

fn writes_any(
    info: &mut InstructionInfoFactory,
    instruction: &Instruction,
    args: &[Register],
) -> bool {
    info.info(instruction).used_registers().iter().any(|used| {
        let written = !matches!(
            used.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        written
            && args
                .iter()
                .any(|arg| used.register().full_register() == full(*arg))
    })
}

fn full(register: Register) -> iced_x86::Register {
    match register {
        Register::Rax => iced_x86::Register::RAX,
        Register::Rbx => iced_x86::Register::RBX,
        Register::Rcx => iced_x86::Register::RCX,
        Register::Rdx => iced_x86::Register::RDX,
        Register::Rsi => iced_x86::Register::RSI,
        Register::Rdi => iced_x86::Register::RDI,
        Register::R8 => iced_x86::Register::R8,
        Register::R9 => iced_x86::Register::R9,
        Register::R10 => iced_x86::Register::R10,
        Register::R11 => iced_x86::Register::R11,
        Register::R14 => iced_x86::Register::R14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_costs_is_seen_in_the_first_bytes() {
        for (bytes, expected) in [
            (&[0x0f, 0x1f, 0x44, 0x00, 0x00][..], Cost::Replaced),
            (&[0x55, 0x48, 0x89, 0xe5], Cost::Emulated), // push rbp
            (&[0x41, 0x57], Cost::Emulated),             // push r15
            (&[0x90], Cost::Emulated),                   // nop
            (&[0xe8, 0, 0, 0, 0], Cost::Emulated),       // call
            (&[0xeb, 0x10], Cost::Emulated),             // jmp
            (&[0x0f, 0x84, 0, 0, 0, 0], Cost::Emulated), // je
            (&[0xc3], Cost::SingleStepped),              // ret
            (&[0x48, 0x83, 0xec, 0x28], Cost::SingleStepped), // sub rsp, 40
            (&[0xf3, 0x0f, 0x1e, 0xfa], Cost::SingleStepped), // endbr64
            (&[0x6a, 0x00], Cost::SingleStepped),        // push 0
            (&[0xff, 0xe0], Cost::SingleStepped),        // jmp rax
            (&[0x0f, 0x1f, 0x40, 0x00], Cost::SingleStepped), // nop of four bytes
            (&[0xe8, 0, 0], Cost::SingleStepped),        // cut off
            (&[], Cost::SingleStepped),
        ] {
            assert_eq!(cost_of(bytes), expected, "{bytes:x?}");
        }
    }
}
