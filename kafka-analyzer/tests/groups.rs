//! A classic group from its first member to its last: generations, members, reasons, commits and lag.

mod conversation;

use conversation::messages::{metadata_request, metadata_response, text};
use conversation::*;
use kafka_analyzer::observation::{
    Basis, EventKind, Group, LagBasis, Observation, Reason, Rebalance,
};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;

/// ConsumerProtocolAssignment v0 of partitions of `orders`.
fn assignment(partitions: &[i32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 6];
    bytes.extend(b"orders");
    bytes.extend((partitions.len() as i32).to_be_bytes());
    partitions
        .iter()
        .for_each(|index| bytes.extend(index.to_be_bytes()));
    bytes.extend([0xff; 4]);
    bytes
}

/// ConsumerProtocolSubscription v0 to `orders`.
fn subscription() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 6];
    bytes.extend(b"orders");
    bytes.extend([0xff; 4]);
    bytes
}

/// One member that speaks over one connection.
struct Speaker {
    talk: Talk,
    id: &'static str,
    next: i32,
}

impl Speaker {
    fn new(connection: u64, id: &'static str) -> Speaker {
        let mut talk = Talk::new(connection);
        let answer = metadata_response(&[("orders", 7)]);
        talk.exchange(3, 12, 1, &metadata_request(), &answer);
        Speaker { talk, id, next: 2 }
    }

    fn at(&mut self) -> i32 {
        self.next += 1;
        self.next
    }

