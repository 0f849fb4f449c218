//! A request and an answer of every API that is decoded: the seeds `seed-api-KEY-SIDE` of the fuzz target `frame`, written by franz-go's
//! encoder (kmsg 1.15) in the newest version that both know. As they are, and damaged in any version. Produce requests have seeds of their own.

use std::path::Path;
use std::sync::LazyLock;

use kafka_wire::api::{self, FETCH, SHARE_FETCH};
use kafka_wire::body::{Limits, Side};
use kafka_wire::header::{Parse, RequestHeader, parse_response};
use proptest::prelude::*;

use crate::hostile::{apply, lie, well_formed};
use crate::seen::{Seen, cut, whole};

struct Body {
    side: Side,
    key: i16,
    version: i16,
    bytes: Vec<u8>,
}

static BODIES: LazyLock<Vec<Body>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/frame");
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("seed-api-") {
            let frame = std::fs::read(&path).expect("a seed");
            bodies.push(body(&frame[4..], name.ends_with("answer")));
        }
    }
    bodies.sort_by_key(|body| (body.key, body.side == Side::Response));
    bodies
});

/// An answer stands behind the header of its request, so that one file says which it is.
fn body(frame: &[u8], is_answer: bool) -> Body {
    let Parse::Done(header, taken) = RequestHeader::parse(frame.len() as u32, frame) else {
        panic!("no header: {frame:02x?}");
    };
    let (key, version) = (header.api_key, header.api_version);
    let mut bytes = &frame[taken..];
    if is_answer {
        let Parse::Done(_, taken) = parse_response(bytes.len() as u32, bytes, key, version) else {
            panic!("no header: {frame:02x?}");
        };
        bytes = &bytes[taken..];
    }
    Body {
        side: if is_answer {
            Side::Response
        } else {
            Side::Request
        },
        key,
        version,
        bytes: bytes.to_vec(),
    }
}

#[test]
fn every_message_is_understood_and_nothing_less() {
    assert!(BODIES.len() >= 89, "{}", BODIES.len());
    for body in &*BODIES {
        let name = format!("{} {:?} v{}", body.key, body.side, body.version);
        let seen = whole(body.side, body.key, body.version, &body.bytes);
        assert_eq!(seen.last(), Some(&Seen::End(true)), "{name}: {seen:?}");
        let streamed = matches!((body.key, body.side), (FETCH | SHARE_FETCH, Side::Response));
        let secret = (body.key, body.side) == (api::SASL_AUTHENTICATE, Side::Request);
        match &seen[..] {
            [Seen::Message(_), Seen::End(_)] => assert!(!streamed && !secret, "{name}"),
            [Seen::End(_)] => assert!(secret, "{name}"),
            _ => assert!(streamed, "{name}: {seen:?}"),
        }
        if secret {
            continue;
        }
        for end in 0..body.bytes.len() {
            let seen = whole(body.side, body.key, body.version, &body.bytes[..end]);
            assert_eq!(seen.last(), Some(&Seen::End(false)), "{name}, {end} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_messages(
        which: prop::sample::Index,
        version in prop::option::of(any::<prop::sample::Index>()),
        lies in prop::collection::vec(lie(), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let body = &BODIES[which.index(BODIES.len())];
        let newest = api::find(body.key).map_or(0, |api| api.max_version);
        let version = version.map_or(body.version, |version| version.index(newest as usize + 1) as i16);
        let mut bytes = body.bytes.clone();
        apply(&mut bytes, lies);
        let once = whole(body.side, body.key, version, &bytes);
        well_formed(&once)?;
        let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        prop_assert_eq!(cut(body.side, body.key, version, Limits::default(), &bytes, cuts), once);
    }
}
