//! Members of a Kafka Streams group (KIP-1071): tasks become partitions by the topology that they told. `kafka-protocol` does not know the API,
//! so its frames are written here.

mod conversation;

use conversation::messages::{metadata_request, metadata_response};
use conversation::*;
use kafka_analyzer::observation::{Group, GroupKind, Observation, Reason};

/// A compact form of the flexible encoding: lengths are one more than they are, and below 128.
#[derive(Default)]
struct Frame(Vec<u8>);

impl Frame {
    fn new(head: &[u8]) -> Frame {
        Frame(head.to_vec())
    }

    fn i8(mut self, value: i8) -> Frame {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn i16(mut self, value: i16) -> Frame {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn i32(mut self, value: i32) -> Frame {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn text(mut self, text: &str) -> Frame {
        self.0.push(text.len() as u8 + 1);
        self.0.extend(text.as_bytes());
        self
    }

    /// Null strings and arrays, tags, empty arrays: 0, 0 and 1.
    fn bytes(mut self, bytes: &[u8]) -> Frame {
        self.0.extend(bytes);
        self
    }

    fn tasks(mut self, tasks: Option<&[(&str, &[i32])]>) -> Frame {
        let Some(tasks) = tasks else {
            return self.bytes(&[0]);
        };
        self.0.push(tasks.len() as u8 + 1);
        for (subtopology, partitions) in tasks {
            self = self.text(subtopology);
            self.0.push(partitions.len() as u8 + 1);
            for index in *partitions {
                self = self.i32(*index);
            }
            self = self.bytes(&[0]);
        }
        self
    }

    fn sized(self) -> Vec<u8> {
        let mut whole = (self.0.len() as i32).to_be_bytes().to_vec();
        whole.extend(self.0);
        whole
    }
}

/// Subtopology 0 reads `orders`, 1 reads `count-repartition`.
fn topology(frame: Frame) -> Frame {
    // Present, epoch 0, two subtopologies.
    let frame = frame.i8(1).i32(0).bytes(&[3]);
    let frame = frame.text("0").bytes(&[2]).text("orders");
    // No pattern, no changelog, one sink, no repartitioned source, no copartition groups, no tags.
    let frame = frame.bytes(&[1, 1, 2]).text("count-repartition");
    let frame = frame.bytes(&[1, 1, 0]);
    let frame = frame.text("1").bytes(&[1, 1, 1, 1, 2]);
    let frame = frame.text("count-repartition").i32(0).i16(0);
    // Its configuration and tags; no copartition groups; tags of the subtopology and of the topology.
    frame.bytes(&[1, 0, 1, 0, 0])
}

struct Speaker {
    talk: Talk,
    next: i32,
}

impl Speaker {
    fn new() -> Speaker {
        let mut talk = Talk::new(1);
        let answer = metadata_response(&[("orders", 7)]);
        talk.exchange(3, 12, 1, &metadata_request(), &answer);
        Speaker { talk, next: 2 }
    }

    /// Asks at `epoch`, with the topology if it joins; is told `given` at the epoch after, or at the same.
    fn beat(
        &mut self,
        epoch: i32,
        told: i32,
        given: Option<&[(&str, &[i32])]>,
        status: Option<i8>,
    ) {
        self.next += 1;
        // Groups are said once a second.
        self.talk.clock += 2_000_000_000;
        let head = Frame::default().i16(88).i16(0).i32(self.next);
        let head = head.i16(3).bytes(b"app").bytes(&[0]);
        let frame = head.text("counter").text("m1").i32(epoch).i32(0);
        let frame = frame.bytes(&[0, 0]).i32(300_000);
        let frame = match epoch {
            0 => topology(frame),
            _ => frame.i8(-1),
        };
        // Tasks, process, endpoint, client tags, offsets of tasks, shutdown, tags.
        let frame = frame.bytes(&[0, 0, 0, 0]).i8(-1);
        self.talk.write(frame.bytes(&[1, 0, 0, 0, 0]).sized());
        let head = Frame::new(&self.next.to_be_bytes()).bytes(&[0]);
        let frame = head.i32(0).i16(0).bytes(&[0]).text("m1").i32(told);
        let frame = frame.i32(5000).i32(10_000).i32(60_000);
        let frame = match status {
            Some(code) => frame.bytes(&[2]).i8(code).text("missing").bytes(&[0]),
            None => frame.bytes(&[0]),
        };
        let frame = frame.tasks(given).tasks(given.map(|_| &[][..]));
        let frame = frame.tasks(given.map(|_| &[][..])).i32(0);
        self.talk.read(frame.bytes(&[0, 0]).sized());
    }

    fn groups(&self) -> (Vec<Group>, Vec<(i32, Reason)>) {
        let observations = run(&self.talk.events);
        assert_eq!(unsupported(&observations), []);
        let (mut groups, mut rebalances) = (Vec::new(), Vec::new());
        for observation in observations {
            match observation {
                // The test's conversations end with a minute of silence, in which sessions time out.
                Observation::Group(group) if !group.members.is_empty() => groups.push(group),
                Observation::Rebalance(it) if it.duration_ns.is_none() => {
                    rebalances.push((it.generation, it.reason));
                }
                _ => {}
            }
        }
        (groups, rebalances)
    }
}

#[test]
fn tasks_are_shown_as_partitions_of_what_they_read() {
    let mut member = Speaker::new();
    // Its internal topics are made first.
    member.beat(0, 1, Some(&[]), Some(3));
    member.beat(1, 2, Some(&[("1", &[0, 1]), ("0", &[1, 0])]), None);
    for _ in 0..2 {
        member.beat(2, 2, None, None);
    }
    let (groups, rebalances) = member.groups();
    let group = groups.last().unwrap();
    assert_eq!(
        (
            group.protocol,
            &*group.protocol_type,
            group.epoch,
            group.state
        ),
        (GroupKind::Streams, "streams", Some(2), Some("Stable"))
    );
    let [only] = &group.members[..] else {
        panic!("{:?}", group.members)
    };
    assert_eq!(
        only.assignment,
        Some(vec![
            ("count-repartition".into(), vec![0, 1]),
            // It has one partition.
            ("orders".into(), vec![0]),
        ])
    );
    assert_eq!(rebalances, [(2, Reason::FirstJoin)]);
}

#[test]
fn of_a_topology_that_was_not_heard_no_partitions_are_known() {
    let mut member = Speaker::new();
    member.beat(4, 4, None, None);
    member.beat(4, 5, Some(&[("0", &[2])]), None);
    member.beat(5, 5, None, None);
    let (groups, rebalances) = member.groups();
    let group = groups.last().unwrap();
    assert_eq!(group.members[0].assignment, None);
    assert_eq!(rebalances.len(), 1);
}
