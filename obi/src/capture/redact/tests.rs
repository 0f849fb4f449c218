//! What is kept, dropped and erased. In: hand-made frames; out: assertions on each byte.

mod decoded;
mod user_data;

use super::*;
use kafka_analyzer::capture::Source;

/// A frame: size word, then `body`.
fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// Request header v1 with client id "a".
fn request(key: u8, version: u8, id: u8, body: &[u8]) -> Vec<u8> {
    frame(&[&[0, key, 0, version, 0, 0, 0, id, 0, 1, b'a'][..], body].concat())
}

struct Stream {
    redactor: Redactor,
    next: [u64; 2],
}

impl Stream {
    fn new(payload: bool) -> Stream {
        Stream {
            redactor: Redactor::new(payload),
            next: [0; 2],
        }
    }

    fn fates(&mut self, direction: Direction, bytes: &[u8]) -> Vec<(Fate, usize)> {
        let offset = &mut self.next[usize::from(direction == Direction::Write)];
        let event = CaptureEvent::Data {
            connection: ConnectionId(1),
            direction,
            offset: *offset,
            began: 0,
            ended: 0,
            pid: 1,
            tid: 1,
            goroutine: None,
            source: Source::Openssl,
            bytes,
        };
        *offset += bytes.len() as u64;
        self.redactor.runs(&event).0
    }

    /// What a recording would hold of these bytes: kept ones, `_` for dropped, `#` for erased.
    fn stored(&mut self, direction: Direction, bytes: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut out = Vec::new();
        for (fate, n) in self.fates(direction, bytes) {
            match fate {
                Fate::Keep => out.extend_from_slice(&bytes[at..at + n]),
                Fate::Drop => out.extend(std::iter::repeat_n(b'_', n)),
                Fate::Erase => out.extend(std::iter::repeat_n(b'#', n)),
            }
            at += n;
        }
        assert_eq!(at, bytes.len(), "every byte has a fate");
        out
    }

    fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.stored(Direction::Write, bytes)
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.stored(Direction::Read, bytes)
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// Record with zigzag lengths below 64.
fn record(key: &[u8], value: &[u8], headers: &[u8]) -> Vec<u8> {
    let zigzag = |n: usize| u8::try_from(n * 2).unwrap();
    let inner = [
        &[0, 0, 0, zigzag(key.len())],
        key,
        &[zigzag(value.len())],
        value,
        headers,
    ]
    .concat();
    [&[zigzag(inner.len())], inner.as_slice()].concat()
}

/// Batch of magic 2.
fn batch(attributes: u8, records: &[u8], count: u8) -> Vec<u8> {
    let mut head = vec![0; 61];
    head[8..12].copy_from_slice(&u32::try_from(49 + records.len()).unwrap().to_be_bytes());
    head[16] = 2;
    head[22] = attributes;
    head[60] = count;
    [head.as_slice(), records].concat()
}

/// Produce v3, one topic "t", one partition.
fn produce(id: u8, records: &[u8]) -> Vec<u8> {
    let size = u32::try_from(records.len()).unwrap().to_be_bytes();
    let body = [
        &[
            0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0,
        ][..],
        &size,
        records,
    ]
    .concat();
    request(0, 3, id, &body)
}

#[test]
fn records_keep_their_framing_and_lose_key_value_and_headers() {
    let records = [
        record(b"KEY", b"VALUE", b"\x02\x02h\x04HV"),
        record(b"", b"SECOND", b"\0"),
    ]
    .concat();
    let wire = produce(1, &batch(0, &records, 2));
    let stored = Stream::new(false).write(&wire);
    let mut expected = wire.clone();
    for secret in [&b"KEY"[..], b"VALUE\x02\x02h\x04HV", b"SECOND\0"] {
        let at = wire
            .windows(secret.len())
            .position(|window| window == secret)
            .unwrap();
        expected[at..at + secret.len()].fill(b'_');
    }
    assert_eq!(stored, expected);
    assert_eq!(
        Stream::new(true).write(&wire),
        wire,
        "with payload all of it stays"
    );
}

#[test]
fn compressed_batches_keep_their_header_and_any_split_gives_the_same() {
    let two = [
        batch(4, b"COMPRESSED", 3),
        batch(0, &record(b"k", b"VALUE", b"\0"), 1),
    ]
    .concat();
    let wire = produce(1, &two);
    let whole = Stream::new(false).write(&wire);
    assert!(!holds(&whole, b"COMPRESSED") && !holds(&whole, b"VALUE"));
    assert_eq!(
        whole.iter().filter(|byte| **byte == b'_').count(),
        10 + 1 + 6
    );
    for split in 5..wire.len() {
        let mut stream = Stream::new(false);
        let parts = [stream.write(&wire[..split]), stream.write(&wire[split..])].concat();
        assert_eq!(parts, whole, "split at {split}");
    }
}

#[test]
fn passwords_are_erased_in_both_forms_of_sasl() {
    let secret = b"\0alice\0alice-secret";
    let mut stream = Stream::new(true);
    let length = u32::try_from(secret.len()).unwrap().to_be_bytes();
    stream.write(&request(17, 1, 1, b"\0\x05PLAIN"));
    let stored = stream.write(&request(36, 1, 2, &[&length[..], secret].concat()));
    assert_eq!(stored.len(), 4 + 11 + 4 + secret.len());
    assert!(stored.ends_with(&[b'#'; 23]), "{stored:?}");
    // error 0, no message, a token, a lifetime
    let answer = frame(
        &[
            &[0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 3][..],
            b"TOK",
            &[0; 8],
        ]
        .concat(),
    );
    let stored = stream.read(&answer);
    assert_eq!(stored.len(), answer.len());
    assert!(
        !holds(&stored, b"TOK") && stored.ends_with(&[0; 8]),
        "{stored:?}"
    );

    let mut old = Stream::new(true);
    old.write(&request(17, 0, 1, b"\0\x05PLAIN"));
    old.read(&frame(&[
        0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 5, b'P', b'L', b'A', b'I', b'N',
    ]));
    let token = frame(secret);
    assert_eq!(old.write(&token)[4..], vec![b'#'; secret.len()]);
    assert_eq!(old.read(&frame(b""))[..], frame(b""));
    let next = request(18, 0, 2, b"");
    assert_eq!(old.write(&next), next, "requests after the token are found");
}

#[test]
fn what_is_not_kafka_is_not_stored() {
    let mut stream = Stream::new(true);
    let http = b"POST /login HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n";
    assert_eq!(stream.write(http), vec![b'_'; http.len()]);
    assert_eq!(stream.read(b"HTTP/1.1 200 OK\r\n"), vec![b'_'; 17]);
}

#[test]
fn bodies_that_nobody_reads_are_dropped() {
    // AlterUserScramCredentials: salted passwords.
    let wire = request(51, 0, 1, b"salted-password");
    let stored = Stream::new(true).write(&wire);
    assert!(!holds(&stored, b"salted-password"));
    assert_eq!(stored.len(), wire.len());
}

#[test]
fn a_hole_drops_until_the_next_frame_that_is_sure() {
    let mut stream = Stream::new(false);
    let wire = produce(1, &batch(0, &record(b"k", b"VALUE", b"\0"), 1));
    stream.write(&wire[..40]);
    // Ten bytes are lost.
    stream.next[1] += 10;
    let rest = stream.write(&wire[50..]);
    assert!(!holds(&rest, b"VALUE"));
    let next = request(18, 0, 2, b"");
    assert_eq!(stream.write(&next), next);
}

#[test]
fn the_body_of_a_batch_that_nobody_read_costs_no_more_than_itself() {
    let body = record(b"k", b"VALUE", b"\0");
    let two = [batch(0, &body, 1), batch(4, b"COMPRESSED", 3)].concat();
    let wire = produce(1, &two);
    let head = wire.len() - two.len();
    let mut stream = Stream::new(false);
    let mut at = 0;
    for (heads, hole) in [(head + 61, body.len()), (61, 10)] {
        let seen = &wire[at..at + heads];
        assert_eq!(stream.write(seen), seen);
        at += heads + hole;
        stream.next[1] += hole as u64;
    }
    assert_eq!(at, wire.len());
    let next = request(18, 0, 2, b"");
    assert_eq!(stream.write(&next), next);
    // More of a batch than its body.
    let mut stream = Stream::new(false);
    stream.write(&wire[..head + 61]);
    stream.next[1] += body.len() as u64 + 1;
    let rest = stream.write(&wire[head + 61 + body.len() + 1..]);
    assert_eq!(rest, vec![b'_'; rest.len()]);
}
