//! Groups whose coordinator assigns (KIP-848, KIP-932, KIP-1071): one heartbeat joins, reports and is answered with an assignment.
//!
//! No client is told the other members. A rebalance is a member's epoch that rises with a new assignment.

use std::sync::Arc;

use super::classic::{event, loses};
use super::{Group, Groups, Hearing, assigned, completed};
use crate::capture::Nanos;
use crate::fact::group::{GroupHeartbeat, GroupKind, HeartbeatAnswer};
use crate::observation::{EventKind, Reason};

/// Steps of one rebalance follow each other within this.
const SAME_REBALANCE: Nanos = 30_000_000_000;

impl Groups {
    pub(super) fn heartbeat(&mut self, heartbeat: &GroupHeartbeat, hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let time = labels.origin.time;
        let speaker = &heartbeat.member;
        let answer = heartbeat.answer.as_ref();
        let told = answer.and_then(|answer| answer.member_id.as_ref());
        let member_id = told.unwrap_or(&speaker.member_id);
        if member_id.is_empty() {
            return;
        }
        let key = (Arc::clone(&labels.cluster), Arc::clone(&speaker.group));
        let was_dirty = self.dirty.contains(&key);
        let Some(group) = self.group(&speaker.group, heartbeat.kind, hearing) else {
            return;
        };
        let (before, state_before) = (group.members.len(), group.state);
        group.coordinator = labels.server.or(group.coordinator);
        match heartbeat.kind {
            GroupKind::Consumer => group.protocol_type = "consumer".into(),
            GroupKind::Streams => group.protocol_type = "streams".into(),
            GroupKind::Classic | GroupKind::Share => {}
        }
        if let Some(topology) = &heartbeat.topology {
            group.topology.learn(topology);
        }
        if let Some(assignor) = &heartbeat.assignor {
            group.assignor = Arc::clone(assignor);
        }
        let error = hearing.exchange.error;
        let mut news = true;
        let mut idle = false;
        if speaker.epoch < 0 {
            // A client that closes does not always wait for the answer.
            let lingers = group.may_exceed(member_id, time);
            if group
                .lose(member_id, time, Reason::MemberLeft, lingers)
                .is_some()
            {
                let message = format!("consumer {member_id} left group {}", speaker.group);
                hearing.out.push(event(
                    EventKind::ConsumerStopped,
                    &speaker.group,
                    None,
                    message,
                    labels,
                ));
            }
        } else if let Some(error) = error {
            match error {
                "FENCED_INSTANCE_ID" | "UNRELEASED_INSTANCE_ID" => {
                    group.lose(member_id, time, Reason::MemberLeft, false);
                    let instance = speaker.instance_id.as_deref().unwrap_or_default();
                    let message = format!(
                        "member {member_id} of group {} was refused: another has its group.instance.id {instance}",
                        speaker.group
                    );
                    hearing.out.push(event(
                        EventKind::Fencing,
                        &speaker.group,
                        Some(error),
                        message,
                        labels,
                    ));
                }
                "UNKNOWN_MEMBER_ID" | "FENCED_MEMBER_EPOCH" => {
                    group.lose(member_id, time, Reason::SessionTimedOut, false);
                }
                _ => {}
            }
        } else if let Some(answer) = answer {
            let known = group
                .members
                .get(member_id)
                .and_then(|member| member.local.as_ref());
            let settled = known.is_some()
                && group.members.get(member_id).and_then(|m| m.epoch) == Some(answer.epoch);
            news = !settled || answer.assigns();
            idle = self.told(heartbeat, answer, member_id, hearing);
        }
        let state_after = self.groups.get(&key).and_then(|group| group.state);
        news |= state_after != state_before;
        self.idle += usize::from(idle);
        self.counted(&speaker.group, before, hearing);
        if !news && !was_dirty {
            self.dirty.remove(&key);
        }
    }

