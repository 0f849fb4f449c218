//! Partitions by name. In: cluster, topic, index; out: a place, at which the partition and its name stand until it is forgotten.
//!
//! A name is looked up part by part, so that nothing is made for a look. Places are given in the order of learning and then again, so that who
//! goes through them does so in one order in every replay.

use std::collections::HashMap;

use super::partition::Partition;
use super::{Key, Name};

/// In `Table::rows`.
pub(super) type Place = u32;

#[derive(Debug, Default)]
pub(super) struct Table {
    places: HashMap<Name, HashMap<Name, HashMap<i32, Place>>>,
    rows: Vec<Option<(Key, Partition)>>,
    free: Vec<Place>,
}

impl Table {
    pub fn find(&self, cluster: &str, topic: &str, index: i32) -> Option<Place> {
        self.places.get(cluster)?.get(topic)?.get(&index).copied()
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut (Key, Partition)> {
        self.rows.get_mut(place as usize)?.as_mut()
    }

    /// Of one that is not there yet. None: there are as many as places can tell apart.
    pub fn insert(&mut self, key: Key) -> Option<Place> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = Place::try_from(self.rows.len()).ok()?;
                self.rows.push(None);
                place
            }
        };
        let (cluster, topic, index) = key.clone();
        let topics = self.places.entry(cluster).or_default();
        topics.entry(topic).or_default().insert(index, place);
        *self.rows.get_mut(place as usize)? = Some((key, Partition::default()));
        Some(place)
    }

    pub fn remove(&mut self, place: Place) {
        let row = self.rows.get_mut(place as usize).and_then(Option::take);
        let Some(((cluster, topic, index), _)) = row else {
            return;
        };
        self.free.push(place);
        let Some(topics) = self.places.get_mut(&cluster) else {
            return;
        };
        if let Some(indexes) = topics.get_mut(&topic) {
            indexes.remove(&index);
            if indexes.is_empty() {
                topics.remove(&topic);
            }
        }
        if topics.is_empty() {
            self.places.remove(&cluster);
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Places that were ever given, those free now among them.
    pub fn places(&self) -> Place {
        Place::try_from(self.rows.len()).unwrap_or(Place::MAX)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Key, Partition)> {
        self.rows.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Key, Partition)> {
        self.rows.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_again_and_names_lead_to_them() {
        let mut table = Table::default();
        let key = |topic: &str, index| ("c".into(), topic.into(), index);
        let find = |table: &Table, topic, index| table.find("c", topic, index);
        let places: Vec<_> = [("a", 0), ("a", 1), ("b", 0)]
            .into_iter()
            .map(|(topic, index)| table.insert(key(topic, index)))
            .collect();
        assert_eq!(places, [Some(0), Some(1), Some(2)]);
        table.remove(1);
        table.remove(1);
        assert_eq!((table.len(), find(&table, "a", 1)), (2, None));
        assert_eq!(table.insert(key("d", 7)), Some(1));
        assert_eq!(find(&table, "d", 7), Some(1));
        assert_eq!(find(&table, "b", 0), Some(2));
        let names: Vec<_> = table.iter().map(|((_, topic, _), _)| &**topic).collect();
        assert_eq!(names, ["a", "d", "b"]);
        for place in 0..table.places() {
            table.remove(place);
        }
        assert_eq!(table.len(), 0);
        assert!(table.places.is_empty(), "nothing is kept of names");
    }
}
