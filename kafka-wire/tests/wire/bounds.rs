//! Memory: a body of any size and any content holds a few KiB, and every record of it is seen.

use kafka_wire::Segment;
use kafka_wire::api::{FETCH, FIND_COORDINATOR, PRODUCE, SHARE_FETCH};
use kafka_wire::body::{Decoder, Event, Limits, Side};

use crate::model::{Record, encode_records, encode_v2, v2_header};
use crate::writer::Writer;

const MIB: usize = 1 << 20;
/// Of the socket reads that the agent sees.
const PIECE: usize = 16 * 1024;

/// Feeds `head`, then `unit` again and again up to `len` bytes in all, in pieces; gives the most that was held.
fn feed(
    decoder: &mut Decoder,
    head: &[u8],
    unit: &[u8],
    len: usize,
    emit: &mut impl FnMut(Event<'_>),
) -> usize {
    // Long enough that a piece begins anywhere in its first unit.
    let units = unit.repeat(PIECE / unit.len() + 2);
    let mut most = 0;
    let mut piece = Vec::with_capacity(PIECE);
    let mut pos = 0;
    while pos < len {
        let size = PIECE.min(len - pos);
        piece.clear();
        piece.extend_from_slice(
            head.get(pos..head.len().min(pos + size))
                .unwrap_or_default(),
        );
        let start = (pos + piece.len() - head.len()) % unit.len();
        piece.extend_from_slice(&units[start..start + size - piece.len()]);
        decoder.feed(Segment::Bytes(&piece), emit);
        most = most.max(decoder.held());
        pos += size;
    }
    most
}

/// The head of a Fetch answer v11 with one partition of `records_len` bytes, and the body's length.
fn answer_head(records_len: usize) -> (Vec<u8>, usize) {
    let mut w = Writer::new(false);
    w.i32(0)
        .i16(0)
        .i32(0)
        .length(Some(1))
        .string(Some("t"))
        .length(Some(1));
    w.i32(0)
        .i16(0)
        .i64(1)
        .i64(1)
        .i64(0)
        .length(None)
        .i32(-1)
        .length(Some(records_len));
    let len = w.out.len() + records_len;
    (w.out, len)
}

fn records(n: usize, value: usize) -> Vec<Record> {
    let record = |i| Record {
        key: Some(b"key".to_vec()),
        value: Some(vec![b'v'; value]),
        headers: vec![("traceparent".to_owned(), Some(vec![b'0'; 55]))],
        timestamp_delta: 0,
        offset_delta: i as i32,
    };
    (0..n).map(record).collect()
}

#[test]
fn an_answer_of_100_mib_in_16_kib_reads() {
    let records = records(16, 1024);
    let body = encode_records(&records);
    let batch = encode_v2(
        &v2_header(0, 0, records.len() as i32, body.len(), (-1, -1, -1)),
        &body,
    );
    let batches = 100 * MIB / batch.len();
    let (head, len) = answer_head(batches * batch.len());
    let limits = Limits::default();
    let mut decoder = Decoder::new(Side::Response, FETCH, 11, len as u64, limits);
    let (mut seen_batches, mut seen_records, mut whole, mut ended) = (0, 0, 0, false);
    let held = feed(&mut decoder, &head, &batch, len, &mut |event| match event {
        Event::Batch(header) => {
            seen_batches += 1;
            assert_eq!(header.records_count, 16);
        }
        Event::Record(record) => {
            seen_records += 1;
            assert!(!record.truncated);
            assert_eq!(
                (record.key, record.value_len),
                (Some(&b"key"[..]), Some(1024))
            );
        }
        Event::BatchEnd { complete } => whole += usize::from(complete),
        Event::End { complete } => ended = complete,
        _ => {}
    });
    assert!(ended);
    assert_eq!(
        (seen_batches, seen_records, whole),
        (batches, 16 * batches, batches)
    );
    assert!(held < 4096, "{held}");
}

#[test]
fn one_record_of_100_mib() {
    let value = 100 * MIB - 1000;
    let mut record = Writer::default();
    record
        .i8(0)
        .varint(0)
        .varint(0)
        .varint(3)
        .raw(b"key")
        .varint(value as i64);
    let size = record.out.len() + value + 1;
    let mut body = Writer::default();
    body.varint(size as i64).raw(&record.out);
    let body_len = body.out.len() + value + 1;
    let mut batch = encode_v2(&v2_header(0, 0, 1, 0, (-1, -1, -1)), &body.out);
    batch[8..12].copy_from_slice(&(body_len as i32 + 49).to_be_bytes());
    let (mut head, len) = answer_head(61 + body_len);
    head.extend_from_slice(&batch);
    let mut decoder = Decoder::new(Side::Response, FETCH, 11, len as u64, Limits::default());
    let mut sizes = Vec::new();
    // The value and the header count are zeros.
    let held = feed(&mut decoder, &head, &[0], len, &mut |event| {
        if let Event::Record(record) = event {
            sizes.push((
                record.size as usize,
                record.value_len,
                record.headers.claimed(),
                record.truncated,
            ));
        }
    });
    assert_eq!(sizes, [(size, Some(value as u32), Some(0), false)]);
    assert!(held < 4096, "{held}");
}

#[test]
fn a_key_above_the_cap_is_cut() {
    let mut big = records(1, 10);
    big[0].key = Some(vec![b'k'; 5 * MIB]);
    let body = encode_records(&big);
    let batch = encode_v2(&v2_header(0, 0, 1, body.len(), (-1, -1, -1)), &body);
    let (head, len) = answer_head(batch.len());
    let limits = Limits::default();
    let mut decoder = Decoder::new(Side::Response, FETCH, 11, len as u64, limits);
    let mut seen = Vec::new();
    let held = feed(&mut decoder, &head, &batch, len, &mut |event| {
        if let Event::Record(record) = event {
            seen.push((
                record.key.map(<[u8]>::len),
                record.key_len,
                record.headers.raw.len(),
                record.truncated,
            ));
        }
    });
    assert_eq!(seen, [(Some(limits.keep), Some(5 * MIB as u32), 0, true)]);
    assert!(held < 2 * limits.keep + 4096, "{held}");
}

#[test]
fn aborted_transactions_without_end() {
    let mut head = Writer::new(false);
    head.i32(0)
        .i16(0)
        .i32(0)
        .length(Some(1))
        .string(Some("t"))
        .length(Some(1));
    head.i32(0)
        .i16(0)
        .i64(1)
        .i64(1)
        .i64(0)
        .length(Some(6 * MIB));
    let mut tail = Writer::new(false);
    tail.i32(-1).length(None);
    let aborted = 6 * MIB * 16;
    let len = head.out.len() + aborted + tail.out.len();
    let mut decoder = Decoder::new(Side::Response, FETCH, 11, len as u64, Limits::default());
    let mut kept = Vec::new();
    let mut see = |event: Event<'_>| {
        if let Event::Partition(partition) = event {
            kept.push((
                partition.aborted.pairs.len(),
                partition.aborted.truncated,
                partition.records_len,
            ));
        }
    };
    let held = feed(
        &mut decoder,
        &head.out,
        &[7],
        head.out.len() + aborted,
        &mut see,
    );
    decoder.feed(Segment::Bytes(&tail.out), &mut see);
    assert_eq!(kept, [(4096, true, None)]);
    assert!(held < 80 * 1024, "{held}");
}

