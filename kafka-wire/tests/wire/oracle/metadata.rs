//! Metadata, both sides.

use kafka_protocol::messages::metadata_request as ask;
use kafka_protocol::messages::metadata_response as tell;
use kafka_wire::api::{METADATA, Message};
use kafka_wire::body::Side;

use super::*;

#[test]
fn requests() {
    each_version(0..=13, |version, random| {
        let mut request = ask::MetadataRequest::default();
        request.topics = Some(random.many(4, |random| {
            let mut topic = ask::MetadataRequestTopic::default();
            topic.name = Some(random.text().into());
            if version >= 10 && random.bool() {
                (topic.name, topic.topic_id) = (None, random.uuid());
            }
            topic
        }));
        if version >= 1 && random.below(4) == 0 {
            request.topics = None;
        }
        if version >= 4 {
            request.allow_auto_topic_creation = random.bool();
        }
        if version >= 8 {
            request.include_topic_authorized_operations = random.bool();
        }
        message(Side::Request, METADATA, version, &request, |message| {
            let Message::MetadataRequest(seen) = message else {
                panic!("{message:?}")
            };
            assert_eq!(
                seen.allow_auto_topic_creation,
                request.allow_auto_topic_creation
            );
            let expected = request
                .topics
                .as_ref()
                .filter(|topics| version > 0 || !topics.is_empty());
            assert_eq!(seen.topics.as_ref().map(Vec::len), expected.map(Vec::len));
            for (seen, topic) in seen
                .topics
                .iter()
                .flatten()
                .zip(expected.into_iter().flatten())
            {
                assert_eq!(seen.name, topic.name.as_ref().map(|name| name.as_str()));
                assert_eq!(seen.topic_id.0, topic.topic_id.into_bytes());
            }
        });
    });
}

/// An answer of some version with fewer than `topics` topics.
fn answer(version: i16, topics: u64, random: &mut Random) -> tell::MetadataResponse {
    let mut answer = tell::MetadataResponse::default();
    if version >= 3 {
        answer.throttle_time_ms = random.i32();
    }
    answer.brokers = random.many(3, |random| {
        let mut broker = tell::MetadataResponseBroker::default();
        (broker.node_id, broker.host, broker.port) =
            (random.i32().into(), random.text(), random.i32());
        if version >= 1 {
            broker.rack = random.maybe();
        }
        broker
    });
    if version >= 2 {
        answer.cluster_id = random.maybe();
    }
    if version >= 1 {
        answer.controller_id = random.i32().into();
    }
    if (8..=10).contains(&version) {
        answer.cluster_authorized_operations = random.i32();
    }
    if version >= 13 {
        answer.error_code = random.i16();
    }
    answer.topics = random.many(topics, |random| topic(version, random));
    answer
}

/// Everything that an answer says, over all of its messages.
fn said(version: i16, body: &[u8], piece: usize, whole: usize) -> (Vec<String>, usize, usize) {
    let limits = Limits {
        whole,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(Side::Response, METADATA, version, body.len() as u64, limits);
    let (mut said, mut messages, mut held) = (Vec::new(), 0, 0);
    let mut see = |event: Event<'_>| match event {
        Event::Message(Message::MetadataResponse(part)) => {
            messages += 1;
            said.extend(part.brokers.iter().map(|broker| format!("{broker:?}")));
            said.extend(part.topics.iter().map(|topic| format!("{topic:?}")));
            said.extend(part.cluster_id.map(str::to_owned));
            let numbers = [part.throttle_time_ms, part.error_code.into()];
            said.extend(numbers.iter().filter(|n| **n != 0).map(i32::to_string));
        }
        Event::End { complete: true } => said.push("end".to_owned()),
        other => panic!("v{version}: {other:?}"),
    };
    for piece in body.chunks(piece) {
        decoder.feed(Segment::Bytes(piece), &mut see);
        held = held.max(decoder.held());
    }
    said.sort();
    (said, messages, held)
}

#[test]
fn large_answers_come_in_parts_that_say_the_same() {
    each_version(0..=13, |version, random| {
        let mut answer = answer(version, 4, random);
        answer.topics = (0..40).map(|_| topic(version, random)).collect();
        let mut body = Vec::new();
        answer
            .encode(&mut body, version)
            .expect("the oracle encodes");
        let (want, messages, _) = said(version, &body, body.len(), usize::MAX);
        assert_eq!(messages, 1);
        for piece in [1, 97, body.len()] {
            let most = body.len() - 1;
            let (parts, messages, held) = said(version, &body, piece, most);
            assert_eq!((&parts, messages), (&want, 42), "v{version}");
            // A vector may have room for twice what it holds.
            assert!(held <= 2 * most, "{held}");
        }
    });
}

#[test]
fn answers() {
    each_version(0..=13, |version, random| {
        let answer = answer(version, 4, random);
        message(Side::Response, METADATA, version, &answer, |message| {
            let Message::MetadataResponse(seen) = message else {
                panic!("{message:?}")
            };
            assert_eq!(
                (seen.throttle_time_ms, seen.error_code),
                (answer.throttle_time_ms, answer.error_code)
            );
            assert_eq!(
                (seen.cluster_id, seen.controller_id),
                (text(&answer.cluster_id), answer.controller_id.0)
            );
            assert_eq!(seen.brokers.len(), answer.brokers.len());
            for (seen, broker) in seen.brokers.iter().zip(&answer.brokers) {
                assert_eq!(
                    (seen.node_id, seen.host, seen.port),
                    (broker.node_id.0, &*broker.host, broker.port)
                );
                assert_eq!(seen.rack, text(&broker.rack));
            }
            assert_eq!(seen.topics.len(), answer.topics.len());
            for (seen, topic) in seen.topics.iter().zip(&answer.topics) {
                assert_eq!(
                    (seen.error_code, seen.is_internal),
                    (topic.error_code, topic.is_internal)
                );
                assert_eq!(seen.name, topic.name.as_ref().map(|name| name.as_str()));
                assert_eq!(seen.topic_id.0, topic.topic_id.into_bytes());
                assert_eq!(seen.partitions.len(), topic.partitions.len());
                for (seen, partition) in seen.partitions.iter().zip(&topic.partitions) {
                    assert_eq!(
                        (seen.error_code, seen.partition_index),
                        (partition.error_code, partition.partition_index)
                    );
                    assert_eq!(
                        (seen.leader_id, seen.leader_epoch),
                        (partition.leader_id.0, partition.leader_epoch)
                    );
                }
            }
        });
    });
}

fn topic(version: i16, random: &mut Random) -> tell::MetadataResponseTopic {
    let mut topic = tell::MetadataResponseTopic::default();
    topic.error_code = random.i16();
    topic.name = Some(random.text().into());
    if version >= 12 && random.below(4) == 0 {
        topic.name = None;
    }
    if version >= 10 {
        topic.topic_id = random.uuid();
    }
    if version >= 1 {
        topic.is_internal = random.bool();
    }
    if version >= 8 {
        topic.topic_authorized_operations = random.i32();
    }
    topic.partitions = random.many(4, |random| {
        let mut partition = tell::MetadataResponsePartition::default();
        (partition.error_code, partition.partition_index) = (random.i16(), random.i32());
        partition.leader_id = random.i32().into();
        if version >= 7 {
            partition.leader_epoch = random.i32();
        }
        partition.replica_nodes = random.many(3, |random| random.i32().into());
        partition.isr_nodes = random.many(3, |random| random.i32().into());
        if version >= 5 {
            partition.offline_replicas = random.many(3, |random| random.i32().into());
        }
        partition
    });
    topic
}
