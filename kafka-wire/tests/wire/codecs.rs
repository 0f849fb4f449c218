//! Compressed bodies: every framing that clients write, what is cut or lies, and bombs.

use std::io::Write;

use flate2::write::GzEncoder;
use kafka_wire::body::Limits;
use kafka_wire::compression::{CompressionError, decompress, uncompressed_size_hint};
use kafka_wire::record_batch::{BatchHeader, Codec, Record, walk};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::model::{encode_message, encode_records, record, seen_records, v2_header};
use crate::passing::inflate;
use crate::seen::SeenRecord;

pub const ALL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const CAP: usize = 1 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn lz4(bytes: &[u8], info: FrameInfo) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .expect("small")
}

fn xerial(bytes: &[u8], block: usize) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(block) {
        let block = snappy(block);
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => gzip(bytes),
        Codec::Snappy => snappy(bytes),
        Codec::Lz4 => lz4(bytes, FrameInfo::new()),
        Codec::Zstd => zstd(bytes),
        other => panic!("{other:?}"),
    }
}

/// Opens with a cap; the result and what came out. In pieces the same must come out.
fn open(codec: Codec, bytes: &[u8], cap: usize) -> (Result<usize, CompressionError>, Vec<u8>) {
    let mut out = b"before".to_vec();
    let result = decompress(codec, bytes, cap, &mut out);
    assert!(out.starts_with(b"before"), "what was there stays");
    let out = out.split_off(6);
    if ALL.contains(&codec) {
        for split in [1, 100, 1 << 20] {
            let (passed, pieces) = inflate(codec, bytes, cap, split);
            assert_eq!(
                passed.is_ok(),
                result.is_ok(),
                "{codec:?} {split}: {passed:?}"
            );
            assert!(result.is_err() || pieces == out, "{codec:?} {split}");
        }
    }
    (result, out)
}

/// Compresses well, but not into nothing.
fn text(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| b"order-processors"[(i * i / 7) % 16])
        .collect()
}

#[test]
fn every_framing_opens() {
    for length in [0, 1, 100, 70_000, 300_000] {
        let plain = text(length);
        let framed = |mode, size| {
            let info = FrameInfo::new().block_mode(mode).block_size(size);
            lz4(
                &plain,
                info.content_checksum(true)
                    .block_checksums(true)
                    .content_size(Some(length as u64)),
            )
        };
        let cases = [
            ("none", Codec::None, plain.clone()),
            ("gzip", Codec::Gzip, gzip(&plain)),
            ("snappy raw", Codec::Snappy, snappy(&plain)),
            ("snappy xerial", Codec::Snappy, xerial(&plain, 32 * 1024)),
            ("lz4", Codec::Lz4, lz4(&plain, FrameInfo::new())),
            (
                "lz4 independent",
                Codec::Lz4,
                framed(BlockMode::Independent, BlockSize::Max64KB),
            ),
            (
                "lz4 linked",
                Codec::Lz4,
                framed(BlockMode::Linked, BlockSize::Max64KB),
            ),
            (
                "lz4 large blocks",
                Codec::Lz4,
                framed(BlockMode::Linked, BlockSize::Max4MB),
            ),
            ("zstd", Codec::Zstd, zstd(&plain)),
        ];
        for (name, codec, packed) in cases {
            let (result, out) = open(codec, &packed, CAP);
            assert_eq!(result, Ok(length), "{name} {length}");
            assert!(out == plain, "{name} {length}");
            let exact = open(codec, &packed, length);
            assert_eq!(
                exact.0,
                Ok(length),
                "{name} {length}: the cap itself is allowed"
            );
        }
    }
}

#[test]
fn frames_behind_each_other_are_one_body() {
    let (a, b) = (text(5000), text(900));
    let both = [&a[..], &b[..]].concat();
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let packed = [compress(codec, &a), compress(codec, &b)].concat();
        assert_eq!(
            open(codec, &packed, CAP),
            (Ok(both.len()), both.clone()),
            "{codec:?}"
        );
    }
    for codec in [Codec::Lz4, Codec::Zstd] {
        let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let packed = [compress(codec, &a), skippable.to_vec(), compress(codec, &b)].concat();
        assert_eq!(
            open(codec, &packed, CAP),
            (Ok(both.len()), both.clone()),
            "{codec:?}"
        );
    }
}

