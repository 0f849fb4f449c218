//! The programs that work on messages. In: a cell. Out: what is started, and the file in which the agent finds its client library.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use obi_lab::{golang, python, step};

use super::cells::Cell;
use crate::world::World;

pub struct Program {
    pub file: PathBuf,
    /// Before the plan.
    pub words: Vec<OsString>,
    pub hooked: PathBuf,
}

impl Program {
    /// What the agent calls its processes: the script's name, else the executable's.
    pub fn service(&self) -> String {
        let named = self.words.first().map_or(self.file.as_path(), Path::new);
        let name = match self.words.is_empty() {
            true => named.file_name(),
            false => named.file_stem(),
        };
        name.unwrap_or_default().to_string_lossy().into_owned()
    }

    pub fn of(world: &World, folder: &Path, cell: &Cell) -> Result<Program> {
        match cell.library {
            "python" => Program::python(world, "python/requirements.txt"),
            "python-2.0" => Program::python(world, "groups/python/requirements-librdkafka-2.0.txt"),
            "c" => Program::c(world, folder),
            _ => Program::go(world, folder, cell),
        }
    }

    /// Built once a run: another cell of the same program has an agent that never saw it, too.
    fn go(world: &World, folder: &Path, cell: &Cell) -> Result<Program> {
        let out = folder.join(cell.program());
        if !out.exists() {
            let module = world.layout.root().join("tests/e2e/clients/go/processing");
            let package = format!("./{}", cell.library);
            let (older, symbols) = (cell.build.older(), cell.build.symbols());
            golang::build_by(older, &module, &package, &out, symbols, true)?;
        }
        Ok(Program {
            file: out.clone(),
            words: Vec::new(),
            hooked: out,
        })
    }

    fn python(world: &World, requirements: &str) -> Result<Program> {
        let clients = world.layout.root().join("tests/e2e/clients");
        let python = python::environment(&world.layout, &clients.join(requirements))?;
        // Not through `python`, which is a link.
        let environment = python.parent().and_then(Path::parent);
        let lib = environment.context("python has no folder")?.join("lib");
        let lib = lib.canonicalize()?;
        let bundled = |folder: &Path| -> Option<PathBuf> {
            let libs = folder.join("site-packages/confluent_kafka.libs");
            let mut files = std::fs::read_dir(libs).ok()?.flatten();
            let name = |file: &std::fs::DirEntry| {
                file.file_name().to_string_lossy().starts_with("librdkafka")
            };
            Some(files.find(name)?.path())
        };
        let mut versions = std::fs::read_dir(lib)?.flatten();
        let hooked = versions.find_map(|version| bundled(&version.path()));
        Ok(Program {
            file: python,
            words: vec![clients.join("python/work.py").into()],
            hooked: hooked.context("confluent-kafka has no librdkafka inside")?,
        })
    }

    /// With the librdkafka of the system.
    fn c(world: &World, folder: &Path) -> Result<Program> {
        let out = folder.join("work-c");
        let source = world.layout.root().join("tests/e2e/clients/c/work.c");
        if !out.exists() {
            let mut gcc = Command::new("gcc");
            gcc.args(["-O2", "-Wall", "-Werror", "-o"]).arg(&out);
            step::run("build work.c", gcc.arg(source).arg("-lrdkafka"))?;
        }
        let library = Path::new("/usr/lib/x86_64-linux-gnu/librdkafka.so.1");
        Ok(Program {
            file: out,
            words: Vec::new(),
            hooked: library
                .canonicalize()
                .context("librdkafka is not there\n  hint: apt-get install librdkafka-dev")?,
        })
    }
}
