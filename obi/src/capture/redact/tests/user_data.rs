//! User data of assignors: erased wherever it stands, by itself, with any split of the bytes.

use super::*;

const SECRET: &[u8] = b"USER-DATA";

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn compact(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len() + 1).unwrap()][..], bytes].concat()
}

fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Version 1: topics, user data, owned partitions.
fn subscription() -> Vec<u8> {
    let owned = [
        &[0, 0, 0, 1][..],
        &text("orders"),
        &[0, 0, 0, 1, 0, 0, 0, 3],
    ]
    .concat();
    let topics = [&[0, 1, 0, 0, 0, 1][..], &text("orders")].concat();
    [topics, field(SECRET), owned].concat()
}

fn assignment() -> Vec<u8> {
    let partitions = [&text("orders")[..], &[0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]].concat();
    [&[0, 0, 0, 0, 0, 1][..], &partitions, &field(SECRET)].concat()
}

/// JoinGroup v5 of a protocol type with this metadata.
fn join(kind: &str, metadata: &[u8]) -> Vec<u8> {
    let head = [text("g"), vec![0; 8], text("m"), text("i"), text(kind)].concat();
    let protocols = [&[0, 0, 0, 1][..], &text("range"), &field(metadata)].concat();
    request(11, 5, 1, &[head, protocols].concat())
}

/// Only what `secret` is was erased.
fn expected(wire: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut stored = wire.to_vec();
    for at in 0..wire.len().saturating_sub(secret.len() - 1) {
        if wire[at..].starts_with(secret) {
            stored[at..at + secret.len()].fill(b'#');
        }
    }
    stored
}

#[test]
fn subscriptions_and_assignments_without_their_user_data() {
    let joined = {
        let member = [text("m"), text("i"), field(&subscription())].concat();
        let head = [&[0; 10][..], &text("range"), &text("m"), &text("m")].concat();
        frame(&[&[0, 0, 0, 1][..], &head, &[0, 0, 0, 2], &member, &member].concat())
    };
    let sync = {
        // Version 5 is flexible.
        let given = [compact(b"m"), compact(&assignment()), vec![0]].concat();
        let head = [&compact(b"g")[..], &[0, 0, 0, 1], &compact(b"m"), &[0]].concat();
        let kind = [compact(b"consumer"), compact(b"range")].concat();
        let tagged = [1, 9, 2, 7, 7];
        request(
            14,
            5,
            2,
            &[&[0][..], &head, &kind, &[2], &given, &tagged].concat(),
        )
    };
    let synced = {
        let kind = [compact(b"consumer"), compact(b"range")].concat();
        let body = [&[0; 6][..], &kind, &compact(&assignment()), &[0]].concat();
        frame(&[&[0, 0, 0, 2, 0][..], &body].concat())
    };
    for split in [1, 7, 1000] {
        let (mut whole, mut kept) = (Stream::new(false), Stream::new(true));
        for (wire, read) in [
            (join("consumer", &subscription()), false),
            (joined.clone(), true),
            (sync.clone(), false),
            (synced.clone(), true),
        ] {
            let mut stored = Vec::new();
            for piece in wire.chunks(split.max(20)) {
                // The first piece of a stream must show what it is.
                for piece in piece.chunks(if stored.is_empty() { 20 } else { split }) {
                    stored.extend(match read {
                        true => whole.read(piece),
                        false => whole.write(piece),
                    });
                }
            }
            assert!(holds(&wire, SECRET));
            assert_eq!(stored, expected(&wire, SECRET), "pieces of {split}");
            let all = if read {
                kept.read(&wire)
            } else {
                kept.write(&wire)
            };
            assert_eq!(all, wire, "with payload");
        }
    }
}

#[test]
fn members_of_other_kinds_tell_nothing() {
    let wire = join("connect", b"\0\x01http://worker:8083/");
    let stored = Stream::new(false).write(&wire);
    assert_eq!(stored, expected(&wire, b"\0\x01http://worker:8083/"));
}

#[test]
fn what_is_no_subscription_is_erased_to_its_end() {
    // More topics than there are bytes, and user data that is longer than the rest.
    for (metadata, secret) in [
        (&b"\0\0\x7f\xff\xff\xffUSER-DATA"[..], &b"USER-DATA"[..]),
        (b"\0\0\0\0\0\0\0\0\0\x40USER-DATA", b"USER-DATA"),
    ] {
        let wire = join("consumer", metadata);
        assert_eq!(Stream::new(false).write(&wire), expected(&wire, secret));
    }
}
