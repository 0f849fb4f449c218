//! Batches that are damaged inside: what is before the damage stays, the header's facts stay, and what follows the batch is read.

use kafka_wire::api::{self, FETCH, PRODUCE};
use kafka_wire::body::{Limits, Side};
use kafka_wire::record_batch::BatchHeader;

use crate::model::{Record, encode_message, encode_records, encode_v2, v2_header};
use crate::seen::{Seen, cut, whole};
use crate::writer::Writer;

fn plain(key: &str) -> Record {
    Record {
        key: Some(key.as_bytes().to_vec()),
        value: Some(b"value".to_vec()),
        headers: Vec::new(),
        timestamp_delta: 0,
        offset_delta: 0,
    }
}

/// A Produce request v3 with these batches in one partition.
fn request(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut w = Writer::new(false);
    let field = batches.concat();
    w.string(None)
        .i16(1)
        .i32(0)
        .length(Some(1))
        .string(Some("t"))
        .length(Some(1))
        .i32(0);
    w.length(Some(field.len())).raw(&field);
    w.out
}

/// Keys of the records and ends of the batches, the same in one piece and byte by byte.
fn outcome(body: &[u8]) -> Vec<String> {
    let once = whole(Side::Request, PRODUCE, 3, body);
    let pieces = cut(
        Side::Request,
        PRODUCE,
        3,
        Limits::default(),
        body,
        (0..body.len()).collect(),
    );
    assert_eq!(pieces, once);
    let word = |event: &Seen| match event {
        Seen::Record(record) => {
            Some(String::from_utf8(record.key.clone().unwrap_or_default()).expect("text"))
        }
        Seen::BatchEnd(complete) => Some(format!("batch {complete}")),
        Seen::Undecodable(reason) => Some(format!("undecodable {reason}")),
        Seen::End(complete) => Some(format!("end {complete}")),
        _ => None,
    };
    once.iter().filter_map(word).collect()
}

fn batch(count: i32, body: &[u8]) -> Vec<u8> {
    encode_v2(&v2_header(0, 0, count, body.len(), (-1, -1, -1)), body)
}

#[test]
fn damage_stays_in_its_batch() {
    let good = batch(1, &encode_records(&[plain("after")]));
    let first = encode_records(&[plain("first")]);
    let cases: [(&str, i32, Vec<u8>); 9] = [
        (
            "bytes after the last record",
            1,
            [&first[..], &[0; 9]].concat(),
        ),
        ("fewer records than claimed", 2, [&first[..], &[]].concat()),
        (
            "a record longer than the batch",
            2,
            [&first[..], &[0x7e, 0, 0, 0, 1, 1, 0]].concat(),
        ),
        (
            "a negative record length",
            2,
            [&first[..], &[0x01, 0, 0, 0, 1, 1, 0]].concat(),
        ),
        (
            "an endless length",
            2,
            [&first[..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat(),
        ),
        (
            "a key longer than its record",
            2,
            [&first[..], &[12, 0, 0, 0, 0x7e, 1, 0]].concat(),
        ),
        (
            "a value longer than its record",
            2,
            [&first[..], &[12, 0, 0, 0, 1, 0x7e, 0]].concat(),
        ),
        (
            "a value that leaves no header count",
            2,
            [&first[..], &[14, 0, 0, 0, 1, 4, b'v', b'v']].concat(),
        ),
        ("an empty record", 2, [&first[..], &[0; 7]].concat()),
    ];
    for (name, count, body) in cases {
        let seen = outcome(&request(&[batch(count, &body), good.clone()]));
        assert_eq!(
            seen,
            ["first", "batch false", "after", "batch true", "end true"],
            "{name}"
        );
    }
}

#[test]
fn a_message_whose_value_length_lies() {
    let good = batch(1, &encode_records(&[plain("after")]));
    for (codec, lie) in [(0, 3u8), (0, 7), (1, 3), (1, 7)] {
        let mut message = encode_message(1, 0, 0, codec, Some(b"key"), Some(b"value"));
        let at = message.len() - 6;
        message[at] = lie;
        let seen = outcome(&request(&[message, good.clone()]));
        assert_eq!(
            seen,
            ["batch false", "after", "batch true", "end true"],
            "codec {codec}, {lie} for 5"
        );
    }
}

#[test]
fn attributes_of_old_messages_have_only_their_own_bits() {
    for (magic, expected) in [(0, 0x07), (1, 0x0f)] {
        let message = encode_message(magic, 0, 0, 0x3f, None, Some(b"value"));
        let headers: Vec<BatchHeader> = whole(Side::Request, PRODUCE, 3, &request(&[message]))
            .into_iter()
            .filter_map(|event| {
                if let Seen::Batch(header) = event {
                    Some(header)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(
            headers
                .iter()
                .map(|header| header.attributes)
                .collect::<Vec<_>>(),
            [expected]
        );
        assert!(!headers[0].is_control() && !headers[0].is_transactional());
    }
}

#[test]
fn bytes_after_the_end_are_not_a_longer_message() {
    let mut body = request(&[batch(1, &encode_records(&[plain("k")]))]);
    body.push(0);
    assert_eq!(
        outcome(&body),
        ["k", "batch true", "undecodable trailing_bytes", "end false"]
    );
    // SaslHandshake: a mechanism, then a byte too many.
    let seen = whole(Side::Request, api::SASL_HANDSHAKE, 1, b"\x00\x05PLAIN\x00");
    assert_eq!(
        seen,
        [Seen::Undecodable("trailing_bytes"), Seen::End(false)]
    );
}

#[test]
fn unknown_versions_are_only_framed() {
    for (key, version) in [
        (PRODUCE, 14),
        (FETCH, 19),
        (api::METADATA, 14),
        (api::API_VERSIONS, -1),
        (500, 0),
    ] {
        for side in [Side::Request, Side::Response] {
            assert_eq!(
                whole(side, key, version, &[0; 30]),
                [Seen::End(true)],
                "{key} v{version}"
            );
        }
    }
}
