//! The partition that a client chooses for a key. In: a key and the number of partitions; out: the partition, as each family of clients
//! computes it.
//!
//! Only keys decide here: records without one go where the client likes. What clients do with an empty key differs too: librdkafka's
//! `consistent_random` takes it for none.

/// Java's default, franz-go's, sarama's `Murmur2`, librdkafka's `murmur2_random`: murmur2, its sign bit cleared, modulo `count`. −1: there are no
/// partitions.
pub fn murmur2(key: &[u8], count: i32) -> i32 {
    if count < 1 {
        return -1;
    }
    (murmur2_hash(key) & 0x7fff_ffff) as i32 % count
}

/// librdkafka's default (`consistent`, `consistent_random`) and so that of the clients around it: CRC-32, unsigned, modulo `count`. −1: there are
/// no partitions.
pub fn crc32(key: &[u8], count: i32) -> i32 {
    if count < 1 {
        return -1;
    }
    let mut crc = flate2::Crc::new();
    crc.update(key);
    (crc.sum() % count as u32) as i32
}

/// Sarama's default, kafka-go's `Hash`: FNV-1a taken for an i32, modulo `count`, without its sign. −1: there are no partitions.
pub fn fnv1a(key: &[u8], count: i32) -> i32 {
    if count < 1 {
        return -1;
    }
    // The remainder is smaller than `count`, so that its sign can always go.
    (fnv1a_hash(key) as i32 % count).abs()
}

/// MurmurHash2 of 32 bits with Kafka's seed (`Utils.murmur2`).
fn murmur2_hash(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (byte, shift) in tail.iter().zip([0, 8, 16]) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

fn fnv1a_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_hashes_are_those_of_java() {
        // Kafka's UtilsTest, by franz-go's partitioner_test.go.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2_hash(key.as_bytes()) as i32, expected, "{key}");
        }
        // Sarama's partitioner_test.go; librdkafka's rdmurmur2.c, by kafka-go's balancer_test.go.
        for (key, expected) in [
            ("foo", 597_841_616),
            ("bar", 988_958_145),
            ("baz", 1_973_573_280),
            ("sarama", 770_765_511),
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x7842_4f1c),
            ("reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62_b377),
            ("eAmbleWillBeRemoved,ThePrePartThatIs", 0xe0e4_e09e),
            ("AmbleWillBeRemoved,ThePrePartThatIs", 0x62b8_b43f),
            ("", 0x106e_08d9),
        ] {
            assert_eq!(murmur2_hash(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn murmur2_partitions() {
        // kafka-python's test_partitioner.py and librdkafka's 0048-partitioner.c by kafka-go's balancer_test.go; sarama's partitioner_test.go.
        for (key, count, expected) in [
            ("", 1000, 681),
            ("a", 1000, 524),
            ("ab", 1000, 434),
            ("abc", 1000, 107),
            ("123456789", 1000, 566),
            ("\0 ", 1000, 742),
            ("foo", 100, 16),
            ("kafka", 100, 80),
            ("", 17, 0x106e_08d9 % 17),
            ("23456", 17, 0x058d_780f % 17),
            (
                "this is another string with more length to it perhaps",
                17,
                0x4f77_03da % 17,
            ),
            ("hejsan", 17, 0x5ec1_9395 % 17),
        ] {
            assert_eq!(murmur2(key.as_bytes(), count), expected, "{key}");
        }
    }

    #[test]
    fn crc32_partitions() {
        // Sarama's partitioner_test.go, then librdkafka's 0048-partitioner.c by kafka-go's balancer_test.go.
        for (key, count, expected) in [
            ("abc123def456", 100, 57),
            ("SheetJS", 100, 26),
            ("9e8c7f4cf45857cfff7645d6", 100, 24),
            ("3900446192ff85a5f67da10c", 100, 75),
            ("0f4407b7a67d6d27de372198", 100, 50),
            ("23456", 17, (0xb1b4_51d7u32 % 17) as i32),
            (
                "this is another string with more length to it perhaps",
                17,
                (0xb015_0df7u32 % 17) as i32,
            ),
            ("hejsan", 17, (0xd077_037eu32 % 17) as i32),
            ("boop", 3, 1),
            ("", 17, 0),
        ] {
            assert_eq!(crc32(key.as_bytes(), count), expected, "{key}");
        }
    }

    #[test]
    fn fnv1a_partitions() {
        // kafka-go's balancer_test.go; the last two hash to a negative i32, the last one to the least of all (sarama's partitioner_test.go).
        for (key, count, expected) in [
            ("blah", 2, 0),
            ("blah", 3, 1),
            ("boop", 3, 2),
            ("20", 16, 1),
            ("1468509572224", 50, 48),
        ] {
            assert_eq!(fnv1a(key.as_bytes(), count), expected, "{key}");
        }
        assert_eq!(fnv1a_hash(b"1468509572224"), 1 << 31);
    }

    #[test]
    fn a_partition_is_one_of_those_there_are() {
        for partition in [murmur2, crc32, fnv1a] {
            for n in 0..200u32 {
                let key = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
                assert_eq!(partition(&key, 1), 0);
                assert!((0..7).contains(&partition(&key, 7)));
                assert!(partition(&key, i32::MAX) >= 0);
                assert_eq!(partition(&key, 0), -1);
                assert_eq!(partition(&key, i32::MIN), -1);
            }
        }
    }
}
