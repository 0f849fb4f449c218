//! A record key that is not shown. In: its bytes; out: the text that stands on spans in its place, the same on every node.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

const HASH: (u64, u64) = (
    u64::from_be_bytes(*b"obikafka"),
    u64::from_be_bytes(*b"keyhash1"),
);

pub fn hashed(key: &[u8]) -> String {
    let mut hasher = SipHasher24::new_with_keys(HASH.0, HASH.1);
    hasher.write(key);
    format!("hash:{:016x}", hasher.finish())
}
