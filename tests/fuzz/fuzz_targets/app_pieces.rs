//! Fuzzed bytes as a conversation, for the targets of `app-wire`. In: records of a way (read or written; bytes or gap; a new call or the same),
//! a length and so many bytes. Out: pieces with their stamps.

use app_wire::{Piece, Stamp};

const READ: u8 = 1;
const GAP: u8 = 2;
const SAME_CALL: u8 = 4;
/// The length has a second byte.
const LONG: u8 = 8;

pub fn pieces(mut input: &[u8], mut each: impl FnMut(bool, Piece, Stamp)) {
    let mut at = 0;
    while let [way, len, rest @ ..] = input {
        let (len, rest) = match (way & LONG != 0, rest) {
            (true, [high, rest @ ..]) => (usize::from(*high) << 8 | usize::from(*len), rest),
            _ => (usize::from(*len), rest),
        };
        at += u64::from(way & SAME_CALL == 0);
        let stamp = Stamp {
            began: 2 * at,
            ended: 2 * at + 1,
            tid: 1,
            task: 1,
        };
        if way & GAP != 0 {
            input = rest;
            each(way & READ != 0, Piece::Gap(len as u64), stamp);
        } else {
            let (bytes, rest) = rest.split_at(len.min(rest.len()));
            input = rest;
            each(way & READ != 0, Piece::Bytes(bytes), stamp);
        }
    }
}
