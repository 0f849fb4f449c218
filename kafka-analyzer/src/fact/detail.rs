//! What an exchange of a group, offset or transaction API says. In: nothing; out: the closed enum that rides on [`super::Exchange`].
//!
//! Made from the request; the answer completes it. What an answer would say is None, empty or an error while there is none.

use std::sync::Arc;

use super::Topic;
use super::group::{Assignment, Described, GroupHeartbeat, Join, Leaver, Member, Sync};

#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// FindCoordinator.
    Coordinator {
        kind: KeyKind,
        keys: Vec<Arc<str>>,
    },
    /// OffsetCommit and TxnOffsetCommit.
    Commit(Commit),
    /// OffsetFetch: what is committed.
    CommittedRead(Vec<GroupOffsets>),
    /// ListOffsets.
    LogEnds(Vec<LogEnd>),
    Join(Box<Join>),
    Sync(Box<Sync>),
    /// Heartbeat of the classic protocol.
    Heartbeat(Member),
    Leave {
        group: Arc<str>,
        members: Vec<Leaver>,
    },
    GroupHeartbeat(Box<GroupHeartbeat>),
    Described(Vec<Described>),
    /// DeleteGroups, without error.
    GroupsDeleted(Vec<Arc<str>>),
    /// OffsetDelete, without error.
    OffsetsDeleted {
        group: Arc<str>,
        partitions: Vec<(Topic, i32)>,
    },
    /// InitProducerId: the producer id that was given, if any.
    ProducerId {
        transactional_id: Option<Arc<str>>,
        timeout_ms: i32,
        given: Option<Producer>,
    },
    /// AddPartitionsToTxn (protocol v1 of transactions), by a client.
    TransactionPartitions {
        transaction: TransactionRef,
        partitions: Vec<(Topic, i32, Option<&'static str>)>,
    },
    /// AddOffsetsToTxn.
    TransactionOffsets {
        transaction: TransactionRef,
        group: Arc<str>,
    },
    /// EndTxn.
    TransactionEnd {
        transaction: TransactionRef,
        committed: bool,
        /// v5 and later: how the producer goes on.
        next: Option<Producer>,
    },
    /// WriteTxnMarkers, by the coordinator: what the brokers took.
    Markers(Vec<Marker>),
    /// ShareFetch and ShareAcknowledge: who asks, and what became of records delivered before.
    Share {
        member: Member,
        acknowledged: Vec<Acknowledged>,
    },
}

