//! A member of a group. In: nothing; out: what is known of one, on this node or elsewhere.

use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid};
use crate::observation::{GroupMember, Reason};

type Name = Arc<str>;

/// Topics and their partitions, sorted.
pub(super) type Assigned = Vec<(Name, Vec<i32>)>;

/// `session.timeout.ms` of Java and librdkafka since 3.0 and 1.9; for members whose JoinGroup was not seen.
const SESSION: Nanos = 45_000_000_000;
/// `max.poll.interval.ms` by default.
const REBALANCE: Nanos = 300_000_000_000;
const MILLISECOND: Nanos = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Member {
    pub instance_id: Option<Name>,
    pub client_id: Option<Name>,
    pub host: Option<Name>,
    /// None: asked to join, not told a generation yet.
    pub epoch: Option<i32>,
    pub leader: bool,
    /// What it subscribes to, sorted.
    pub topics: Option<Vec<Name>>,
    pub assignment: Option<Assigned>,
    /// None: on another node.
    pub local: Option<Local>,
}

/// What only a member on this node shows.
#[derive(Debug)]
pub(super) struct Local {
    pub pid: Pid,
    pub client_id: Name,
    pub connection: ConnectionId,
    pub session_timeout: Nanos,
    pub rebalance_timeout: Nanos,
    /// It said so itself.
    pub told_timeout: bool,
    /// Last sign of life at the coordinator.
    pub heard: Nanos,
    /// It lost its partitions, or was asked to join again.
    pub lost: Option<Lost>,
    /// It was told to give partitions up (KIP-848) and did not reach the next epoch yet.
    pub gives_up: bool,
    /// The generation or epoch that it completed last; −1: none that was seen.
    pub completed: i32,
    /// When; or when it was met.
    pub completed_at: Nanos,
    /// It completed one and has not fetched since.
    pub idle: Option<Idle>,
    /// Its connection to the coordinator ended.
    pub closed: Option<Nanos>,
    /// That it stopped was said.
    pub stopped: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub since: Nanos,
    /// None: what moved the group must tell.
    pub reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub since: Nanos,
    /// A fetch from here on ends it.
    pub completed: Nanos,
    pub reason: Reason,
}

impl Local {
    pub fn new(pid: Pid, client_id: &Name, connection: ConnectionId, time: Nanos) -> Local {
        Local {
            pid,
            client_id: Arc::clone(client_id),
            connection,
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            told_timeout: false,
            heard: time,
            lost: None,
            gives_up: false,
            completed: -1,
            completed_at: time,
            idle: None,
            closed: None,
            stopped: false,
        }
    }

    pub fn timeouts(&mut self, session_ms: i32, rebalance_ms: i32) {
        let nanos = |ms: i32| {
            u64::try_from(ms)
                .ok()
                .filter(|ms| *ms > 0)
                .map(|ms| ms * MILLISECOND)
        };
        self.session_timeout = nanos(session_ms).unwrap_or(self.session_timeout);
        if let Some(told) = nanos(rebalance_ms) {
            (self.rebalance_timeout, self.told_timeout) = (told, true);
        }
    }

    /// Keeps the earliest time, and a reason once there is one.
    pub fn lose(&mut self, since: Nanos, reason: Option<Reason>) {
        let lost = self.lost.get_or_insert(Lost { since, reason });
        lost.since = lost.since.min(since);
        lost.reason = lost.reason.or(reason);
    }

    /// The coordinator has put it out by now.
    pub fn is_expired(&self, now: Nanos) -> bool {
        // While it waits in JoinGroup nothing is heard of it.
        let patience = match self.lost {
            Some(_) => self.rebalance_timeout.saturating_add(self.session_timeout),
            None => self.session_timeout,
        };
        self.heard.saturating_add(patience) < now
    }
}

impl Member {
    pub fn shown(&self, member_id: &Name) -> GroupMember {
        GroupMember {
            member_id: Arc::clone(member_id),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            host: self.host.clone(),
            pid: self.local.as_ref().map(|local| local.pid),
            epoch: self.epoch,
            leader: self.leader,
            assignment: self.assignment.clone(),
        }
    }
}
