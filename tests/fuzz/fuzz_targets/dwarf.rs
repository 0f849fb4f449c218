//! Debug sections. In: two lengths (16 bits each), then the bytes of .debug_abbrev, .debug_str and .debug_info; the top bits of
//! the lengths say whether the latter two are offered as compressed.
#![no_main]

#[path = "../../../symbolizer/tests/support/synthetic.rs"]
mod synthetic;

use libfuzzer_sys::fuzz_target;
use symbolizer::Binary;
use synthetic::{EXECUTE, Image, READ, TEXT};

const WANTED: [(&str, &str); 6] = [
    ("connection_s", "name"),
    ("connection_s", "socket"),
    ("connection_s", "last"),
    ("inner", "count"),
    ("runtime.g", "goid"),
    ("crypto/tls.Conn", "conn"),
];
const PROGBITS: u32 = 1;
const COMPRESSED: u64 = 0x800;

fuzz_target!(|data: &[u8]| {
    let [a, b, c, d, rest @ ..] = data else {
        return;
    };
    let (abbreviations, strings) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    let (first, rest) = rest.split_at(rest.len().min(usize::from(abbreviations & 0x7fff)));
    let (second, third) = rest.split_at(rest.len().min(usize::from(strings & 0x7fff)));
    let flags = |word: u16| if word & 0x8000 == 0 { 0 } else { COMPRESSED };
    let file = Image::default()
        .segment(READ | EXECUTE, TEXT, vec![0xc3])
        .section(".debug_abbrev", PROGBITS, 0, first.to_vec())
        .section(".debug_str", PROGBITS, flags(strings), second.to_vec())
        .section(
            ".debug_info",
            PROGBITS,
            flags(abbreviations),
            third.to_vec(),
        )
        .build();
    let Ok(binary) = Binary::from_bytes(file) else {
        return;
    };
    let found = binary.members(&WANTED);
    assert_eq!(found.len(), WANTED.len());
});
