//! Share groups, every version of KIP-932: ShareGroupHeartbeat, ShareFetch, ShareAcknowledge. Frames and values: see [`Count`].

use kafka_wire::api::Message;
use kafka_wire::api::n76_share_group_heartbeat::*;
use kafka_wire::api::n78_share_fetch::*;
use kafka_wire::api::n79_share_acknowledge::*;
use kafka_wire::body::Limits;
use kafka_wire::body::Side::{Request, Response};

use crate::exact::Fill::{All, Nothing};
use crate::exact::{Count, exact, hex};
use crate::seen::{Seen, SeenPartition, cut, whole};

#[test]
fn heartbeat_requests() {
    for (version, fill, frame) in [
        (0, All, "037331037332000000030373340303733503733600"),
        (1, All, "037331037332000000030373340303733503733600"),
        (1, Nothing, "03733103733200000003000000"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::ShareGroupHeartbeatRequest(ShareGroupHeartbeatRequest {
            group_id: n.text(),
            member_id: n.text(),
            member_epoch: n.next(),
            rack_id: n.maybe(Count::text),
            subscribed_topic_names: n.maybe(|n| n.two(Count::text)),
        });
        exact(Request, 76, version, &hex(frame), &expected);
    }
}

#[test]
fn heartbeat_answers() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "0000000100020373330373340000000500000006010307070707070707070707070707070707030000000800000009000a0a0a0a0a0a0a0a0a0a0a\
             0a0a0a0a0a030000000b0000000c000000",
        ),
        (
            1,
            All,
            "0000000100020373330373340000000500000006010307070707070707070707070707070707030000000800000009000a0a0a0a0a0a0a0a0a0a0a\
             0a0a0a0a0a030000000b0000000c000000",
        ),
        (1, Nothing, "00000001000200000000000300000004ff00"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::ShareGroupHeartbeatResponse(ShareGroupHeartbeatResponse {
            throttle_time_ms: n.next(),
            error_code: n.next(),
            error_message: n.maybe(Count::text),
            member_id: n.maybe(Count::text),
            member_epoch: n.next(),
            heartbeat_interval_ms: n.next(),
            assignment: n.maybe(|n| {
                n.two(|n| TopicPartitions {
                    topic_id: n.uuid(),
                    partitions: n.two(Count::next),
                })
            }),
        });
        exact(Response, 76, version, &hex(frame), &expected);
    }
}

fn acknowledgements(n: &mut Count) -> Vec<AcknowledgementBatch> {
    n.two(|n| AcknowledgementBatch {
        first_offset: n.next(),
        last_offset: n.next(),
        acknowledge_types: n.two(Count::i8),
    })
}

#[test]
fn fetch_requests() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "03733103733200000003000000040000000500000006030b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b030000000c0000000d03000000000000000e0000\
             00000000000f0310110000000000000000120000000000000013031415000000000016000000170300000000000000180000000000000019031a1b\
             00000000000000001c000000000000001d031e1f000000202020202020202020202020202020200300000021000000220300000000000000230000\
             000000000024032526000000000000000027000000000000002803292a00000000002b0000002c03000000000000002d000000000000002e032f30\
             0000000000000000310000000000000032033334000000033535353535353535353535353535353503000000360000003700383838383838383838\
             3838383838383803000000390000003a0000",
        ),
        (
            1,
            All,
            "037331037332000000030000000400000005000000060000000700000008030b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b030000000c03000000000000\
             000e000000000000000f03101100000000000000001200000000000000130314150000000000160300000000000000180000000000000019031a1b\
             00000000000000001c000000000000001d031e1f000000202020202020202020202020202020200300000021030000000000000023000000000000\
             0024032526000000000000000027000000000000002803292a00000000002b03000000000000002d000000000000002e032f300000000000000000\
             3100000000000000320333340000000335353535353535353535353535353535030000003600000037003838383838383838383838383838383803\
             000000390000003a0000",
        ),
        (
            2,
            All,
            "0373310373320000000300000004000000050000000600000007000000080900030b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b030000000c0300000000\
             0000000e000000000000000f0310110000000000000000120000000000000013031415000000000016030000000000000018000000000000001903\
             1a1b00000000000000001c000000000000001d031e1f00000020202020202020202020202020202020030000002103000000000000002300000000\
             00000024032526000000000000000027000000000000002803292a00000000002b03000000000000002d000000000000002e032f30000000000000\
             0000310000000000000032033334000000033535353535353535353535353535353503000000360000003700383838383838383838383838383838\
             3803000000390000003a0000",
        ),
        (
            2,
            Nothing,
            "00000000000100000002000000030000000400000005000000060700010100",
        ),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::ShareFetchRequest(ShareFetchRequest {
            group_id: n.maybe(Count::text),
            member_id: n.maybe(Count::text),
            share_session_epoch: n.next(),
            max_wait_ms: n.next(),
            min_bytes: n.next(),
            max_bytes: n.next(),
            max_records: n.since(version >= 1, Count::next, 0),
            batch_size: n.since(version >= 1, Count::next, 0),
            share_acquire_mode: n.since(version >= 2, Count::i8, 0),
            is_renew_ack: n.since(version >= 2, Count::bool, false),
            topics: n.two(|n| FetchTopic {
                topic_id: n.uuid(),
                partitions: n.two(|n| FetchPartition {
                    partition_index: n.next(),
                    partition_max_bytes: n.since(version == 0, Count::next, 0),
                    acknowledgement_batches: acknowledgements(n),
                }),
            }),
            forgotten_topics_data: n.two(|n| ForgottenTopic {
                topic_id: n.uuid(),
                partitions: n.two(Count::next),
            }),
        });
        exact(Request, 78, version, &hex(frame), &expected);
    }
}