#[test]
fn strings_and_tags_without_end() {
    // A topic name of 60 MiB, in a Produce request v9.
    let mut head = Writer::new(true);
    head.string(None)
        .i16(1)
        .i32(0)
        .length(Some(1))
        .uvarint(60 << 20);
    let mut reasons = Vec::new();
    let mut decoder = Decoder::new(Side::Request, PRODUCE, 9, 61 << 20, Limits::default());
    let held = feed(&mut decoder, &head.out, b"n", 61 << 20, &mut |event| {
        reasons.push(format!("{event:?}"))
    });
    assert_eq!(
        reasons,
        [
            "Produce { transactional_id: None, acks: 1, timeout_ms: 0 }",
            "Undecodable { reason: \"string_too_long\" }",
            "End { complete: false }"
        ]
    );
    assert!(held < 8192, "{held}");

    // One tag of 60 MiB is stepped over.
    let mut head = Writer::new(true);
    head.string(None)
        .i16(1)
        .i32(0)
        .length(Some(0))
        .uvarint(1)
        .uvarint(3)
        .uvarint(60 << 20);
    let len = head.out.len() + (60 << 20);
    let mut ended = Vec::new();
    let mut decoder = Decoder::new(Side::Request, PRODUCE, 9, len as u64, Limits::default());
    let held = feed(&mut decoder, &head.out, &[0xff], len, &mut |event| {
        ended.push(format!("{event:?}"))
    });
    assert_eq!(
        ended.last().map(String::as_str),
        Some("End { complete: true }")
    );
    assert!(held < 8192, "{held}");
}

