//! Reads the YAML file. In: its text; out: a [`Config`], or a report that shows the line, a caret and the nearest right key.

use std::path::Path;

use anyhow::Context;
use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde_saphyr::Error;

use super::Config;

/// Reads and checks a file. The error of a wrong file is a whole page for the terminal, already rendered.
pub fn read(path: &Path) -> anyhow::Result<Config> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, &path.display().to_string()).map_err(|report| anyhow::anyhow!("{report:?}"))
}

/// Parses YAML over the defaults. An empty document is the defaults.
pub fn parse(text: &str, name: &str) -> Result<Config, Report> {
    let parsed = if text
        .lines()
        .all(|line| line.trim_start().starts_with('#') || line.trim().is_empty())
    {
        Ok(Config::default())
    } else {
        serde_saphyr::from_str::<Config>(text)
    };
    parsed.map_err(|error| report(error.without_snippet(), text, name))
}

fn report(error: &Error, text: &str, name: &str) -> Report {
    let (message, label, help) = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown key `{field}`"),
            "not a key here",
            nearest(field, expected),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!("`{variant}` is not a value of this key"),
            "not one of the values",
            nearest(variant, expected),
        ),
        other => (plain(&other.to_string()), "here", None),
    };
    let mut diagnostic = MietteDiagnostic::new(message);
    if let Some(location) = error.location() {
        let span = location.span();
        let offset = span
            .byte_offset()
            .unwrap_or_else(|| offset_of(text, location.line(), location.column()));
        let length = span.byte_len().filter(|n| *n > 0).unwrap_or(1);
        diagnostic = diagnostic.with_label(LabeledSpan::at(
            offset as usize..(offset + length) as usize,
            label,
        ));
    }
    if let Some(help) = help {
        diagnostic = diagnostic.with_help(help);
    }
    Report::new(diagnostic).with_source_code(NamedSource::new(name, text.to_owned()))
}

/// The reader's message without its position, which the caret shows, and without names of Rust types.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line
        .rsplit_once(" at line ")
        .map_or(line, |(before, _)| before);
    match line {
        "invalid u8" | "invalid u16" | "invalid u32" | "invalid u64" | "invalid usize" => {
            "a whole number, 0 or more, is expected".to_owned()
        }
        "invalid boolean" => "true or false is expected".to_owned(),
        "expected sequence start" => "a list is expected, for example [a, b]".to_owned(),
        "expected mapping start" => "keys are expected here, one below the other".to_owned(),
        other if other.starts_with("duplicate mapping key: ") => other
            .split(", set ")
            .next()
            .unwrap_or(other)
            .replace("duplicate mapping key: ", "twice the key "),
        other => other.to_owned(),
    }
}

fn offset_of(text: &str, line: u64, column: u64) -> u64 {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1) as usize)
        .map(str::len)
        .sum();
    before as u64 + column.saturating_sub(1)
}

/// `did you mean`, and all keys that may stand here.
fn nearest(wrong: &str, expected: &[&'static str]) -> Option<String> {
    let all = expected.join(", ");
    let best = expected
        .iter()
        .map(|key| (strsim::jaro_winkler(wrong, key), key))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(if best.0 >= 0.7 {
        format!("did you mean `{}`? possible here: {all}", best.1)
    } else {
        format!("possible here: {all}")
    })
}
