//! Topics in the versions that `oracle` does not know: CreateTopics v0–1 and DeleteTopics v0, with the newest beside them, and
//! DescribeTopicPartitions. Frames and values: see [`Count`].

use kafka_wire::Uuid;
use kafka_wire::api::Message;
use kafka_wire::api::n19_create_topics::*;
use kafka_wire::api::n20_delete_topics::*;
use kafka_wire::api::n75_describe_topic_partitions::*;
use kafka_wire::body::Side::{Request, Response};

use crate::exact::Fill::{All, Arrays, Nothing};
use crate::exact::{Count, exact, hex};

#[test]
fn create_topics_requests() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "0000000200027331000000020003000000020000000400000002000000050000000600000007000000020000000800000009000000020003733130\
             00037331310003733132000373313300037331340000000f0010000000020000001100000002000000120000001300000014000000020000001500\
             0000160000000200037332330003733234000373323500037332360000001b",
        ),
        (
            1,
            All,
            "0000000200027331000000020003000000020000000400000002000000050000000600000007000000020000000800000009000000020003733130\
             00037331310003733132000373313300037331340000000f0010000000020000001100000002000000120000001300000014000000020000001500\
             0000160000000200037332330003733234000373323500037332360000001b00",
        ),
        (
            7,
            All,
            "0303733100000002000303000000040300000005000000060000000007030000000800000009000304733130047331310004733132047331330000\
             047331340000000f001003000000110300000012000000130000000014030000001500000016000304733233047332340004733235047332360000\
             0000001b0000",
        ),
        (
            0,
            Arrays,
            "0000000200027331000000020003000000020000000400000002000000050000000600000007000000020000000800000009000000020003733130\
             ffff0003733131ffff00037331320000000d000e000000020000000f00000002000000100000001100000012000000020000001300000014000000\
             020003733231ffff0003733232ffff00000017",
        ),
        (0, Nothing, "0000000000000001"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::CreateTopicsRequest(CreateTopicsRequest {
            topics: n.two(|n| CreatableTopic {
                name: n.text(),
                num_partitions: n.next(),
                replication_factor: n.next(),
                assignments: n.two(|n| CreatableReplicaAssignment {
                    partition_index: n.next(),
                    broker_ids: n.two(Count::next),
                }),
                configs: n.two(|n| CreatableTopicConfig {
                    name: n.text(),
                    value: n.maybe(Count::text),
                }),
            }),
            timeout_ms: n.next(),
            validate_only: n.since(version >= 1, Count::bool, false),
        });
        exact(Request, 19, version, &hex(frame), &expected);
    }
}

#[test]
fn create_topics_answers() {
    for (version, fill, frame) in [
        (0, All, "0000000200027332000400037331390015"),
        (
            1,
            All,
            "0000000200027332000400027335000373313900150003733232",
        ),
        (
            7,
            All,
            "00000001030373320303030303030303030303030303030300040373350000000700080303733904733130010c0100047331340473313500110000\
             01000200060473313914141414141414141414141414141414001504733232000000180019030473323604733237001d0000047333310473333201\
             220100010002001700",
        ),
        (
            7,
            Arrays,
            "0000000103037332030303030303030303030303030303030004000000000600070303733800010a01000473313200010e01000100020005047331\
             3611111111111111111111111111111111001200000000140015030473323200011801000473323600011c0100010002001300",
        ),
        (1, Arrays, "00000002000273320004ffff00037331360012ffff"),
        (0, Nothing, "00000000"),
    ] {
        let mut n = Count::new(fill);
        let topic = |n: &mut Count| {
            let mut topic = CreatableTopicResult {
                name: n.text(),
                topic_id: n.since(version >= 7, Count::uuid, Uuid::ZERO),
                error_code: n.next(),
                error_message: n.maybe(Count::text).filter(|_| version >= 1),
                num_partitions: -1,
                replication_factor: -1,
            };
            n.next::<i16>(); // the configuration's error
            topic.num_partitions = n.since(version >= 5, Count::next, -1);
            topic.replication_factor = n.since(version >= 5, Count::next, -1);
            n.two(|n| {
                let config = (n.text(), n.maybe(Count::text));
                (config, n.bool(), n.i8(), n.bool())
            });
            topic
        };
        let expected = Message::CreateTopicsResponse(CreateTopicsResponse {
            throttle_time_ms: n.since(version >= 2, Count::next, 0),
            topics: n.two(topic),
        });
        let error = if fill == Nothing { None } else { Some(4) };
        assert_eq!(expected.first_error(), error);
        exact(Response, 19, version, &hex(frame), &expected);
    }
}

