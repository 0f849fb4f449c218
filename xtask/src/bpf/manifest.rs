//! The manifest beside the committed object: from which sources, by which toolchain, which bytes.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::toolchain::Toolchain;

/// What the object is made of, below `obi-bpf`.
const SOURCES: [&str; 5] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "abi/Cargo.toml",
    "abi/src",
];

pub struct Manifest {
    pub sources: String,
    pub object: String,
    pub toolchain: String,
}

impl Manifest {
    pub fn new(sources: &str, object: &[u8], toolchain: &Toolchain) -> Manifest {
        Manifest {
            sources: sources.to_owned(),
            object: hash(object),
            toolchain: toolchain.to_string(),
        }
    }

    pub fn read(path: &Path) -> Result<Manifest> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
                .map(str::to_owned)
                .with_context(|| format!("{}: no {key}", path.display()))
        };
        Ok(Manifest {
            sources: value("sources")?,
            object: value("object")?,
            toolchain: value("toolchain")?,
        })
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `make bpf`, never by hand.")?;
        writeln!(f, "sources = {}", self.sources)?;
        writeln!(f, "object = {}", self.object)?;
        writeln!(f, "toolchain = {}", self.toolchain)
    }
}

/// Hash of the object's sources: names and contents, in order.
pub fn sources() -> Result<String> {
    let folder = crate::root().join("obi-bpf");
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&folder.join(source), &mut files)?;
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = std::fs::read(&file)?;
        let name = file.strip_prefix(&folder)?.to_string_lossy().into_owned();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    Ok(format!("sha256:{:x}", digest.finalize()))
}

fn collect(path: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

pub fn hash(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
