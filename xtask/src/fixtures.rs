//! `cargo xtask fixtures`: builds the ELF files that the tests of symbolizer and tls-hooks read.
//!
//! In: [`recipes`] and the sources in `tests/fixtures/elf/`. Out: files in `.cache/fixtures/elf/`. A recipe whose commands and
//! sources have not changed is not run again. Debian packages that are missing are installed; toolchains of older Go versions
//! come through Go's own `GOTOOLCHAIN`.

mod recipes;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use recipes::Recipe;

#[derive(clap::Args)]
pub struct Args {
    /// Go programs of every supported Go version, not only of the first, a middle and the newest
    #[arg(long)]
    all: bool,
}

/// What the recipes call, with the Debian package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("/usr/bin/gcc", "build-essential"),
    ("/usr/bin/objdump", "binutils"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/bin/kcat", "kcat"),
    ("/usr/bin/python3", "python3-venv"),
];

pub fn run(args: &Args) -> Result<bool> {
    install()?;
    let sources = crate::root().join("tests/fixtures/elf");
    let out = crate::root().join(".cache/fixtures/elf");
    fs::create_dir_all(&out)?;
    let recipes = recipes::all(args.all);
    let mut built = 0;
    for recipe in &recipes {
        let stamp = out.join(format!(".{}.stamp", recipe.name));
        let want = format!("{:016x}", fingerprint(&sources, recipe)?);
        let made = recipe.outputs().all(|name| out.join(name).is_file());
        if made && fs::read_to_string(&stamp).is_ok_and(|have| have == want) {
            continue;
        }
        let began = Instant::now();
        for step in &recipe.steps {
            let output = Command::new("sh")
                .args(["-euc", &step.script])
                .current_dir(sources.join(step.folder))
                .env("OUT", &out)
                .envs(step.environment.iter().map(|(key, value)| (key, value)))
                .output()
                .with_context(|| format!("{}: cannot start sh", recipe.name))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!(
                    "{}: {}: {}\n{said}",
                    recipe.name,
                    output.status,
                    step.script
                );
            }
        }
        if let Some(name) = recipe.outputs().find(|name| !out.join(name).is_file()) {
            bail!("{}: the recipe made no {name}", recipe.name);
        }
        fs::write(&stamp, want)?;
        built += 1;
        println!(
            "    {:<28} {:>6.1} s",
            recipe.name,
            began.elapsed().as_secs_f64()
        );
    }
    println!(
        "{} recipes, {built} of them built now, in {}",
        recipes.len(),
        out.display()
    );
    Ok(true)
}

/// Changes with the commands and with every source file under the folder of a step.
fn fingerprint(sources: &Path, recipe: &Recipe) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for step in &recipe.steps {
        (&step.script, &step.environment).hash(&mut hasher);
        for file in files(&sources.join(step.folder))? {
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn install() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(path, _)| !Path::new(path).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    println!("    apt-get install {packages}");
    let line = format!(
        "if [ $(id -u) = 0 ]; then s=; else s='sudo -n'; fi; export DEBIAN_FRONTEND=noninteractive; \
         i='apt-get install --yes --no-install-recommends'; $s $i {packages} || {{ $s apt-get update && $s $i {packages}; }}"
    );
    let status = Command::new("sh").args(["-c", &line]).status()?;
    if !status.success() {
        bail!("the fixtures need these packages\n  hint: run as root: apt-get install {packages}");
    }
    Ok(())
}
