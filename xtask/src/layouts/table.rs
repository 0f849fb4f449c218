//! Answers of many releases merged to a table that is small and can be read.
//!
//! In: for each release, in order, what was read from it. Out: the module's part of the table: a row holds from one release to another,
//! both included, for every release of the list between them and for no other.

use std::fmt::Write;

use super::wanted::Module;

/// Releases in a line.
const WIDTH: usize = 12;

/// `releases`: (version, lines of answers), ascending.
pub fn part(module: &Module, releases: &[(String, String)]) -> String {
    let mut text = format!(
        "module {}\npackage {}{}\n",
        module.path, module.path, module.package
    );
    let versions: Vec<&str> = releases.iter().map(|(version, _)| &**version).collect();
    for line in versions.chunks(WIDTH) {
        let _ = writeln!(text, "releases {}", line.join(" "));
    }
    for subject in module.subjects() {
        let by_hand = module
            .by_hand
            .iter()
            .filter(|row| row.starts_with(&format!("{subject} ")));
        let before = text.len();
        by_hand.for_each(|row| {
            let _ = writeln!(text, "{row}");
        });
        if text.len() > before {
            continue;
        }
        for (from, to, value) in rows(&subject, releases) {
            let _ = writeln!(text, "{subject} {from} {to} {value}");
        }
    }
    text
}

/// Runs of releases that give the same answer: (first, last, answer).
fn rows<'a>(subject: &str, releases: &'a [(String, String)]) -> Vec<(&'a str, &'a str, &'a str)> {
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    let mut before = None;
    for (version, answers) in releases {
        let value = answers
            .lines()
            .find_map(|line| line.strip_prefix(subject)?.strip_prefix(' '));
        match (value, rows.last_mut()) {
            (Some(_), Some(row)) if value == before => row.1 = version,
            (Some(value), _) => rows.push((version, version, value)),
            (None, _) => {}
        }
        before = value;
    }
    rows
}

/// The releases of each module that the table names: (module, version).
pub fn releases(table: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut module = "";
    for line in table.lines() {
        if let Some(path) = line.strip_prefix("module ") {
            module = path;
        } else if let Some(versions) = line.strip_prefix("releases ") {
            found.extend(versions.split(' ').map(|version| (module, version)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: Module = Module {
        path: "a.b/c",
        package: "/d",
        structs: &[("S", "A B")],
        functions: &["(*T).F", "(*T).G"],
        by_hand: &["function (*T).G v1.0.0 v1.1.0 | t=AX |  | func()"],
    };

    fn release(version: &str, answers: &str) -> (String, String) {
        (version.to_owned(), answers.to_owned())
    }

    #[test]
    fn equal_neighbours_share_a_row() {
        let releases = [
            release("v1.0.0", "member S A 0\nmember S B 8\n"),
            release("v1.1.0", "member S A 0\nmember S B 16\n"),
            release(
                "v1.2.0",
                "member S A 0\nfunction (*T).F | t=AX |  | func()\nfunction (*T).G | ? | ? | func()\n",
            ),
            release("v1.3.0", "member S A 0\nmember S B 16\n"),
        ];
        let text = part(&MODULE, &releases);
        assert_eq!(
            text,
            "module a.b/c\npackage a.b/c/d\nreleases v1.0.0 v1.1.0 v1.2.0 v1.3.0\n\
             member S A v1.0.0 v1.3.0 0\nmember S B v1.0.0 v1.0.0 8\nmember S B v1.1.0 v1.1.0 16\nmember S B v1.3.0 v1.3.0 16\n\
             function (*T).F v1.2.0 v1.2.0 | t=AX |  | func()\nfunction (*T).G v1.0.0 v1.1.0 | t=AX |  | func()\n"
        );
        let named: Vec<&str> = super::releases(&text).iter().map(|(_, v)| *v).collect();
        assert_eq!(named, ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"]);
    }
}