    /// The coordinator answered. True: the member completed an epoch and is idle until it fetches.
    fn told(
        &mut self,
        heartbeat: &GroupHeartbeat,
        answer: &HeartbeatAnswer,
        member_id: &Arc<str>,
        hearing: &mut Hearing<'_>,
    ) -> bool {
        let labels = hearing.labels;
        let (time, began) = (labels.origin.time, hearing.exchange.began);
        let speaker = &heartbeat.member;
        let Some(group) = self
            .groups
            .get_mut(&(Arc::clone(&labels.cluster), Arc::clone(&speaker.group)))
        else {
            return false;
        };
        let known = group
            .members
            .get(member_id)
            .is_some_and(|member| member.local.is_some());
        let comes = !known && speaker.epoch == 0;
        let former = comes
            .then(|| group.causes.of_former(labels.pid, &labels.client_id))
            .flatten();
        let local = group.local(member_id, &speaker.instance_id, labels);
        local.timeouts(-1, heartbeat.rebalance_timeout_ms);
        if comes {
            local.lose(began, former.or(Some(Reason::FirstJoin)));
            group.causes.happened(time, Reason::MemberJoined);
        } else if local.completed < 0 && local.lost.is_none() {
            (local.completed, local.completed_at) = (answer.epoch, time);
        }
        group.epoch = group.epoch.max(Some(answer.epoch));
        group.subscribed(member_id, heartbeat.topics.as_ref(), time);
        let reason = group.reason_of_epoch(answer.epoch, time);
        let Some(member) = group.members.get_mut(member_id) else {
            return false;
        };
        member.epoch = Some(answer.epoch);
        if !answer.assigns() {
            // What it was told to give up is given up.
            let local = member.local.as_ref();
            let done = local.is_some_and(|local| answer.epoch > local.completed && local.gives_up);
            group.state = match group.is_settled() {
                _ if answer.not_ready => Some("NotReady"),
                true => Some("Stable"),
                false => None,
            };
            return done
                && completed(
                    group,
                    &speaker.group,
                    member_id,
                    answer.epoch,
                    reason,
                    hearing,
                );
        }
        let counts = hearing.counts;
        let given = match &answer.tasks {
            Some(tasks) => group.topology.partitions(tasks, |topic| {
                let key = (Arc::clone(&labels.cluster), Arc::clone(topic));
                counts.get(&key).copied()
            }),
            None => answer
                .assignment
                .as_ref()
                .map(|given| assigned(given, hearing.topics)),
        };
        for (topic, _) in given.iter().flatten() {
            hearing
                .consumers
                .reads(labels.pid, &labels.client_id, &speaker.group, topic);
        }
        let before = std::mem::replace(&mut member.assignment, given);
        let revoked = before
            .as_ref()
            .is_some_and(|before| loses(before, &member.assignment));
        // One that had nothing and is given nothing waits for what others give up.
        let changed = match &member.assignment {
            Some(given) => before.unwrap_or_default() != *given,
            // Tasks of a topology that is not known.
            None => true,
        };
        let Some(local) = &mut member.local else {
            return false;
        };
        if revoked {
            local.lose(time, None);
            local.gives_up = true;
        }
        let risen = answer.epoch > local.completed && changed;
        group.state = Some(if answer.not_ready {
            "NotReady"
        } else {
            "Reconciling"
        });
        risen
            && completed(
                group,
                &speaker.group,
                member_id,
                answer.epoch,
                reason,
                hearing,
            )
    }
}

impl Group {
    /// Why the group is at this epoch. Members reach it one after another, and some in two steps: until something new happens, it is still the
    /// same rebalance.
    fn reason_of_epoch(&mut self, epoch: i32, now: Nanos) -> Reason {
        let known = self.compared;
        let lately = self.causes.since(self.announced.1, now);
        let reason = match (known, lately) {
            (Some((of, reason)), _) if of == epoch => reason,
            (_, Some(reason)) => reason,
            (Some((_, reason)), None) if now.saturating_sub(self.announced.1) <= SAME_REBALANCE => {
                reason
            }
            _ => Reason::Unknown,
        };
        self.compared = Some((epoch, reason));
        reason
    }
}
