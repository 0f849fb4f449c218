//! What assignors tell each other through their coordinator: user data of subscriptions and assignments can hold anything. Its bytes are
//! erased, what is around it and its length stay. In: bodies of JoinGroup, SyncGroup and DescribeGroups; out: fates of their bytes.
//!
//! What members of another protocol type (`connect`, ...) tell each other is erased as a whole, and so is what does not have the form of a
//! subscription or an assignment. Layouts: `kafka_wire::api` (11, 14, 15), `kafka_wire::consumer_protocol`.

use kafka_wire::api;
use kafka_wire::body::Side;

use super::{Fate, Runs};

const CONSUMER: &[u8] = b"consumer";

/// A part of a body, or what is left of one.
#[derive(Clone, Copy, Debug)]
enum Part {
    Keep(u64),
    Erase(u64),
    Text,
    /// A text: the protocol type.
    Type,
    TypeText(u64),
    /// A byte field with these parts.
    Blob(&'static [Part]),
    /// An array of such elements.
    Each(&'static [Part]),
    Repeat(u64, &'static [Part]),
    UserData,
    /// The byte field ends with its last byte, whatever stands above this.
    EndOfBlob,
    Tags,
    TagsLeft(u64),
    TagKey,
    TagSize,
}

use Part::{Blob, Each, Keep, Tags, Text, Type};

const SUBSCRIPTION: &[Part] = &[Keep(2), Each(&[Text]), Part::UserData];
const ASSIGNMENT: &[Part] = &[Keep(2), Each(&[Text, Each(&[Keep(4)])]), Part::UserData];
const PROTOCOL: &[Part] = &[Text, Blob(SUBSCRIPTION), Tags];
const JOINED: &[Part] = &[Text, Blob(SUBSCRIPTION), Tags];
const JOINED_V5: &[Part] = &[Text, Text, Blob(SUBSCRIPTION), Tags];
const GIVEN: &[Part] = &[Text, Blob(ASSIGNMENT), Tags];
const BLOBS: [Part; 3] = [Blob(SUBSCRIPTION), Blob(ASSIGNMENT), Tags];
const DESCRIBED: &[Part] = &[Text, Text, Text, BLOBS[0], BLOBS[1], BLOBS[2]];
const DESCRIBED_V4: &[Part] = &[Text, Text, Text, Text, BLOBS[0], BLOBS[1], BLOBS[2]];
const GROUP: &[Part] = &[Keep(2), Text, Text, Type, Text, Each(DESCRIBED)];
const GROUP_V3: &[Part] = &[Keep(2), Text, Text, Type, Text, Each(DESCRIBED), Keep(4)];
const GROUP_V4: &[Part] = &[
    Keep(2),
    Text,
    Text,
    Type,
    Text,
    Each(DESCRIBED_V4),
    Keep(4),
    Tags,
];
const GROUP_V6: &[Part] = &[
    Keep(2),
    Text,
    Text,
    Text,
    Type,
    Text,
    Each(DESCRIBED_V4),
    Keep(4),
    Tags,
];

#[derive(Debug)]
pub struct UserData {
    flexible: bool,
    /// What comes, the next part last.
    todo: Vec<Part>,
    /// A length so far, and its bytes.
    number: u64,
    digits: u32,
    /// Bytes left of the byte field that the next byte is in.
    inside: Option<u64>,
    /// The protocol type so far; None: the version does not tell.
    kind: Option<Vec<u8>>,
}

impl UserData {
    /// None: such bodies have none.
    pub fn of(side: Side, key: i16, version: i16) -> Option<UserData> {
        let since = |first: i16, part: Part| (version >= first).then_some(part);
        let parts = match (key, side) {
            (api::JOIN_GROUP, Side::Request) => vec![
                Some(Text),
                Some(Keep(4)),
                since(1, Keep(4)),
                Some(Text),
                since(5, Text),
                Some(Type),
                Some(Each(PROTOCOL)),
                since(8, Text),
            ],
            (api::JOIN_GROUP, Side::Response) => vec![
                since(2, Keep(4)),
                Some(Keep(6)),
                since(7, Type),
                Some(Text),
                Some(Text),
                since(9, Keep(1)),
                Some(Text),
                Some(Each(if version >= 5 { JOINED_V5 } else { JOINED })),
            ],
            (api::SYNC_GROUP, Side::Request) => vec![
                Some(Text),
                Some(Keep(4)),
                Some(Text),
                since(3, Text),
                since(5, Type),
                since(5, Text),
                Some(Each(GIVEN)),
            ],
            (api::SYNC_GROUP, Side::Response) => vec![
                since(1, Keep(4)),
                Some(Keep(2)),
                since(5, Type),
                since(5, Text),
                Some(Blob(ASSIGNMENT)),
            ],
            (api::DESCRIBE_GROUPS, Side::Response) => {
                let group = match version {
                    ..3 => GROUP,
                    3 => GROUP_V3,
                    4 | 5 => GROUP_V4,
                    6.. => GROUP_V6,
                };
                vec![since(1, Keep(4)), Some(Each(group))]
            }
            _ => return None,
        };
        let parts = parts.into_iter().flatten().chain([Tags]);
        let mut data = UserData {
            flexible: api::is_flexible(key, version),
            todo: parts.collect(),
            number: 0,
            digits: 0,
            inside: None,
            kind: None,
        };
        data.todo.reverse();
        data.settle();
        Some(data)
    }

    pub fn bytes(&mut self, bytes: &[u8], runs: &mut Runs) {
        for byte in bytes {
            runs.push(self.byte(*byte), 1);
            if let Some(left) = &mut self.inside {
                *left = left.saturating_sub(1);
            }
            self.settle();
        }
    }

    fn byte(&mut self, byte: u8) -> Fate {
        // What is behind the end is not understood.
        let Some(part) = self.todo.pop() else {
            return Fate::Erase;
        };
        match part {
            Keep(n) | Part::Erase(n) => {
                let erase = matches!(part, Part::Erase(_));
                let rest = if erase { Part::Erase } else { Keep };
                self.todo.push(rest(n.saturating_sub(1)));
                return if erase { Fate::Erase } else { Fate::Keep };
            }
            Part::TypeText(n) => {
                let kind = self.kind.get_or_insert_default();
                if kind.len() <= CONSUMER.len() {
                    kind.push(byte);
                }
                self.todo.push(Part::TypeText(n.saturating_sub(1)));
            }
            Part::TagsLeft(_) | Part::TagKey | Part::TagSize => self.tag(part, byte),
            Tags => self.tag(part, byte),
            part => self.length(part, byte),
        }
        Fate::Keep
    }

    /// Numbers of a tag buffer.
    fn tag(&mut self, part: Part, byte: u8) {
        let Some(n) = self.varint(byte) else {
            self.todo.push(part);
            return;
        };
        match part {
            Tags => self.todo.push(Part::TagsLeft(n)),
            Part::TagSize => self.todo.push(Keep(n)),
            _ => {}
        }
    }

    /// The length of a text, a byte field or an array.
    fn length(&mut self, part: Part, byte: u8) {
        let width = if matches!(part, Text | Type) { 2 } else { 4 };
        let length = if self.flexible && self.inside.is_none() {
            self.varint(byte).map(|n| n.saturating_sub(1))
        } else {
            self.fixed(byte, width)
        };
        let Some(n) = length else {
            self.todo.push(part);
            return;
        };
        // This byte is not counted off yet.
        let left = self.inside.map(|left| left.saturating_sub(1));
        if let Some(left) = left.filter(|left| n > *left) {
            self.todo.push(Part::Erase(left));
            return;
        }
        match part {
            Type => {
                self.kind = Some(Vec::new());
                self.todo.push(Part::TypeText(n));
            }
            Each(element) => self.todo.push(Part::Repeat(n, element)),
            Part::UserData => self.todo.push(Part::Erase(n)),
            Blob(_) if self.is_of_others() => {
                self.todo.push(Part::Erase(n));
            }
            Blob(parts) => {
                // Its own length is no part of it: the byte at hand is taken off below.
                self.inside = Some(n.saturating_add(1));
                self.todo.push(Part::EndOfBlob);
                self.todo.extend(parts.iter().rev());
            }
            _ => self.todo.push(Keep(n)),
        }
    }

    /// The protocol type is told, and not the one of consumers.
    fn is_of_others(&self) -> bool {
        let mut kind = self.kind.iter().filter(|kind| !kind.is_empty());
        kind.any(|kind| kind != CONSUMER)
    }

    /// Parts without a byte.
    fn settle(&mut self) {
        if self.inside == Some(0) {
            while !matches!(self.todo.pop(), None | Some(Part::EndOfBlob)) {}
            (self.inside, self.number, self.digits) = (None, 0, 0);
        }
        while let Some(part) = self.todo.pop() {
            match part {
                Keep(0) | Part::Erase(0) | Part::TypeText(0) => {}
                Part::Repeat(0, _) | Part::TagsLeft(0) => {}
                Tags if !self.flexible || self.inside.is_some() => {}
                Part::Repeat(n, element) => {
                    self.todo.push(Part::Repeat(n - 1, element));
                    self.todo.extend(element.iter().rev());
                }
                Part::TagsLeft(n) => {
                    let one = [Part::TagsLeft(n - 1), Part::TagSize, Part::TagKey];
                    self.todo.extend(one);
                }
                // Newer fields of the embedded value.
                Part::EndOfBlob => {
                    let left = self.inside.unwrap_or(0);
                    self.todo.extend([Part::EndOfBlob, Keep(left)]);
                    return;
                }
                part => {
                    self.todo.push(part);
                    return;
                }
            }
        }
    }

    fn varint(&mut self, byte: u8) -> Option<u64> {
        self.number |= u64::from(byte & 0x7f) << (7 * self.digits).min(56);
        self.digits += 1;
        (byte & 0x80 == 0 || self.digits >= 5).then(|| self.take_number())
    }

    /// Null is 0.
    fn fixed(&mut self, byte: u8, width: u32) -> Option<u64> {
        self.number = self.number << 8 | u64::from(byte);
        self.digits += 1;
        let negative = 1_u64 << (8 * width - 1);
        (self.digits == width)
            .then(|| self.take_number())
            .map(|n| if n & negative == 0 { n } else { 0 })
    }

    fn take_number(&mut self) -> u64 {
        self.digits = 0;
        std::mem::take(&mut self.number)
    }
}
