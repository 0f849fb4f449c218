//! Decoders read as much of a redacted body as of the body itself. In: the seeds of the fuzz target `frame`, which hold a request and an answer of
//! every API that is decoded; out: events of both, compared.

use kafka_wire::Segment;
use kafka_wire::api::{self, Reading};
use kafka_wire::body::{self, Decoder, Event, Limits};
use kafka_wire::header::{Parse, RequestHeader, parse_response};

use super::*;

struct Seed {
    name: String,
    side: body::Side,
    key: i16,
    version: i16,
    /// The request, and of an answer its header only; then the answer.
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
    /// Bytes before the body, in the last of the two.
    head: usize,
}

fn seeds() -> Vec<Seed> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/frame");
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            seed(name, &std::fs::read(&path).unwrap()[4..])
        })
        .collect();
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    seeds
}

/// An answer stands behind the header of its request.
fn seed(name: String, bytes: &[u8]) -> Seed {
    let Parse::Done(header, taken) =
        RequestHeader::parse(u32::try_from(bytes.len()).unwrap(), bytes)
    else {
        panic!("{name}: no header");
    };
    let (key, version) = (header.api_key, header.api_version);
    if !name.ends_with("answer") {
        return Seed {
            name,
            side: body::Side::Request,
            key,
            version,
            request: frame(bytes),
            answer: None,
            head: 4 + taken,
        };
    }
    let (request, answer) = bytes.split_at(taken);
    let answer = [&header.correlation_id.to_be_bytes()[..], &answer[4..]].concat();
    let size = u32::try_from(answer.len()).unwrap();
    let Parse::Done(_, head) = parse_response(size, &answer, key, version) else {
        panic!("{name}: no header");
    };
    Seed {
        name,
        side: body::Side::Response,
        key,
        version,
        request: frame(request),
        answer: Some(frame(&answer)),
        head: 4 + head,
    }
}

/// What the decoder says, but for records and whether they are whole.
fn says(seed: &Seed, segments: &[Segment<'_>]) -> Vec<String> {
    let length = |segment: &Segment<'_>| match segment {
        Segment::Bytes(bytes) => bytes.len() as u64,
        Segment::Elided(n) => *n,
    };
    let size = segments.iter().map(length).sum();
    let mut decoder = Decoder::new(seed.side, seed.key, seed.version, size, Limits::default());
    let mut said = Vec::new();
    let mut emit = |event: Event<'_>| match event {
        Event::Record(_) | Event::Compressed { .. } | Event::BatchEnd { .. } => {}
        event => said.push(masked(format!("{event:?}"))),
    };
    for segment in segments {
        decoder.feed(*segment, &mut emit);
    }
    decoder.finish(&mut emit);
    said
}

/// What assignors wrote is erased: only its length counts.
fn masked(mut event: String) -> String {
    for field in ["metadata: [", "assignment: ["] {
        let mut parts = event.split(field);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (bytes, after) = part.split_once(']').unwrap();
            out += &format!("{field}{} bytes]{after}", bytes.split(',').count());
        }
        event = out;
    }
    event
}

/// Fates of the frame that a seed is about.
fn fates(seed: &Seed) -> Vec<(Fate, usize)> {
    let mut stream = Stream::new(false);
    let request = stream.fates(Direction::Write, &seed.request);
    match &seed.answer {
        None => request,
        Some(answer) => stream.fates(Direction::Read, answer),
    }
}

