//! A Python environment in `.cache/python`, made once for each state of a requirements file. In: that file. Out: its `bin/python`.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::step;

pub fn environment(layout: &Layout, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    let folder = layout
        .cache()
        .join("python")
        .join(format!("{:016x}", hasher.finish()));
    let python = folder.join("bin/python");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the Python environment")?;
    let done = folder.join("done");
    if !done.exists() {
        step::run(
            "make a Python environment",
            Command::new("python3").args(["-m", "venv"]).arg(&folder),
        )?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args([
            "install",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "-r",
        ])
        .arg(requirements);
        step::run(
            &format!(
                "pip install: {}",
                wanted.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
            &mut pip,
        )?;
        File::create(done)?;
    }
    Ok(python)
}