impl Detail {
    /// Calls `see` with each topic that it names.
    pub(crate) fn each_topic<'a>(&'a self, see: &mut dyn FnMut(&'a Topic)) {
        let assignments: &mut dyn FnMut(&'a Assignment) =
            &mut |assignment| assignment.iter().for_each(|(topic, _)| see(topic));
        match self {
            Detail::Sync(sync) => {
                let others = sync.assignments.iter().map(|(_, assignment)| assignment);
                others.chain(&sync.own).for_each(assignments);
            }
            Detail::GroupHeartbeat(heartbeat) => {
                let answer = heartbeat.answer.iter();
                answer
                    .filter_map(|answer| answer.assignment.as_ref())
                    .for_each(assignments);
            }
            Detail::Described(groups) => groups
                .iter()
                .flat_map(|group| &group.members)
                .filter_map(|member| member.assignment.as_ref())
                .for_each(assignments),
            Detail::Commit(commit) => commit.offsets.iter().for_each(|offset| see(&offset.topic)),
            Detail::CommittedRead(groups) => groups
                .iter()
                .flat_map(|group| &group.offsets)
                .for_each(|(topic, ..)| see(topic)),
            Detail::LogEnds(ends) => ends.iter().for_each(|end| see(&end.topic)),
            Detail::OffsetsDeleted { partitions, .. } => {
                partitions.iter().for_each(|(topic, _)| see(topic));
            }
            Detail::TransactionPartitions { partitions, .. } => {
                partitions.iter().for_each(|(topic, ..)| see(topic));
            }
            Detail::Markers(markers) => {
                let partitions = markers.iter().flat_map(|marker| &marker.partitions);
                partitions.for_each(|(topic, _)| see(topic));
            }
            Detail::Share { acknowledged, .. } => {
                acknowledged.iter().for_each(|range| see(&range.topic));
            }
            Detail::Coordinator { .. }
            | Detail::Join(_)
            | Detail::Heartbeat(_)
            | Detail::Leave { .. }
            | Detail::GroupsDeleted(_)
            | Detail::ProducerId { .. }
            | Detail::TransactionOffsets { .. }
            | Detail::TransactionEnd { .. } => {}
        }
    }

    /// The group that the client itself is of, or speaks for.
    pub(crate) fn own_group(&self) -> Option<&Arc<str>> {
        match self {
            Detail::Commit(commit) => Some(&commit.member.group),
            Detail::Join(join) => Some(&join.member.group),
            Detail::Sync(sync) => Some(&sync.member.group),
            Detail::Heartbeat(member) | Detail::Share { member, .. } => Some(&member.group),
            Detail::Leave { group, .. } | Detail::TransactionOffsets { group, .. } => Some(group),
            Detail::GroupHeartbeat(heartbeat) => Some(&heartbeat.member.group),
            _ => None,
        }
    }

    /// All groups that a client's own doing names: those it may fetch for.
    pub(crate) fn groups(&self) -> Vec<&Arc<str>> {
        match self {
            Detail::Coordinator {
                kind: KeyKind::Group,
                keys,
            } => keys.iter().collect(),
            Detail::CommittedRead(groups) => groups.iter().map(|told| &told.group).collect(),
            other => other.own_group().into_iter().collect(),
        }
    }

    /// About how many elements it holds: what it weighs in a bounded table.
    pub(crate) fn weight(&self) -> usize {
        let mut topics = 0;
        self.each_topic(&mut |_| topics += 1);
        topics
            + match self {
                Detail::Coordinator { keys, .. } => keys.len(),
                Detail::Join(join) => {
                    let members = join.joined.iter().flat_map(|joined| &joined.members);
                    join.protocols.len()
                        + join.topics.as_ref().map_or(0, Vec::len)
                        + members.count()
                }
                Detail::Leave { members, .. } => members.len(),
                Detail::Markers(markers) => markers.len(),
                Detail::GroupHeartbeat(heartbeat) => {
                    let answer = heartbeat.answer.as_ref();
                    let tasks = answer.and_then(|answer| answer.tasks.as_ref());
                    let read = heartbeat.topology.iter().flatten();
                    heartbeat.topics.as_ref().map_or(0, Vec::len)
                        + tasks.map_or(0, |tasks| tasks.iter().map(|(_, of)| 1 + of.len()).sum())
                        + read.map(|(_, topics)| 1 + topics.len()).sum::<usize>()
                }
                _ => 0,
            }
    }
}

/// What FindCoordinator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Group,
    Transaction,
    Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionRef {
    pub transactional_id: Arc<str>,
    pub producer: Producer,
}

/// The end of a transaction, written into partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    pub producer: Producer,
    pub committed: bool,
    pub partitions: Vec<(Topic, i32)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub member: Member,
    /// TxnOffsetCommit: the offsets hold once this is committed.
    pub transaction: Option<TransactionRef>,
    pub offsets: Vec<CommittedOffset>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommittedOffset {
    pub topic: Topic,
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Of this partition; meaningless while there is no answer.
    pub error: Option<&'static str>,
}

/// What OffsetFetch told of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupOffsets {
    pub group: Arc<str>,
    /// None: nothing is committed.
    pub offsets: Vec<(Topic, i32, Option<i64>)>,
}

/// What ListOffsets told of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEnd {
    pub topic: Topic,
    pub partition: i32,
    pub which: LogEndKind,
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEndKind {
    /// Latest, read_uncommitted.
    HighWatermark,
    /// Latest, read_committed.
    LastStable,
    /// Earliest.
    Start,
}

/// Acknowledgements of a share group's member.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    pub topic: Topic,
    pub partition: i32,
    /// First and last offset.
    pub offsets: (i64, i64),
    /// 0 gap, 1 accept, 2 release, 3 reject, 4 renew (KIP-932, KIP-1222).
    pub kind: i8,
}
