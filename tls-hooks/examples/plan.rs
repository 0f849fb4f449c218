//! Prints the plan of each file given: `cargo run -p tls-hooks --example plan -- FILE...`
//!
//! For looking at a file by hand; ends with the time that each took and the peak memory of the process.

use std::path::Path;
use std::time::Instant;

fn main() {
    for path in std::env::args().skip(1) {
        let began = Instant::now();
        match symbolizer::Binary::open(Path::new(&path)) {
            Ok(binary) => {
                let mut plan = tls_hooks::plan_without_calls(&binary);
                let first = began.elapsed();
                tls_hooks::add_calls(&binary, &mut plan);
                println!("{path} {}\n{plan:#x?}", binary.build_id());
                println!("{path}: {first:?} without calls");
            }
            Err(error) => println!("{path}: {error}"),
        }
        println!("{path}: {:?}", began.elapsed());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default()
    );
}
