//! Whole files. In: the bytes of a file. Everything that can be asked of it is asked, and its plan is made.
#![no_main]

use libfuzzer_sys::fuzz_target;
use symbolizer::code::{Convention, Register};
use symbolizer::{Binary, Table};

fuzz_target!(|data: &[u8]| {
    let Ok(binary) = Binary::from_bytes(data.to_vec()) else {
        return;
    };
    let mut symbols = 0;
    for table in [Table::Static, Table::Dynamic] {
        binary.visit_symbols(table, |_| symbols += 1);
    }
    // Both tables may be the same bytes.
    assert!(symbols <= data.len() / 12);
    assert!(binary.needed().len() <= data.len() / 16);
    binary.identity();
    binary.soname();
    for function in binary
        .functions(&["main", "_init", "exchange"])
        .into_iter()
        .flatten()
    {
        if let Some(body) = binary.body(&function) {
            let inside = |at: &u64| at.wrapping_sub(function.address) < function.size;
            assert!(body.returns.iter().all(inside));
        }
        binary.entry_site(&function, &[Register::Rdi, Register::Rsi], Convention::C);
        binary.function_at(function.address);
    }
    for hook in tls_hooks::plan(&binary).hooks {
        assert!(hook.entry.is_none_or(|entry| entry < data.len() as u64));
    }
});
