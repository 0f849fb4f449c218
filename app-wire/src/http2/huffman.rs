//! HPACK's string code (RFC 7541, section 5.2 and appendix B). In: coded octets. Out: text, or only its length.
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols, so that the lengths are the whole table. The
//! crates that decode HPACK build or walk large tables for each string and copy all of them; ours looks at no string that is not asked for.

/// Bits of each symbol's code; the last is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;

/// By length: the first code, and where its symbols begin in `SYMBOLS`.
const FIRST: [(u32, u16); LONGEST + 2] = first();
const SYMBOLS: [u16; 257] = symbols();

/// Text of a coded string as far as `keep` goes, and its whole length. `None`: not this code.
pub fn decode(coded: &[u8], keep: &mut Option<&mut Vec<u8>>) -> Option<usize> {
    let (mut code, mut bits, mut len) = (0u32, 0usize, 0usize);
    for byte in coded {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            bits += 1;
            let (first, at) = *FIRST.get(bits)?;
            let (_, next) = *FIRST.get(bits + 1)?;
            let offset = code.wrapping_sub(first);
            if offset >= u32::from(next - at) {
                continue;
            }
            // EOS within a string is an error, as everything above a byte would be.
            let symbol = *SYMBOLS.get(usize::from(at) + offset as usize)?;
            let symbol = u8::try_from(symbol).ok()?;
            if let Some(keep) = keep {
                keep.push(symbol);
            }
            len += 1;
            (code, bits) = (0, 0);
        }
    }
    // The rest is padded with the beginning of EOS, which is all ones.
    (bits < 8 && code == (1 << bits) - 1).then_some(len)
}

#[allow(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn first() -> [(u32, u16); LONGEST + 2] {
    let mut table = [(0, 0); LONGEST + 2];
    let (mut bits, mut code, mut at) = (1, 0u32, 0u16);
    while bits <= LONGEST {
        table[bits] = (code, at);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                code += 1;
                at += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        bits += 1;
    }
    table[bits] = (code, at);
    table
}

#[allow(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn symbols() -> [u16; 257] {
    let mut table = [0; 257];
    let (mut bits, mut at) = (1, 0);
    while bits <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                table[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(coded: &[u8]) -> Option<Vec<u8>> {
        let mut kept = Vec::new();
        let len = decode(coded, &mut Some(&mut kept))?;
        assert_eq!(len, kept.len());
        assert_eq!(decode(coded, &mut None), Some(len));
        Some(kept)
    }

    /// RFC 7541, appendix C.4 and C.6.
    #[test]
    fn examples_of_the_rfc() {
        for (coded, want) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            ("", ""),
        ] {
            let coded: Vec<u8> = (0..coded.len() / 2)
                .map(|at| u8::from_str_radix(&coded[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            assert_eq!(text(&coded).unwrap(), want.as_bytes(), "{want}");
        }
    }

    #[test]
    fn bad_padding_and_eos() {
        for coded in [
            &[0x00][..],
            &[0xff],
            &[0x1c, 0xff, 0xff],
            &[0xff; 4],
            &[0xfe],
        ] {
            assert_eq!(text(coded), None, "{coded:x?}");
        }
        assert_eq!(text(&[0x07]), Some(b"0".to_vec()));
    }
}
