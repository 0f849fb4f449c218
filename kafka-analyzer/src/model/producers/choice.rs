//! How a client chooses partitions. In: the partitions of its Produce exchanges with the records that were looked into; out: a partitioner's name.
//!
//! Keys decide where there are keys. Where there are none, the order of batches does. What the two do not tell apart is not said.

use std::sync::Arc;

use super::keyed::Keyed;
use super::unkeyed::Unkeyed;
use crate::fact::{Content, KeptRecord, Partition};

/// Records looked at in one exchange and topic.
const RECORDS_MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Choice {
    keyed: Keyed,
    unkeyed: Unkeyed,
    /// A record had a key.
    has_keys: bool,
}

impl Choice {
    /// All partitions of a topic in one exchange.
    pub fn exchange(&mut self, count: Option<u32>, of_topic: &[(Arc<str>, Partition)]) {
        let mut left = RECORDS_MOST;
        let (mut any, mut unkeyed) = (false, true);
        for (_, partition) in of_topic {
            let records = records(partition).take(left);
            for record in records {
                left -= 1;
                any = true;
                // A key that was cut is not known.
                if let Some(key) = record.key.as_deref() {
                    unkeyed = false;
                    self.has_keys = true;
                    if let Some(count) = count.and_then(|count| i32::try_from(count).ok()) {
                        self.keyed.record(key, partition.index, count);
                    }
                } else if record.truncated {
                    unkeyed = false;
                }
            }
        }
        // Of most batches no record is looked into when there are many; a client does not change its ways with them.
        if unkeyed && (any || self.unkeyed.is_begun()) && !self.has_keys {
            self.unkeyed.exchange(of_topic);
        }
    }

    pub fn said(&self, count: Option<u32>) -> Option<&'static str> {
        if self.has_keys {
            self.keyed.said()
        } else {
            self.unkeyed.said(count?)
        }
    }
}

fn records(partition: &Partition) -> impl Iterator<Item = &KeptRecord> {
    let contents = partition.samples.iter().map(|sample| &sample.content);
    contents.flat_map(|content| match content {
        Content::Records(records) => &records[..],
        Content::Compressed(_) | Content::Unread => &[],
    })
}