#[test]
fn fetch_answers() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "0000000100020373330305050505050505050505050505050505030000000600070373380009047331300000000b0000000c00040d010203000000\
             000000000e000000000000000f00100000000000000000110000000000000012001300000000001400150473323200170473323400000019000000\
             1a00041b010203000000000000001c000000000000001d001e00000000000000001f00000000000000200021000000222222222222222222222222\
             222222220300000023002404733337002604733339000000280000002900042a010203000000000000002b000000000000002c002d000000000000\
             00002e000000000000002f003000000000003100320473353100340473353300000036000000370004380102030000000000000039000000000000\
             003a003b00000000000000003c000000000000003d003e000000030000003f04733634000000410473363600000000430473363800000045047337\
             300000",
        ),
        (
            1,
            All,
            "000000010002037333000000040305050505050505050505050505050505030000000600070373380009047331300000000b0000000c00040d0102\
             03000000000000000e000000000000000f001000000000000000001100000000000000120013000000000014001504733232001704733234000000\
             190000001a00041b010203000000000000001c000000000000001d001e00000000000000001f000000000000002000210000002222222222222222\
             22222222222222220300000023002404733337002604733339000000280000002900042a010203000000000000002b000000000000002c002d0000\
             0000000000002e000000000000002f0030000000000031003204733531003404733533000000360000003700043801020300000000000000390000\
             00000000003a003b00000000000000003c000000000000003d003e000000030000003f047336340000004104733636000000004304733638000000\
             45047337300000",
        ),
        (
            2,
            All,
            "000000010002037333000000040305050505050505050505050505050505030000000600070373380009047331300000000b0000000c00040d0102\
             03000000000000000e000000000000000f001000000000000000001100000000000000120013000000000014001504733232001704733234000000\
             190000001a00041b010203000000000000001c000000000000001d001e00000000000000001f000000000000002000210000002222222222222222\
             22222222222222220300000023002404733337002604733339000000280000002900042a010203000000000000002b000000000000002c002d0000\
             0000000000002e000000000000002f0030000000000031003204733531003404733533000000360000003700043801020300000000000000390000\
             00000000003a003b00000000000000003c000000000000003d003e000000030000003f047336340000004104733636000000004304733638000000\
             45047337300000",
        ),
        (2, Nothing, "0000000100020000000003010100"),
    ] {
        let mut n = Count::new(fill);
        let (throttle_ms, error_code) = (n.next(), n.next());
        n.maybe(Count::text);
        let mut expected = vec![Seen::ShareFetch {
            throttle_ms,
            error_code,
            acquisition_lock_timeout_ms: n.since(version >= 1, Count::next, 0),
        }];
        n.two(|n| {
            expected.push(Seen::Id(n.uuid()));
            n.two(|n| expected.extend(fetched_partition(n)));
        });
        expected.push(Seen::End(true));
        let bytes = hex(frame);
        assert_eq!(whole(Response, 78, version, &bytes), expected, "v{version}");
        let every = (0..bytes.len()).collect();
        let pieces = cut(Response, 78, version, Limits::default(), &bytes, every);
        assert_eq!(pieces, expected);
        for end in 0..bytes.len() {
            let seen = whole(Response, 78, version, &bytes[..end]);
            assert_eq!(
                seen.last(),
                Some(&Seen::End(false)),
                "v{version}, {end} bytes"
            );
        }
    }
}

