//! aarch64 by fixed words: RET, RETAA, RETAB, B, BL, BR.
//!
//! Instructions are four aligned bytes, so no decoder is needed to find returns and branches.

use super::Body;

const RETURNS: [u32; 3] = [0xd65f_03c0, 0xd65f_0bff, 0xd65f_0fff];

pub(super) fn body(bytes: &[u8], address: u64) -> Body {
    let end = address.saturating_add(bytes.len() as u64);
    let mut body = Body {
        whole: bytes.len().is_multiple_of(4),
        ..Body::default()
    };
    for (index, word) in bytes.chunks_exact(4).enumerate() {
        let at = address.wrapping_add(index as u64 * 4);
        let word = word
            .iter()
            .rev()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        if RETURNS.contains(&word) {
            body.returns.push(at);
            continue;
        }
        // imm26 counts words and is signed.
        let target = at.wrapping_add_signed(i64::from((word << 6) as i32 >> 4));
        match word >> 26 {
            0b00_0101 if target < address || target >= end => body.leaves.push((at, target)),
            0b10_0101 => body.calls.push((at, target)),
            // BR Xn, BRAA, BRAB: opc 0000 or 1000 of the unconditional branches by register.
            0b11_0101 if word & 0xfefff000 == 0xd61f_0000 => body.indirect = true,
            _ => {}
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_calls_and_tail_calls_are_told_apart() {
        // bl +8; ret; b -0x1000 (leaves); br x16; retaa
        let words: [u32; 5] = [
            0x9400_0002,
            0xd65f_03c0,
            0x17ff_fc00,
            0xd61f_0200,
            0xd65f_0bff,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let body = body(&bytes, 0x4000);
        assert_eq!(body.returns, [0x4004, 0x4010]);
        assert_eq!(body.calls, [(0x4000, 0x4008)]);
        assert_eq!(body.leaves, [(0x4008, 0x3008)]);
        assert!(body.indirect && body.whole && !body.certain());
    }
}
