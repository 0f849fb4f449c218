//! The classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::member::Assigned;
use super::{Group, Groups, Hearing, Listed, Name, assigned, completed, reasons};
use crate::capture::Nanos;
use crate::fact::group::{GroupKind, Join, Joined, Leaver, Member as Speaker, Sync};
use crate::observation::{Event, EventKind, Observation, Reason};

impl Groups {
    pub(super) fn join(&mut self, join: &Join, hearing: &mut Hearing<'_>) {
        let (labels, began) = (hearing.labels, hearing.exchange.began);
        let server = labels.server;
        let Some(group) = self.group(&join.member.group, GroupKind::Classic, hearing) else {
            return;
        };
        let before = group.members.len();
        group.coordinator = server.or(group.coordinator);
        group.protocol_type = Arc::clone(&join.protocol_type);
        let joined = join.joined.as_ref();
        let member_id = joined.map_or(&join.member.member_id, |joined| &joined.member_id);
        if member_id.is_empty() {
            return;
        }
        if is_put_out(hearing.exchange.error) {
            group.lose(
                member_id,
                labels.origin.time,
                Reason::SessionTimedOut,
                false,
            );
        } else {
            group.replace_static(member_id, &join.member.instance_id);
            let known = group
                .members
                .get(member_id)
                .is_some_and(|member| member.local.is_some());
            // A member that had an id before it was seen has been in the group for a while.
            let comes = !known && join.is_new;
            let former = comes
                .then(|| group.causes.of_former(labels.pid, &labels.client_id))
                .flatten();
            let local = group.local(member_id, &join.member.instance_id, labels);
            local.timeouts(join.session_timeout_ms, join.rebalance_timeout_ms);
            local.lose(began, former.or(comes.then_some(Reason::FirstJoin)));
            if comes {
                group
                    .causes
                    .happened(labels.origin.time, Reason::MemberJoined);
            }
            group.subscribed(member_id, join.topics.as_ref(), labels.origin.time);
            if group.state != Some("CompletingRebalance") {
                group.state = Some("PreparingRebalance");
            }
        }
        if let Some(joined) = joined {
            group.joined(join, joined, hearing);
        }
        self.counted(&join.member.group, before, hearing);
    }

    pub(super) fn sync(&mut self, sync: &Sync, hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let name = &sync.member.group;
        let Some(group) = self.group(name, GroupKind::Classic, hearing) else {
            return;
        };
        if let Some(kind) = &sync.protocol_type {
            group.protocol_type = Arc::clone(kind);
        }
        let is_consumer = group.protocol_type.is_empty() || &*group.protocol_type == "consumer";
        if let Some(protocol) = &sync.protocol {
            group.assignor = Arc::clone(protocol);
        }
        if let Some(error) = hearing.exchange.error {
            self.refused(&sync.member, error, hearing);
            return;
        }
        let epoch = sync.member.epoch;
        let member_id = &sync.member.member_id;
        group.coordinator = labels.server.or(group.coordinator);
        group.epoch = group.epoch.max(Some(epoch));
        let before = group.members.len();
        for (member_id, assignment) in sync.assignments.iter().filter(|_| is_consumer) {
            let member = group.members.entry(Arc::clone(member_id)).or_default();
            member.assignment = Some(assigned(assignment, hearing.topics));
            member.epoch = Some(epoch);
        }
        let reason = group.reason_of(epoch);
        let new = group
            .local(member_id, &sync.member.instance_id, labels)
            .completed
            != epoch;
        if let Some(member) = group.members.get_mut(member_id) {
            member.epoch = Some(epoch);
            if let Some(own) = sync.own.as_ref().filter(|_| is_consumer) {
                let own = assigned(own, hearing.topics);
                for (topic, _) in &own {
                    hearing
                        .consumers
                        .reads(labels.pid, &labels.client_id, name, topic);
                }
                let revoked = member
                    .assignment
                    .replace(own)
                    .is_some_and(|before| loses(&before, &member.assignment));
                if revoked && group.assignor.contains("cooperative") {
                    group
                        .causes
                        .happened(labels.origin.time, Reason::PartitionsRevoked);
                }
            }
        }
        if group.epoch == Some(epoch) {
            group.state = Some("Stable");
        }
        let idle = new && completed(group, name, member_id, epoch, reason, hearing);
        self.idle += usize::from(idle);
        self.counted(name, before, hearing);
    }

