//! Node packages in `.cache/node`, installed once for each state of a `package.json`. In: that file. Out: the folder whose
//! `node_modules` holds them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::step;

pub fn packages(layout: &Layout, description: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(description)
        .with_context(|| format!("cannot read {}", description.display()))?;
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    let folder = layout
        .cache()
        .join("node")
        .join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the Node packages")?;
    let done = folder.join("done");
    if !done.exists() {
        fs::write(folder.join("package.json"), wanted)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-fund", "--no-audit", "--ignore-scripts"])
            .current_dir(&folder);
        step::run("npm install", &mut npm)?;
        File::create(done)?;
    }
    Ok(folder)
}
