//! Topic ids and their names (KIP-516). In: Metadata answers of any client on the node; out: the label of a topic.
//!
//! Ids are unique over clusters, so one table serves all. A name once learnt holds; a topic that is made anew has a new id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kafka_wire::Uuid;

use crate::fact::Topic;

const MOST: usize = 100_000;
/// Ids that are wanted.
const WANTED_MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Topics {
    names: HashMap<Uuid, Arc<str>>,
    wanted: HashSet<Uuid>,
    /// Wanted for long enough: shown by id until the name comes.
    given_up: HashSet<Uuid>,
}

impl Topics {
    /// Returns how many found no room.
    pub fn learn(&mut self, topics: &[(Uuid, Arc<str>)]) -> u64 {
        let mut refused = 0;
        for (id, name) in topics {
            self.wanted.remove(id);
            self.given_up.remove(id);
            if self.names.len() < MOST || self.names.contains_key(id) {
                self.names.insert(*id, Arc::clone(name));
            } else {
                refused += 1;
            }
        }
        refused
    }

    /// Its label need not be waited for.
    pub fn is_settled(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Name(_) => true,
            Topic::Id(id) => self.names.contains_key(id) || self.given_up.contains(id),
        }
    }

    pub fn give_up(&mut self, topic: &Topic) {
        if let Topic::Id(id) = topic
            && self.wanted.contains(id)
        {
            self.given_up.insert(*id);
        }
    }

    /// Remembers an id whose name is not known.
    pub fn want(&mut self, topic: &Topic) {
        if let Topic::Id(id) = topic
            && !self.names.contains_key(id)
            && self.wanted.len() < WANTED_MOST
        {
            self.wanted.insert(*id);
        }
    }

    pub fn unresolved(&self) -> usize {
        self.wanted.len()
    }

    pub fn label(&self, topic: &Topic) -> Arc<str> {
        match topic {
            Topic::Name(name) => Arc::clone(name),
            Topic::Id(id) => match self.names.get(id) {
                Some(name) => Arc::clone(name),
                None => format!("id:{}", text(*id)).into(),
            },
        }
    }

    pub fn export(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self
            .names
            .iter()
            .map(|(id, name)| (text(*id), name.to_string()))
            .collect();
        all.sort();
        all
    }

    /// What does not parse is left out.
    pub fn restore(&mut self, names: &[(String, String)]) {
        let parsed: Vec<_> = names
            .iter()
            .filter_map(|(id, name)| Some((parse(id)?, name.as_str().into())))
            .collect();
        self.learn(&parsed);
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Kafka's text form (`Uuid.toString`): base64 for URLs without padding, 22 characters.
fn text(id: Uuid) -> String {
    let number = u128::from_be_bytes(id.0);
    // 128 bits are 21 digits of 6 bits and one of 2, the low bits of which are 0.
    let digit = |i: u32| {
        if i < 21 {
            (number >> (122 - 6 * i)) & 63
        } else {
            (number & 3) << 4
        }
    };
    (0..22)
        .filter_map(|i| DIGITS.get(digit(i) as usize).copied().map(char::from))
        .collect()
}

fn parse(text: &str) -> Option<Uuid> {
    let digits: Vec<u128> = text
        .bytes()
        .map(|byte| {
            DIGITS
                .iter()
                .position(|digit| *digit == byte)
                .map(|at| at as u128)
        })
        .collect::<Option<_>>()?;
    let [digits @ .., last] = &digits[..] else {
        return None;
    };
    (digits.len() == 21).then_some(())?;
    let number = digits.iter().fold(0, |number, digit| (number << 6) | digit);
    Some(Uuid(((number << 2) | (last >> 4)).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_kafkas_text_form() {
        // Kafka's one reserved id of the metadata topic is 1.
        let one = Uuid(1u128.to_be_bytes());
        assert_eq!(text(one), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid([
            0xd8, 0xdb, 0x4d, 0x0e, 0x30, 0x16, 0x4e, 0x33, 0x8c, 0x5d, 0xa9, 0xfd, 0x10, 0xfb,
            0x9e, 0xff,
        ]);
        assert_eq!(text(id), "2NtNDjAWTjOMXan9EPue_w");
        for id in [one, id, Uuid([0xff; 16])] {
            assert_eq!(parse(&text(id)), Some(id));
        }
        for bad in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAA!",
            "AAAAAAAAAAAAAAAAAAAAAQA",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_learnt_and_restored() {
        let id = Uuid([7; 16]);
        let mut topics = Topics::default();
        topics.want(&Topic::Id(id));
        assert_eq!(topics.unresolved(), 1);
        assert_eq!(&*topics.label(&Topic::Id(id)), "id:BwcHBwcHBwcHBwcHBwcHBw");
        topics.learn(&[(id, "orders".into())]);
        assert_eq!(topics.unresolved(), 0);
        assert_eq!(&*topics.label(&Topic::Id(id)), "orders");
        let mut restored = Topics::default();
        restored.restore(&topics.export());
        assert_eq!(&*restored.label(&Topic::Id(id)), "orders");
    }
}
