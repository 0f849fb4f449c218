//! Go build information. In: the bytes of a data segment, put into a program that is otherwise sound.
#![no_main]

#[path = "../../../symbolizer/tests/support/synthetic.rs"]
mod synthetic;

use libfuzzer_sys::fuzz_target;
use symbolizer::Binary;

fuzz_target!(|data: &[u8]| {
    let file = synthetic::go_program(synthetic::good_table(), data.to_vec()).build();
    let Ok(binary) = Binary::from_bytes(file) else {
        return;
    };
    if let Some(go) = binary.go() {
        let info = &go.info;
        assert!(info.version.0.len() <= data.len());
        assert!(info.dependencies.len() <= data.len());
        info.version.minor();
    }
    tls_hooks::plan(&binary);
});
