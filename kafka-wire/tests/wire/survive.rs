//! Bodies of one message that are damaged or incomplete. In: a good body; out: proof that no damage yields more than one refusal, that pieces
//! make no difference, and that nothing is told of a body with a hole.

use kafka_wire::Segment;
use kafka_wire::body::{Limits, Side};

use crate::seen::{Seen, cut, decode, whole};

/// Damaged copies of each body.
const LIES: u64 = 12;

/// Bytes and words that lengths and counts can be replaced by.
const ABSURD: [&[u8]; 8] = [
    &[0],
    &[0xff],
    &[0x80],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
];

pub fn survives(side: Side, key: i16, version: i16, body: &[u8]) {
    let name = format!("{key} {side:?} v{version}");
    for lie in 0..LIES {
        let damaged = damage(body, lie);
        let seen = whole(side, key, version, &damaged);
        let fine = matches!(
            seen[..],
            [Seen::Message(_), Seen::End(true)] | [Seen::Undecodable(_), Seen::End(false)]
        );
        assert!(fine, "{name}: {seen:?} of {damaged:02x?}");
        let every = (0..damaged.len()).collect();
        let pieces = cut(side, key, version, Limits::default(), &damaged, every);
        assert_eq!(pieces, seen, "{name}: {damaged:02x?}");
    }
    for at in [0, body.len() / 2, body.len().saturating_sub(1)] {
        let (Some(start), Some(end)) = (body.get(..at), body.get(at + 1..)) else {
            continue;
        };
        let segments = [
            Segment::Bytes(start),
            Segment::Elided(1),
            Segment::Bytes(end),
        ];
        let limits = Limits::default();
        let seen = decode(side, key, version, body.len(), limits, &segments);
        let expected = [Seen::Undecodable("gap"), Seen::End(false)];
        assert_eq!(seen, expected, "{name}, a hole at {at}");
    }
}

/// One of the damaged copies, always the same of the same body.
fn damage(body: &[u8], lie: u64) -> Vec<u8> {
    let seed = body.iter().fold(lie, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut damaged = body.to_vec();
    let at = (seed >> 32) as usize % (body.len() + 1);
    let end = body.len().min(at + 1 + seed as usize % 5);
    match lie % 4 {
        0 => drop(damaged.drain(at..end)),
        1 => drop(damaged.splice(at..at, body[at..end].to_vec())),
        _ => {
            let new = ABSURD[(seed >> 8) as usize % ABSURD.len()];
            let end = body.len().min(at + new.len());
            drop(damaged.splice(at..end, new.iter().copied()));
        }
    }
    damaged
}
