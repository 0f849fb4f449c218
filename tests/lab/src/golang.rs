//! Go programs, built so that no agent has ever seen them. In: a module folder and a package. Out: an executable.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::step;

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbols {
    Kept,
    /// `-ldflags "-s -w"`: neither symbol table nor DWARF.
    Stripped,
}

/// An older Go, and the file that names modules which it can build; it stands beside `go.mod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Older {
    /// As `GOTOOLCHAIN` has it: `go1.22.12`.
    pub toolchain: &'static str,
    pub modfile: &'static str,
}

/// Builds `package` of the module in `module` into `out`. With `fresh`, its build id is one that never was before.
pub fn build(
    module: &Path,
    package: &str,
    out: &Path,
    symbols: Symbols,
    fresh: bool,
) -> Result<PathBuf> {
    build_by(None, module, package, out, symbols, fresh)
}

/// The same by another Go than the one installed, which comes from the module proxy.
pub fn build_by(
    older: Option<Older>,
    module: &Path,
    package: &str,
    out: &Path,
    symbols: Symbols,
    fresh: bool,
) -> Result<PathBuf> {
    let mut flags = Vec::new();
    if symbols == Symbols::Stripped {
        flags.push("-s -w".to_owned());
    }
    if fresh {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        // The Go id and the GNU note both come from here; the linker derives neither from the time.
        flags.push(format!(
            "-buildid=lab/{now}/{}/x -B 0x{:032x}",
            std::process::id(),
            now
        ));
    }
    let mut command = Command::new("go");
    command.current_dir(module).arg("build");
    if let Some(older) = older {
        command.env("GOTOOLCHAIN", older.toolchain);
        command.args(["-modfile", older.modfile]);
    }
    command
        .args(["-ldflags", &flags.join(" "), "-o"])
        .arg(out)
        .arg(package);
    step::run(&format!("go build {package}"), &mut command)?;
    Ok(out.to_owned())
}