#[test]
fn what_is_decoded_is_decoded_equally_from_a_recording() {
    let mut kinds = [0; 3];
    for seed in seeds() {
        let name = format!("{} v{}", seed.name, seed.version);
        let wire = seed.answer.as_ref().unwrap_or(&seed.request);
        let bytes = &wire[seed.head..];
        let mut ones = Vec::new();
        let mut at = 0;
        for (fate, n) in fates(&seed) {
            let end = at + n;
            let body = at.max(seed.head)..end;
            if body.start < body.end {
                ones.push((fate, vec![0xff; body.len()], &wire[body]));
            } else {
                assert_eq!(fate, Fate::Keep, "{name}: headers stay");
            }
            at = end;
        }
        assert_eq!(at, wire.len(), "{name}");
        let segments: Vec<_> = ones
            .iter()
            .map(|(fate, erased, bytes)| match fate {
                Fate::Keep => Segment::Bytes(bytes),
                Fate::Erase => Segment::Bytes(erased),
                Fate::Drop => Segment::Elided(bytes.len() as u64),
            })
            .collect();
        if seed.key == api::CREATE_TOPICS {
            assert!(
                ones.iter().all(|(fate, ..)| *fate == Fate::Drop),
                "{name}: configurations"
            );
            continue;
        }
        let reading = api::reading(seed.side, seed.key, seed.version);
        kinds[reading as usize] += 1;
        if reading == Reading::Nothing {
            assert!(
                ones.iter().all(|(fate, ..)| *fate != Fate::Keep),
                "{name}: what nobody reads"
            );
        }
        assert_eq!(
            says(&seed, &segments),
            says(&seed, &[Segment::Bytes(bytes)]),
            "{name}"
        );
    }
    // SaslAuthenticate requests; everything else; Produce, Fetch, ShareFetch.
    assert!(
        kinds[0] == 1 && kinds[1] >= 84 && kinds[2] >= 14,
        "{kinds:?}"
    );
}

/// ShareFetch v1, one topic, one partition with these records.
fn share_answer(records: &[u8]) -> Vec<u8> {
    let head = [
        &[0, 0, 0, 2, 0][..],
        &[0; 4],
        &[0, 0, 0],
        &[0; 4],
        &[2],
        &[7; 16],
        &[2],
    ]
    .concat();
    let partition = [&[0; 4][..], &[0, 0, 0], &[0, 0, 0], &[0; 8], &[0]].concat();
    let size = u8::try_from(records.len() + 1).unwrap();
    let acquired = [&[2][..], &[0; 8], &[0; 8], &[0, 1], &[0], &[0]].concat();
    frame(
        &[
            &head[..],
            &partition,
            &[size],
            records,
            &acquired,
            &[0, 1, 0],
        ]
        .concat(),
    )
}

#[test]
fn records_of_share_consumers_stay_out() {
    let wire = share_answer(&batch(0, &record(b"KEY", b"VALUE", b"\x02\x02h\x04HV"), 1));
    for payload in [false, true] {
        let mut stream = Stream::new(payload);
        stream.write(&frame(&[0, 78, 0, 1, 0, 0, 0, 2, 0, 1, b'a', 0]));
        let stored = stream.read(&wire);
        for secret in [&b"KEY"[..], b"VALUE", b"HV"] {
            assert_eq!(holds(&stored, secret), payload, "{stored:?}");
        }
        let dropped = stored.iter().filter(|byte| **byte == b'_').count();
        assert_eq!(dropped, if payload { 0 } else { 3 + 5 + 6 });
    }
}

#[test]
fn pushed_metrics_are_erased_and_their_length_stays() {
    let body = [&[0][..], &[7; 22], &[8], b"METRICS", &[0]].concat();
    let wire = request(72, 0, 1, &body);
    let stored = Stream::new(true).write(&wire);
    let mut expected = wire.clone();
    let at = wire.len() - 8;
    expected[at..at + 7].fill(b'#');
    assert_eq!(stored, expected);
}

#[test]
fn records_of_an_unknown_version_or_behind_nonsense_are_dropped() {
    // Produce v14, which no broker has yet.
    let wire = request(0, 14, 1, b"\0VALUE");
    assert!(!holds(&Stream::new(false).write(&wire), b"VALUE"));
    // Produce v3 with more topics than its bytes could hold.
    let body = [
        &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff][..],
        &[0xff; 2],
        b"VALUE",
    ]
    .concat();
    let wire = request(0, 3, 1, &body);
    assert!(!holds(&Stream::new(false).write(&wire), b"VALUE"));
}
