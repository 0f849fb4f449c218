//! Records of `__consumer_offsets`: keys and commits of every version, written by franz-go's encoder (kmsg 1.15), keys of the newer groups and
//! what is refused by hand.

use kafka_wire::Uuid;
use kafka_wire::consumer_offsets::{Key, OffsetCommitValue};
use kafka_wire::reader::Stop;
use proptest::prelude::*;

use crate::golden::bytes;

const COMMIT: &str = "0001000567726f757000066f726465727300000003";

#[test]
fn keys_of_commits_and_of_classic_groups() {
    let expected = Key::OffsetCommit {
        group: "group",
        topic: "orders",
        partition: 3,
    };
    let v0 = COMMIT.replacen("0001", "0000", 1);
    assert_eq!(Key::parse(&bytes(&v0)), Ok(expected));
    assert_eq!(Key::parse(&bytes(COMMIT)), Ok(expected));
    let expected = Key::GroupMetadata { group: "group" };
    assert_eq!(Key::parse(&bytes("0002000567726f7570")), Ok(expected));
}

#[test]
fn keys_of_newer_groups_have_a_name_and_the_group() {
    for (number, name, rest) in [
        (3, "ConsumerGroupMetadata", ""),
        (4, "ConsumerGroupPartitionMetadata", ""),
        (5, "ConsumerGroupMemberMetadata", r#"0006 "member""#),
        (6, "ConsumerGroupTargetAssignmentMetadata", ""),
        (7, "ConsumerGroupTargetAssignmentMember", r#"0006 "member""#),
        (
            8,
            "ConsumerGroupCurrentMemberAssignment",
            r#"0006 "member""#,
        ),
        (9, "ShareGroupPartitionMetadata", ""),
        (10, "ShareGroupMemberMetadata", r#"0006 "member""#),
        (11, "ShareGroupMetadata", ""),
        (12, "ShareGroupTargetAssignmentMetadata", ""),
        (13, "ShareGroupTargetAssignmentMember", r#"0006 "member""#),
        (14, "ShareGroupCurrentMemberAssignment", r#"0006 "member""#),
        (15, "ShareGroupStatePartitionMetadata", ""),
        (16, "ConsumerGroupRegularExpression", r#"0003 "a.*""#),
        (17, "StreamsGroupMetadata", ""),
        (18, "StreamsGroupPartitionMetadata", ""),
        (19, "StreamsGroupMemberMetadata", r#"0006 "member""#),
        (20, "StreamsGroupTargetAssignmentMetadata", ""),
        (21, "StreamsGroupTargetAssignmentMember", r#"0006 "member""#),
        (
            22,
            "StreamsGroupCurrentMemberAssignment",
            r#"0006 "member""#,
        ),
        (23, "StreamsGroupTopology", ""),
    ] {
        let key = bytes(&format!(r#"{number:04x} 0005 "group" {rest}"#));
        let expected = Key::Other {
            number,
            name,
            group: "group",
        };
        assert_eq!(Key::parse(&key), Ok(expected));
    }
    for number in [-1, 24, i16::MAX, i16::MIN] {
        let key = number.to_be_bytes();
        assert_eq!(Key::parse(&key), Ok(Key::Unknown { number }));
    }
}

#[test]
fn commits_of_each_version() {
    for (version, value) in [
        (0, "0000000000000000006400016d00000000000003e8"),
        (
            1,
            "0001000000000000006400016d00000000000003e800000000000007d0",
        ),
        (2, "0002000000000000006400016d00000000000003e8"),
        (3, "000300000000000000640000000900016d00000000000003e8"),
        (4, "0004000000000000006400000009026d00000000000003e800"),
    ] {
        let expected = OffsetCommitValue {
            version,
            offset: 100,
            leader_epoch: if version >= 3 { 9 } else { -1 },
            commit_timestamp: 1000,
            expire_timestamp: if version == 1 { 2000 } else { -1 },
            topic_id: Uuid::ZERO,
        };
        let value = bytes(value);
        assert_eq!(OffsetCommitValue::parse(&value), Ok(expected));
        for end in 0..value.len() {
            let stop = OffsetCommitValue::parse(&value[..end]).expect_err("too short");
            assert_eq!(stop.reason(), "truncated", "v{version}, {end} bytes");
        }
        let longer = [&value[..], &[0]].concat();
        let expected = Err(Stop::Bad("trailing_bytes"));
        assert_eq!(OffsetCommitValue::parse(&longer), expected);
    }
}

#[test]
fn commits_may_have_a_topic_id() {
    let start = "0004000000000000006400000009026d00000000000003e8";
    let id = "07".repeat(16);
    for tags in [format!("01 00 10 {id}"), format!("02 00 10 {id} 05 01 ff")] {
        let value = bytes(&format!("{start} {tags}"));
        let seen = OffsetCommitValue::parse(&value).expect("a commit");
        assert_eq!(seen.topic_id, Uuid([7; 16]));
    }
    for (tags, reason) in [
        (format!("01 00 0f {}", "07".repeat(15)), "truncated"),
        (format!("01 00 11 {id} 07"), "trailing_bytes"),
    ] {
        let value = bytes(&format!("{start} {tags}"));
        assert_eq!(OffsetCommitValue::parse(&value), Err(Stop::Bad(reason)));
    }
}

#[test]
fn what_is_not_such_a_record_is_refused() {
    let key = bytes(COMMIT);
    for end in 0..key.len() {
        let stop = Key::parse(&key[..end]).expect_err("too short");
        assert_eq!(stop.reason(), "truncated", "{end} bytes");
    }
    let longer = [&key[..], &[0]].concat();
    assert_eq!(Key::parse(&longer), Err(Stop::Bad("trailing_bytes")));
    assert_eq!(
        Key::parse(&bytes("0002 ffff")),
        Err(Stop::Bad("null_string"))
    );
    for version in ["0005", "ffff"] {
        let value = bytes(&format!("{version} 0000000000000064 0000 00000000000003e8"));
        assert_eq!(OffsetCommitValue::parse(&value), Err(Stop::Bad("version")));
    }
}

proptest! {
    #[test]
    fn noise_is_never_more_than_a_refusal(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(4), any::<u8>()], 0..60)) {
        if let Ok(Key::OffsetCommit { group, topic, .. }) = Key::parse(&bytes) {
            prop_assert_eq!(group.len() + topic.len() + 10, bytes.len());
        }
        if let Ok(value) = OffsetCommitValue::parse(&bytes) {
            prop_assert!((0..=4).contains(&value.version));
        }
    }
}
