//! Frames written out by hand, byte for byte: what clients of all times send and `kafka-protocol` does not know.

use kafka_wire::api::n18_api_versions::{ApiVersion, ApiVersionsRequest, FinalizedFeature};
use kafka_wire::api::{self, Message};
use kafka_wire::body::{Decoder, Event, Limits, Side};
use kafka_wire::header::{Parse, Plausible, RequestHeader, parse_response, plausible_request};
use kafka_wire::record_batch::{BatchHeader, Codec};
use kafka_wire::{Segment, TopicRef, Uuid};

use crate::seen::{Seen, SeenPartition, SeenRecord, whole};

/// Bytes of hexadecimal text; blanks and line ends do not matter, and text between quotes stands for itself.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, part) in text.split('"').enumerate() {
        if i % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).expect("ascii");
            out.push(u8::from_str_radix(pair, 16).expect("hexadecimal"));
        }
    }
    out
}

/// The one message of a body.
fn message(side: Side, key: i16, version: i16, body: &[u8], check: impl FnOnce(&Message<'_>)) {
    let mut check = Some(check);
    let mut decoder = Decoder::new(side, key, version, body.len() as u64, Limits::default());
    let mut see = |event: Event<'_>| match event {
        Event::Message(message) => check.take().expect("one message")(&message),
        Event::End { complete: true } => {}
        other => panic!("{other:?}"),
    };
    decoder.feed(Segment::Bytes(body), &mut see);
    decoder.finish(&mut see);
    assert!(check.is_none());
}

#[test]
fn produce_v0_with_a_message_set_of_magic_0() {
    // acks 1, timeout 10 s; one topic, one partition; one message.
    let body = bytes(
        r#"
        0001 00002710 00000001 0006 "orders" 00000001 00000003 00000025
        0000000000000000 00000019 deadbeef 00 00 00000003 "key" 00000008 "order-12"
        "#,
    );
    let header = BatchHeader {
        magic: 0,
        base_offset: 0,
        wire_len: 37,
        body_len: 8,
        codec: Codec::None,
        attributes: 0,
        last_offset_delta: 0,
        base_timestamp: -1,
        max_timestamp: -1,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 1,
    };
    assert_eq!(
        whole(Side::Request, api::PRODUCE, 0, &body),
        [
            Seen::Produce {
                transactional_id: None,
                acks: 1,
                timeout_ms: 10_000
            },
            Seen::Name("orders".into()),
            Seen::Partition(partition(3, Some(37))),
            Seen::Batch(header),
            Seen::Record(SeenRecord {
                index: 0,
                offset_delta: 0,
                timestamp_delta: 0,
                size: 25,
                key: Some(b"key".to_vec()),
                key_len: Some(3),
                value_len: Some(8),
                headers: Vec::new(),
                truncated: false,
            }),
            Seen::BatchEnd(true),
            Seen::PartitionEnd(true),
            Seen::End(true),
        ]
    );
}

fn partition(index: i32, records_len: Option<u32>) -> SeenPartition {
    SeenPartition {
        index,
        error_code: 0,
        acknowledge_error_code: 0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted: Vec::new(),
        preferred_read_replica: -1,
        records_len,
    }
}

#[test]
fn produce_answers_before_v3() {
    let topic = r#"00000001 0001 "t" 00000001 00000002 0003 0000000000000007"#;
    for (version, tail, append, throttle) in [
        (0, "", -1, 0),
        (1, "00000005", -1, 5),
        (2, "000000000000000b 00000005", 11, 5),
    ] {
        message(
            Side::Response,
            api::PRODUCE,
            version,
            &bytes(&format!("{topic}{tail}")),
            |message| {
                let Message::ProduceResponse(answer) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(answer.throttle_time_ms, throttle);
                assert_eq!(answer.responses[0].topic, TopicRef::Name("t"));
                let partition = &answer.responses[0].partition_responses[0];
                assert_eq!(
                    (partition.index, partition.error_code, partition.base_offset),
                    (2, 3, 7)
                );
                assert_eq!(
                    (partition.log_append_time_ms, partition.log_start_offset),
                    (append, -1)
                );
                assert_eq!(message.first_error(), Some(3));
            },
        );
    }
}

