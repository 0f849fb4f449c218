//! Records of an opened batch. In: magic, the record count, the bytes.
#![no_main]

use kafka_wire::body::Limits;
use kafka_wire::record_batch::{BatchHeader, Codec, walk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [magic, count, inner @ ..] = data else {
        return;
    };
    let header = BatchHeader {
        magic: (magic % 3) as i8,
        base_offset: 100,
        wire_len: 0,
        body_len: 0,
        codec: Codec::Gzip,
        attributes: 1,
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: i32::from(*count),
    };
    let limits = Limits {
        keep: 100,
        ..Limits::default()
    };
    let mut seen = 0;
    let walked = walk(&header, inner, &limits, |record| {
        seen += 1;
        let kept = record.key.map_or(0, <[u8]>::len) + record.headers.raw.len();
        assert!(kept <= limits.keep);
        assert!(record.size as usize <= inner.len());
        let headers = record.headers.iter().count();
        assert!(headers <= kept);
        header.offset(&record);
        header.timestamp(&record);
    });
    assert_eq!(walked.records, seen);
});
