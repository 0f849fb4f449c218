//! The text that Prometheus reads, as a table. In: the body of `/metrics`. Out: series with exact values. Only what tests need:
//! names, labels, values; comments and exemplars are left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

pub type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub struct Scrape {
    series: Vec<(String, Labels, f64)>,
}

impl Scrape {
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines
            .map(|line| parse_line(line).with_context(|| format!("not a line of metrics: {line}")))
            .collect::<Result<_>>()?;
        Ok(Self { series })
    }

    /// Series of this name whose labels include all of `wanted`.
    pub fn series<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a Labels, f64)> + 'a {
        self.series
            .iter()
            .filter(move |(found, labels, _)| {
                found == name
                    && wanted
                        .iter()
                        .all(|(key, value)| labels.get(*key).is_some_and(|have| have == value))
            })
            .map(|(_, labels, value)| (labels, *value))
    }

    /// Their sum; None when there is no such series.
    pub fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        self.series(name, wanted)
            .map(|(_, value)| value)
            .reduce(|a, b| a + b)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|(name, _, _)| name.as_str())
    }
}

fn parse_line(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let mut labels = Labels::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches(',');
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), labels, value))
}

/// A quoted value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let text = "# TYPE kafka_messages_produced_total counter\n\
             kafka_messages_produced_total{topic=\"orders\",partition=\"0\",client_id=\"a \\\"b\\\",}\"} 5\n\
             kafka_messages_produced_total{topic=\"orders\",partition=\"1\"} 7 # {trace=\"x\"} 1\n\
             up 1\n# EOF\n";
        let scrape = Scrape::parse(text).unwrap();
        assert_eq!(
            scrape.sum("kafka_messages_produced_total", &[("topic", "orders")]),
            Some(12.0)
        );
        assert_eq!(
            scrape.sum(
                "kafka_messages_produced_total",
                &[("client_id", "a \"b\",}")]
            ),
            Some(5.0)
        );
        assert_eq!(
            scrape.sum("kafka_messages_produced_total", &[("topic", "payments")]),
            None
        );
        assert_eq!(scrape.sum("up", &[]), Some(1.0));
        assert!(Scrape::parse("torn{a=\"b").is_err());
    }
}