    /// A heartbeat or a commit shows that the member is there, or that it must join again.
    pub(super) fn alive(&mut self, speaker: &Speaker, hearing: &mut Hearing<'_>) {
        if speaker.member_id.is_empty() || speaker.epoch < 0 {
            return;
        }
        let labels = hearing.labels;
        let key = (Arc::clone(&labels.cluster), Arc::clone(&speaker.group));
        // A commit does not say of which kind its group is.
        let known = self.groups.get(&key);
        let kind = known.map_or(GroupKind::Classic, |group| group.kind);
        if let Some(error) = hearing.exchange.error {
            self.refused(speaker, error, hearing);
            return;
        }
        let is_settled = known.is_some_and(|group| {
            let member = group.members.get(&speaker.member_id);
            member
                .is_some_and(|member| member.local.is_some() && member.epoch == Some(speaker.epoch))
        });
        let was_dirty = self.dirty.contains(&key);
        let Some(group) = self.group(&speaker.group, kind, hearing) else {
            return;
        };
        let before = group.members.len();
        group.coordinator = labels.server.or(group.coordinator);
        group.epoch = group.epoch.max(Some(speaker.epoch));
        let local = group.local(&speaker.member_id, &speaker.instance_id, labels);
        // Met in the middle: what it completed before is not counted.
        if local.completed < 0 && local.lost.is_none() {
            (local.completed, local.completed_at) = (speaker.epoch, labels.origin.time);
        }
        if let Some(member) = group.members.get_mut(&speaker.member_id) {
            member.epoch = member.epoch.max(Some(speaker.epoch));
        }
        if group.state.is_none() && kind == GroupKind::Classic {
            group.state = Some("Stable");
        }
        self.counted(&speaker.group, before, hearing);
        if is_settled && !was_dirty {
            self.dirty.remove(&key);
        }
    }

    /// The coordinator does not take the member as it is.
    fn refused(&mut self, speaker: &Speaker, error: &'static str, hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let (time, began) = (labels.origin.time, hearing.exchange.began);
        let key = (Arc::clone(&labels.cluster), Arc::clone(&speaker.group));
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        let before = group.members.len();
        match error {
            "REBALANCE_IN_PROGRESS" => {
                let local = group.local(&speaker.member_id, &speaker.instance_id, labels);
                local.lose(time, None);
                group.state = Some("PreparingRebalance");
            }
            "ILLEGAL_GENERATION" => {
                let local = group.local(&speaker.member_id, &speaker.instance_id, labels);
                local.lose(began, None);
            }
            "FENCED_INSTANCE_ID" => {
                group.lose(&speaker.member_id, time, Reason::MemberLeft, false);
                let instance = speaker.instance_id.as_deref().unwrap_or_default();
                let message = format!(
                    "member {} of group {} was fenced: another took its group.instance.id {instance}",
                    speaker.member_id, speaker.group
                );
                hearing.out.push(event(
                    EventKind::Fencing,
                    &speaker.group,
                    Some(error),
                    message,
                    hearing.labels,
                ));
            }
            error if is_put_out(Some(error)) => {
                group.lose(&speaker.member_id, time, Reason::SessionTimedOut, false);
            }
            _ => return,
        }
        self.dirty.insert(key);
        self.counted(&speaker.group, before, hearing);
    }

    pub(super) fn leave(&mut self, name: &Name, leavers: &[Leaver], hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let time = labels.origin.time;
        let Some(group) = self.group(name, GroupKind::Classic, hearing) else {
            return;
        };
        let before = group.members.len();
        for leaver in leavers {
            let refused = leaver
                .error
                .or(hearing.exchange.error.filter(|_| leavers.len() == 1));
            // A client that closes does not always wait for the answer.
            if refused.is_some_and(|error| error != "CONNECTION_CLOSED") {
                continue;
            }
            let reason = reasons::of_leaving(leaver.reason.as_deref());
            let lingers = leaver.reason.is_none() && group.may_exceed(&leaver.member_id, time);
            if group
                .lose(&leaver.member_id, time, reason, lingers)
                .is_some()
            {
                let why = leaver
                    .reason
                    .as_deref()
                    .map(|text| format!(": {text}"))
                    .unwrap_or_default();
                let message = format!("consumer {} left group {name}{why}", leaver.member_id);
                hearing.out.push(event(
                    EventKind::ConsumerStopped,
                    name,
                    None,
                    message,
                    labels,
                ));
            }
        }
        self.counted(name, before, hearing);
    }
}

