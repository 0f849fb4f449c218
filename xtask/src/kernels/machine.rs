//! A virtual machine whose only program is the test binary, which powers it off when it is done.
//!
//! In: kernel image, binary, object. Out: what it printed. The initial file system is one cpio archive (newc), written here.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Under TCG a whole run takes about a minute on an idle machine.
const PATIENCE: Duration = Duration::from_secs(900);
const FOLDER: u32 = 0o040755;
const PROGRAM: u32 = 0o100755;
const DEVICE: u32 = 0o020600;

pub fn boot(kernel: &Path, binary: &Path, object: &Path, case: &str) -> Result<Vec<String>> {
    let folder = tempdir()?;
    let archive = folder.join("initrd");
    std::fs::write(
        &archive,
        initial_files(&std::fs::read(binary)?, &std::fs::read(object)?),
    )?;
    let child = Command::new("qemu-system-x86_64")
        .args([
            "-machine",
            "q35,accel=tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "768",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-nodefaults", "-serial", "stdio", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(&archive)
        // On a busy machine the boot's check of the emulated timer comes out wrong: no_timer_check.
        // The case goes to the init program as an argument of its own, after the double dash.
        .args([
            "-append",
            &format!(
                "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check rdinit=/init -- /obi.bpf.o {case}"
            ),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run qemu-system-x86_64")?;
    let lines = follow(child, Some(PATIENCE));
    std::fs::remove_dir_all(folder)?;
    lines
}

/// Shows what the child prints, line by line, until it ends.
pub fn follow(mut child: Child, patience: Option<Duration>) -> Result<Vec<String>> {
    let output = child
        .stdout
        .take()
        .context("the child's output is not piped")?;
    let (to, from) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if to
                .send(String::from_utf8_lossy(&line).trim_end().to_owned())
                .is_err()
            {
                break;
            }
        }
    });
    let end = patience.map(|patience| Instant::now() + patience);
    let mut lines = Vec::new();
    loop {
        let left = end.map_or(Duration::from_secs(3600), |end| {
            end.saturating_duration_since(Instant::now())
        });
        match from.recv_timeout(left) {
            Ok(line) => {
                println!("  {line}");
                std::io::stdout().flush()?;
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("no end after {left:?}");
            }
        }
    }
    child.wait()?;
    Ok(lines)
}

fn tempdir() -> Result<std::path::PathBuf> {
    let folder = crate::root().join(format!(".cache/kernels/run-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn initial_files(binary: &[u8], object: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for folder in ["dev", "proc", "sys", "tmp"] {
        entry(&mut archive, folder, FOLDER, (0, 0), &[]);
    }
    // The kernel opens it for the first program before anything is mounted.
    entry(&mut archive, "dev/console", DEVICE, (5, 1), &[]);
    entry(&mut archive, "init", PROGRAM, (0, 0), binary);
    entry(&mut archive, "obi.bpf.o", PROGRAM, (0, 0), object);
    entry(&mut archive, "TRAILER!!!", 0, (0, 0), &[]);
    archive
}

/// One file of a cpio archive in the "new ASCII" format.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
    let inode = archive.len() as u32;
    let fields = [
        inode,
        mode,
        0,
        0,
        1,
        0,
        content.len() as u32,
        0,
        0,
        device.0,
        device.1,
        name.len() as u32 + 1,
        0,
    ];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    pad(archive);
    archive.extend(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    while !archive.len().is_multiple_of(4) {
        archive.push(0);
    }
}
