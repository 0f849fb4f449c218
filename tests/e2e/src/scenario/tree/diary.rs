//! What the services wrote down themselves. In: their diaries. Out: an entry for each order and service.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use obi_lab::orders::{self, API, HANDLER, PROCESSOR};
use serde::Deserialize;

/// One order as one service met it; times are nanoseconds since the epoch.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub order: String,
    pub partition: i32,
    pub offset: i64,
    pub goroutine: Option<u64>,
    pub thread: Option<u64>,
    /// Before it asked for work, when it had it, when the work was done, when that was committed. Of a request: its handler's.
    #[serde(default)]
    pub asked: u64,
    pub began: u64,
    pub ended: u64,
    #[serde(default)]
    pub settled: u64,
}

/// By the place of the message in the topic.
pub type Diary = BTreeMap<(i32, i64), Entry>;

#[derive(Debug)]
pub struct Diaries {
    pub api: Diary,
    pub processor: Diary,
    pub handler: Diary,
}

impl Diaries {
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |service| entries(&orders::diary(folder, service));
        Ok(Self {
            api: read(API)?,
            processor: read(PROCESSOR)?,
            handler: read(HANDLER)?,
        })
    }

    /// Without the orders that were placed first.
    pub fn since(mut self, orders: u32) -> Self {
        for diary in [&mut self.api, &mut self.processor, &mut self.handler] {
            diary.retain(|_, entry| entry.order.parse().is_ok_and(|n: u32| n > orders));
        }
        self
    }

    pub fn are_complete(&self, orders: usize) -> bool {
        [&self.api, &self.processor, &self.handler]
            .iter()
            .all(|diary| diary.len() == orders)
    }
}

/// The last line may be half written.
fn entries(path: &Path) -> Result<Diary> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| {
            let entry: Entry = serde_json::from_str(line)
                .with_context(|| format!("{}: {line}", path.display()))?;
            Ok(((entry.partition, entry.offset), entry))
        })
        .collect()
}
