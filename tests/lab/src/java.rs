//! Java programs of a single file, compiled once a run: Java's own way to run a source compiles it at every start. In: a source and
//! a class path. Out: a class path that holds its classes too.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::step;

pub fn compile(source: &Path, class_path: &str, out: &Path) -> Result<String> {
    let mut javac = Command::new("javac");
    javac
        .args(["-nowarn", "-cp", class_path, "-d"])
        .arg(out)
        .arg(source);
    step::run(&format!("javac {}", source.display()), &mut javac)?;
    Ok(format!("{class_path}:{}", out.display()))
}
