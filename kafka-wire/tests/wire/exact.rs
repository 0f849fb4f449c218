//! A body that is one message. In: its bytes and the message; out: proof that it gives that message, and nothing else when it is cut or longer.

use kafka_wire::Uuid;
use kafka_wire::api::{Message, is_flexible};
use kafka_wire::body::{Limits, Side};

use crate::seen::{Seen, cut, whole};
use crate::survive::survives;

/// What any body of one message must hold to: the same in pieces, "truncated" wherever it ends too early, "trailing_bytes" when it goes on,
/// no matter what unknown tag ends it, and what [`survives`] asks.
pub fn exact(side: Side, key: i16, version: i16, bytes: &[u8], expected: &Message<'_>) {
    let told = [Seen::Message(format!("{expected:?}")), Seen::End(true)];
    assert_eq!(
        whole(side, key, version, bytes),
        told,
        "{key} {side:?} v{version}"
    );
    let every = (0..bytes.len()).step_by(7).collect();
    assert_eq!(
        cut(side, key, version, Limits::default(), bytes, every),
        told
    );
    let refused = |reason| [Seen::Undecodable(reason), Seen::End(false)];
    for end in 0..bytes.len() {
        assert_eq!(
            whole(side, key, version, &bytes[..end]),
            refused("truncated"),
            "{key} {side:?} v{version}, {end} bytes of {}",
            bytes.len()
        );
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(
        whole(side, key, version, &longer),
        refused("trailing_bytes")
    );
    if is_flexible(key, version) {
        let (last, start) = bytes.split_last().expect("a tag buffer");
        assert_eq!(*last, 0, "no tags at the end");
        let tagged = [start, &[2, 90, 3, 1, 2, 3, 91, 0]].concat();
        assert_eq!(whole(side, key, version, &tagged), told);
    }
    survives(side, key, version, bytes);
}

/// Bytes of hexadecimal digits; white space is left out.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// What of a golden frame is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Two elements in each array; nothing is null.
    All,
    /// Two elements in each array; strings and structs that may be null are.
    Arrays,
    /// No elements; what may be null is.
    Nothing,
}

/// The values of the golden frames: each field in turn holds the next number, whether its version is on the wire or not. The frames were
/// written by franz-go's encoder (kmsg 1.15), which shares nothing with ours.
#[derive(Debug)]
pub struct Count {
    n: i32,
    fill: Fill,
}

impl Count {
    pub fn new(fill: Fill) -> Count {
        Count { n: 0, fill }
    }
    fn tick(&mut self) -> i32 {
        self.n += 1;
        self.n
    }
    pub fn next<T: TryFrom<i32>>(&mut self) -> T {
        T::try_from(self.tick()).ok().expect("it fits")
    }
    pub fn i8(&mut self) -> i8 {
        self.tick() as i8
    }
    pub fn bool(&mut self) -> bool {
        self.tick() % 2 == 1
    }
    pub fn uuid(&mut self) -> Uuid {
        Uuid([self.tick() as u8; 16])
    }
    pub fn text(&mut self) -> &'static str {
        format!("s{}", self.tick()).leak()
    }
    /// A string or struct that may be null.
    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Count) -> T) -> Option<T> {
        (self.fill == Fill::All).then(|| value(self))
    }
    pub fn two<T>(&mut self, element: impl FnMut(&mut Count) -> T) -> Vec<T> {
        self.maybe_two(element).unwrap_or_default()
    }
    /// An array that may be null.
    pub fn maybe_two<T>(&mut self, mut element: impl FnMut(&mut Count) -> T) -> Option<Vec<T>> {
        (self.fill != Fill::Nothing).then(|| (0..2).map(|_| element(self)).collect())
    }
    /// A value that this version has, else `default`.
    pub fn since<T>(&mut self, has: bool, value: impl FnOnce(&mut Count) -> T, default: T) -> T {
        let value = value(self);
        if has { value } else { default }
    }
}