impl Group {
    /// The coordinator named a generation; its leader is told all members.
    fn joined(&mut self, join: &Join, joined: &Joined, hearing: &Hearing<'_>) {
        let generation = joined.generation;
        self.causes
            .told(generation, join.reason.as_deref().unwrap_or_default());
        if let Some(member) = self.members.get_mut(&joined.member_id) {
            member.epoch = Some(generation);
            member.leader = joined.leader == joined.member_id;
        }
        let protocol_changed = match &joined.protocol {
            Some(protocol) => {
                let changed = !self.assignor.is_empty() && self.assignor != *protocol;
                self.assignor = Arc::clone(protocol);
                changed
            }
            None => false,
        };
        self.epoch = self.epoch.max(Some(generation));
        if joined.leader != joined.member_id || self.epoch != Some(generation) {
            return;
        }
        self.state = Some("CompletingRebalance");
        let now: BTreeSet<Name> = joined
            .members
            .iter()
            .map(|told| Arc::clone(&told.member_id))
            .collect();
        let before = match &self.listed {
            Some(listed) if listed.generation == generation - 1 => Some(&listed.members),
            _ => None,
        };
        let left = before.and_then(|before| {
            let gone = before.difference(&now);
            // What went on another node left, or was put out there.
            gone.map(|id| self.causes.of_gone(id).unwrap_or(Reason::MemberLeft))
                .max()
        });
        let came = before.is_some_and(|before| now.difference(before).next().is_some());
        let compared = if generation == 1 {
            Some(Reason::FirstJoin)
        } else if left.is_some() {
            left
        } else if came {
            Some(Reason::MemberJoined)
        } else {
            protocol_changed.then_some(Reason::AssignorChanged)
        };
        self.compared = compared.map(|reason| (generation, reason));
        let gone: Vec<Name> = self
            .members
            .keys()
            .filter(|id| !now.contains(*id))
            .cloned()
            .collect();
        let time = hearing.labels.origin.time;
        for id in gone {
            self.lose(&id, time, Reason::SessionTimedOut, false);
        }
        for told in &joined.members {
            let member = self.members.entry(Arc::clone(&told.member_id)).or_default();
            member.instance_id.clone_from(&told.instance_id);
            member.epoch = Some(generation);
            member.leader = told.member_id == joined.leader;
        }
        self.listed = Some(Listed {
            generation,
            members: now,
        });
    }

    /// A static member that starts again gets a new id; the old one is no member any more.
    fn replace_static(&mut self, member_id: &Name, instance_id: &Option<Name>) {
        if instance_id.is_some() {
            self.members
                .retain(|id, member| id == member_id || member.instance_id != *instance_id);
        }
    }

    /// It told what it subscribes to; None: it did not.
    pub(super) fn subscribed(&mut self, member_id: &Name, topics: Option<&Vec<Name>>, time: Nanos) {
        let (Some(member), Some(topics)) = (self.members.get_mut(member_id), topics) else {
            return;
        };
        let mut topics = topics.clone();
        topics.sort_unstable();
        if member.topics.as_ref().is_some_and(|known| *known != topics) {
            self.causes.happened(time, Reason::SubscriptionChanged);
        }
        member.topics = Some(topics);
    }

    /// It has been a member for as long as it may go without a poll.
    pub(super) fn may_exceed(&self, member_id: &Name, time: Nanos) -> bool {
        let local = self
            .members
            .get(member_id)
            .and_then(|member| member.local.as_ref());
        local
            .is_some_and(|local| time.saturating_sub(local.completed_at) >= local.rebalance_timeout)
    }

    /// Why the group went round to this generation.
    fn reason_of(&self, generation: i32) -> Reason {
        let compared = self.compared.filter(|(of, _)| *of == generation);
        compared
            .map(|(_, reason)| reason)
            .or_else(|| self.causes.written(generation))
            .or_else(|| self.causes.since(self.announced.1, self.last))
            .unwrap_or(Reason::Unknown)
    }
}

/// Something of `before` is not in `now`.
pub(super) fn loses(before: &Assigned, now: &Option<Assigned>) -> bool {
    let has = |topic: &Name, index: &i32| {
        let mut topics = now.iter().flatten().filter(|(of, _)| of == topic);
        topics.any(|(_, partitions)| partitions.contains(index))
    };
    before
        .iter()
        .any(|(topic, partitions)| partitions.iter().any(|index| !has(topic, index)))
}

/// The coordinator does not know the member any more.
fn is_put_out(error: Option<&str>) -> bool {
    matches!(error, Some("UNKNOWN_MEMBER_ID" | "FENCED_MEMBER_EPOCH"))
}

pub(super) fn event(
    kind: EventKind,
    group: &Name,
    error: Option<&'static str>,
    message: String,
    labels: &crate::model::Labels,
) -> Observation {
    Observation::Event(Event {
        origin: labels.origin,
        pid: labels.pid,
        cluster: Arc::clone(&labels.cluster),
        event: kind,
        client_id: Arc::clone(&labels.client_id),
        group: Arc::clone(group),
        transactional_id: "".into(),
        server: labels.server,
        error,
        reason: None,
        message,
        span: None,
    })
}
