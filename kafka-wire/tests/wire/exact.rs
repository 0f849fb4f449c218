//! A body that is one message. In: its bytes and the message; out: proof that it gives that message, and nothing else when it is cut or longer.

use kafka_wire::Uuid;
use kafka_wire::api::{Message, is_flexible};
use kafka_wire::body::{Limits, Side};

use crate::seen::{Seen, cut, whole};

/// What any body of one message must hold to: the same in pieces, "truncated" wherever it ends too early, "trailing_bytes" when it goes on,
/// and no matter what unknown tag ends it.
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

/// The values of the golden frames: each field in turn holds the next number, each array two elements, and what may be null is either
/// there everywhere or nowhere. The frames were written by franz-go's encoder (kmsg 1.15), which shares nothing with ours.
#[derive(Debug)]
pub struct Count {
    n: u8,
    full: bool,
}

impl Count {
    /// Not `full`: arrays are empty, what may be null is.
    pub fn new(full: bool) -> Count {
        Count { n: 0, full }
    }
    pub fn next<T: From<u8>>(&mut self) -> T {
        self.n += 1;
        T::from(self.n)
    }
    pub fn i8(&mut self) -> i8 {
        self.next::<u8>() as i8
    }
    pub fn bool(&mut self) -> bool {
        self.next::<u8>() % 2 == 1
    }
    pub fn uuid(&mut self) -> Uuid {
        Uuid([self.next(); 16])
    }
    pub fn text(&mut self) -> &'static str {
        format!("s{}", self.next::<u8>()).leak()
    }
    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Count) -> T) -> Option<T> {
        self.full.then(|| value(self))
    }
    pub fn two<T>(&mut self, mut element: impl FnMut(&mut Count) -> T) -> Vec<T> {
        let count = if self.full { 2 } else { 0 };
        (0..count).map(|_| element(self)).collect()
    }
    /// A value that this version has, else `default`: it takes its number all the same.
    pub fn since<T>(&mut self, has: bool, value: impl FnOnce(&mut Count) -> T, default: T) -> T {
        let value = value(self);
        if has { value } else { default }
    }
}
