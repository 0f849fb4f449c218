//! What the clients say of themselves: one line for each record acknowledged or read. In: a truth file. Out: counts by partition and
//! the records by place.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// (topic, partition).
pub type Place = (String, i32);
pub type Counts = BTreeMap<Place, u64>;

/// A record as the broker placed it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    pub did: Did,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub headers: Vec<(String, String)>,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Did {
    Produced,
    Consumed,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub lines: Vec<Line>,
}

impl Truth {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text
            .lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { lines })
    }

    pub fn counts(&self, did: Did) -> Counts {
        let mut counts = Counts::new();
        for line in self.lines.iter().filter(|line| line.did == did) {
            *counts
                .entry((line.topic.clone(), line.partition))
                .or_default() += 1;
        }
        counts
    }
    /// The record at each place. Producer and consumer agree, or the cell has failed before.
    pub fn records(&self) -> BTreeMap<(&str, i32, i64), &Line> {
        self.lines
            .iter()
            .map(|line| ((line.topic.as_str(), line.partition, line.offset), line))
            .collect()
    }
}
