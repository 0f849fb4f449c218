//! Frames of ListOffsets, OffsetCommit and OffsetFetch written out by hand: the versions that `kafka-protocol` does not know, before Kafka 1.0
//! and with topic ids, and what it would never write.

use kafka_wire::api::Message;
use kafka_wire::api::n02_list_offsets::*;
use kafka_wire::api::n08_offset_commit::*;
use kafka_wire::api::n09_offset_fetch::*;
use kafka_wire::body::Side::{Request, Response};
use kafka_wire::{TopicRef, Uuid};

use crate::exact::exact;
use crate::golden::bytes;
use crate::seen::{Seen, whole};

const ID: Uuid = Uuid([7; 16]);
const ID_HEX: &str = "07070707070707070707070707070707";

#[test]
fn list_offsets_v0_has_many_offsets() {
    let body = bytes(
        r#"ffffffff 00000001 0006 "orders" 00000002
           00000003 ffffffffffffffff 00000002
           00000004 00000000000003e8 00000001"#,
    );
    let partition = |partition_index, timestamp, max_num_offsets| -> ListOffsetsPartition {
        ListOffsetsPartition {
            partition_index,
            current_leader_epoch: -1,
            timestamp,
            max_num_offsets,
        }
    };
    let expected = Message::ListOffsetsRequest(ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![ListOffsetsTopic {
            name: "orders",
            partitions: vec![partition(3, -1, 2), partition(4, 1000, 1)],
        }],
        timeout_ms: 0,
    });
    exact(Request, 2, 0, &body, &expected);

    let body = bytes(
        r#"00000001 0006 "orders" 00000002
           00000003 0000 00000002 0000000000000064 0000000000000000
           00000004 0003 00000000"#,
    );
    let partition = |partition_index, error_code, old_style_offsets| ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        old_style_offsets,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    };
    let expected = Message::ListOffsetsResponse(ListOffsetsResponse {
        throttle_time_ms: 0,
        topics: vec![ListOffsetsTopicResponse {
            name: "orders",
            partitions: vec![partition(3, 0, vec![100, 0]), partition(4, 3, Vec::new())],
        }],
    });
    exact(Response, 2, 0, &body, &expected);
    assert_eq!(expected.first_error(), Some(3));
}

#[test]
fn list_offsets_v11_is_as_v10() {
    let body = bytes(
        r#"ffffffff 01 02 07 "orders" 02 00000003 00000009 fffffffffffffffa 00 00 00007530 00"#,
    );
    let expected = Message::ListOffsetsRequest(ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        topics: vec![ListOffsetsTopic {
            name: "orders",
            partitions: vec![ListOffsetsPartition {
                partition_index: 3,
                current_leader_epoch: 9,
                timestamp: -6,
                max_num_offsets: 1,
            }],
        }],
        timeout_ms: 30_000,
    });
    exact(Request, 2, 11, &body, &expected);
    let body = bytes(
        r#"00000005 02 07 "orders" 02 00000003 0000 00000000000003e8 0000000000000064 00000009 00 00 00"#,
    );
    let expected = Message::ListOffsetsResponse(ListOffsetsResponse {
        throttle_time_ms: 5,
        topics: vec![ListOffsetsTopicResponse {
            name: "orders",
            partitions: vec![ListOffsetsPartitionResponse {
                partition_index: 3,
                error_code: 0,
                old_style_offsets: Vec::new(),
                timestamp: 1000,
                offset: 100,
                leader_epoch: 9,
            }],
        }],
    });
    exact(Response, 2, 11, &body, &expected);
    assert_eq!(expected.first_error(), None);
}

/// A commit of offset 100 in partition 3.
fn commit(topic: TopicRef<'_>) -> OffsetCommitRequest<'_> {
    OffsetCommitRequest {
        group_id: "group",
        generation_id_or_member_epoch: -1,
        member_id: "",
        group_instance_id: None,
        retention_time_ms: -1,
        topics: vec![OffsetCommitRequestTopic {
            topic,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 3,
                committed_offset: 100,
                committed_leader_epoch: -1,
                commit_timestamp: -1,
            }],
        }],
    }
}

