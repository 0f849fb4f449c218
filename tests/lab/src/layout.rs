//! Where things lie. In: the repository's root. Out: paths; nothing is created but the folders asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository, its cache and the folder of one run.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// `name` is the run's: `demo`, `e2e`, ... Its folder `target/lab/<name>` is emptied.
    pub fn new(name: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot find {}", root.display()))?;
        let run = target(&root).join("lab").join(name);
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("cannot empty {}", run.display()))?;
        }
        fs::create_dir_all(&run)?;
        Ok(Self { root, run })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of this run: configuration, logs, data; kept until the next run of the same name.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// What was fetched once and is taken again.
    pub fn cache(&self) -> PathBuf {
        self.root.join(".cache")
    }

    /// Cargo's target folder.
    pub fn target(&self) -> PathBuf {
        target(&self.root)
    }
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