#[test]
fn what_must_be_whole_and_is_too_large_is_not_gathered() {
    let limits = Limits {
        whole: 1000,
        ..Limits::default()
    };
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(Side::Response, FIND_COORDINATOR, 6, 50 << 20, limits);
    let held = feed(&mut decoder, &[], &[0], 50 << 20, &mut |event| {
        seen.push(format!("{event:?}"))
    });
    assert_eq!(
        seen,
        [
            "Undecodable { reason: \"too_large\" }",
            "End { complete: false }"
        ]
    );
    assert_eq!(held, 0);
}

/// The head of a ShareFetch answer up to the current leader's tags.
fn share_head() -> Writer {
    let mut head = Writer::new(true);
    head.i32(0).i16(0).string(None).i32(0).length(Some(1));
    head.raw(&[5; 16]).length(Some(1));
    head.i32(0).i16(0).string(None).i16(0).string(None);
    head.i32(1).i32(1);
    head
}

#[test]
fn acquired_records_without_end() {
    let count = MIB;
    let mut head = share_head();
    head.tags(&[]).length(None).length(Some(count));
    let mut run = Writer::new(true);
    run.i64(7).i64(9).i16(1).tags(&[]);
    let mut tail = Writer::new(true);
    tail.tags(&[]).tags(&[]).length(Some(0)).tags(&[]);
    let runs = head.out.len() + count * run.out.len();
    let len = (runs + tail.out.len()) as u64;
    let mut decoder = Decoder::new(Side::Response, SHARE_FETCH, 2, len, Limits::default());
    let (mut acquired, mut ended) = (0, false);
    let mut see = |event: Event<'_>| match event {
        Event::Acquired(run) => {
            acquired += 1;
            assert_eq!((run.first_offset, run.last_offset), (7, 9));
            assert_eq!(run.delivery_count, 1);
        }
        Event::End { complete } => ended = complete,
        _ => {}
    };
    let held = feed(&mut decoder, &head.out, &run.out, runs, &mut see);
    decoder.feed(Segment::Bytes(&tail.out), &mut see);
    assert_eq!((acquired, ended), (count, true));
    assert!(held < 4096, "{held}");
}

#[test]
fn what_is_stepped_over_in_a_share_fetch_answer_without_end() {
    // A tag of the current leader, before the records.
    let mut head = share_head();
    head.uvarint(1).uvarint(3).uvarint(60 << 20);
    let mut tail = Writer::new(true);
    tail.length(None).length(Some(0)).tags(&[]).tags(&[]);
    tail.length(Some(0)).tags(&[]);
    let tag = head.out.len() + (60 << 20);
    let len = (tag + tail.out.len()) as u64;
    let mut decoder = Decoder::new(Side::Response, SHARE_FETCH, 2, len, Limits::default());
    let mut ended = false;
    let mut see = |event: Event<'_>| {
        if let Event::End { complete } = event {
            ended = complete;
        }
    };
    let held = feed(&mut decoder, &head.out, &[0xff], tag, &mut see);
    decoder.feed(Segment::Bytes(&tail.out), &mut see);
    assert!(ended && held < 4096, "{held}");

    // An error message of 60 MiB is none.
    let mut head = Writer::new(true);
    head.i32(0).i16(0).uvarint(60 << 20);
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(Side::Response, SHARE_FETCH, 2, 61 << 20, Limits::default());
    let held = feed(&mut decoder, &head.out, b"m", 61 << 20, &mut |event| {
        seen.push(format!("{event:?}"))
    });
    let expected = [
        "Undecodable { reason: \"string_too_long\" }",
        "End { complete: false }",
    ];
    assert_eq!(seen, expected);
    assert!(held < 8192, "{held}");
}
