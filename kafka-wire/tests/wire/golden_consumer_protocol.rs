//! Subscriptions and assignments of the consumer protocol, written out by hand: every version, what some clients send, and what is refused.

use kafka_wire::consumer_protocol::{Assignment, Subscription, TopicPartitions};
use kafka_wire::reader::Stop;
use proptest::prelude::*;

use crate::golden::bytes;

fn partitions<'a>(topic: &'a str, partitions: &[i32]) -> TopicPartitions<'a> {
    TopicPartitions {
        topic,
        partitions: partitions.to_vec(),
    }
}

const TOPICS: &str = r#"00000002 0006 "orders" 0005 "bills" 00000003 aabbcc"#;
const OWNED: &str = r#"00000001 0006 "orders" 00000002 00000000 00000004"#;

#[test]
fn subscriptions_of_each_version() {
    for (version, fields) in [
        (0, ""),
        (1, OWNED),
        (2, &format!("{OWNED} 00000007")),
        (3, &format!(r#"{OWNED} 00000007 0006 "rack-1""#)),
        // A later version may only add: what it adds is not looked at.
        (4, &format!(r#"{OWNED} 00000007 0006 "rack-1" ffff"#)),
    ] {
        let body = bytes(&format!("{version:04x} {TOPICS} {fields}"));
        let expected = Subscription {
            version,
            topics: vec!["orders", "bills"],
            user_data_len: Some(3),
            owned_partitions: if version >= 1 {
                vec![partitions("orders", &[0, 4])]
            } else {
                Vec::new()
            },
            generation_id: if version >= 2 { 7 } else { -1 },
            rack_id: if version >= 3 { Some("rack-1") } else { None },
        };
        assert_eq!(Subscription::parse(&body), Ok(expected), "v{version}");
    }
}

#[test]
fn fields_that_a_client_claims_but_does_not_send_are_absent() {
    for version in 1..=3 {
        let body = bytes(&format!("{version:04x} {TOPICS}"));
        let seen = Subscription::parse(&body).expect("a subscription");
        assert_eq!((seen.version, seen.topics.len()), (version, 2));
        assert!(seen.owned_partitions.is_empty());
        assert_eq!((seen.generation_id, seen.rack_id), (-1, None));
    }
    let body = bytes(&format!("0003 {TOPICS} {OWNED}"));
    let seen = Subscription::parse(&body).expect("a subscription");
    assert_eq!(seen.owned_partitions, [partitions("orders", &[0, 4])]);
    assert_eq!((seen.generation_id, seen.rack_id), (-1, None));
}

#[test]
fn assignments_of_each_version() {
    for version in 0..=4 {
        let body = bytes(&format!("{version:04x} {OWNED} ffffffff"));
        let expected = Assignment {
            version,
            assigned_partitions: vec![partitions("orders", &[0, 4])],
            user_data_len: None,
        };
        assert_eq!(Assignment::parse(&body), Ok(expected), "v{version}");
    }
}

#[test]
fn no_bytes_are_an_empty_value() {
    let seen = Subscription::parse(&[]).expect("empty");
    assert!(seen.topics.is_empty() && seen.owned_partitions.is_empty());
    let fields = (seen.version, seen.user_data_len, seen.generation_id);
    assert_eq!((fields, seen.rack_id), ((0, None, -1), None));
    let seen = Assignment::parse(&[]).expect("empty");
    assert!(seen.assigned_partitions.is_empty());
    assert_eq!((seen.version, seen.user_data_len), (0, None));
}

#[test]
fn what_ends_too_early_or_lies_is_refused() {
    let subscription = bytes(&format!("0000 {TOPICS}"));
    let assignment = bytes(&format!("0001 {OWNED} 00000002 aabb"));
    let truncated = |stop: Stop| stop.reason() == "truncated";
    for end in 1..subscription.len() {
        assert!(Subscription::parse(&subscription[..end]).is_err_and(truncated));
    }
    for end in 1..assignment.len() {
        assert!(Assignment::parse(&assignment[..end]).is_err_and(truncated));
    }
    let negative = bytes(&format!("ffff {OWNED} ffffffff"));
    assert_eq!(Assignment::parse(&negative), Err(Stop::Bad("version")));
    assert_eq!(Subscription::parse(&negative), Err(Stop::Bad("version")));
    let nameless = bytes("0000 00000001 ffff 00000000");
    assert_eq!(Assignment::parse(&nameless), Err(Stop::Bad("null_string")));
    let absurd = bytes("0000 7fffffff");
    assert!(Assignment::parse(&absurd).is_err_and(truncated));
    assert!(Subscription::parse(&absurd).is_err_and(truncated));
}

proptest! {
    #[test]
    fn noise_never_gives_more_than_its_bytes(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0xff), any::<u8>()], 0..120)) {
        if let Ok(seen) = Subscription::parse(&bytes) {
            prop_assert!(seen.topics.len() * 2 <= bytes.len());
            prop_assert!(seen.owned_partitions.len() * 6 <= bytes.len());
            prop_assert!(seen.user_data_len.unwrap_or(0) <= bytes.len());
        }
        if let Ok(seen) = Assignment::parse(&bytes) {
            let partitions = seen.assigned_partitions.iter().map(|topic| topic.partitions.len());
            prop_assert!(partitions.sum::<usize>() * 4 <= bytes.len());
        }
    }
}
