//! Debian packages: what is needed is installed when it is absent, with a line that says so; what would start a service is unpacked
//! below `.cache` instead. In: names. Out: packages, or an error with the command that the user may run.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::is_root;
use crate::step::say;

/// Installs those of `packages` that are absent.
pub fn install(packages: &[&str]) -> Result<()> {
    let absent: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    say(&format!("apt-get install {}", absent.join(" ")));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&absent);
    // Package lists may be there already; they are fetched only when the first try shows that they are not.
    if privileged(&arguments).is_err() {
        update()?;
        privileged(&arguments)
            .with_context(|| format!("hint: as root: apt-get install {}", absent.join(" ")))?;
    }
    Ok(())
}

/// Fetches packages into `folder` without installing them.
pub fn download(folder: &Path, packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["download"];
    arguments.extend(packages);
    if run(folder, &arguments).is_err() {
        update()?;
        run(folder, &arguments)?;
    }
    Ok(())
}

/// Unpacks a package below `root`.
pub fn unpack(package: &Path, root: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb")
        .arg("--extract")
        .args([package, root])
        .status()
        .context("cannot run dpkg-deb: this needs Debian")?;
    ensure!(
        status.success(),
        "dpkg-deb could not unpack {}",
        package.display()
    );
    Ok(())
}

/// Installs the shared libraries that a fetched package names as needed, for a program that is only unpacked. LLVM is what PostgreSQL
/// compiles long queries with: 100 MB that nothing here uses.
pub fn install_libraries(package: &Path) -> Result<()> {
    let output = Command::new("dpkg-deb")
        .arg("--field")
        .arg(package)
        .arg("Depends")
        .output()
        .context("cannot run dpkg-deb: this needs Debian")?;
    let depends = String::from_utf8_lossy(&output.stdout);
    install(&libraries(&depends))
}

fn libraries(depends: &str) -> Vec<&str> {
    depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next())
        .filter(|name| name.starts_with("lib"))
        .filter(|name| !["libllvm", "libjs-"].iter().any(|no| name.starts_with(no)))
        .collect()
}

/// The version that would be fetched.
pub fn candidate(package: &str) -> Result<String> {
    if let Some(version) = known_candidate(package)? {
        return Ok(version);
    }
    update()?;
    known_candidate(package)?.with_context(|| format!("apt knows no package {package}"))
}

fn known_candidate(package: &str) -> Result<Option<String>> {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .output()
        .context("cannot run apt-cache: this needs Debian")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "));
    Ok(version.filter(|v| *v != "(none)").map(str::to_owned))
}

/// Names of the packages that begin with `prefix`.
pub fn names(prefix: &str) -> Result<Vec<String>> {
    let output = Command::new("apt-cache")
        .args(["pkgnames", prefix])
        .output()
        .context("cannot run apt-cache: this needs Debian")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

pub fn update() -> Result<()> {
    say("apt-get update");
    privileged(&["update"])
}

fn run(folder: &Path, arguments: &[&str]) -> Result<()> {
    finish(
        Command::new("apt-get").args(arguments).current_dir(folder),
        arguments,
    )
}

/// What changes the system: as root, by `sudo` unless we are root already.
fn privileged(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(if is_root() { "env" } else { "sudo" });
    finish(
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(arguments),
        arguments,
    )
}

fn finish(command: &mut Command, arguments: &[&str]) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run apt-get: this needs Debian")?;
    ensure!(
        output.status.success(),
        "apt-get {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_what_a_package_needs_only_libraries_are_installed() {
        let depends = "locales | locales-all, postgresql-client-15, debconf (>= 0.5) | debconf-2.0, libc6 (>= 2.36), \
                       libllvm14 (>= 1:14), libjs-jquery, libpq5 (>= 15~beta3), libssl3 (>= 3.0.0), zlib1g (>= 1:1)";
        assert_eq!(super::libraries(depends), ["libc6", "libpq5", "libssl3"]);
        assert!(super::libraries("").is_empty());
    }
}
