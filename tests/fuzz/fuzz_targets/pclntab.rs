//! Go function tables. In: a table, put into a program that is otherwise sound.
#![no_main]

#[path = "../../../symbolizer/tests/support/synthetic.rs"]
mod synthetic;

use libfuzzer_sys::fuzz_target;
use symbolizer::Binary;

fuzz_target!(|data: &[u8]| {
    let file = synthetic::go_program(data.to_vec(), synthetic::good_info()).build();
    let Ok(binary) = Binary::from_bytes(file) else {
        return;
    };
    let Some(go) = binary.go() else { return };
    if let Some(count) = go.function_count() {
        assert!(count <= data.len() as u64 / 8);
    }
    let names = synthetic::FUNCTIONS.map(|(name, _)| name);
    for function in go.functions(&names).into_iter().flatten() {
        binary.body(&function);
    }
    tls_hooks::plan(&binary);
});
