//! `cargo xtask kernels`: every BPF program loaded and hit, on the running kernel and on Debian's older ones under QEMU.
//!
//! In: the object, rebuilt. Out: the lines of the test binary, `N passed, N failed` at the end. The same static binary runs
//! everywhere; in a virtual machine it is the only program (`tests/kernels`). TCG only: nothing here is about time.

mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use obi_lab::apt;

use crate::bpf;

/// What libbpf is linked with, and what boots the kernels.
const PACKAGES: [&str; 4] = ["gcc", "libelf-dev", "zlib1g-dev", "qemu-system-x86"];
const RUNNING: &str = "running";
const SERIES: [&str; 2] = ["6.1", "6.12"];

#[derive(clap::Args)]
pub struct Args {
    /// Only these: running, 6.1, 6.12
    #[arg(long, value_parser = [RUNNING, SERIES[0], SERIES[1]])]
    kernel: Vec<String>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

pub fn run(args: &Args) -> Result<bool> {
    apt::install(&PACKAGES)?;
    let mut fine = bpf::check()?;
    let binary = build()?;
    let cache = crate::root().join(".cache/kernels");
    std::fs::create_dir_all(&cache)?;
    let mut total = Tally::default();
    for kernel in std::iter::once(RUNNING).chain(SERIES) {
        if !args.kernel.is_empty() && !args.kernel.iter().any(|k| k == kernel) {
            continue;
        }
        println!("--- kernel {kernel}");
        let tally = if kernel == RUNNING {
            tally(&on_this_one(&binary, &args.case)?)
        } else {
            in_a_machine(&image(&cache, kernel)?, &binary, &args.case)?
        };
        let tally = tally.with_context(|| format!("the tests did not end on kernel {kernel}"))?;
        fine &= tally.failed == 0 && tally.passed > 0;
        total.passed += tally.passed;
        total.failed += tally.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(fine)
}

/// An emulated machine may end before its tests do for reasons of its own (a timer that comes too late): it gets a second try, and only
/// that. A test that fails is a result and is not tried again.
fn in_a_machine(kernel: &Path, binary: &Path, case: &str) -> Result<Option<Tally>> {
    let boot = || machine::boot(kernel, binary, &bpf::prebuilt(), case);
    let first = tally(&boot()?);
    if first.is_some() {
        return Ok(first);
    }
    println!("the machine ended before its tests did; once more");
    Ok(tally(&boot()?))
}

/// The last line: `N passed, N failed`.
fn tally(lines: &[String]) -> Option<Tally> {
    lines.iter().rev().find_map(|line| {
        let (passed, failed) = line
            .trim()
            .strip_suffix(" failed")?
            .split_once(" passed, ")?;
        Some(Tally {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
        })
    })
}

/// A binary without shared libraries: a virtual machine has none.
fn build() -> Result<PathBuf> {
    println!("building the static test binary");
    let target = crate::root().join("target/static");
    let triple = "x86_64-unknown-linux-gnu";
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--package",
            "obi-kernels",
            "--target",
            triple,
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(crate::root())
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Copt-level=1")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the test binary does not compile");
    Ok(target.join(triple).join("debug/obi-kernels"))
}

fn on_this_one(binary: &Path, case: &str) -> Result<Vec<String>> {
    let child = Command::new(binary)
        .arg(bpf::prebuilt())
        .arg(case)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run the test binary")?;
    machine::follow(child, None)
}

/// The newest kernel image of the series that Debian offers, fetched once.
fn image(cache: &Path, series: &str) -> Result<PathBuf> {
    let kept = cache.join(format!("vmlinuz-{series}"));
    if kept.exists() {
        return Ok(kept);
    }
    let folder = cache.join(series);
    // An old list names packages that are no longer there.
    if let Err(error) = fetch(series, &folder) {
        println!("{error:#}; with a new list of packages once more");
        apt::update()?;
        fetch(series, &folder)?;
    }
    for entry in std::fs::read_dir(&folder)? {
        apt::unpack(&entry?.path(), &folder)?;
    }
    let mut boot = std::fs::read_dir(folder.join("boot"))?
        .filter_map(Result::ok)
        .map(|e| e.path());
    let kernel = boot
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("the package for {series} holds no kernel"))?;
    std::fs::copy(kernel, &kept)?;
    std::fs::remove_dir_all(folder)?;
    Ok(kept)
}

/// Downloads the newest package of the series into `folder`.
fn fetch(series: &str, folder: &Path) -> Result<()> {
    let prefix = format!("linux-image-{series}.");
    let Some(name) = offered(&prefix)?.pop() else {
        bail!(
            "apt offers no {prefix}*-cloud-amd64 (for 6.12 on Debian 12: bookworm-backports or security)"
        );
    };
    println!("fetching {name}");
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    apt::download(folder, &[&name])
}

/// Packages of the small kernels for virtual machines, oldest first.
fn offered(prefix: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = apt::names(prefix)?
        .into_iter()
        .filter(|name| name.ends_with("-cloud-amd64"))
        .collect();
    names.sort_by_key(|name| numbers(name));
    Ok(names)
}

/// The numbers in a name, so that 6.1.0-9 stands before 6.1.0-56.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_is_last() {
        let mut names = [
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
        ];
        names.sort_by_key(|name| numbers(name));
        assert_eq!(names[1], "linux-image-6.1.0-56-cloud-amd64");
    }

    #[test]
    fn tally_is_the_last_line() {
        let lines = [
            "ok   a".to_owned(),
            "12 passed, 3 failed\r".to_owned(),
            "reboot: Power down".to_owned(),
        ];
        let found = tally(&lines).expect("a tally");
        assert_eq!((found.passed, found.failed), (12, 3));
        assert!(tally(&lines[..1]).is_none());
    }
}
