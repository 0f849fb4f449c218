//! Groups of hundreds of members and commits of many thousand partitions: bodies far above a quarter of a mebibyte, read all the same.

mod conversation;

use conversation::messages::{metadata_request, metadata_response, text};
use conversation::*;
use kafka_analyzer::observation::{Basis, EventKind, Observation, SpanKind};
use kafka_analyzer::{Settings, StreamStage};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;

const MIB: usize = 1 << 20;
const MEMBERS: usize = 600;
const PARTITIONS: i32 = 20_000;

/// Topics with partitions, in the form that subscriptions and assignments share; user data of 500 bytes, as of sticky assignors.
fn embedded(topics: &[(String, Vec<i32>)], partitions: bool) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for (topic, indexes) in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
        if partitions {
            bytes.extend((indexes.len() as i32).to_be_bytes());
            indexes
                .iter()
                .for_each(|index| bytes.extend(index.to_be_bytes()));
        }
    }
    bytes.extend(500_i32.to_be_bytes());
    bytes.extend([7; 500]);
    bytes
}

fn member(n: usize) -> String {
    format!("consumer-billing-{n}-0f2c1f7e-3f9c-4b0e-8a43-9d2b7a1c5e6f")
}

#[test]
fn a_group_of_600_members_is_known_from_its_leader() {
    let topics: Vec<(String, Vec<i32>)> = (0..30)
        .map(|n| (format!("orders-of-region-{n}"), vec![]))
        .collect();
    let mut talk = Talk::new(1);
    talk.exchange(
        3,
        12,
        1,
        &metadata_request(),
        &metadata_response(&[("orders", 7)]),
    );
    let mut join = JoinGroupRequest::default();
    join.group_id = GroupId(text("billing"));
    (join.session_timeout_ms, join.rebalance_timeout_ms) = (300_000, 60_000);
    (join.member_id, join.protocol_type) = (text(&member(0)), text("consumer"));
    let mut protocol = JoinGroupRequestProtocol::default();
    (protocol.name, protocol.metadata) = (text("range"), embedded(&topics, false).into());
    join.protocols = vec![protocol];
    let mut joined = JoinGroupResponse::default();
    (joined.generation_id, joined.protocol_name) = (4, Some(text("range")));
    (joined.leader, joined.member_id) = (text(&member(0)), text(&member(0)));
    joined.members = (0..MEMBERS)
        .map(|n| {
            let mut told = JoinGroupResponseMember::default();
            told.member_id = text(&member(n));
            told.metadata = embedded(&topics, false).into();
            told
        })
        .collect();
    assert!(response(5, 2, &joined).len() > MIB / 2);
    talk.exchange(11, 5, 2, &join, &joined);

    let given = |n: usize| {
        let indexes = (0..4).map(|i| (4 * n + i) as i32).collect();
        vec![("orders-of-region-1".to_owned(), indexes)]
    };
    let mut sync = SyncGroupRequest::default();
    sync.group_id = GroupId(text("billing"));
    (sync.generation_id, sync.member_id) = (4, text(&member(0)));
    sync.assignments = (0..MEMBERS)
        .map(|n| {
            let mut one = SyncGroupRequestAssignment::default();
            one.member_id = text(&member(n));
            one.assignment = embedded(&given(n), true).into();
            one
        })
        .collect();
    let mut synced = SyncGroupResponse::default();
    synced.assignment = embedded(&given(0), true).into();
    assert!(request(14, 3, 3, Some("app"), &sync).len() > MIB / 4);
    talk.exchange(14, 3, 3, &sync, &synced);

    let out = run(&talk.events);
    let group = out
        .iter()
        .rev()
        .find_map(|seen| match seen {
            Observation::Group(group) if !group.gone => Some(group),
            _ => None,
        })
        .expect("the group");
    assert_eq!(group.count, Some((Basis::Leader, MEMBERS as u64)));
    assert_eq!(group.members.len(), MEMBERS);
    for told in &group.members {
        let assignment = told.assignment.as_ref().expect("assigned");
        assert_eq!(assignment[0].1.len(), 4, "{}", told.member_id);
    }
}

