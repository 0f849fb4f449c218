//! What the machine must have. In: a purpose. Out: an error that names what is missing with the command that installs it, or
//! nothing. Toolchains are the user's choice and are only checked; Debian packages are installed here, with a line that says so.
//! No service is left running: the packages that would start one are unpacked into `.cache/` instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::{apt, step};

/// What is going to be done with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Demo,
    Test,
}

struct Toolchain {
    name: &'static str,
    /// Program and arguments that print the version.
    ask: &'static [&'static str],
    /// Smallest version that will do.
    least: (u32, u32),
    install: &'static str,
}

const TOOLCHAINS: &[Toolchain] = &[
    Toolchain {
        name: "Rust",
        ask: &["rustc", "--version"],
        least: (1, 89),
        install: "curl https://sh.rustup.rs -sSf | sh    (or: rustup update stable)",
    },
    Toolchain {
        name: "Go",
        ask: &["go", "version"],
        least: (1, 26),
        install: "see https://go.dev/doc/install: unpack the archive into /usr/local and add /usr/local/go/bin to PATH",
    },
    Toolchain {
        name: "Java (a JDK)",
        ask: &["javac", "--version"],
        least: (17, 0),
        install: "apt-get install --no-install-recommends openjdk-17-jdk-headless",
    },
    Toolchain {
        name: "Python",
        ask: &["python3", "--version"],
        least: (3, 11),
        install: "apt-get install --no-install-recommends python3 python3-venv",
    },
];

/// Debian packages by purpose: to build the agent, to run the demo, to run the tests.
const BUILD: &[&str] = &["build-essential", "pkg-config", "libelf-dev", "zlib1g-dev"];
const DEMO: &[&str] = &["maven", "openssl", "util-linux"];
const TEST: &[&str] = &["kcat", "librdkafka-dev", "qemu-system-x86", "binutils"];

pub fn check(purpose: Purpose) -> Result<()> {
    let lacks: Vec<String> = TOOLCHAINS.iter().filter_map(lack).collect();
    if !lacks.is_empty() {
        bail!("{}", lacks.join("\n"));
    }
    let mut packages = [BUILD, DEMO].concat();
    if purpose == Purpose::Test {
        packages.extend(TEST);
    }
    // Debian splits pip's bootstrap off; elsewhere it comes with Python.
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        packages.push("python3-venv");
    }
    if purpose == Purpose::Test && !["node", "npm"].iter().all(|tool| speaks(tool)) {
        packages.extend(["nodejs", "npm"]);
    }
    apt::install(&packages)
}

fn speaks(tool: &str) -> bool {
    succeeds(Command::new(tool).arg("--version"))
}

/// Why this toolchain will not do, with what mends it.
fn lack(tool: &Toolchain) -> Option<String> {
    let (program, args) = tool.ask.split_first()?;
    let (major, minor) = tool.least;
    let output = Command::new(program).args(args).output();
    let text = match &output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => {
            return Some(format!(
                "{} {major}.{minor} or newer is needed: {program} is not there\n  hint: {}",
                tool.name, tool.install
            ));
        }
    };
    let found = version(&text);
    if found.is_some_and(|found| found >= tool.least) {
        return None;
    }
    let found = found.map_or_else(
        || text.trim().to_owned(),
        |(major, minor)| format!("{major}.{minor}"),
    );
    Some(format!(
        "{} {major}.{minor} or newer is needed: this is {found}\n  hint: {}",
        tool.name, tool.install
    ))
}

/// The first `MAJOR.MINOR` (or `MAJOR` alone) in what a tool says of itself.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text
        .get(start..)?
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let mut parts = digits.split('.');
    Some((
        parts.next()?.parse().ok()?,
        parts
            .next()
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(0),
    ))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The path of a program that Debian ships as a service (`prometheus`): the installed one, or the package unpacked under `.cache/`,
/// because installing it would start the service.
pub fn unpacked(layout: &Layout, package: &str, program: &str) -> Result<PathBuf> {
    let system = Path::new("/usr/bin").join(program);
    if system.exists() {
        return Ok(system);
    }
    let path = Path::new("usr/bin").join(program);
    let folder = unpacked_folder(layout, &[package], |folder| folder.join(&path).exists())?;
    Ok(folder.join(path))
}

/// Packages unpacked into one folder under `.cache/`, named by the first; the libraries that they need are installed. `complete` says
/// whether the folder holds what is wanted.
pub fn unpacked_folder(
    layout: &Layout,
    packages: &[&str],
    complete: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    let first = packages.first().context("no package is named")?;
    let folder = layout.cache().join("deb").join(first);
    if complete(&folder) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    step::say(&format!("apt-get download {}", packages.join(" ")));
    apt::download(&folder, packages)?;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "deb") {
            apt::install_libraries(&path)?;
            apt::unpack(&path, &folder)?;
        }
    }
    if !complete(&folder) {
        bail!(
            "Debian's {} hold not what was expected of them",
            packages.join(" and ")
        );
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_say() {
        for (text, want) in [
            ("rustc 1.95.0 (abc 2026-04-14)", Some((1, 95))),
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("javac 17.0.15", Some((17, 0))),
            ("javac 21", Some((21, 0))),
            ("Python 3.11.7", Some((3, 11))),
            ("command not found", None),
        ] {
            assert_eq!(version(text), want, "{text}");
        }
    }

    #[test]
    fn a_missing_or_old_toolchain_is_named_with_its_cure() {
        let tool = |ask, least| Toolchain {
            name: "Go",
            ask,
            least,
            install: "unpack it",
        };
        assert_eq!(lack(&tool(&["echo", "go1.26.8"], (1, 24))), None);
        assert_eq!(
            lack(&tool(&["echo", "go1.20.2"], (1, 24))).unwrap(),
            "Go 1.24 or newer is needed: this is 1.20\n  hint: unpack it"
        );
        assert_eq!(
            lack(&tool(&["no-such-go", "version"], (1, 24))).unwrap(),
            "Go 1.24 or newer is needed: no-such-go is not there\n  hint: unpack it"
        );
    }
}