#[test]
fn delete_topics_requests() {
    for (version, fill, frame) in [
        (0, All, "00000002000273310002733200000007"),
        (5, All, "030373310373320000000700"),
        (
            6,
            All,
            "03037333040404040404040404040404040404040003733506060606060606060606060606060606000000000700",
        ),
        (
            6,
            Arrays,
            "030003030303030303030303030303030303000004040404040404040404040404040404000000000500",
        ),
        (0, Nothing, "0000000000000001"),
    ] {
        let mut n = Count::new(fill);
        let names = n.two(|n| DeleteTopicState {
            name: Some(n.text()),
            topic_id: Uuid::ZERO,
        });
        let topics = n.two(|n| DeleteTopicState {
            name: n.maybe(Count::text),
            topic_id: n.uuid(),
        });
        let expected = Message::DeleteTopicsRequest(DeleteTopicsRequest {
            topics: if version >= 6 { topics } else { names },
            timeout_ms: n.next(),
        });
        exact(Request, 20, version, &hex(frame), &expected);
    }
}

#[test]
fn delete_topics_answers() {
    for (version, fill, frame) in [
        (0, All, "00000002000273320004000273360008"),
        (5, All, "000000010303733200040373350003733600080373390000"),
        (
            6,
            All,
            "0000000103037332030303030303030303030303030303030004037335000373360707070707070707070707070707070700080373390000",
        ),
        (
            6,
            Arrays,
            "000000010300020202020202020202020202020202020003000000040404040404040404040404040404040005000000",
        ),
        (0, Nothing, "00000000"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::DeleteTopicsResponse(DeleteTopicsResponse {
            throttle_time_ms: n.since(version >= 1, Count::next, 0),
            responses: n.two(|n| DeletableTopicResult {
                name: n.maybe(Count::text),
                topic_id: n.since(version >= 6, Count::uuid, Uuid::ZERO),
                error_code: n.next(),
                error_message: n.maybe(Count::text).filter(|_| version >= 5),
            }),
        });
        exact(Response, 20, version, &hex(frame), &expected);
    }
}

fn cursor(n: &mut Count) -> Cursor<'static> {
    Cursor {
        topic_name: n.text(),
        partition_index: n.next(),
    }
}

#[test]
fn describe_topic_partitions_requests() {
    for (version, fill, frame) in [
        (0, All, "0303733100037332000000000301037334000000050000"),
        (0, Arrays, "03037331000373320000000003ff00"),
        (0, Nothing, "0100000001ff00"),
    ] {
        let mut n = Count::new(fill);
        let request = DescribeTopicPartitionsRequest {
            topics: n.two(Count::text),
            response_partition_limit: n.next(),
            cursor: n.maybe(cursor),
        };
        let expected = Message::DescribeTopicPartitionsRequest(request);
        exact(Request, 75, version, &hex(frame), &expected);
    }
}

#[test]
fn describe_topic_partitions_answers() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "000000010300020373330404040404040404040404040404040401030006000000070000000800000009030000000a0000000b030000000c000000\
             0d030000000e0000000f030000001000000011030000001200000013000014000000150000001600000017030000001800000019030000001a0000\
             001b030000001c0000001d030000001e0000001f030000002000000021000000002200002304733336252525252525252525252525252525250003\
             002700000028000000290000002a030000002b0000002c030000002d0000002e030000002f00000030030000003100000032030000003300000034\
             00003500000036000000370000003803000000390000003a030000003b0000003c030000003d0000003e030000003f000000400300000041000000\
             420000000043000104733638000000450000",
        ),
        (
            0,
            Arrays,
            "0000000103000200030303030303030303030303030303030003000500000006000000070000000803000000090000000a030000000b0000000c03\
             0000000d0000000e030000000f0000001003000000110000001200001300000014000000150000001603000000170000001803000000190000001a\
             030000001b0000001c030000001d0000001e030000001f000000200000000021000022002323232323232323232323232323232300030025000000\
             26000000270000002803000000290000002a030000002b0000002c030000002d0000002e030000002f000000300300000031000000320000330000\
             0034000000350000003603000000370000003803000000390000003a030000003b0000003c030000003d0000003e030000003f0000004000000000\
             4100ff00",
        ),
        (0, Nothing, "0000000101ff00"),
    ] {
        let mut n = Count::new(fill);
        let partition = |n: &mut Count| {
            let partition = DescribeTopicPartitionsResponsePartition {
                error_code: n.next(),
                partition_index: n.next(),
                leader_id: n.next(),
                leader_epoch: n.next(),
                replica_nodes: n.two(Count::next),
                isr_nodes: n.two(Count::next),
            };
            n.two(Count::i8);
            n.two(Count::i8);
            n.two(Count::i8);
            partition
        };
        let topic = |n: &mut Count| {
            let topic = DescribeTopicPartitionsResponseTopic {
                error_code: n.next(),
                name: n.maybe(Count::text),
                topic_id: n.uuid(),
                is_internal: n.bool(),
                partitions: n.two(partition),
            };
            n.next::<i32>();
            topic
        };
        let response = DescribeTopicPartitionsResponse {
            throttle_time_ms: n.next(),
            topics: n.two(topic),
            next_cursor: n.maybe(cursor),
        };
        let expected = Message::DescribeTopicPartitionsResponse(response);
        let error = if fill == Nothing { None } else { Some(2) };
        assert_eq!(expected.first_error(), error);
        exact(Response, 75, version, &hex(frame), &expected);
    }
}