    /// Joins; the leader is told `members`.
    fn join(&mut self, new: bool, generation: i32, leader: &'static str, members: &[&'static str]) {
        let mut request = JoinGroupRequest::default();
        request.group_id = GroupId(text("billing"));
        // The test's conversations end with a minute of silence.
        request.session_timeout_ms = 300_000;
        request.rebalance_timeout_ms = 60_000;
        request.member_id = text(if new { "" } else { self.id });
        request.protocol_type = text("consumer");
        let mut protocol = JoinGroupRequestProtocol::default();
        (protocol.name, protocol.metadata) = (text("range"), subscription().into());
        request.protocols = vec![protocol];
        let mut answer = JoinGroupResponse::default();
        answer.generation_id = generation;
        answer.protocol_name = Some(text("range"));
        (answer.leader, answer.member_id) = (text(leader), text(self.id));
        answer.members = members
            .iter()
            .map(|id| {
                let mut member = JoinGroupResponseMember::default();
                (member.member_id, member.metadata) = (text(id), subscription().into());
                member
            })
            .collect();
        let at = self.at();
        self.talk.exchange(11, 5, at, &request, &answer);
    }

    fn sync(&mut self, generation: i32, all: &[(&'static str, &[i32])], own: &[i32]) {
        let mut request = SyncGroupRequest::default();
        request.group_id = GroupId(text("billing"));
        (request.generation_id, request.member_id) = (generation, text(self.id));
        request.assignments = all
            .iter()
            .map(|(id, partitions)| {
                let mut given = SyncGroupRequestAssignment::default();
                (given.member_id, given.assignment) = (text(id), assignment(partitions).into());
                given
            })
            .collect();
        let mut answer = SyncGroupResponse::default();
        answer.assignment = assignment(own).into();
        let at = self.at();
        self.talk.exchange(14, 3, at, &request, &answer);
    }

    fn heartbeat(&mut self, generation: i32, error: i16) {
        let mut request = HeartbeatRequest::default();
        request.group_id = GroupId(text("billing"));
        (request.generation_id, request.member_id) = (generation, text(self.id));
        let mut answer = HeartbeatResponse::default();
        answer.error_code = error;
        let at = self.at();
        self.talk.exchange(12, 3, at, &request, &answer);
    }

    fn leave(&mut self) {
        let mut request = LeaveGroupRequest::default();
        request.group_id = GroupId(text("billing"));
        let mut member = MemberIdentity::default();
        member.member_id = text(self.id);
        request.members = vec![member];
        let mut told = MemberResponse::default();
        told.member_id = text(self.id);
        let mut answer = LeaveGroupResponse::default();
        answer.members = vec![told];
        let at = self.at();
        self.talk.exchange(13, 3, at, &request, &answer);
    }

    fn commit(&mut self, generation: i32, offset: i64, error: i16) {
        let mut partition = OffsetCommitRequestPartition::default();
        (partition.partition_index, partition.committed_offset) = (0, offset);
        let mut topic = OffsetCommitRequestTopic::default();
        (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
        let mut request = OffsetCommitRequest::default();
        request.group_id = GroupId(text("billing"));
        request.generation_id_or_member_epoch = generation;
        (request.member_id, request.topics) = (text(self.id), vec![topic]);
        let mut partition = OffsetCommitResponsePartition::default();
        (partition.partition_index, partition.error_code) = (0, error);
        let mut topic = OffsetCommitResponseTopic::default();
        (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
        let mut answer = OffsetCommitResponse::default();
        answer.topics = vec![topic];
        let at = self.at();
        self.talk.exchange(8, 7, at, &request, &answer);
    }

    /// Latest offset of partition 0, as a tool asks for it.
    fn log_end(&mut self, offset: i64) {
        use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        use list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
        let mut partition = ListOffsetsPartition::default();
        partition.timestamp = -1;
        let mut topic = ListOffsetsTopic::default();
        (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
        let mut request = ListOffsetsRequest::default();
        request.replica_id = BrokerId(-1);
        request.topics = vec![topic];
        let mut partition = ListOffsetsPartitionResponse::default();
        partition.offset = offset;
        let mut topic = ListOffsetsTopicResponse::default();
        (topic.name, topic.partitions) = (TopicName(text("orders")), vec![partition]);
        let mut answer = ListOffsetsResponse::default();
        answer.topics = vec![topic];
        let at = self.at();
        self.talk.exchange(2, 5, at, &request, &answer);
    }
}

fn rebalances(observations: &[Observation]) -> Vec<(String, i32, Reason)> {
    let counted = |rebalance: &&Rebalance| rebalance.duration_ns.is_none();
    let all = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Rebalance(rebalance) => Some(rebalance),
            _ => None,
        });
    all.filter(counted)
        .map(|r| (r.member_id.to_string(), r.generation, r.reason))
        .collect()
}

fn last_group(observations: &[Observation]) -> &Group {
    let mut groups = observations
        .iter()
        .rev()
        .filter_map(|observation| match observation {
            Observation::Group(group) => Some(group),
            _ => None,
        });
    groups.next().expect("the group was said")
}

/// (committed offset, high watermark, messages) of partition 0, as said last.
fn last_lag(observations: &[Observation]) -> Option<(i64, i64, u64)> {
    let mut lags = observations
        .iter()
        .rev()
        .filter_map(|observation| match observation {
            Observation::Lag(lag) if lag.basis == LagBasis::Committed => Some(lag),
            _ => None,
        });
    let lag = lags.next()?;
    assert_eq!(
        (&*lag.group, &*lag.topic, lag.partition),
        ("billing", "orders", 0)
    );
    Some((lag.offset, lag.high_watermark, lag.messages))
}

fn two_members() -> Speaker {
    let mut one = Speaker::new(1, "m1");
    one.join(true, 1, "m1", &["m1"]);
    one.sync(1, &[("m1", &[0, 1])], &[0, 1]);
    one.heartbeat(1, 27);
    one.join(false, 2, "m1", &["m1", "m2"]);
    one.sync(2, &[("m1", &[0]), ("m2", &[1])], &[0]);
    one
}

#[test]
fn the_leader_tells_who_joined_and_who_left() {
    let mut one = two_members();
    let group = last_group(&run(&one.talk.events)).clone();
    assert_eq!(group.count, Some((Basis::Leader, 2)));
    assert_eq!(
        (group.epoch, group.state, &*group.assignor),
        (Some(2), Some("Stable"), "range")
    );
    let given: Vec<_> = group
        .members
        .iter()
        .map(|m| {
            (
                &*m.member_id,
                m.leader,
                m.pid.is_some(),
                m.assignment.clone(),
            )
        })
        .collect();
    let orders = |index: i32| Some(vec![("orders".into(), vec![index])]);
    assert_eq!(
        given,
        [
            ("m1", true, true, orders(0)),
            ("m2", false, false, orders(1))
        ]
    );

    one.heartbeat(2, 27);
    one.join(false, 3, "m1", &["m1"]);
    one.sync(3, &[("m1", &[0, 1])], &[0, 1]);
    let observations = run(&one.talk.events);
    assert_eq!(
        rebalances(&observations),
        [
            ("m1".to_owned(), 1, Reason::FirstJoin),
            ("m1".to_owned(), 2, Reason::MemberJoined),
            ("m1".to_owned(), 3, Reason::MemberLeft),
        ]
    );
    assert_eq!(last_group(&observations).count, Some((Basis::Leader, 1)));

    one.leave();
    let observations = run(&one.talk.events);
    let group = last_group(&observations);
    assert_eq!(
        (group.count, group.state),
        (Some((Basis::Leader, 0)), Some("Empty"))
    );
    let stopped = observations.iter().filter(|observation| {
        matches!(observation, Observation::Event(event) if event.event == EventKind::ConsumerStopped)
    });
    assert_eq!(stopped.count(), 1);
}

#[test]
fn lag_is_the_log_end_less_what_is_committed_and_never_negative() {
    let mut one = two_members();
    one.commit(2, 40, 0);
    assert_eq!(last_lag(&run(&one.talk.events)), None, "no log end, no lag");
    one.log_end(100);
    assert_eq!(last_lag(&run(&one.talk.events)), Some((40, 100, 60)));
    one.commit(2, 100, 25);
    assert_eq!(
        last_lag(&run(&one.talk.events)),
        Some((40, 100, 60)),
        "refused"
    );
    one.commit(2, 110, 0);
    assert_eq!(
        last_lag(&run(&one.talk.events)),
        Some((110, 100, 0)),
        "the end is older"
    );
    one.talk.close();
    let mut other = Speaker::new(2, "tool");
    other
        .talk
        .events
        .splice(0..0, one.talk.events.iter().cloned());
    other.log_end(500);
    assert_eq!(
        last_lag(&run(&other.talk.events)),
        Some((110, 500, 390)),
        "it grows without the consumer"
    );
}

#[test]
fn refused_commits_are_counted_and_told() {
    let mut one = two_members();
    one.commit(2, 40, 0);
    one.commit(1, 50, 22);
    let observations = run(&one.talk.events);
    let commits: Vec<_> = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Commit(commit) => Some((
                commit.error,
                commit.retriable,
                commit.partitions,
                commit.refused,
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        commits,
        [
            (None, false, 1, 0),
            (Some("ILLEGAL_GENERATION"), false, 1, 1)
        ]
    );
    let told = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Event(event) if event.event == EventKind::CommitFailure => event.error,
            _ => None,
        });
    assert_eq!(told.collect::<Vec<_>>(), ["ILLEGAL_GENERATION"]);
}

/// Streams under exactly once, and every producer that sends a member's offsets (KIP-447): it has a client id and a connection of its own.
#[test]
fn offsets_in_a_transaction_come_from_a_producer_that_is_no_member() {
    let mut one = two_members();
    one.heartbeat(2, 0);
    let mut producer = Speaker::new(2, "m1");
    producer.talk.client_id = Some("app-producer");
    producer.talk.clock = one.talk.clock + 1000;
    let mut request = TxnOffsetCommitRequest::default();
    request.transactional_id = TransactionalId(text("tx"));
    request.group_id = GroupId(text("billing"));
    (request.generation_id, request.member_id) = (2, text("m1"));
    let answer = TxnOffsetCommitResponse::default();
    producer.talk.exchange(28, 3, 9, &request, &answer);
    producer.talk.close();
    let mut events = one.talk.events;
    events.extend(producer.talk.events);
    let observations = run(&events);
    let group = last_group(&observations);
    let member = group.members.iter().find(|it| &*it.member_id == "m1");
    assert_eq!(member.unwrap().client_id.as_deref(), Some("app"));
}
