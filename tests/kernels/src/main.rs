//! Loads every program of the BPF object into the running kernel, attaches it, and checks what it says, byte for byte.
//!
//! One static binary, so that it also runs as the only program of a virtual machine (`cargo xtask kernels`). In: the path
//! of the object. Out: one line a case, exit code 1 when one failed.

mod agent;
mod cases;
mod hooks;
#[path = "../../../obi/src/attach/kernel_offsets.rs"]
mod kernel_offsets;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("usage: obi-kernels OBJECT [CASE]");
        return ExitCode::from(2);
    };
    let only = args.next();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if only.as_deref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        match case(&bytes) {
            Ok(()) => println!("ok   {name}"),
            Err(error) => {
                failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
    println!("{failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
