//! `cargo xtask layouts`: what hooks must know of the Kafka clients for Go, from the source of every release.
//!
//! In: releases by the Go module proxy, and those that the table names already, because a proxy may list fewer than it has. Out:
//! `tls-hooks/src/client/layouts/table.txt`. The program in `xtask/layouts` type-checks a package and computes offsets and registers;
//! nothing of a module is built or run. Answers are kept in `.cache/layouts`, since a release never changes; modules are not (they are
//! gigabytes). With `--check` nothing is written.

mod table;
mod wanted;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use wanted::{MODULES, Module, SINCE};

const HEAD: &str = "# Made by `cargo xtask layouts` from the releases named here, for linux/amd64; see docs/architecture.md.\n\
    # member STRUCT MEMBER FROM TO OFFSET\n\
    # function NAME FROM TO | ARGUMENTS | RESULTS | SIGNATURE (stack+N: above the stack pointer at the first instruction and at a RET)\n";

#[derive(clap::Args)]
pub struct Args {
    /// Compare with the committed table, write nothing; needs the network, so that `make test` does not do it
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<bool> {
    let path = crate::root().join("tls-hooks/src/client/layouts/table.txt");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let reader = Reader::build()?;
    let mut parts = vec![HEAD.to_owned()];
    for module in &MODULES {
        let named = table::releases(&committed)
            .into_iter()
            .filter(|(of, _)| *of == module.path)
            .map(|(_, version)| version.to_owned());
        let versions = releases(module, named)?;
        println!("    {}: {} releases", module.path, versions.len());
        let mut answers = Vec::new();
        for version in versions {
            match reader.answers(module, &version) {
                Ok(read) => answers.push((version, read)),
                Err(error) if held_back(&error.to_string()) => {
                    println!("    {}@{version} is left out: {error:#}", module.path);
                }
                Err(error) => return Err(error),
            }
        }
        parts.push(table::part(module, &answers));
    }
    let text = parts.join("\n");
    if text == committed {
        println!("{} is as it should be", path.display());
        return Ok(true);
    }
    if args.check {
        for line in text
            .lines()
            .filter(|line| !committed.lines().any(|old| old == *line))
        {
            println!("missing: {line}");
        }
        println!("the table is not what the modules say\n  hint: cargo xtask layouts");
        return Ok(false);
    }
    fs::write(&path, text)?;
    println!("wrote {}", path.display());
    Ok(true)
}

/// Releases since [`SINCE`] and the last one before, ascending. Retracted ones are in use as well.
fn releases(module: &Module, named: impl Iterator<Item = String>) -> Result<Vec<String>> {
    let listed = go(
        "versions",
        &[
            "list",
            "-m",
            "-json",
            "-retracted",
            "-versions",
            module.path,
        ],
    )?;
    let listed = listed.first().context("go list says nothing")?;
    let versions = listed["Versions"].as_array().into_iter().flatten();
    let mut found: BTreeMap<[u64; 3], String> = BTreeMap::new();
    for version in versions
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .chain(named)
    {
        // Neither a pre-release nor a pseudo-version.
        if let Some(numbers) = numbers(&version) {
            found.insert(numbers, version);
        }
    }
    let modules: Vec<String> = found
        .values()
        .map(|version| format!("{}@{version}", module.path))
        .collect();
    let words = ["list", "-m", "-e", "-json"].into_iter();
    let told = go(
        "versions",
        &words
            .chain(modules.iter().map(String::as_str))
            .collect::<Vec<_>>(),
    )?;
    let mut dated = Vec::new();
    for version in found.into_values() {
        let info = told.iter().find(|of| of["Version"] == *version);
        let info = info.with_context(|| format!("go list does not tell of {version}"))?;
        match (info["Time"].as_str(), info["Error"]["Err"].as_str()) {
            (Some(time), _) => dated.push((version, time >= SINCE)),
            (None, Some(error)) if held_back(error) => {
                println!("    {}@{version} is left out: {error}", module.path);
            }
            (None, error) => bail!("{}@{version}: {}", module.path, error.unwrap_or("no time")),
        }
    }
    let first = dated
        .iter()
        .position(|(_, recent)| *recent)
        .unwrap_or(dated.len());
    Ok(dated
        .into_iter()
        .enumerate()
        .filter(|(at, (_, recent))| at + 1 == first || *recent)
        .map(|(_, (version, _))| version)
        .collect())
}

/// The proxy or the checksum database does not give a version away. It is then not known for sure, and the table does not name it.
/// Whatever else goes wrong must not make the table smaller.
fn held_back(error: &str) -> bool {
    ["403 Forbidden", "404 Not Found", "410 Gone"]
        .iter()
        .any(|status| error.contains(status))
}

/// `v1.2.3`.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = version
        .strip_prefix('v')?
        .split('.')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// The objects that a go command prints, run outside of any module with a module cache of its own.
fn go(modules: &str, words: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new("go")
        .args(words)
        .current_dir(cache()?)
        .env("GOWORK", "off")
        .env("GOMODCACHE", cache()?.join(modules))
        .env("GOFLAGS", "-modcacherw")
        .output()
        .context("cannot start go")?;
    let objects: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()?;
    if !output.status.success() {
        let said = objects.first().and_then(|of| of["Error"].as_str());
        let said = said.map_or(String::from_utf8_lossy(&output.stderr), Into::into);
        bail!(
            "go {}: {said}",
            words.iter().take(3).copied().collect::<Vec<_>>().join(" ")
        );
    }
    Ok(objects)
}

fn cache() -> Result<PathBuf> {
    let cache = crate::root().join(".cache/layouts");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// The program that reads a package, and what it has read before.
struct Reader {
    program: PathBuf,
    sources: u64,
}

impl Reader {
    fn build() -> Result<Reader> {
        let folder = crate::root().join("xtask/layouts");
        let program = cache()?.join("reader");
        let status = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .current_dir(&folder)
            .env("GOWORK", "off")
            .status()
            .context("cannot start go")?;
        ensure!(status.success(), "xtask/layouts does not build");
        let mut hasher = DefaultHasher::new();
        for file in ["main.go", "abi.go"] {
            fs::read(folder.join(file))?.hash(&mut hasher);
        }
        Ok(Reader {
            program,
            sources: hasher.finish(),
        })
    }

    fn answers(&self, module: &Module, version: &str) -> Result<String> {
        let questions = module.questions();
        let mut hasher = DefaultHasher::new();
        (self.sources, &questions).hash(&mut hasher);
        let name = format!("{}@{version}", module.path);
        let kept = cache()?.join(format!(
            "{}-{:016x}",
            name.replace('/', "_"),
            hasher.finish()
        ));
        if let Ok(answers) = fs::read_to_string(&kept) {
            return Ok(answers);
        }
        let began = Instant::now();
        let told = go("modules", &["mod", "download", "-json", &name])?;
        let folder = told.first().and_then(|of| of["Dir"].as_str());
        let folder = folder.with_context(|| format!("go mod download {name} names no folder"))?;
        let answers = self.read(&format!("{folder}{}", module.package), &questions);
        // The largest is 100 MB.
        fs::remove_dir_all(cache()?.join("modules"))?;
        let answers = answers.with_context(|| name.clone())?;
        fs::write(&kept, &answers)?;
        println!("    {name:<60} {:>6.1} s", began.elapsed().as_secs_f64());
        Ok(answers)
    }

    fn read(&self, folder: &str, questions: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .arg(Path::new(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the reader")?;
        // Far less than a pipe holds; the end of input comes with the drop.
        child
            .stdin
            .take()
            .context("no pipe to the reader")?
            .write_all(questions.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "the reader failed in {folder}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