#[test]
fn fetch_requests_before_v4() {
    let topics = r#"00000001 0001 "t" 00000001 00000002 0000000000000064 00100000"#;
    for (version, limit, max_bytes) in [
        (0, "", i32::MAX),
        (2, "", i32::MAX),
        (3, "03200000", 0x0320_0000),
    ] {
        let body = bytes(&format!("ffffffff 000001f4 00000001 {limit} {topics}"));
        message(Side::Request, api::FETCH, version, &body, |message| {
            let Message::FetchRequest(request) = message else {
                panic!("{message:?}")
            };
            assert_eq!(
                (request.replica_id, request.max_wait_ms, request.min_bytes),
                (-1, 500, 1)
            );
            assert_eq!((request.max_bytes, request.isolation_level), (max_bytes, 0));
            assert_eq!(
                (request.session_id, request.session_epoch, request.rack_id),
                (0, -1, "")
            );
            assert_eq!(request.topics[0].topic, TopicRef::Name("t"));
            let partition = request.topics[0].partitions[0];
            assert_eq!(
                (
                    partition.partition,
                    partition.fetch_offset,
                    partition.partition_max_bytes
                ),
                (2, 100, 1 << 20)
            );
            assert_eq!(partition.log_start_offset, -1);
        });
    }
}

#[test]
fn fetch_v3_answers_cut_inside_a_batch() {
    // A whole message of magic 1, then the first 20 bytes of another.
    let body = bytes(
        r#"
        00000000 00000001 0001 "t" 00000001
        00000000 0000 0000000000000065 00000038
        0000000000000064 00000018 deadbeef 01 08 0000018bcfe56800 ffffffff 00000002 "hi"
        0000000000000065 00000018 deadbeef 01 00 0000
        "#,
    );
    let seen = whole(Side::Response, api::FETCH, 3, &body);
    let Seen::Batch(header) = &seen[3] else {
        panic!("{seen:?}")
    };
    assert!(header.is_log_append_time());
    assert_eq!(
        (
            header.base_offset,
            header.base_timestamp,
            header.records_count
        ),
        (100, 1_700_000_000_000, 1)
    );
    let Seen::Record(record) = &seen[4] else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (&record.key, record.value_len, record.size),
        (&None, Some(2), 24)
    );
    let expected = SeenPartition {
        high_watermark: 101,
        ..partition(0, Some(56))
    };
    assert_eq!(seen[2], Seen::Partition(expected));
    assert_eq!(
        seen[5..],
        [
            Seen::BatchEnd(true),
            Seen::PartitionEnd(true),
            Seen::End(true)
        ]
    );
}

#[test]
fn a_compacted_batch_and_a_commit_marker() {
    // last_offset_delta 9, two records left; then a control batch whose key is version 0, type 1 (commit).
    let body = bytes(
        r#"
        00000000 00000001 0001 "t" 00000001
        00000000 0000 000000000000000b 000000000000000b 00000001 0000000000000007 0000000000000002 0000009b
        0000000000000000 00000041 00000000 02 00000000 0010 00000009
        0000018bcfe56800 0000018bcfe56801 0000000000000007 0001 00000000 00000002
        0e 00 00 04 01 02 "v" 00
        0e 00 02 12 01 02 "w" 00
        000000000000000a 00000042 00000000 02 00000000 0030 00000000
        0000018bcfe56801 0000018bcfe56801 0000000000000007 0001 ffffffff 00000001
        20 00 00 00 08 00000001 0c 000000000000 00
        "#,
    );
    let mut offsets = Vec::new();
    let mut batch = None;
    let mut decoder = Decoder::new(
        Side::Response,
        api::FETCH,
        4,
        body.len() as u64,
        Limits::default(),
    );
    let mut reasons = Vec::new();
    decoder.feed(Segment::Bytes(&body), &mut |event| match event {
        Event::Partition(partition) => {
            assert_eq!(
                (partition.last_stable_offset, partition.aborted.pairs),
                (11, &[(7, 2)][..])
            );
        }
        Event::Batch(header) => {
            assert!(header.is_transactional());
            batch = Some(header);
        }
        Event::Record(record) => {
            let header = batch.expect("a batch");
            offsets.push((
                header.offset(&record),
                header.timestamp(&record),
                header.is_control(),
            ));
        }
        Event::Undecodable { reason } => reasons.push(reason),
        _ => {}
    });
    assert_eq!(reasons, [""; 0]);
    let time = 1_700_000_000_000;
    assert_eq!(
        offsets,
        [
            (2, Some(time), false),
            (9, Some(time + 1), false),
            (10, Some(time + 1), true)
        ]
    );
}

