//! Loads every program of the BPF object into the running kernel, attaches it, and checks what it says, byte for byte.
//!
//! One static binary, so that it also runs as the only program of a virtual machine (`cargo xtask kernels`). In: the path
//! of the object. Out: one line a case, exit code 1 when one failed.

mod agent;
mod cases;
mod hooks;
mod init;
#[path = "../../../obi/src/attach/kernel_offsets.rs"]
mod kernel_offsets;
#[path = "../../../obi/src/attach/links.rs"]
mod links;
mod net;
// The reader of the running agent, under test here too.
#[path = "../../../obi/src/capture/ring.rs"]
mod ring;

use std::process::ExitCode;

fn main() -> ExitCode {
    if !init::is_first() {
        return run();
    }
    if let Err(error) = init::prepare() {
        println!("{error:#}");
    } else {
        run();
    }
    init::power_off()
}

fn run() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("usage: obi-kernels OBJECT [CASE]");
        return ExitCode::from(2);
    };
    if path == cases::WAIT {
        return match std::io::copy(&mut std::io::stdin(), &mut std::io::sink()) {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if path == cases::CALLS {
        return match cases::call_all_the_time(args.next()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let only = args.next().unwrap_or_default();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            return ExitCode::from(2);
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases::ALL.iter().filter(|(name, _)| name.contains(&only)) {
        match case(&bytes) {
            Ok(()) => {
                passed += 1;
                println!("ok   {name}");
            }
            Err(error) => {
                failed += 1;
                println!("FAIL {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