/// Its records are three bytes: a batch that was cut.
fn fetched_partition(n: &mut Count) -> Vec<Seen> {
    let (index, error_code) = (n.next(), n.next());
    n.maybe(Count::text);
    let acknowledge_error_code = n.next();
    n.maybe(Count::text);
    let _leader: (i32, i32) = (n.next(), n.next());
    n.next::<u8>();
    let partition = Seen::Partition(SeenPartition {
        index,
        error_code,
        acknowledge_error_code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted: Vec::new(),
        preferred_read_replica: -1,
        records_len: Some(3),
    });
    let mut seen = vec![partition, Seen::PartitionEnd(true)];
    seen.extend(n.two(|n| Seen::Acquired(n.next(), n.next(), n.next())));
    seen
}

#[test]
fn acknowledge_requests() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "0373310373320000000303050505050505050505050505050505050300000006030000000000000007000000000000000803090a00000000000000\
             000b000000000000000c030d0e00000000000f03000000000000001000000000000000110312130000000000000000140000000000000015031617\
             00000018181818181818181818181818181818030000001903000000000000001a000000000000001b031c1d00000000000000001e000000000000\
             001f0320210000000000220300000000000000230000000000000024032526000000000000000027000000000000002803292a00000000",
        ),
        (
            1,
            All,
            "0373310373320000000303050505050505050505050505050505050300000006030000000000000007000000000000000803090a00000000000000\
             000b000000000000000c030d0e00000000000f03000000000000001000000000000000110312130000000000000000140000000000000015031617\
             00000018181818181818181818181818181818030000001903000000000000001a000000000000001b031c1d00000000000000001e000000000000\
             001f0320210000000000220300000000000000230000000000000024032526000000000000000027000000000000002803292a00000000",
        ),
        (
            2,
            All,
            "037331037332000000030003050505050505050505050505050505050300000006030000000000000007000000000000000803090a000000000000\
             00000b000000000000000c030d0e00000000000f030000000000000010000000000000001103121300000000000000001400000000000000150316\
             1700000018181818181818181818181818181818030000001903000000000000001a000000000000001b031c1d00000000000000001e0000000000\
             00001f0320210000000000220300000000000000230000000000000024032526000000000000000027000000000000002803292a00000000",
        ),
        (2, Nothing, "000000000001000100"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::ShareAcknowledgeRequest(ShareAcknowledgeRequest {
            group_id: n.maybe(Count::text),
            member_id: n.maybe(Count::text),
            share_session_epoch: n.next(),
            is_renew_ack: n.since(version >= 2, Count::bool, false),
            topics: n.two(|n| AcknowledgeTopic {
                topic_id: n.uuid(),
                partitions: n.two(|n| AcknowledgePartition {
                    partition_index: n.next(),
                    acknowledgement_batches: acknowledgements(n),
                }),
            }),
        });
        exact(Request, 79, version, &hex(frame), &expected);
    }
}

#[test]
fn acknowledge_answers() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "000000010002037333030505050505050505050505050505050503000000060007037338000000090000000a00000000000b000c04733133000000\
             0e0000000f000000101010101010101010101010101010100300000011001204733139000000140000001500000000001600170473323400000019\
             0000001a000000030000001b047332380000001d04733330000000001f0473333200000021047333340000",
        ),
        (
            1,
            All,
            "000000010002037333030505050505050505050505050505050503000000060007037338000000090000000a00000000000b000c04733133000000\
             0e0000000f000000101010101010101010101010101010100300000011001204733139000000140000001500000000001600170473323400000019\
             0000001a000000030000001b047332380000001d04733330000000001f0473333200000021047333340000",
        ),
        (
            2,
            All,
            "00000001000203733300000004030505050505050505050505050505050503000000060007037338000000090000000a00000000000b000c047331\
             330000000e0000000f0000001010101010101010101010101010101003000000110012047331390000001400000015000000000016001704733234\
             000000190000001a000000030000001b047332380000001d04733330000000001f0473333200000021047333340000",
        ),
        (2, Nothing, "0000000100020000000003010100"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::ShareAcknowledgeResponse(ShareAcknowledgeResponse {
            throttle_time_ms: n.next(),
            error_code: n.next(),
            error_message: n.maybe(Count::text),
            acquisition_lock_timeout_ms: n.since(version >= 2, Count::next, 0),
            responses: n.two(|n| ShareAcknowledgeTopicResponse {
                topic_id: n.uuid(),
                partitions: n.two(|n| {
                    let partition = PartitionData {
                        partition_index: n.next(),
                        error_code: n.next(),
                        error_message: n.maybe(Count::text),
                    };
                    let _leader: (i32, i32) = (n.next(), n.next());
                    partition
                }),
            }),
        });
        assert_eq!(expected.first_error(), Some(2));
        exact(Response, 79, version, &hex(frame), &expected);
    }
}
