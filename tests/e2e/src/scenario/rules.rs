//! The rules in `config/prometheus/`: promtool reads them and runs their tests; no agent is asked. The unit test: they name only metrics that
//! `docs/metrics.md` has, and series that they record.

use std::process::Command;

use anyhow::{Result, bail};
use obi_lab::prerequisites::unpacked;

use crate::world::World;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/prometheus");
const FILES: [&str; 2] = ["rules.yaml", "alerts.yaml"];
const TESTS: [&str; 3] = ["tests/lag.yaml", "tests/groups.yaml", "tests/errors.yaml"];

pub fn run(world: &World) -> Result<String> {
    for (verb, files) in [("check", &FILES[..]), ("test", &TESTS[..])] {
        let output = Command::new(unpacked(&world.layout, "prometheus", "promtool")?)
            .args([verb, "rules"])
            .args(files)
            .current_dir(FOLDER)
            .output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!(
                "promtool {verb} rules: {}\n{}",
                output.status,
                String::from_utf8_lossy(&said)
            );
        }
    }
    Ok(format!(
        "{} files of rules, {} of tests",
        FILES.len(),
        TESTS.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_exported_or_recorded() {
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        let metrics = read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/metrics.md"
        ));
        let [rules, alerts] = FILES.map(|file| read(&format!("{FOLDER}/{file}")));
        let both = format!("{rules}{alerts}");
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let mut seen = 0;
        for name in both.split(word).map(|name| name.trim_end_matches(':')) {
            let known = match name {
                _ if name.contains(':') => rules.contains(&format!("record: {name}\n")),
                _ if name.starts_with("kafka_") || name.starts_with("obi_") => {
                    // The names of groups of rules.
                    metrics.contains(&format!("| `{name}` |"))
                        || both.contains(&format!("- name: {name}\n"))
                }
                _ => continue,
            };
            assert!(known, "{name} is neither exported nor recorded");
            seen += 1;
        }
        assert!(seen > 50, "only {seen} names were found");
    }

    /// A rule that waits for a word that the agent never says is silent for ever.
    #[test]
    fn every_result_is_one_that_the_agent_gives() {
        let metrics = include_str!("../../../../docs/metrics.md");
        let mut seen = 0;
        for file in FILES
            .iter()
            .chain(&TESTS)
            .chain(&["../../docs/operations.md"])
        {
            let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
            for (at, matcher) in text.match_indices("result=\"") {
                let value = text[at + matcher.len()..].split('"').next().unwrap();
                let open = text[..at].rfind('{').unwrap();
                let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
                let name = text[..open].rsplit(word).next().unwrap();
                // What is recorded of a metric has its name between the colons.
                let metric = match name.split(':').nth(1) {
                    Some(recorded) => format!("| `{recorded}_total` |"),
                    None => format!("| `{name}` |"),
                };
                let line = metrics.lines().find(|line| line.starts_with(&metric));
                let line = line.unwrap_or_else(|| panic!("{metric} is not in docs/metrics.md"));
                let told = line.split("result:").nth(1).unwrap_or_default();
                let mut words = told.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                assert!(words.any(|word| word == value), "{file}: {name} {value}");
                seen += 1;
            }
        }
        assert!(seen > 10, "only {seen} results were found");
    }
}