#[test]
fn a_wrong_lz4_header_checksum_does_not_matter() {
    // Clients before 0.10 computed it over the magic too, in message sets of magic 0 (KAFKA-3160).
    let plain = text(1000);
    let mut packed = lz4(&plain, FrameInfo::new());
    packed[6] ^= 0x5a;
    assert_eq!(open(Codec::Lz4, &packed, CAP), (Ok(1000), plain));
}

#[test]
fn an_lz4_frame_cannot_reach_behind_its_start() {
    // Linked blocks; the first copies from 5 bytes back after a single literal, into what the caller had there.
    let block = [0x10, b'a', 5, 0, 0x50, b'b', b'c', b'd', b'e', b'f'];
    let mut frame = vec![
        0x04,
        0x22,
        0x4d,
        0x18,
        0x40,
        0x40,
        0,
        block.len() as u8,
        0,
        0,
        0,
    ];
    frame.extend_from_slice(&block);
    frame.extend_from_slice(&[0; 4]);
    assert_eq!(
        open(Codec::Lz4, &frame, CAP),
        (Err(CompressionError::Corrupt), Vec::new())
    );
    // From one byte back it is a run of the literal.
    frame[13] = 1;
    assert_eq!(
        open(Codec::Lz4, &frame, CAP),
        (Ok(10), b"aaaaabcdef".to_vec())
    );
}

#[test]
fn what_is_cut_is_corrupt() {
    let plain = text(5000);
    for codec in ALL {
        let packed = compress(codec, &plain);
        for length in [1, 4, 7, packed.len() / 2, packed.len() - 1] {
            let (result, out) = open(codec, &packed[..length], CAP);
            assert_eq!(result, Err(CompressionError::Corrupt), "{codec:?} {length}");
            assert!(plain.starts_with(&out), "{codec:?} {length}");
        }
    }
    let packed = xerial(&plain, 1000);
    let (result, out) = open(Codec::Snappy, &packed[..packed.len() / 2], CAP);
    assert_eq!(result, Err(CompressionError::Corrupt));
    assert!(
        plain.starts_with(&out) && out.len() >= 1000,
        "whole blocks stay"
    );
    assert_eq!(
        open(Codec::Unknown(6), &plain, CAP).0,
        Err(CompressionError::UnknownCodec(6))
    );
}

#[test]
fn bombs_stop_at_the_cap() {
    let plain = vec![0; 16 << 20];
    for codec in ALL {
        let packed = compress(codec, &plain);
        let (result, out) = open(codec, &packed, 100_000);
        assert_eq!(result, Err(CompressionError::TooLarge), "{codec:?}");
        assert!(out.len() <= 100_000);
        assert!(out.capacity() <= 1 << 20, "{codec:?}: {}", out.capacity());
    }
    // Snappy states its size: 4 GiB from six bytes is a lie that is not allocated.
    let mut out = Vec::new();
    let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert_eq!(
        decompress(Codec::Snappy, &lie, usize::MAX, &mut out),
        Err(CompressionError::Corrupt)
    );
    assert_eq!(out.capacity(), 0);
}

#[test]
fn size_hints() {
    let plain = text(5000);
    let sized = lz4(&plain, FrameInfo::new().content_size(Some(5000)));
    for (codec, packed, expected) in [
        (Codec::None, plain.clone(), Some(5000)),
        (Codec::Gzip, gzip(&plain), Some(5000)),
        (Codec::Snappy, snappy(&plain), Some(5000)),
        (Codec::Snappy, xerial(&plain, 700), Some(5000)),
        (Codec::Lz4, sized, Some(5000)),
        (Codec::Lz4, lz4(&plain, FrameInfo::new()), None),
        // Single segment, 2-byte size that counts from 256.
        (
            Codec::Zstd,
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x88, 0x12],
            Some(5000),
        ),
        // Window descriptor, no size.
        (Codec::Zstd, vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58], None),
        // Window descriptor, 4-byte size.
        (
            Codec::Zstd,
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58, 0x88, 0x13, 0, 0],
            Some(5000),
        ),
        (Codec::Gzip, vec![], None),
        (Codec::Snappy, vec![], None),
        (Codec::Lz4, vec![4], None),
        (Codec::Unknown(5), plain.clone(), None),
    ] {
        assert_eq!(
            uncompressed_size_hint(codec, &packed),
            expected,
            "{codec:?} {:02x?}",
            &packed[..packed.len().min(8)]
        );
    }
}

fn walked(header: &BatchHeader, inner: &[u8]) -> (Vec<SeenRecord>, bool) {
    let mut seen = Vec::new();
    let walked = walk(header, inner, &Limits::default(), |record| {
        seen.push(SeenRecord::from(&record))
    });
    assert_eq!(walked.records as usize, seen.len());
    (seen, walked.complete)
}