fn commit(error: impl Fn(i32) -> i16) -> (OffsetCommitRequest, OffsetCommitResponse) {
    let mut asked = OffsetCommitRequestTopic::default();
    asked.name = text("orders").into();
    asked.partitions = (0..PARTITIONS)
        .map(|index| {
            let mut partition = OffsetCommitRequestPartition::default();
            partition.partition_index = index;
            partition.committed_offset = 1000 + i64::from(index);
            partition.committed_metadata = Some(text("by the billing service"));
            partition
        })
        .collect();
    let mut told = OffsetCommitResponseTopic::default();
    told.name = text("orders").into();
    told.partitions = (0..PARTITIONS)
        .map(|index| {
            let mut partition = OffsetCommitResponsePartition::default();
            (partition.partition_index, partition.error_code) = (index, error(index));
            partition
        })
        .collect();
    let mut request = OffsetCommitRequest::default();
    request.group_id = GroupId(text("billing"));
    (
        request.generation_id_or_member_epoch,
        request.retention_time_ms,
    ) = (-1, -1);
    request.topics = vec![asked];
    let mut response = OffsetCommitResponse::default();
    response.topics = vec![told];
    (request, response)
}

#[test]
fn a_commit_of_20_000_partitions_is_taken_in_wholly() {
    // GROUP_AUTHORIZATION_FAILED for every thousandth.
    let (asked, told) = commit(|index| if index % 1000 == 0 { 30 } else { 0 });
    assert!(request(8, 7, 2, Some("app"), &asked).len() > MIB / 2);
    let mut talk = Talk::new(1);
    talk.exchange(
        3,
        12,
        1,
        &metadata_request(),
        &metadata_response(&[("orders", 7)]),
    );
    talk.exchange(8, 7, 2, &asked, &told);
    let out = run(&talk.events);
    let commits: Vec<_> = out
        .iter()
        .filter_map(|seen| match seen {
            Observation::Commit(commit) => Some(commit),
            _ => None,
        })
        .collect();
    assert_eq!(commits.len(), 1);
    assert_eq!(
        (commits[0].partitions, commits[0].refused),
        (PARTITIONS as u32, 20)
    );
    assert_eq!(commits[0].error, Some("GROUP_AUTHORIZATION_FAILED"));
    let failed = out.iter().find_map(|seen| match seen {
        Observation::Event(event) if event.event == EventKind::CommitFailure => event.span,
        _ => None,
    });
    let span = spans(&out, SpanKind::Commit)[0];
    assert_eq!(failed, Some((span.trace_id, span.span_id)));
    let unread = |seen: &&Observation| matches!(seen, Observation::Unsupported(_));
    assert_eq!(out.iter().find(unread), None);
}

/// Bodies of many connections that do not go on are held within 32 MiB in all; what is turned away is counted.
#[test]
fn all_connections_together_hold_a_bounded_part() {
    let (asked, _) = commit(|_| 0);
    let mut stage = StreamStage::new(&Settings::default());
    let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
    for n in 1..=100 {
        let mut talk = Talk::new(n);
        talk.greet();
        talk.ask(8, 7, 9, &asked);
        let last = talk.events.len() - 1;
        for (i, event) in talk.events.iter().enumerate() {
            let mut event = event.clone();
            if let Captured::Data { bytes, .. } = &mut event
                && i == last
            {
                bytes.truncate(bytes.len() - 1);
            }
            stage.event(&event.event(), &mut facts, &mut verdicts);
            assert!(stage.buffered() <= 33 * MIB, "{}", stage.buffered());
        }
    }
    assert!(stage.buffered() > 30 * MIB, "{}", stage.buffered());
    assert!(stage.losses().get("gathered_too_much") > 30);
}
