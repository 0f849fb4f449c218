//! `cargo xtask bpf`: builds the BPF object, with a toolchain of its own below `.cache/bpf`.
//!
//! In: `obi-bpf/`. Out: `obi-bpf/prebuilt/obi.bpf.o` and its manifest, which holds the hash of the sources, so that an
//! object that does not belong to them is refused. With `--check` nothing is written: the object is built and its bytes
//! are compared. Build paths are mapped away, so that they are equal wherever the repository stands.

mod manifest;
mod strip;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use manifest::Manifest;
use toolchain::Toolchain;

#[derive(clap::Args)]
pub struct Args {
    /// Build and compare with the committed object, write nothing
    #[arg(long)]
    check: bool,
}

/// The committed object.
pub fn prebuilt() -> PathBuf {
    crate::root().join("obi-bpf/prebuilt/obi.bpf.o")
}

fn manifest_path() -> PathBuf {
    crate::root().join("obi-bpf/prebuilt/manifest")
}

pub fn run(args: &Args) -> Result<bool> {
    if args.check {
        return check();
    }
    let (object, toolchain) = build()?;
    let manifest = Manifest::new(&manifest::sources()?, &object, &toolchain);
    std::fs::create_dir_all(crate::root().join("obi-bpf/prebuilt"))?;
    std::fs::write(prebuilt(), &object)?;
    std::fs::write(manifest_path(), manifest.to_string())?;
    println!(
        "obi-bpf/prebuilt/obi.bpf.o: {} bytes, {}",
        object.len(),
        manifest.object
    );
    Ok(true)
}

/// Whether the committed object is the one that its sources give.
pub fn check() -> Result<bool> {
    let committed = Manifest::read(&manifest_path())?;
    let bytes = std::fs::read(prebuilt()).context("no obi-bpf/prebuilt/obi.bpf.o")?;
    if !belongs(&committed, &manifest::sources()?, &bytes) {
        return Ok(false);
    }
    let (object, toolchain) = build()?;
    if manifest::hash(&object) == committed.object {
        println!(
            "obi-bpf/prebuilt/obi.bpf.o: rebuilt, the same bytes ({})",
            committed.object
        );
        return Ok(true);
    }
    println!("obi-bpf/prebuilt/obi.bpf.o: rebuilt, other bytes");
    if toolchain.to_string() != committed.toolchain {
        println!(
            "built with {}, here {toolchain}: run `make bpf` and commit",
            committed.toolchain
        );
    }
    Ok(false)
}

/// Whether manifest, sources and object belong together, judged without building.
fn belongs(manifest: &Manifest, sources: &str, object: &[u8]) -> bool {
    let fresh = manifest.sources == sources;
    let intact = manifest.object == manifest::hash(object);
    if !fresh {
        println!("obi-bpf/prebuilt/obi.bpf.o is not of these sources: run `make bpf` and commit");
    }
    if !intact {
        println!(
            "obi-bpf/prebuilt/obi.bpf.o is not the object of its manifest: run `make bpf` and commit"
        );
    }
    fresh && intact
}

/// Compiles, links and strips; the toolchain is set up first when it is absent.
fn build() -> Result<(Vec<u8>, Toolchain)> {
    let cache = crate::root().join(".cache/bpf");
    let toolchain = toolchain::ready(&cache)?;
    println!("compiling obi-bpf with {toolchain}");
    let folder = crate::root().join("obi-bpf");
    let target = cache.join("target");
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            "bpfel-unknown-none",
            "-Zbuild-std=core",
        ])
        .current_dir(&folder)
        .env("RUSTC", toolchain.rustc())
        .env("LD_LIBRARY_PATH", toolchain.libraries())
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&folder, &toolchain)?)
        // The unstable parts (build-std, BPF assembly) of a released compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "obi-bpf does not compile");
    let linked = std::fs::read(target.join("bpfel-unknown-none/release/obi"))?;
    Ok((strip::without_debug(&linked)?, toolchain))
}

fn flags(folder: &Path, toolchain: &Toolchain) -> Result<String> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok([
        format!("-Clinker={}", toolchain.linker().display()),
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        remap(folder, "/obi-bpf"),
        remap(&cargo_home, "/cargo"),
        // The compiler names its sources by their real path, also when `.cache` is a link.
        remap(&toolchain.root.canonicalize()?, "/rust"),
    ]
    .join("\u{1f}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_object_is_of_these_sources() {
        let manifest = Manifest::read(&manifest_path()).expect("a manifest is committed");
        let object = std::fs::read(prebuilt()).expect("an object is committed");
        assert!(belongs(
            &manifest,
            &manifest::sources().expect("sources"),
            &object
        ));
    }

    #[test]
    fn changed_sources_and_changed_object_are_refused() {
        let manifest = Manifest::read(&manifest_path()).expect("a manifest is committed");
        let sources = manifest::sources().expect("sources");
        let mut object = std::fs::read(prebuilt()).expect("an object is committed");
        assert!(!belongs(&manifest, "sha256:0", &object));
        object[1000] ^= 1;
        assert!(!belongs(&manifest, &sources, &object));
    }
}
