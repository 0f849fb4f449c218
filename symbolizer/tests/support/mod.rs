//! Files that `cargo xtask fixtures` built, and what binutils say about them. Shared with the tests of tls-hooks.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/fixtures/elf")
}

/// The path of a fixture. Fails by name when it was not built.
pub fn fixture(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "the fixture {name} is missing: run `cargo xtask fixtures`"
    );
    path
}

/// Every fixture there is, sorted by name.
pub fn all() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("no fixtures: run `cargo xtask fixtures`");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    assert!(
        paths.len() >= 50,
        "fixtures are missing: run `cargo xtask fixtures`"
    );
    paths
}

pub fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

pub fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Defined functions of `nm -S`: (address, size, name).
pub fn nm(path: &Path) -> Vec<(u64, u64, String)> {
    let text = output("nm", &["-S", "--defined-only", path.to_str().unwrap()]);
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(4, ' ');
        let (Some(address), Some(size), Some(kind), Some(name)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let (Ok(address), Ok(size), "t" | "T") = (
            u64::from_str_radix(address, 16),
            u64::from_str_radix(size, 16),
            kind,
        ) {
            found.push((address, size, name.to_owned()));
        }
    }
    found
}

/// Instructions of `objdump` in a range of addresses: (address, text without bytes and comments).
pub fn objdump(path: &Path, start: u64, end: u64) -> Vec<(u64, String)> {
    let (from, to) = (
        format!("--start-address={start:#x}"),
        format!("--stop-address={end:#x}"),
    );
    let text = output(
        "objdump",
        &[
            "-d",
            "--no-show-raw-insn",
            &from,
            &to,
            path.to_str().unwrap(),
        ],
    );
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((address, instruction)) = line.split_once(":\t") else {
            continue;
        };
        if let Ok(address) = u64::from_str_radix(address.trim(), 16) {
            let words: Vec<&str> = instruction
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            found.push((address, words.join(" ")));
        }
    }
    found
}

/// `go1.18`, ...: the Go versions that fixtures were built with; `cargo xtask fixtures --all` builds every supported one.
pub fn go_versions() -> Vec<String> {
    let names = all().into_iter().map(|path| name(&path));
    let versions: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix("-exe")?.to_owned()))
        .collect();
    for version in ["go1.18", "go1.22", "go1.26"] {
        assert!(
            versions.iter().any(|v| v == version),
            "{version} is missing: run `cargo xtask fixtures`"
        );
    }
    versions
}
