//! The toolchain of the BPF object: Debian's rustc-web with its library sources, its LLVM, and bpf-linker.
//!
//! The compiler must be one whose library sources can be had, because `core` is compiled for the BPF target. Everything
//! is unpacked below `.cache/bpf`; nothing is installed. A second run finds it there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use obi_lab::apt;

const LINKER: &str = "0.13.0";
const COMPILER: &str = "rustc-web";
const LLVM: &str = "libllvm22";
/// Its library, as it lies in the package.
const LLVM_LIBRARY: &str = "usr/lib/x86_64-linux-gnu/libLLVM.so.22.1";

pub struct Toolchain {
    /// Where the packages are unpacked.
    pub root: PathBuf,
    linker: PathBuf,
    compiler: String,
}

impl Toolchain {
    pub fn rustc(&self) -> PathBuf {
        self.root.join("usr/bin/rustc")
    }

    pub fn linker(&self) -> PathBuf {
        self.linker.join("bin/bpf-linker")
    }

    pub fn libraries(&self) -> PathBuf {
        self.root.join("usr/lib/x86_64-linux-gnu")
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COMPILER} {}, bpf-linker {LINKER}", self.compiler)
    }
}

/// The toolchain, set up when it is absent.
pub fn ready(cache: &Path) -> Result<Toolchain> {
    let (root, linker, stamp) = (
        cache.join("root"),
        cache.join("linker"),
        cache.join("compiler"),
    );
    if !stamp.exists() {
        let version = unpack(cache, &root)?;
        std::fs::write(&stamp, version)?;
    }
    let compiler = std::fs::read_to_string(&stamp)?;
    let toolchain = Toolchain {
        root,
        linker,
        compiler,
    };
    if !toolchain.linker().exists() {
        install_linker(cache, &toolchain)?;
    }
    Ok(toolchain)
}

/// Fetches and unpacks the compiler; gives its version.
fn unpack(cache: &Path, root: &Path) -> Result<String> {
    let packages = cache.join("packages");
    for folder in [&packages, root] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
    }
    let version = apt::candidate(COMPILER)?;
    println!("fetching {COMPILER} {version} with its library sources, {LLVM} (140 MB)");
    let library = format!("libstd-rust-web-{}", release(&version)?);
    apt::download(
        &packages,
        &[
            COMPILER,
            &library,
            "libstd-rust-web-dev",
            "rust-web-src",
            LLVM,
        ],
    )?;
    for entry in std::fs::read_dir(&packages)? {
        let package = entry?.path();
        println!(
            "unpacking {}",
            package.file_name().unwrap_or_default().to_string_lossy()
        );
        apt::unpack(&package, root)?;
    }
    trim(root)?;
    std::fs::remove_dir_all(packages)?;
    Ok(version)
}

/// `1.96` of `1.96.0+dfsg1-1~deb12u2`.
fn release(version: &str) -> Result<&str> {
    let end = version
        .match_indices('.')
        .nth(1)
        .map(|(at, _)| at)
        .with_context(|| format!("{COMPILER} has the odd version {version}"))?;
    Ok(version.get(..end).unwrap_or(version))
}

/// Of the sources only `library/` is needed, a tenth of them.
fn trim(root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(root.join("usr/src"))
        .context("the package rust-web-src holds no sources")?
    {
        for part in std::fs::read_dir(entry?.path())? {
            let part = part?;
            if part.file_name() != "library" && part.file_type()?.is_dir() {
                std::fs::remove_dir_all(part.path())?;
            }
        }
    }
    Ok(())
}

fn install_linker(cache: &Path, toolchain: &Toolchain) -> Result<()> {
    println!("building bpf-linker {LINKER} (a minute or two)");
    // The linker wants LLVM as a folder with lib/libLLVM.so.
    let llvm = cache.join("llvm");
    std::fs::create_dir_all(llvm.join("lib"))?;
    let link = llvm.join("lib/libLLVM.so");
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(toolchain.root.join(LLVM_LIBRARY), &link)?;
    let status = Command::new("cargo")
        .args([
            "install",
            "bpf-linker",
            "--quiet",
            "--locked",
            "--no-default-features",
            "--features",
            "llvm-22",
        ])
        .args(["--version", LINKER, "--root"])
        .arg(&toolchain.linker)
        .env("LLVM_PREFIX", &llvm)
        .env("CARGO_TARGET_DIR", cache.join("linker-target"))
        .env("LD_LIBRARY_PATH", toolchain.libraries())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "bpf-linker does not build");
    std::fs::remove_dir_all(cache.join("linker-target"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn release_of_a_debian_version() {
        assert_eq!(
            release("1.96.0+dfsg1-1~deb12u2").expect("a version"),
            "1.96"
        );
        assert!(release("odd").is_err());
    }
}
