//! Starting points for the fuzz targets, in `tests/fuzz/corpus/<target>/seed-NN`. In: the models; out: files, or proof that they are the same.
//!
//! `UPDATE_SEEDS=1 cargo test -p kafka-wire seeds` writes them anew.

use std::path::{Path, PathBuf};

use kafka_wire::api::{self, METADATA, is_flexible};
use kafka_wire::body::Side;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::codecs::{ALL, compress};
use crate::model::{Body, encode_message, encode_records, produce_or_fetch, record, share_body};
use crate::writer::Writer;

const EACH: usize = 12;

/// Seeds of a target are the files of its folder that begin with `seed-`.
fn check(target: &str, seeds: &[Vec<u8>]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/corpus")
        .join(target);
    let path = |i: usize| -> PathBuf { folder.join(format!("seed-{i:02}")) };
    for (i, seed) in seeds.iter().enumerate() {
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::create_dir_all(&folder).expect("the corpus is writable");
            std::fs::write(path(i), seed).expect("the corpus is writable");
        }
        let stored = std::fs::read(path(i)).unwrap_or_default();
        assert!(
            stored == *seed,
            "{} differs: UPDATE_SEEDS=1 cargo test -p kafka-wire seeds",
            path(i).display()
        );
    }
}

/// Some bodies of one side: versions spread over all there are.
fn bodies(side: Side) -> Vec<Body> {
    let mut runner = TestRunner::deterministic();
    let mut found = Vec::new();
    while found.len() < EACH {
        let mut body = produce_or_fetch()
            .new_tree(&mut runner)
            .expect("a body")
            .current();
        if body.side == side {
            body.version =
                (found.len() as i16 * 7 + 1) % if side == Side::Request { 14 } else { 19 };
            found.push(body);
        }
    }
    found
}

#[test]
fn seeds_of_produce_and_fetch() {
    for (target, side) in [("produce", Side::Request), ("fetch", Side::Response)] {
        let mut seeds: Vec<_> = bodies(side)
            .iter()
            .map(|body| [&[body.version as u8, 7][..], &body.encode().0].concat())
            .collect();
        if side == Side::Response {
            seeds.extend(share_answers());
        }
        check(target, &seeds);
    }
}

/// ShareFetch answers: to the target they are Fetch answers of the versions after the last.
fn share_answers() -> impl Iterator<Item = Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    (0..6).map(move |i| {
        let mut body = share_body()
            .new_tree(&mut runner)
            .expect("a body")
            .current();
        body.version = i % 3;
        [&[19 + body.version as u8, 7][..], &body.encode().0].concat()
    })
}

#[test]
fn seeds_of_frame() {
    let seeds: Vec<_> = bodies(Side::Request)
        .iter()
        .map(|body| {
            let mut w = Writer::new(false);
            w.i16(api::PRODUCE)
                .i16(body.version)
                .i32(1)
                .string(Some("client"));
            w.flexible = is_flexible(api::PRODUCE, body.version);
            w.tags(&[]).raw(&body.encode().0);
            [&(w.out.len() as u32).to_be_bytes()[..], &w.out].concat()
        })
        .collect();
    check("frame", &seeds);
}

#[test]
fn seeds_of_metadata() {
    // A Metadata answer of each version: an odd number is an answer.
    let seeds: Vec<_> = (0..=13)
        .map(|version| {
            [
                &[METADATA as u8, version as u8 * 2 + 1][..],
                &metadata(version),
            ]
            .concat()
        })
        .collect();
    check("metadata", &seeds);
}

fn metadata(version: i16) -> Vec<u8> {
    let mut w = Writer::new(is_flexible(METADATA, version));
    if version >= 3 {
        w.i32(0);
    }
    w.length(Some(1)).i32(1).string(Some("broker-1")).i32(9092);
    if version >= 1 {
        w.string(None);
    }
    w.tags(&[]);
    if version >= 2 {
        w.string(Some("cluster"));
    }
    if version >= 1 {
        w.i32(1);
    }
    w.length(Some(1)).i16(0).string(Some("orders"));
    if version >= 10 {
        w.raw(&[7; 16]);
    }
    if version >= 1 {
        w.i8(0);
    }
    w.length(Some(1)).i16(0).i32(0).i32(1);
    if version >= 7 {
        w.i32(4);
    }
    for _ in 0..if version >= 5 { 3 } else { 2 } {
        w.length(Some(2)).i32(1).i32(2);
    }
    w.tags(&[]);
    if version >= 8 {
        w.i32(0);
    }
    w.tags(&[]);
    if (8..=10).contains(&version) {
        w.i32(0);
    }
    if version >= 13 {
        w.i16(0);
    }
    w.tags(&[]).out.clone()
}

#[test]
fn metadata_seeds_are_metadata() {
    for version in 0..=13 {
        let seen = crate::seen::whole(Side::Response, METADATA, version, &metadata(version));
        assert!(
            matches!(
                seen[..],
                [crate::seen::Seen::Message(_), crate::seen::Seen::End(true)]
            ),
            "v{version}: {seen:?}"
        );
    }
}

#[test]
fn seeds_of_record_batch_and_compression() {
    let mut runner = TestRunner::deterministic();
    let records = proptest::collection::vec(record(), 1..4);
    let mut batches = Vec::new();
    let mut packed = Vec::new();
    for i in 0..EACH {
        let records = records.new_tree(&mut runner).expect("records").current();
        let magic = [2, 2, 1, 0][i % 4];
        let inner = match magic {
            2 => encode_records(&records),
            magic => {
                let message = |(i, record): (i64, &crate::model::Record)| {
                    encode_message(
                        magic,
                        i,
                        1,
                        0,
                        record.key.as_deref(),
                        record.value.as_deref(),
                    )
                };
                (0..).zip(&records).flat_map(message).collect()
            }
        };
        let codec = i % ALL.len();
        // Pieces of 41 bytes.
        packed.push([&[codec as u8 + 1, 40][..], &compress(ALL[codec], &inner)].concat());
        batches.push([&[magic as u8, records.len() as u8][..], &inner].concat());
    }
    check("record_batch", &batches);
    check("compression", &packed);
}