#[test]
fn an_opened_wrapper_of_magic_1_has_relative_offsets() {
    // Offset 12 is that of the last of three; they were 10, 11, 12.
    let inner: Vec<u8> = (0..3)
        .flat_map(|i| {
            encode_message(
                1,
                i,
                1000 + i,
                0,
                (i != 1).then_some(b"key"),
                (i != 2).then_some(b"value"),
            )
        })
        .collect();
    let header = BatchHeader {
        magic: 1,
        base_offset: 12,
        base_timestamp: 1002,
        max_timestamp: 1002,
        attributes: 1,
        records_count: 0,
        ..v2_header(0, 1, 0, 0, (-1, -1, -1))
    };
    let expected =
        |index: u32, offset_delta, timestamp_delta, key: Option<&str>, value_len: Option<u32>| {
            SeenRecord {
                index,
                offset_delta,
                timestamp_delta,
                size: 22 + key.map_or(0, |key| key.len() as u32) + value_len.unwrap_or(0),
                key: key.map(|key| key.as_bytes().to_vec()),
                key_len: key.map(|key| key.len() as u32),
                value_len,
                headers: Vec::new(),
                truncated: false,
            }
        };
    let all = vec![
        expected(0, -2, -2, Some("key"), Some(5)),
        expected(1, -1, -1, None, Some(5)),
        expected(2, 0, 0, Some("key"), None),
    ];
    assert_eq!(walked(&header, &inner), (all.clone(), true));
    assert!(!walked(&header, &inner[..inner.len() - 1]).1);

    // Compaction removed the one in the middle: gaps in the relative offsets stay.
    let first = encode_message(1, 0, 1000, 0, Some(b"key"), Some(b"value"));
    let last = encode_message(1, 2, 1002, 0, Some(b"key"), None);
    let (seen, complete) = walked(&header, &[first, last].concat());
    assert_eq!(
        seen.iter()
            .map(|record| record.offset_delta)
            .collect::<Vec<_>>(),
        [-2, 0]
    );
    assert!(complete);
}

#[test]
fn an_opened_wrapper_of_magic_0_has_absolute_offsets_and_no_time() {
    let inner: Vec<u8> = (40..43)
        .flat_map(|offset| encode_message(0, offset, 0, 0, None, Some(b"v")))
        .collect();
    let header = BatchHeader {
        magic: 0,
        base_offset: 42,
        base_timestamp: -1,
        max_timestamp: -1,
        attributes: 2,
        ..v2_header(0, 2, 0, 0, (-1, -1, -1))
    };
    let mut seen = Vec::new();
    let walked = walk(&header, &inner, &Limits::default(), |record: Record<'_>| {
        seen.push((
            header.offset(&record),
            header.timestamp(&record),
            record.size,
        ));
    });
    assert_eq!(seen, [(40, None, 15), (41, None, 15), (42, None, 15)]);
    assert!(walked.complete);
}

#[test]
fn a_wrapper_inside_a_wrapper_is_refused() {
    let inner = [
        encode_message(1, 0, 0, 0, None, Some(b"v")),
        encode_message(1, 1, 0, 1, None, Some(b"v")),
    ]
    .concat();
    let header = BatchHeader {
        magic: 1,
        ..v2_header(0, 1, 0, 0, (-1, -1, -1))
    };
    let (seen, complete) = walked(&header, &inner);
    assert_eq!((seen.len(), complete), (1, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn opened_batches_walk_like_plain_ones(records in prop::collection::vec(record(), 0..6), which in 0usize..4) {
        let plain = encode_records(&records);
        let (result, inner) = open(ALL[which], &compress(ALL[which], &plain), CAP);
        prop_assert_eq!(result, Ok(plain.len()));
        let header = v2_header(7, 1, records.len() as i32, 0, (-1, -1, -1));
        prop_assert_eq!(walked(&header, &inner), (seen_records(&records), true));
    }

    #[test]
    fn lying_frames_cost_at_most_the_cap(
        which in 0usize..4,
        length in 0usize..3000,
        lies in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut packed = compress(ALL[which], &text(length));
        for (at, byte) in lies {
            let at = at.index(packed.len());
            packed[at] = byte;
        }
        let (result, out) = open(ALL[which], &packed, 2000);
        prop_assert!(out.len() <= 2000);
        if let Ok(n) = result {
            prop_assert_eq!(n, out.len());
        }
        uncompressed_size_hint(ALL[which], &packed);
    }
}
