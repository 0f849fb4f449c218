//! What a ShareFetch answer has beside a Fetch answer. In: proptest; out: a model of it, its bytes, and the events they must give.

use kafka_wire::Uuid;
use kafka_wire::body::Side;
use proptest::prelude::*;

use super::{Body, Partition, partition, tags};
use crate::seen::Seen;
use crate::writer::Writer;

/// Of one partition.
#[derive(Clone, Debug, Default)]
pub struct Share {
    pub acknowledge_error_code: i16,
    pub messages: [Option<String>; 2],
    pub leader_tags: Vec<(u32, Vec<u8>)>,
    /// First and last offset, and how often they were delivered.
    pub acquired: Vec<(i64, i64, i16)>,
}

pub fn head(body: &Body, w: &mut Writer) -> Seen {
    let (error_code, throttle_ms, timeout) = body.head;
    w.i32(throttle_ms)
        .i16(error_code)
        .string(body.transactional_id.as_deref());
    if body.version >= 1 {
        w.i32(timeout);
    }
    Seen::ShareFetch {
        throttle_ms,
        error_code,
        acquisition_lock_timeout_ms: if body.version >= 1 { timeout } else { 0 },
    }
}

impl Share {
    /// From the error message to the records.
    pub fn before_records(&self, w: &mut Writer) {
        w.string(self.messages[0].as_deref())
            .i16(self.acknowledge_error_code)
            .string(self.messages[1].as_deref())
            .i32(3)
            .i32(4)
            .tags(&self.leader_tags);
    }

    pub fn after_records(&self, w: &mut Writer, seen: &mut Vec<Seen>) {
        w.length(Some(self.acquired.len()));
        for (first, last, count) in &self.acquired {
            w.i64(*first).i64(*last).i16(*count).tags(&[(3, vec![7])]);
            seen.push(Seen::Acquired(*first, *last, *count));
        }
    }
}

pub fn nodes(nodes: &[(i32, String)], w: &mut Writer) {
    w.length(Some(nodes.len()));
    for (id, host) in nodes {
        w.i32(*id).string(Some(host)).i32(9092).string(None);
        w.tags(&[(0, vec![1, 2, 3])]);
    }
}

fn share_partition() -> impl Strategy<Value = Partition> {
    let message = || prop::option::of("[a-z ]{0,30}");
    let acquired = prop::collection::vec(any::<(i64, i64, i16)>(), 0..4);
    let share = (any::<i16>(), message(), message(), tags(), acquired);
    (partition(), share).prop_map(|(partition, (code, one, two, leader_tags, acquired))| {
        let share = Share {
            acknowledge_error_code: code,
            messages: [one, two],
            leader_tags,
            acquired,
        };
        Partition { share, ..partition }
    })
}

/// A ShareFetch answer of v0–2.
pub fn share_body() -> impl Strategy<Value = Body> {
    let partitions = prop::collection::vec(share_partition(), 0..3);
    let topics = prop::collection::vec((any::<[u8; 16]>(), partitions), 0..3);
    let nodes = prop::collection::vec((any::<i32>(), "[a-z]{0,9}"), 0..3);
    let head = (any::<i16>(), any::<i32>(), any::<i32>());
    let message = prop::option::of("[a-z ]{0,20}");
    (0i16..=2, message, head, topics, nodes, tags()).prop_map(
        |(version, message, head, topics, nodes, tags)| Body {
            side: Side::Response,
            version,
            transactional_id: message,
            head,
            topics: topics
                .into_iter()
                .map(|(id, partitions)| (String::new(), Uuid(id), partitions))
                .collect(),
            tags,
            share: Some(nodes),
        },
    )
}
