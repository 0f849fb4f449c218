//! What a small accessor function gives back: the word at the end of a path of member offsets from its first argument.
//!
//! Every way through the function is followed. Only loads, copies, zeroes, comparisons and forward jumps are understood; a function that does
//! more is no accessor.

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::{decoder, direct_target};

/// Instructions looked at on all ways together.
const STEPS: usize = 64;
/// Longest path.
const MEMBERS: usize = 4;

/// What a register holds: the word at the end of a path, or nothing of interest.
#[derive(Clone)]
enum Value {
    Path(Vec<u16>),
    Zero,
}

type Registers = Vec<(Register, Value)>;

/// The path of each way out that gives back a member; ways that give back 0 are left out. `None`: not an accessor.
pub(in super::super) fn paths(bytes: &[u8], address: u64) -> Option<Vec<Vec<u16>>> {
    let end = address.checked_add(bytes.len() as u64)?;
    let mut found: Vec<Vec<u16>> = Vec::new();
    let mut ways: Vec<(u64, Registers)> =
        vec![(address, vec![(Register::RDI, Value::Path(vec![]))])];
    let mut steps = 0;
    while let Some((mut at, mut registers)) = ways.pop() {
        loop {
            steps += 1;
            if steps > STEPS {
                return None;
            }
            let offset = usize::try_from(at.checked_sub(address)?).ok()?;
            let instruction = decoder(bytes.get(offset..)?, at).iter().next()?;
            let forward = direct_target(&instruction).filter(|to| *to > at && *to < end);
            match instruction.flow_control() {
                FlowControl::Return => {
                    match held(&registers, Register::RAX)? {
                        Value::Path(path) if !path.is_empty() && !found.contains(&path) => {
                            found.push(path);
                        }
                        Value::Path(_) | Value::Zero => {}
                    }
                    break;
                }
                FlowControl::ConditionalBranch => ways.push((forward?, registers.clone())),
                FlowControl::UnconditionalBranch => {
                    at = forward?;
                    continue;
                }
                FlowControl::Next => step(&instruction, &mut registers)?,
                _ => return None,
            }
            at = instruction.next_ip();
        }
    }
    Some(found)
}

fn held(registers: &Registers, register: Register) -> Option<Value> {
    let known = registers.iter().find(|(known, _)| *known == register);
    known.map(|(_, value)| value.clone())
}

fn step(instruction: &Instruction, registers: &mut Registers) -> Option<()> {
    let to = instruction.op0_register().full_register();
    let value = match instruction.mnemonic() {
        Mnemonic::Endbr64 | Mnemonic::Nop | Mnemonic::Cmp | Mnemonic::Test => return Some(()),
        Mnemonic::Xor
            if instruction.op1_kind() == OpKind::Register
                && instruction.op0_register() == instruction.op1_register() =>
        {
            Value::Zero
        }
        Mnemonic::Mov if instruction.op0_kind() == OpKind::Register => {
            match instruction.op1_kind() {
                OpKind::Register => held(registers, instruction.op1_register())?,
                OpKind::Memory if instruction.memory_index() == Register::None => {
                    let Value::Path(mut path) = held(registers, instruction.memory_base())? else {
                        return None;
                    };
                    path.push(u16::try_from(instruction.memory_displacement64()).ok()?);
                    if path.len() > MEMBERS {
                        return None;
                    }
                    Value::Path(path)
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    registers.retain(|(known, _)| *known != to);
    registers.push((to, value));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rd_kafka_topic_name() {
        // A handle of its own kind is told by its first four bytes.
        let code = [
            0x81, 0x3f, 0x4c, 0x52, 0x4b, 0x54, // cmp dword [rdi], 'LRKT'
            0x75, 0x08, // jne
            0x48, 0x8b, 0x47, 0x18, // mov rax, [rdi+0x18]
            0xc3, // ret
            0x0f, 0x1f, 0x00, // nop
            0x48, 0x8b, 0x47, 0x58, // mov rax, [rdi+0x58]
            0x48, 0x8b, 0x40, 0x08, // mov rax, [rax+0x8]
            0xc3, // ret
        ];
        let mut found = paths(&code, 0x44b20).unwrap();
        found.sort();
        assert_eq!(found, [vec![0x18], vec![0x58, 8]]);
        // Cut anywhere, it is no accessor.
        for length in 0..code.len() {
            assert_eq!(paths(&code[..length], 0x44b20), None, "{length}");
        }
    }

    #[test]
    fn rd_kafka_event_type() {
        // xor eax, eax; test rdi, rdi; je +3; mov eax, [rdi+0x14]; ret
        let code = [
            0x31, 0xc0, 0x48, 0x85, 0xff, 0x74, 0x03, 0x8b, 0x47, 0x14, 0xc3,
        ];
        assert_eq!(paths(&code, 0x1000), Some(vec![vec![0x14]]));
    }

    #[test]
    fn what_does_more_is_no_accessor() {
        for code in [
            &[0xe8, 0, 0, 0, 0, 0xc3][..],               // call
            &[0x48, 0x8b, 0x04, 0xf7, 0xc3],             // an array
            &[0x48, 0x8b, 0x46, 0x08, 0xc3],             // the second argument
            &[0x48, 0x8d, 0x47, 0x08, 0xc3],             // an address
            &[0x48, 0x8b, 0x87, 0, 0, 1, 0, 0xc3],       // too far away
            &[0x48, 0x8b, 0x47, 0xf8, 0xc3],             // before its beginning
            &[0xeb, 0xfe],                               // for ever
            &[0xff, 0xe0],                               // jmp rax
            &[0xc3],                                     // nothing was loaded
            &[0x48, 0x8b, 0x7f, 0x08, 0x75, 0xfa, 0xc3], // a loop
        ] {
            assert_eq!(paths(code, 0x1000), None, "{code:x?}");
        }
    }
}
