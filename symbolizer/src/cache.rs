//! What was learnt from files, kept by [`Identity`], with a cap.
//!
//! In: an identity and a way to compute the value. Out: the value, computed once while it stays among the most
//! recently used. No clock and no lock: the owner decides about both.

use std::collections::HashMap;

use crate::Identity;

/// At most `cap` values; the one that was not asked for longest goes first.
#[derive(Debug)]
pub struct Cache<T> {
    cap: usize,
    turn: u64,
    values: HashMap<Identity, (u64, T)>,
}

impl<T> Cache<T> {
    pub fn new(cap: usize) -> Cache<T> {
        Cache {
            cap: cap.max(1),
            turn: 0,
            values: HashMap::new(),
        }
    }

    pub fn get(&mut self, identity: &Identity) -> Option<&T> {
        self.turn += 1;
        let (used, value) = self.values.get_mut(identity)?;
        *used = self.turn;
        Some(value)
    }

    pub fn insert(&mut self, identity: Identity, value: T) {
        self.turn += 1;
        if self.values.len() >= self.cap && !self.values.contains_key(&identity) {
            let oldest = self
                .values
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.values.remove(&oldest);
            }
        }
        self.values.insert(identity, (self.turn, value));
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BuildId;

    fn identity(n: u64) -> Identity {
        Identity {
            build_id: BuildId::Content(n),
            size: n,
        }
    }

    #[test]
    fn keeps_the_most_recently_used() {
        let mut cache = Cache::new(2);
        cache.insert(identity(1), "a");
        cache.insert(identity(2), "b");
        assert_eq!(cache.get(&identity(1)), Some(&"a"));
        cache.insert(identity(3), "c");
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(&identity(2)), None);
        assert_eq!(cache.get(&identity(1)), Some(&"a"));
        assert_eq!(cache.get(&identity(3)), Some(&"c"));
    }
}
