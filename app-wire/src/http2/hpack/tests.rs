//! The decoder against another one (`httlib-hpack`), against hostile blocks, and that it keeps no secret.

use httlib_hpack::{Decoder as Oracle, Encoder};
use proptest::prelude::*;

use super::*;

fn ours(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(Name, Vec<u8>)>, Broken> {
    let mut fields = Vec::new();
    decoder.block(block, |name, value| fields.push((name, value.to_vec())))?;
    Ok(fields)
}

fn field() -> impl Strategy<Value = (String, Vec<u8>, u8)> {
    let name = prop_oneof![
        Just(":path".to_owned()),
        Just(":status".to_owned()),
        Just("traceparent".to_owned()),
        Just("grpc-status".to_owned()),
        Just("cookie".to_owned()),
        "[a-z-]{1,12}",
    ];
    // The oracle's flags: with and without indexing, never indexed, Huffman for name and value.
    let flags = prop_oneof![
        Just(0u8),
        Just(Encoder::WITH_INDEXING),
        Just(Encoder::NEVER_INDEXED)
    ];
    let huffman = prop_oneof![
        Just(0u8),
        Just(Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE)
    ];
    (
        name,
        prop::collection::vec(any::<u8>(), 0..300),
        flags,
        huffman,
    )
        .prop_map(|(name, value, flags, huffman)| {
            (name, value, flags | huffman | Encoder::BEST_FORMAT)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_another_decoder_reads_it(
        blocks in prop::collection::vec(prop::collection::vec(field(), 1..12), 1..12),
        size in 0u32..5000,
    ) {
        let mut encoder = Encoder::default();
        let (mut decoder, mut oracle) = (Decoder::default(), Oracle::default());
        for (at, fields) in blocks.iter().enumerate() {
            let mut block = Vec::new();
            if at == 1 {
                encoder.update_max_dynamic_size(size.min(4096), &mut block).unwrap();
            }
            for (name, value, flags) in fields {
                encoder
                    .encode((name.clone().into_bytes(), value.clone(), *flags), &mut block)
                    .unwrap();
            }
            let got = ours(&mut decoder, &block).unwrap();
            let mut want = Vec::new();
            oracle.decode(&mut block, &mut want).unwrap();
            let want: Vec<_> = want
                .into_iter()
                .filter_map(|(name, value, _)| Some((Name::of(&name)?, value)))
                .collect();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn bounded_whatever_comes(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let _ = ours(&mut decoder, &block);
            prop_assert!(decoder.size <= decoder.max && decoder.max <= TABLE);
            let sum: usize = decoder.entries.iter().map(|entry| entry.size).sum();
            prop_assert_eq!(sum, decoder.size);
        }
    }
}

#[test]
fn secrets_are_measured_and_not_kept() {
    let mut decoder = Decoder::default();
    // cookie (static 32) with indexing, then the same entry again, then :path.
    let fields = ours(&mut decoder, b"\x60\x08hunter22\xbe\x44\x02/x").unwrap();
    assert_eq!(fields, [(Name::Path, b"/x".to_vec())]);
    assert_eq!(decoder.size, 6 + 8 + 32 + 5 + 2 + 32);
    assert!(
        decoder
            .entries
            .iter()
            .all(|entry| &*entry.value != b"hunter22")
    );
}

#[test]
fn hostile_blocks_are_refused() {
    let many = |n: usize| {
        let mut block = b"\x44\x7f\xa1\x1e".to_vec();
        block.resize(block.len() + 4000, b'a');
        block.resize(block.len() + n, 0xbe);
        block
    };
    let cases: &[(&str, Vec<u8>)] = &[
        ("index 0", vec![0x80]),
        ("index beyond the tables", vec![0xbe]),
        ("table above what we follow", vec![0x3f, 0xe1, 0xff, 0x7f]),
        ("endless integer", vec![0xff; 9]),
        ("string beyond the block", vec![0x44, 0x05, b'a']),
        ("one entry many times", many(100)),
    ];
    for (what, block) in cases {
        assert_eq!(ours(&mut Decoder::default(), block), Err(Broken), "{what}");
    }
    assert_eq!(ours(&mut Decoder::default(), &many(3)).unwrap().len(), 4);
}
