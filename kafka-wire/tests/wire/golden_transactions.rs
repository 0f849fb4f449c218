//! Transactions in the versions that `oracle` does not know: WriteTxnMarkers v0 and v2, TxnOffsetCommit v6.

use kafka_wire::TopicRef;
use kafka_wire::api::Message;
use kafka_wire::api::n27_write_txn_markers::*;
use kafka_wire::api::n28_txn_offset_commit::*;
use kafka_wire::body::Side::{Request, Response};

use crate::exact::Fill::{All, Nothing};
use crate::exact::{Count, exact, hex};

#[test]
fn write_txn_markers_requests() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "0000000200000000000000010002010000000200027334000000020000000500000006000273370000000200000008000000090000000a000000000000000c000d00000000020003733135000000020000001000000011000373313800000002000000130000001400000015",
        ),
        (0, Nothing, "00000000"),
        (
            2,
            All,
            "0300000000000000010002010303733403000000050000000600037337030000000800000009000000000a0b00000000000000000c000d00030473313503000000100000001100047331380300000013000000140000000015160000",
        ),
    ] {
        let mut n = Count::new(fill);
        let markers = n.two(|n| WritableTxnMarker {
            producer_id: n.next(),
            producer_epoch: n.next(),
            transaction_result: n.bool(),
            topics: n.two(|n| WritableTxnMarkerTopic {
                name: n.text(),
                partition_indexes: n.two(Count::next),
            }),
            coordinator_epoch: n.next(),
            transaction_version: n.since(version >= 2, Count::i8, 0),
        });
        let expected = Message::WriteTxnMarkersRequest(WriteTxnMarkersRequest { markers });
        exact(Request, 27, version, &hex(frame), &expected);
    }
}

#[test]
fn write_txn_markers_answers() {
    for (version, fill, frame) in [
        (
            0,
            All,
            "00000002000000000000000100000002000273320000000200000003000400000005000600027337000000020000000800090000000a000b000000000000000c000000020003733133000000020000000e000f000000100011000373313800000002000000130014000000150016",
        ),
        (
            2,
            All,
            "030000000000000001030373320300000003000400000000050006000003733703000000080009000000000a000b000000000000000000000c0304733133030000000e000f00000000100011000004733138030000001300140000000015001600000000",
        ),
    ] {
        let mut n = Count::new(fill);
        let markers = n.two(|n| WritableTxnMarkerResult {
            producer_id: n.next(),
            topics: n.two(|n| WritableTxnMarkerTopicResult {
                name: n.text(),
                partitions: n.two(|n| WritableTxnMarkerPartitionResult {
                    partition_index: n.next(),
                    error_code: n.next(),
                }),
            }),
        });
        let expected = Message::WriteTxnMarkersResponse(WriteTxnMarkersResponse { markers });
        assert_eq!(expected.first_error(), Some(4));
        exact(Response, 27, version, &hex(frame), &expected);
    }
}

#[test]
fn txn_offset_commit_requests() {
    for (version, fill, frame) in [
        (
            6,
            All,
            "03733103733200000000000000030004000000050373360373370309090909090909090909090909090909030000000a000000000000000b0000000c04733133000000000e000000000000000f0000001004733137000013131313131313131313131313131313030000001400000000000000150000001604733233000000001800000000000000190000001a04733237000000",
        ),
        (
            6,
            Nothing,
            "0373310373320000000000000003000400000005037336000100",
        ),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::TxnOffsetCommitRequest(TxnOffsetCommitRequest {
            transactional_id: n.text(),
            group_id: n.text(),
            producer_id: n.next(),
            producer_epoch: n.next(),
            generation_id_or_member_epoch: n.next(),
            member_id: n.text(),
            group_instance_id: n.maybe(Count::text),
            topics: n.two(|n| TxnOffsetCommitRequestTopic {
                topic: topic(n),
                partitions: n.two(|n| {
                    let partition = TxnOffsetCommitRequestPartition {
                        partition_index: n.next(),
                        committed_offset: n.next(),
                        committed_leader_epoch: n.next(),
                    };
                    n.maybe(Count::text);
                    partition
                }),
            }),
        });
        exact(Request, 28, version, &hex(frame), &expected);
    }
}

/// The name is not in this version.
fn topic(n: &mut Count) -> TopicRef<'static> {
    n.text();
    TopicRef::Id(n.uuid())
}

#[test]
fn txn_offset_commit_answers() {
    for (version, fill, frame) in [
        (
            6,
            All,
            "0000000103030303030303030303030303030303030300000004000500000000060007000009090909090909090909090909090909030000000a000b000000000c000d000000",
        ),
        (6, Nothing, "000000010100"),
    ] {
        let mut n = Count::new(fill);
        let expected = Message::TxnOffsetCommitResponse(TxnOffsetCommitResponse {
            throttle_time_ms: n.next(),
            topics: n.two(|n| TxnOffsetCommitResponseTopic {
                topic: topic(n),
                partitions: n.two(|n| TxnOffsetCommitResponsePartition {
                    partition_index: n.next(),
                    error_code: n.next(),
                }),
            }),
        });
        assert_eq!(expected.throttle_time_ms(), Some(1));
        assert_eq!(
            expected.first_error(),
            if fill == All { Some(5) } else { None }
        );
        exact(Response, 28, version, &hex(frame), &expected);
    }
}
