//! Compressed bodies opened as they pass: any split gives what opening them whole gives, and little is held.

use kafka_wire::body::Limits;
use kafka_wire::compression::{CompressionError, Inflater};
use kafka_wire::record_batch::{Codec, Walker, walk};
use proptest::prelude::*;

use crate::codecs::{ALL, compress};
use crate::model::{encode_records, record, v2_header};
use crate::seen::SeenRecord;

/// Opens in pieces of `split` bytes, with a cap; the result and what came out.
pub fn inflate(
    codec: Codec,
    bytes: &[u8],
    cap: usize,
    split: usize,
) -> (Result<usize, CompressionError>, Vec<u8>) {
    let mut out = Vec::new();
    let mut inflater = Inflater::new(codec).expect("a codec");
    let mut emit = |run: &[u8]| {
        if out.len() + run.len() > cap {
            return Err(CompressionError::TooLarge);
        }
        out.extend_from_slice(run);
        Ok(())
    };
    let result = bytes
        .chunks(split)
        .try_for_each(|piece| inflater.feed(piece, &mut emit))
        .and_then(|()| inflater.finish(&mut emit));
    (result.map(|()| out.len()), out)
}

#[test]
fn little_is_held_of_a_large_body() {
    let noise: Vec<u8> = (0..6u64 << 20)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect();
    for (plain, what) in [(noise, "noise"), (vec![7; 64 << 20], "a run")] {
        for codec in ALL {
            let packed = compress(codec, &plain);
            let mut inflater = Inflater::new(codec).expect("a codec");
            let (mut out, mut held, mut longest) = (0, 0, 0);
            for piece in packed.chunks(16 * 1024) {
                let fed = inflater.feed(piece, &mut |run| {
                    out += run.len();
                    longest = longest.max(run.len());
                    Ok(())
                });
                assert_eq!(fed, Ok(()), "{codec:?} {what}");
                held = held.max(inflater.held());
            }
            let ended = inflater.finish(&mut |run| {
                out += run.len();
                Ok(())
            });
            assert_eq!((ended, out), (Ok(()), plain.len()), "{codec:?} {what}");
            assert!(held <= 9 << 20, "{codec:?} {what}: {held} held");
            assert!(longest <= 9 << 20, "{codec:?} {what}: {longest} at once");
        }
    }
}

#[test]
fn snappy_copies_may_reach_far_back() {
    // A literal of 70,000 bytes, then a copy from 69,999 back: further than Google's encoder goes.
    let literal: Vec<u8> = (0..70_000u32).map(|i| (i % 251) as u8).collect();
    let mut packed = vec![0xfa, 0xa2, 0x04, 62 << 2, 0x6f, 0x11, 0x01];
    packed.extend_from_slice(&literal);
    packed.extend_from_slice(&[(9 << 2) | 3, 0x6f, 0x11, 0x01, 0]);
    let mut plain = literal.clone();
    plain.extend_from_slice(&literal[1..11]);
    for split in [1, 7, 4096, packed.len()] {
        let (result, out) = inflate(Codec::Snappy, &packed, usize::MAX, split);
        assert_eq!(result, Ok(70_010), "{split}");
        assert!(out == plain, "{split}");
    }
}

proptest! {
    #[test]
    fn records_in_pieces_are_those_of_the_whole(
        records in prop::collection::vec(record(), 0..20),
        cut in 0_usize..200,
        codec in prop::sample::select(ALL.to_vec()),
        split in prop::sample::select(vec![1_usize, 2, 3, 17, 100, 5000]),
        keep in prop::sample::select(vec![0_usize, 5, 10_240]),
    ) {
        let plain = encode_records(&records);
        let plain = &plain[..plain.len().saturating_sub(cut.saturating_sub(150))];
        let header = v2_header(0, 0, records.len() as i32, 0, (-1, -1, -1));
        let mut expected = Vec::new();
        let limits = Limits { keep, ..Limits::default() };
        let walked = walk(&header, plain, &limits, |record| expected.push(SeenRecord::from(&record)));
        let packed = compress(codec, plain);
        let (mut walker, mut seen) = (Walker::new(&header, keep), Vec::new());
        let mut inflater = Inflater::new(codec).expect("a codec");
        let mut emit = |run: &[u8]| {
            // Small runs, so that records are cut too.
            for run in run.chunks(split) {
                walker.feed(run, &mut |record| seen.push(SeenRecord::from(record)));
            }
            Ok(())
        };
        for piece in packed.chunks(split) {
            inflater.feed(piece, &mut emit).expect("whole");
        }
        inflater.finish(&mut emit).expect("whole");
        prop_assert_eq!(walker.is_complete(), walked.complete);
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn noise_is_refused_without_harm(
        codec in prop::sample::select(ALL.to_vec()),
        start in prop::sample::select(vec![
            vec![], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec(), vec![0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0],
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58], vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0],
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let packed = [start, bytes].concat();
        let one = inflate(codec, &packed, 1 << 20, packed.len().max(1));
        let many = inflate(codec, &packed, 1 << 20, 3);
        prop_assert_eq!(one.0.is_ok(), many.0.is_ok());
    }
}