#[test]
fn api_versions_v5() {
    let body = bytes(r#"0b "librdkafka" 07 "2.15.0" 05 "kfk1" 00000003 00"#);
    message(Side::Request, api::API_VERSIONS, 5, &body, |message| {
        let expected = ApiVersionsRequest {
            client_software_name: Some("librdkafka"),
            client_software_version: Some("2.15.0"),
            cluster_id: Some("kfk1"),
            node_id: 3,
        };
        assert_eq!(*message, Message::ApiVersionsRequest(expected));
    });
    let body = bytes(
        r#"0000 03 0000 0003 000d 00 0012 0000 0005 00 00000000
        02 01 08 00000000000000 2a 02 1a 02 14 "transaction.version" 0002 0002 00"#,
    );
    message(Side::Response, api::API_VERSIONS, 5, &body, |message| {
        let Message::ApiVersionsResponse(answer) = message else {
            panic!("{message:?}")
        };
        let range = |api_key, min_version, max_version| ApiVersion {
            api_key,
            min_version,
            max_version,
        };
        assert_eq!(answer.api_keys, [range(0, 3, 13), range(18, 0, 5)]);
        assert_eq!(answer.finalized_features_epoch, 42);
        let feature = FinalizedFeature {
            name: "transaction.version",
            max_version_level: 2,
            min_version_level: 2,
        };
        assert_eq!(answer.finalized_features, [feature]);
    });
}

#[test]
fn a_broker_that_does_not_know_the_version_answers_in_v0() {
    for version in 1..=5 {
        message(
            Side::Response,
            api::API_VERSIONS,
            version,
            &bytes("0023 00000001 0012 0000 0003"),
            |message| {
                let Message::ApiVersionsResponse(answer) = message else {
                    panic!("{message:?}")
                };
                assert_eq!(answer.error_code, 35);
                assert_eq!(
                    answer.api_keys,
                    [ApiVersion {
                        api_key: 18,
                        min_version: 0,
                        max_version: 3
                    }]
                );
            },
        );
    }
    // An old broker leaves the list empty.
    message(
        Side::Response,
        api::API_VERSIONS,
        3,
        &bytes("0023 00000000"),
        |message| {
            assert_eq!(message.first_error(), Some(35));
        },
    );
}

#[test]
fn init_producer_id_v6() {
    let body = bytes(r#"04 "tx1" 0000ea60 ffffffffffffffff ffff 01 00 00"#);
    message(Side::Request, api::INIT_PRODUCER_ID, 6, &body, |message| {
        let Message::InitProducerIdRequest(request) = message else {
            panic!("{message:?}")
        };
        assert_eq!(
            (request.transactional_id, request.transaction_timeout_ms),
            (Some("tx1"), 60_000)
        );
    });
    let body = bytes("00000000 0000 0000000000000fa1 0002 ffffffffffffffff ffff 00");
    message(Side::Response, api::INIT_PRODUCER_ID, 6, &body, |message| {
        let Message::InitProducerIdResponse(answer) = message else {
            panic!("{message:?}")
        };
        assert_eq!((answer.producer_id, answer.producer_epoch), (4001, 2));
    });
}

#[test]
fn fetch_v18_request_of_a_follower() {
    let body = bytes(
        r#"
        000001f4 00000001 00a00000 00 00000000 ffffffff
        02 00112233445566778899aabbccddeeff
        02 00000001 00000005 0000000000000064 00000004 0000000000000000 00100000
        02 00 10 ffeeddccbbaa99887766554433221100 01 08 0000000000000063
        00 01 01
        02 00 04 04 "abc" 01 0d 00000002 000000000000000900
        "#,
    );
    message(Side::Request, api::FETCH, 18, &body, |message| {
        let Message::FetchRequest(request) = message else {
            panic!("{message:?}")
        };
        assert_eq!((request.replica_id, request.cluster_id), (2, Some("abc")));
        let id = Uuid(
            bytes("00112233445566778899aabbccddeeff")
                .try_into()
                .expect("16 bytes"),
        );
        assert_eq!(request.topics[0].topic, TopicRef::Id(id));
        assert_eq!(request.topics[0].partitions[0].fetch_offset, 100);
    });
}

#[test]
fn request_headers() {
    // ControlledShutdown v0 has no client id; v1 has.
    let v0 = bytes("0007 0000 00000005 00000001");
    let expected = RequestHeader {
        api_key: 7,
        api_version: 0,
        correlation_id: 5,
        client_id: None,
    };
    assert_eq!(RequestHeader::parse(12, &v0), Parse::Done(expected, 8));
    // An unknown key: header v1, no tags.
    let unknown = bytes(r#"03e7 0001 00000005 0002 "me" 00"#);
    let expected = RequestHeader {
        api_key: 999,
        api_version: 1,
        correlation_id: 5,
        client_id: Some("me"),
    };
    assert_eq!(
        RequestHeader::parse(13, &unknown),
        Parse::Done(expected, 12)
    );
    // Metadata v12, flexible, with a tag in the header; every start of it asks for more.
    let flexible = bytes(r#"0003 000c 00000005 0002 "me" 01 09 02 ffff"#);
    let expected = RequestHeader {
        api_key: 3,
        api_version: 12,
        correlation_id: 5,
        client_id: Some("me"),
    };
    assert_eq!(
        RequestHeader::parse(100, &flexible),
        Parse::Done(expected, flexible.len())
    );
    for end in 0..flexible.len() {
        let Parse::Need(n) = RequestHeader::parse(100, &flexible[..end]) else {
            panic!("{end}")
        };
        assert!(n > end && n <= flexible.len());
    }
    // A client id that is longer than its frame.
    assert_eq!(
        RequestHeader::parse(13, &bytes("0000 0009 00000005 7fff")),
        Parse::Bad("truncated")
    );
    assert_eq!(
        RequestHeader::parse(40, &bytes("0000 0009 00000005 fffe")),
        Parse::Bad("length")
    );
}

#[test]
fn response_headers() {
    assert_eq!(
        parse_response(9, &bytes("00000005 00"), api::PRODUCE, 9),
        Parse::Done(5, 5)
    );
    assert_eq!(
        parse_response(9, &bytes("00000005 00"), api::PRODUCE, 8),
        Parse::Done(5, 4)
    );
    assert_eq!(
        parse_response(9, &bytes("00000005 00"), api::API_VERSIONS, 3),
        Parse::Done(5, 4),
        "KIP-511"
    );
    assert_eq!(
        parse_response(9, &bytes("000000"), api::PRODUCE, 8),
        Parse::Need(4)
    );
    assert_eq!(
        parse_response(3, &bytes("000000"), api::PRODUCE, 8),
        Parse::Bad("truncated")
    );
}

#[test]
fn where_a_request_may_begin() {
    let yes = |text: &str| assert_eq!(plausible_request(&bytes(text)), Plausible::Yes, "{text}");
    let no = |text: &str| assert_eq!(plausible_request(&bytes(text)), Plausible::No, "{text}");
    let more = |text: &str| {
        assert_eq!(
            plausible_request(&bytes(text)),
            Plausible::NeedMore,
            "{text}"
        )
    };
    yes(r#"00000010 0012 0003 00000000 0003 "abc""#);
    yes("0000000a 0012 0000 00000000 ffff");
    yes("06400000 0000 000d 7fffffff ffff");
    more(r#"00000010 0012 0003 00000000 0003 "ab""#);
    more("0000");
    no("00000009 0012");
    no("06400001 0012");
    no("80000000 0012");
    no("00000010 005f");
    no("00000010 ffff");
    no("00000010 0012 ffff");
    no("00000010 0012 0008");
    no("00000010 0012 0003 00000000 fffe");
    no("00000010 0012 0003 00000000 0007");
    no("00000410 0012 0003 00000000 0402");
    no("00000020 0012 0003 00000000 0003 61 07");
    no("00000020 0012 0003 00000000 0003 61 ff ff");
    // The start of a TLS record, of HTTP, of a record batch.
    no("160303 007a 02000076");
    no(r#""GET /metrics HTTP/1.1""#);
    no("0000000000000000 00000041 00000000 02");
}

#[test]
fn the_table_has_kafka_s_names() {
    for (key, name) in [
        (0, Some("Produce")),
        (7, Some("ControlledShutdown")),
        (18, Some("ApiVersions")),
        (68, Some("ConsumerGroupHeartbeat")),
        (88, Some("StreamsGroupHeartbeat")),
        (92, Some("DeleteShareGroupOffsets")),
        (-1, None),
        (95, None),
        (i16::MAX, None),
    ] {
        assert_eq!(api::name(key), name);
    }
    for key in 0..95 {
        assert_eq!(api::find(key).map(|api| api.key), Some(key));
    }
    assert!(
        api::is_known(api::PRODUCE, 13)
            && !api::is_known(api::PRODUCE, 14)
            && !api::is_known(api::PRODUCE, -1)
    );
}
