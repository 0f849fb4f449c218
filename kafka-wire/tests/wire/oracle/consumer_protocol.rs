//! Subscriptions and assignments of the consumer protocol, as `kafka-protocol` encodes them.

use kafka_protocol::messages as oracle;
use kafka_protocol::messages::{
    consumer_protocol_assignment as assigned, consumer_protocol_subscription as owned,
};
use kafka_wire::consumer_protocol::{Assignment, Subscription, TopicPartitions};

use super::*;

/// The version, then the body.
fn encode(version: i16, body: &impl Encodable) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    body.encode(&mut bytes, version)
        .expect("the oracle encodes");
    bytes
}

#[test]
fn subscriptions() {
    each_version(0..=3, |version, random| {
        let data = random.bool().then(|| random.bytes(9).into());
        let mut body = oracle::ConsumerProtocolSubscription::default()
            .with_topics(random.many(4, Random::text))
            .with_user_data(data);
        if version >= 1 {
            body.owned_partitions = random.many(3, |random| {
                owned::TopicPartition::default()
                    .with_topic(random.text().into())
                    .with_partitions(random.many(4, Random::i32))
            });
        }
        if version >= 2 {
            body.generation_id = random.i32();
        }
        if version >= 3 {
            body.rack_id = random.maybe();
        }
        let owned = body.owned_partitions.iter().map(|it| TopicPartitions {
            topic: it.topic.as_str(),
            partitions: it.partitions.clone(),
        });
        let expected = Subscription {
            version,
            topics: body.topics.iter().map(|topic| &**topic).collect(),
            user_data_len: body.user_data.as_ref().map(Bytes::len),
            owned_partitions: owned.collect(),
            generation_id: body.generation_id,
            rack_id: text(&body.rack_id),
        };
        assert_eq!(
            Subscription::parse(&encode(version, &body)),
            Ok(expected),
            "v{version}"
        );
    });
}

#[test]
fn assignments() {
    each_version(0..=3, |version, random| {
        let data = random.bool().then(|| random.bytes(9).into());
        let body = oracle::ConsumerProtocolAssignment::default()
            .with_user_data(data)
            .with_assigned_partitions(random.many(3, |random| {
                assigned::TopicPartition::default()
                    .with_topic(random.text().into())
                    .with_partitions(random.many(4, Random::i32))
            }));
        let partitions = body.assigned_partitions.iter().map(|it| TopicPartitions {
            topic: it.topic.as_str(),
            partitions: it.partitions.clone(),
        });
        let expected = Assignment {
            version,
            assigned_partitions: partitions.collect(),
            user_data_len: body.user_data.as_ref().map(Bytes::len),
        };
        assert_eq!(
            Assignment::parse(&encode(version, &body)),
            Ok(expected),
            "v{version}"
        );
    });
}
