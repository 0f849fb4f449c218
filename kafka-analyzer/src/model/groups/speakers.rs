//! Which groups a connection spoke of, so that what its end means is not looked for in all of them. In: requests about groups; out: the groups.

use std::collections::{BTreeSet, HashMap};

use super::Key;
use crate::capture::ConnectionId;

/// Groups of all connections.
const MOST: usize = 200_000;

#[derive(Debug, Default)]
pub(super) struct Speakers {
    groups: HashMap<ConnectionId, BTreeSet<Key>>,
    /// How many these are.
    count: usize,
    /// There was no room for one once.
    incomplete: bool,
}

impl Speakers {
    pub fn heard(&mut self, connection: ConnectionId, group: &Key) {
        let known = self.groups.get(&connection);
        if known.is_some_and(|groups| groups.contains(group)) {
            return;
        }
        if self.count >= MOST {
            self.incomplete = true;
            return;
        }
        self.count += 1;
        let groups = self.groups.entry(connection).or_default();
        groups.insert(group.clone());
    }

    /// Forgets the connection. None: it may have spoken of any group.
    pub fn closed(&mut self, connection: ConnectionId) -> Option<BTreeSet<Key>> {
        let groups = self.groups.remove(&connection).unwrap_or_default();
        self.count = self.count.saturating_sub(groups.len());
        (!self.incomplete).then_some(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_found_again_or_all_groups_are_looked_at() {
        let mut speakers = Speakers::default();
        let key = |n: usize| ("c".into(), format!("group-{n}").into());
        let connection = ConnectionId(1);
        speakers.heard(connection, &key(1));
        speakers.heard(connection, &key(2));
        speakers.heard(connection, &key(1));
        assert_eq!(speakers.closed(ConnectionId(2)), Some(BTreeSet::new()));
        let both = BTreeSet::from([key(1), key(2)]);
        assert_eq!(speakers.closed(connection), Some(both));
        assert_eq!((speakers.groups.len(), speakers.count), (0, 0));
        for n in 0..=MOST {
            speakers.heard(connection, &key(n));
        }
        assert_eq!(speakers.count, MOST);
        assert_eq!(speakers.closed(connection), None);
        assert_eq!(speakers.closed(connection), None, "others had no room");
    }
}
