//! `cargo xtask tidy`: rules of the house that the compiler does not know.
//!
//! In: the files that git knows, `cargo metadata`, `unsafe.list`. Out: one line a finding, and `false` when there is one.
//! It judges form only; what code does is the business of tests and clippy.

mod layers;

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};

/// Above this a file is split where its meaning divides.
const MAX_LINES: usize = 700;
/// Sources whose form we judge.
const KINDS: [&str; 7] = ["rs", "go", "py", "java", "sh", "c", "h"];

pub fn run() -> Result<bool> {
    let mut findings = layers::check()?;
    let allowed = unsafe_list(include_str!("unsafe.list"))?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for path in tracked()? {
        let Some(kind) = path.rsplit('.').next().filter(|kind| KINDS.contains(kind)) else {
            continue;
        };
        // A file that git still lists but that is gone from the tree has no form.
        let Ok(text) = std::fs::read_to_string(crate::root().join(&path)) else {
            continue;
        };
        findings.extend(file_findings(&path, kind, &text));
        if kind == "rs" {
            let count = unsafe_uses(&text);
            if count > 0 {
                seen.insert(path, count);
            }
        }
    }
    findings.extend(unsafe_findings(&allowed, &seen));
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} findings", findings.len());
    Ok(findings.is_empty())
}

fn tracked() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(crate::root())
        .output()
        .context("tidy needs git to know the project's files")?;
    anyhow::ensure!(
        output.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

fn file_findings(path: &str, kind: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!(
            "{path}: {lines} lines, at most {MAX_LINES}: split it where its meaning divides"
        ));
    }
    // Split so that this file does not find itself.
    let open_ends = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("#[ign", "ore"),
        concat!("|| tr", "ue"),
    ];
    for (at, line) in text.lines().enumerate() {
        if let Some(word) = open_ends.iter().find(|word| line.contains(**word)) {
            findings.push(format!("{path}:{}: `{word}` left in the code", at + 1));
        }
    }
    if kind == "rs" && !text.starts_with("//!") {
        findings.push(format!(
            "{path}: does not open with `//!` lines that say what comes in and what goes out"
        ));
    }
    findings
}

/// Uses of `unsafe` in code: blocks, functions, impls and extern blocks; not in comments, strings or the name of a lint.
fn unsafe_uses(text: &str) -> usize {
    let word = concat!("uns", "afe");
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|code| !code.contains('"'))
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|token| *token == word)
        .count()
}

/// `count path` lines; `#` begins a comment.
fn unsafe_list(text: &str) -> Result<BTreeMap<String, usize>> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (count, path) = line
                .split_once(' ')
                .with_context(|| format!("unsafe.list: `{line}`"))?;
            Ok((
                path.trim().to_owned(),
                count
                    .parse()
                    .with_context(|| format!("unsafe.list: `{line}`"))?,
            ))
        })
        .collect()
}

fn unsafe_findings(
    allowed: &BTreeMap<String, usize>,
    seen: &BTreeMap<String, usize>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, count) in seen {
        let want = allowed.get(path).copied().unwrap_or(0);
        if *count != want {
            findings.push(format!(
                "{path}: {count} uses of unsafe, xtask/src/unsafe.list says {want}"
            ));
        }
    }
    for path in allowed.keys().filter(|path| !seen.contains_key(*path)) {
        findings.push(format!(
            "{path}: in xtask/src/unsafe.list, but has no unsafe"
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_counted_in_code_only() {
        let text = "#![forbid(unsafe_code)]\n// unsafe here is talk\nlet a = \"unsafe\";\nunsafe { f() }; unsafe { g() }\nunsafe impl Send for X {}\n";
        assert_eq!(unsafe_uses(text), 3);
    }

    #[test]
    fn a_count_that_differs_either_way_is_a_finding() {
        let map =
            |pairs: &[(&str, usize)]| pairs.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
        let found = unsafe_findings(
            &map(&[("a.rs", 2), ("b.rs", 1)]),
            &map(&[("a.rs", 3), ("c.rs", 1)]),
        );
        assert_eq!(
            found,
            [
                "a.rs: 3 uses of unsafe, xtask/src/unsafe.list says 2",
                "c.rs: 1 uses of unsafe, xtask/src/unsafe.list says 0",
                "b.rs: in xtask/src/unsafe.list, but has no unsafe"
            ]
        );
    }

    #[test]
    fn form_of_a_file() {
        assert!(file_findings("a.rs", "rs", "//! In, out.\nfn a() {}\n").is_empty());
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(
            file_findings("a.go", "go", &long),
            ["a.go: 701 lines, at most 700: split it where its meaning divides"]
        );
        let open = format!("//! In.\n// {}: later\n", concat!("TO", "DO"));
        assert_eq!(
            file_findings("a.rs", "rs", &open),
            [concat!("a.rs:2: `TO", "DO` left in the code")]
        );
        assert_eq!(file_findings("a.rs", "rs", "fn a() {}\n").len(), 1);
    }
}
