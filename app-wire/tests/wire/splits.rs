//! However the bytes of a call are split, the events are the same.

use app_wire::Piece;
use proptest::prelude::*;

use crate::captures::ALL;
use crate::conversation::{Parser, load, play, stamp};

#[test]
fn byte_for_byte() {
    for name in ALL {
        split(name, |_| 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_any_place(name in prop::sample::select(&ALL[..]), sizes in prop::collection::vec(1usize..90, 1..40)) {
        let mut sizes = sizes.into_iter().cycle();
        split(name, |left| sizes.next().unwrap_or(1).min(left));
    }
}

fn split(name: &str, mut size: impl FnMut(usize) -> usize) {
    let calls = load(name);
    let mut parser = Parser::of(&calls);
    let mut out = Vec::new();
    for (at, (read, bytes)) in calls.iter().enumerate() {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(size(rest.len()));
            parser.feed(*read, Piece::Bytes(piece), stamp(at + 1), &mut out);
            rest = after;
        }
    }
    parser.closed(&mut out);
    assert_eq!((out, parser.losses()), play(&calls), "{name}");
}
