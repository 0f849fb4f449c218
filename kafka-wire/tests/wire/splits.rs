//! Any split of a body gives the same events, and they are those of the model, in every version.

use kafka_wire::Segment;
use kafka_wire::body::Limits;
use proptest::prelude::*;

use crate::model::body;
use crate::seen::{cut, decode, whole};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_body_gives_the_events_of_its_model(body in body()) {
        let (bytes, expected) = body.encode();
        prop_assert_eq!(whole(body.side, body.key(), body.version, &bytes), expected);
    }

    #[test]
    fn any_split_gives_the_same_events(body in body(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let (bytes, expected) = body.encode();
        let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        prop_assert_eq!(cut(body.side, body.key(), body.version, Limits::default(), &bytes, cuts), expected);
    }

    #[test]
    fn byte_by_byte_gives_the_same_events(body in body()) {
        let (bytes, expected) = body.encode();
        let segments: Vec<_> = bytes.chunks(1).map(Segment::Bytes).collect();
        prop_assert_eq!(decode(body.side, body.key(), body.version, bytes.len(), Limits::default(), &segments), expected);
    }

    #[test]
    fn a_small_cap_cuts_alike_in_any_split(body in body(), keep in 0usize..64, records: bool, size in 1usize..100) {
        let limits = Limits { keep, records, ..Limits::default() };
        let (bytes, _) = body.encode();
        let once = decode(body.side, body.key(), body.version, bytes.len(), limits, &[Segment::Bytes(&bytes)]);
        let segments: Vec<_> = bytes.chunks(size).map(Segment::Bytes).collect();
        prop_assert_eq!(decode(body.side, body.key(), body.version, bytes.len(), limits, &segments), once);
    }
}
