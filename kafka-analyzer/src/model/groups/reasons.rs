//! Why a group went round. In: who left and how, who came, what clients wrote; out: one reason for a generation.
//!
//! The leader is told all members, so that two generations can be compared. What a member that is gone did before it went is known only if it
//! was on this node. The texts of JoinGroup (KIP-800) are Java's and franz-go's.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid};
use crate::observation::Reason;

type Name = Arc<str>;

/// Leavers and causes that are remembered of a group.
const MOST: usize = 64;
/// A cause older than this has nothing to do with a new epoch.
const CAUSE_HOLDS: Nanos = 60_000_000_000;

/// A member of this node that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    pub member_id: Name,
    pub pid: Pid,
    pub client_id: Name,
    pub connection: ConnectionId,
    pub time: Nanos,
    pub reason: Reason,
    /// It left without saying why, after it could have exceeded its poll interval, and its connection is still there: a consumer that
    /// closes, closes that, too.
    pub lingers: bool,
}

impl Gone {
    pub fn reason(&self) -> Reason {
        if self.lingers && self.reason == Reason::MemberLeft {
            Reason::PollIntervalExceeded
        } else {
            self.reason
        }
    }
}

/// What moved a group of late.
#[derive(Debug, Default)]
pub(super) struct Causes {
    gone: VecDeque<Gone>,
    causes: VecDeque<(Nanos, Reason)>,
    /// What clients wrote, by generation.
    told: VecDeque<(i32, Reason)>,
}

impl Causes {
    pub fn gone(&mut self, gone: Gone) {
        push(&mut self.gone, gone);
    }

    pub fn closed(&mut self, connection: ConnectionId) {
        let on_it = self
            .gone
            .iter_mut()
            .filter(|gone| gone.connection == connection);
        on_it.for_each(|gone| gone.lingers = false);
    }

    pub fn happened(&mut self, time: Nanos, reason: Reason) {
        push(&mut self.causes, (time, reason));
    }

    pub fn told(&mut self, generation: i32, text: &str) {
        if let Some(reason) = of_text(text) {
            push(&mut self.told, (generation, reason));
        }
    }

    /// Why this member is not there any more; None: it was on another node, where it left or was put out.
    pub fn of_gone(&self, member_id: &Name) -> Option<Reason> {
        let gone = self
            .gone
            .iter()
            .rev()
            .find(|gone| gone.member_id == *member_id);
        gone.map(Gone::reason)
    }

    /// Why a client that joins anew had lost its membership.
    pub fn of_former(&mut self, pid: Pid, client_id: &Name) -> Option<Reason> {
        let at = self.gone.iter().rposition(|gone| {
            gone.pid == pid && gone.client_id == *client_id && gone.reason() != Reason::MemberLeft
        })?;
        self.gone.get(at).map(Gone::reason)
    }

    /// The last thing that happened on this node after `since`, when nobody said more.
    pub fn since(&self, since: Nanos, now: Nanos) -> Option<Reason> {
        let recent = self
            .causes
            .iter()
            .rev()
            .find(|(time, _)| *time > since && now.saturating_sub(*time) <= CAUSE_HOLDS);
        let gone = self.gone.iter().rev().find(|gone| gone.time > since);
        match (recent, gone) {
            // A leaver's reason may have become clearer.
            (Some((time, _)), Some(gone)) if gone.time >= *time => Some(gone.reason()),
            (Some((_, reason)), _) => Some(*reason),
            (None, Some(gone)) => Some(gone.reason()),
            (None, None) => None,
        }
    }

    /// What clients wrote when they joined this generation.
    pub fn written(&self, generation: i32) -> Option<Reason> {
        let mut of_it = self.told.iter().filter(|(of, _)| *of == generation);
        of_it.next().map(|(_, reason)| *reason)
    }
}

fn push<T>(table: &mut VecDeque<T>, new: T) {
    if table.len() >= MOST {
        table.pop_front();
    }
    table.push_back(new);
}

/// Why a member left, by what it wrote (KIP-800).
pub(super) fn of_leaving(text: Option<&str>) -> Reason {
    match text.and_then(of_text) {
        Some(Reason::PollIntervalExceeded) => Reason::PollIntervalExceeded,
        _ => Reason::MemberLeft,
    }
}

fn of_text(text: &str) -> Option<Reason> {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["poll timeout", "max.poll", "poll interval"]) {
        Some(Reason::PollIntervalExceeded)
    } else if says(&[
        "metadata has changed",
        "metadata changed",
        "partition count",
    ]) {
        Some(Reason::MetadataChanged)
    } else if says(&["subscription", "topics changed", "topic interests"]) {
        Some(Reason::SubscriptionChanged)
    } else if says(&["revoke", "cooperative"]) {
        Some(Reason::PartitionsRevoked)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(lingers: bool) -> Gone {
        Gone {
            member_id: "m1".into(),
            pid: 7,
            client_id: "app".into(),
            connection: ConnectionId(3),
            time: 10,
            reason: Reason::MemberLeft,
            lingers,
        }
    }

    #[test]
    fn a_leaver_whose_connection_stays_exceeded_its_poll_interval() {
        let mut causes = Causes::default();
        causes.gone(gone(true));
        assert_eq!(
            causes.of_gone(&"m1".into()),
            Some(Reason::PollIntervalExceeded)
        );
        assert_eq!(
            causes.of_former(7, &"app".into()),
            Some(Reason::PollIntervalExceeded)
        );
        causes.closed(ConnectionId(3));
        assert_eq!(causes.of_gone(&"m1".into()), Some(Reason::MemberLeft));
        assert_eq!(causes.of_former(7, &"app".into()), None, "it began anew");
        assert_eq!(causes.of_gone(&"elsewhere".into()), None);
    }

    #[test]
    fn texts_of_clients() {
        for (text, expected) in [
            (
                "consumer poll timeout has expired.",
                Some(Reason::PollIntervalExceeded),
            ),
            (
                "cached metadata has changed from (version5: {a=[]}) at the beginning of the rebalance to (version6: {a=[]})",
                Some(Reason::MetadataChanged),
            ),
            (
                "subscription changed from [a] to [a, b] at the beginning of the rebalance",
                Some(Reason::SubscriptionChanged),
            ),
            (
                "need to revoke partitions [a-0] and re-join",
                Some(Reason::PartitionsRevoked),
            ),
            ("the consumer is being closed", None),
            ("rebalance failed due to MemberIdRequiredException", None),
        ] {
            assert_eq!(of_text(text), expected, "{text}");
        }
    }

    #[test]
    fn the_last_cause_counts_and_old_ones_do_not() {
        let mut causes = Causes::default();
        causes.happened(10, Reason::MemberJoined);
        causes.happened(20, Reason::SubscriptionChanged);
        assert_eq!(causes.since(5, 30), Some(Reason::SubscriptionChanged));
        assert_eq!(causes.since(20, 30), None);
        assert_eq!(causes.since(5, CAUSE_HOLDS + 40), None);
        for n in 0..1_000 {
            causes.happened(n, Reason::MemberJoined);
        }
        assert_eq!(causes.causes.len(), MOST);
    }
}
