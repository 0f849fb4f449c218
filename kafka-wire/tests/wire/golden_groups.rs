//! Frames about groups written out by hand: versions that `kafka-protocol` does not know, and frames as a cluster sends them.

use kafka_wire::Uuid;
use kafka_wire::api::Message;
use kafka_wire::api::n11_join_group::*;
use kafka_wire::api::n14_sync_group::*;
use kafka_wire::api::n23_offset_for_leader_epoch::*;
use kafka_wire::api::n42_delete_groups::*;
use kafka_wire::api::n68_consumer_group_heartbeat::*;
use kafka_wire::body::Side::{Request, Response};
use kafka_wire::consumer_protocol::{Assignment, Subscription};

use crate::exact::exact;
use crate::golden::bytes;
use crate::seen::{Seen, whole};

#[test]
fn a_member_of_kafka_0_10_joins_and_is_given_its_partitions() {
    let metadata = bytes(r#"0000 00000001 0006 "orders" 00000000"#);
    let body = [
        &bytes(r#"0005 "group" 00007530 0000 0008 "consumer" 00000001 0005 "range" 00000012"#)[..],
        &metadata,
    ]
    .concat();
    let expected = Message::JoinGroupRequest(JoinGroupRequest {
        group_id: "group",
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: -1,
        member_id: "",
        group_instance_id: None,
        protocol_type: "consumer",
        protocols: vec![JoinGroupRequestProtocol {
            name: "range",
            metadata: &metadata,
        }],
        reason: None,
    });
    exact(Request, 11, 0, &body, &expected);
    let seen = Subscription::parse(&metadata).expect("a subscription");
    assert_eq!((seen.topics, seen.user_data_len), (vec!["orders"], Some(0)));

    let assignment = bytes(r#"0000 00000001 0006 "orders" 00000002 00000000 00000001 ffffffff"#);
    let body = [&bytes("0000 0000001e")[..], &assignment].concat();
    let expected = Message::SyncGroupResponse(SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: 0,
        protocol_type: None,
        protocol_name: None,
        assignment: &assignment,
    });
    exact(Response, 14, 0, &body, &expected);
    let seen = Assignment::parse(&assignment).expect("an assignment");
    assert_eq!(seen.assigned_partitions[0].partitions, [0, 1]);
}

#[test]
fn join_group_v9_tells_a_leader_not_to_assign() {
    let body = bytes(
        r#"00000000 0000 00000007 09 "consumer" 06 "range" 02 "a" 01 02 "a"
           02 02 "a" 05 "inst" 03 0000 00 00"#,
    );
    let expected = Message::JoinGroupResponse(JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: 0,
        generation_id: 7,
        protocol_type: Some("consumer"),
        protocol_name: Some("range"),
        leader: "a",
        skip_assignment: true,
        member_id: "a",
        members: vec![JoinGroupResponseMember {
            member_id: "a",
            group_instance_id: Some("inst"),
            metadata: &[0, 0],
        }],
    });
    exact(Response, 11, 9, &body, &expected);
    assert_eq!(expected.first_error(), None);
}

#[test]
fn null_metadata_is_empty() {
    let body = bytes("0000 ffffffff");
    let expected = Message::SyncGroupResponse(SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: 0,
        protocol_type: None,
        protocol_name: None,
        assignment: &[],
    });
    exact(Response, 14, 0, &body, &expected);
}

#[test]
fn a_heartbeat_that_changes_nothing_has_no_lists() {
    let body = bytes(r#"06 "group" 02 "m" 00000005 00 00 ffffffff 00 00 00 00 00"#);
    let mut request = ConsumerGroupHeartbeatRequest {
        group_id: "group",
        member_id: "m",
        member_epoch: 5,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: None,
    };
    let message = Message::ConsumerGroupHeartbeatRequest;
    exact(Request, 68, 1, &body, &message(request.clone()));
    let body = bytes(r#"06 "group" 02 "m" 00000005 00 00 ffffffff 01 00 00 01 00"#);
    request.subscribed_topic_names = Some(Vec::new());
    request.topic_partitions = Some(Vec::new());
    exact(Request, 68, 1, &body, &message(request));

    let topics = format!("02 {} 03 00000000 00000002 00", "07".repeat(16));
    let full = TopicPartitions {
        topic_id: Uuid([7; 16]),
        partitions: vec![0, 2],
    };
    for (assignment, expected) in [
        ("ff", None),
        ("01 01 00", Some(Vec::new())),
        (&format!("01 {topics} 00"), Some(vec![full])),
    ] {
        let body = bytes(&format!(
            r#"00000000 0000 00 02 "m" 00000006 00001388 {assignment} 00"#
        ));
        let expected = Message::ConsumerGroupHeartbeatResponse(ConsumerGroupHeartbeatResponse {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            member_id: Some("m"),
            member_epoch: 6,
            heartbeat_interval_ms: 5000,
            assignment: expected,
        });
        exact(Response, 68, 1, &body, &expected);
    }
}

#[test]
fn delete_groups_v3_says_why_not() {
    let body = bytes(r#"02 06 "group" 00"#);
    let expected = Message::DeleteGroupsRequest(DeleteGroupsRequest {
        groups_names: vec!["group"],
    });
    exact(Request, 42, 3, &body, &expected);
    let body = bytes(r#"00000005 03 06 "group" 0000 00 00 06 "other" 0044 04 "why" 00 00"#);
    let result = |group_id, error_code, error_message| DeletableGroupResult {
        group_id,
        error_code,
        error_message,
    };
    let expected = Message::DeleteGroupsResponse(DeleteGroupsResponse {
        throttle_time_ms: 5,
        results: vec![result("group", 0, None), result("other", 68, Some("why"))],
    });
    exact(Response, 42, 3, &body, &expected);
    assert_eq!(expected.first_error(), Some(68));
}

#[test]
fn offset_for_leader_epoch_before_v2() {
    for version in 0..=1 {
        let body = bytes(r#"00000001 0006 "orders" 00000001 00000003 00000009"#);
        let expected = Message::OffsetForLeaderEpochRequest(OffsetForLeaderEpochRequest {
            replica_id: -2,
            topics: vec![OffsetForLeaderTopic {
                topic: "orders",
                partitions: vec![OffsetForLeaderPartition {
                    partition: 3,
                    current_leader_epoch: -1,
                    leader_epoch: 9,
                }],
            }],
        });
        exact(Request, 23, version, &body, &expected);
        let epoch = if version >= 1 { "00000008" } else { "" };
        let body = bytes(&format!(
            r#"00000001 0006 "orders" 00000001 004a 00000003 {epoch} 0000000000000064"#
        ));
        let expected = Message::OffsetForLeaderEpochResponse(OffsetForLeaderEpochResponse {
            throttle_time_ms: 0,
            topics: vec![OffsetForLeaderTopicResult {
                topic: "orders",
                partitions: vec![EpochEndOffset {
                    error_code: 74,
                    partition: 3,
                    leader_epoch: if version >= 1 { 8 } else { -1 },
                    end_offset: 100,
                }],
            }],
        });
        exact(Response, 23, version, &body, &expected);
        assert_eq!(expected.first_error(), Some(74));
    }
}

#[test]
fn versions_that_kafka_does_not_have_are_only_framed() {
    for (key, version) in [
        (8, 11),
        (9, 11),
        (11, 10),
        (14, 6),
        (15, 7),
        (42, 4),
        (47, 1),
        (68, 2),
    ] {
        for side in [Request, Response] {
            assert_eq!(whole(side, key, version, &[0xff; 20]), [Seen::End(true)]);
        }
    }
}