#[test]
fn offset_commit_v0_has_no_member() {
    let body =
        bytes(r#"0005 "group" 00000001 0006 "orders" 00000001 00000003 0000000000000064 0001 "m""#);
    let expected = Message::OffsetCommitRequest(commit(TopicRef::Name("orders")));
    exact(Request, 8, 0, &body, &expected);
}

#[test]
fn metadata_of_a_commit_need_not_be_text() {
    let body = bytes(
        r#"0005 "group" 00000001 0006 "orders" 00000001 00000003 0000000000000064 0003 ff00fe"#,
    );
    let expected = Message::OffsetCommitRequest(commit(TopicRef::Name("orders")));
    exact(Request, 8, 0, &body, &expected);
}

#[test]
fn offset_commit_v1_has_timestamps() {
    let body = bytes(
        r#"0005 "group" 00000007 0006 "member" 00000001 0006 "orders" 00000001
           00000003 0000000000000064 00000000000003e8 ffff"#,
    );
    let mut request = commit(TopicRef::Name("orders"));
    request.generation_id_or_member_epoch = 7;
    request.member_id = "member";
    request.topics[0].partitions[0].commit_timestamp = 1000;
    exact(Request, 8, 1, &body, &Message::OffsetCommitRequest(request));
}

#[test]
fn offset_commit_v10_has_topic_ids() {
    let body = bytes(&format!(
        r#"06 "group" 00000007 07 "member" 05 "inst" 02 {ID_HEX} 02
           00000003 0000000000000064 00000009 02 "m" 00 00 00"#
    ));
    let mut request = commit(TopicRef::Id(ID));
    request.generation_id_or_member_epoch = 7;
    request.member_id = "member";
    request.group_instance_id = Some("inst");
    request.topics[0].partitions[0].committed_leader_epoch = 9;
    exact(
        Request,
        8,
        10,
        &body,
        &Message::OffsetCommitRequest(request),
    );
}

#[test]
fn offset_commit_answers_of_all_times() {
    let old = r#"00000001 0006 "orders" 00000002 00000003 0000 00000004 0016"#;
    let new = format!("00000005 02 {ID_HEX} 03 00000003 0000 00 00000004 0016 00 00 00");
    for (version, body, throttle_time_ms) in [(0, old, 0), (1, old, 0), (2, old, 0), (10, &new, 5)]
    {
        let partition = |partition_index, error_code| OffsetCommitResponsePartition {
            partition_index,
            error_code,
        };
        let expected = Message::OffsetCommitResponse(OffsetCommitResponse {
            throttle_time_ms,
            topics: vec![OffsetCommitResponseTopic {
                topic: if version >= 10 {
                    TopicRef::Id(ID)
                } else {
                    TopicRef::Name("orders")
                },
                partitions: vec![partition(3, 0), partition(4, 22)],
            }],
        });
        exact(Response, 8, version, &bytes(body), &expected);
        assert_eq!(expected.first_error(), Some(22));
        assert_eq!(expected.throttle_time_ms(), Some(throttle_time_ms));
    }
}

#[test]
fn offset_fetch_v0_asks_for_partitions() {
    let body = bytes(r#"0005 "group" 00000001 0006 "orders" 00000002 00000003 00000004"#);
    let expected = Message::OffsetFetchRequest(OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: "group",
            member_id: None,
            member_epoch: -1,
            topics: Some(vec![OffsetFetchRequestTopic {
                topic: TopicRef::Name("orders"),
                partition_indexes: vec![3, 4],
            }]),
        }],
        require_stable: false,
    });
    exact(Request, 9, 0, &body, &expected);

    let body = bytes(r#"00000001 0006 "orders" 00000001 00000003 ffffffffffffffff 0000 0003"#);
    let expected = Message::OffsetFetchResponse(OffsetFetchResponse {
        throttle_time_ms: 0,
        groups: vec![OffsetFetchResponseGroup {
            group_id: None,
            topics: vec![OffsetFetchResponseTopic {
                topic: TopicRef::Name("orders"),
                partitions: vec![OffsetFetchResponsePartition {
                    partition_index: 3,
                    committed_offset: -1,
                    committed_leader_epoch: -1,
                    error_code: 3,
                }],
            }],
            error_code: 0,
        }],
    });
    exact(Response, 9, 0, &body, &expected);
    assert_eq!(expected.first_error(), Some(3));
}

#[test]
fn offset_fetch_v10_has_topic_ids() {
    let body = bytes(&format!(
        r#"03 06 "group" 07 "member" 00000007 02 {ID_HEX} 03 00000003 00000004 00 00
              06 "other" 00 ffffffff 00 00
           01 00"#
    ));
    let group = |group_id, member_id, member_epoch, topics| OffsetFetchRequestGroup {
        group_id,
        member_id,
        member_epoch,
        topics,
    };
    let topic = OffsetFetchRequestTopic {
        topic: TopicRef::Id(ID),
        partition_indexes: vec![3, 4],
    };
    let expected = Message::OffsetFetchRequest(OffsetFetchRequest {
        groups: vec![
            group("group", Some("member"), 7, Some(vec![topic])),
            group("other", None, -1, None),
        ],
        require_stable: true,
    });
    exact(Request, 9, 10, &body, &expected);

    let body = bytes(&format!(
        r#"00000000 03 06 "group" 02 {ID_HEX} 02 00000003 0000000000000064 00000009 00 0000 00 00 0000 00
                       06 "other" 01 0071 00
           00"#
    ));
    let expected = Message::OffsetFetchResponse(OffsetFetchResponse {
        throttle_time_ms: 0,
        groups: vec![
            OffsetFetchResponseGroup {
                group_id: Some("group"),
                topics: vec![OffsetFetchResponseTopic {
                    topic: TopicRef::Id(ID),
                    partitions: vec![OffsetFetchResponsePartition {
                        partition_index: 3,
                        committed_offset: 100,
                        committed_leader_epoch: 9,
                        error_code: 0,
                    }],
                }],
                error_code: 0,
            },
            OffsetFetchResponseGroup {
                group_id: Some("other"),
                topics: Vec::new(),
                error_code: 113,
            },
        ],
    });
    exact(Response, 9, 10, &body, &expected);
    assert_eq!(expected.first_error(), Some(113));
}

#[test]
fn a_group_without_a_name_is_refused() {
    for (key, version, body) in [
        (8, 0, "ffff 00000000"),
        (8, 9, r#"00 00000007 07 "member" 00 01 00"#),
        (9, 0, "ffff 00000000"),
        (9, 9, "02 00 00 ffffffff 01 00 00 00"),
    ] {
        assert_eq!(
            whole(Request, key, version, &bytes(body)),
            [Seen::Undecodable("null_string"), Seen::End(false)],
            "{key} v{version}"
        );
    }
}
