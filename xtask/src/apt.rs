//! Debian packages: what a chore needs is installed when it is absent, and said so.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

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
    println!("installing {} (apt-get install)", absent.join(" "));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&absent);
    if run(Path::new("/"), &arguments).is_err() {
        update()?;
        run(Path::new("/"), &arguments)?;
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
    println!("refreshing the list of packages (apt-get update)");
    run(Path::new("/"), &["update", "--quiet=2"])
}

fn run(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["--quiet=2"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir(folder)
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
