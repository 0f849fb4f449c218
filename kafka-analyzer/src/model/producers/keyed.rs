//! Which hash puts keys where they are. In: keys with their partition; out: the one hash that explains them all, or `explicit` when none does.

use std::collections::HashSet;
use std::hash::Hasher;

use kafka_wire::partitioner::{crc32, fnv1a, murmur2};
use siphasher::sip::SipHasher24;

/// Different keys that it takes: with two partitions, one of 128 clients with another hash would agree with seven by chance.
const KEYS_LEAST: usize = 8;
/// Longer keys cost too much.
const KEY_MOST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Keyed {
    /// Different keys, up to those that it takes.
    keys: HashSet<u64>,
    first: Option<i32>,
    /// Keys are in more than one partition.
    several: bool,
    /// `murmur2`, `crc32`, `fnv1a`: it did not explain a key.
    refuted: [bool; 3],
}

const NAMES: [&str; 3] = ["murmur2", "crc32", "fnv1a"];

impl Keyed {
    pub fn record(&mut self, key: &[u8], partition: i32, count: i32) {
        // Clients differ in what an empty key is; in a topic with one partition nobody chooses.
        if key.is_empty() || key.len() > KEY_MOST || count < 2 {
            return;
        }
        if self.keys.len() < KEYS_LEAST {
            let mut hasher = SipHasher24::new();
            hasher.write(key);
            self.keys.insert(hasher.finish());
        }
        self.several |= *self.first.get_or_insert(partition) != partition;
        let chosen = [murmur2(key, count), crc32(key, count), fnv1a(key, count)];
        for (refuted, chosen) in self.refuted.iter_mut().zip(chosen) {
            *refuted |= chosen != partition;
        }
    }

    pub fn said(&self) -> Option<&'static str> {
        if self.keys.len() < KEYS_LEAST {
            return None;
        }
        let mut left = NAMES
            .iter()
            .zip(self.refuted)
            .filter(|(_, refuted)| !refuted);
        match (left.next(), left.next()) {
            (None, _) => Some("explicit"),
            (Some((name, _)), None) if self.several => Some(name),
            _ => None,
        }
    }
}
