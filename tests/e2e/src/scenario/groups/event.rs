//! What a member says, one JSON line each (`tests/e2e/clients/groups/README.md`). In: a line. Out: an event.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::truth::Place;

/// Topic, partition, and an offset or a count.
pub type At = (String, i32, u64);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Assigned {
        partitions: Vec<Place>,
    },
    Revoked {
        partitions: Vec<Place>,
    },
    Lost {
        partitions: Vec<Place>,
    },
    Committed {
        ok: bool,
        error: String,
        offsets: Vec<At>,
        auto: bool,
    },
    Consumed {
        n: u64,
        offsets: Vec<At>,
        counts: Vec<At>,
    },
    Pause,
    Poll,
    Begin(Done),
    Produce(Done),
    SendOffsets(Done),
    End(Done),
    Closed,
    Error {
        command: String,
        error: String,
    },
}

/// Of a transactional command.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Done {
    pub ok: bool,
    pub error: String,
}

impl Event {
    /// Whether this is the answer to a command of this first word. Callbacks and failures outside of a command are not.
    pub fn answers(&self, word: &str) -> bool {
        match self {
            Self::Committed { auto, .. } => word == "commit" && !auto,
            Self::Consumed { .. } => word == "consume" || word == "stop",
            Self::Pause => word == "pause",
            Self::Poll => word == "poll",
            Self::Begin(_) => word == "begin",
            Self::Produce(_) => word == "produce",
            Self::SendOffsets(_) => word == "send_offsets",
            Self::End(_) => word == "end",
            Self::Closed => word == "close",
            Self::Error { command, .. } => command.starts_with(word),
            Self::Assigned { .. } | Self::Revoked { .. } | Self::Lost { .. } => false,
        }
    }
}

/// What a member holds after these events.
pub fn held(events: &[Event]) -> BTreeSet<Place> {
    let mut held = BTreeSet::new();
    for event in events {
        match event {
            Event::Assigned { partitions } => held.extend(partitions.iter().cloned()),
            Event::Revoked { partitions } | Event::Lost { partitions } => {
                held.retain(|place| !partitions.contains(place));
            }
            _ => {}
        }
    }
    held
}

/// Generations or epochs that the library told of.
pub fn rebalances(events: &[Event]) -> usize {
    let assigned = |event: &&Event| matches!(event, Event::Assigned { .. });
    events.iter().filter(assigned).count()
}

/// KIP-848: times that a member's partitions changed. One that only gives some up is told so alone by some libraries, by others an empty
/// `assigned` follows; one that has to wait for its first partitions is told of an empty assignment by some.
pub fn reconciliations(events: &[Event]) -> usize {
    let (mut held, mut given_up, mut n) = (false, false, 0);
    for event in events {
        match event {
            Event::Revoked { partitions } => given_up |= !partitions.is_empty(),
            Event::Assigned { partitions } => {
                let waits = partitions.is_empty() && !held && !given_up;
                n += usize::from(!waits);
                held |= !partitions.is_empty();
                given_up = false;
            }
            _ => {}
        }
    }
    n + usize::from(given_up)
}

/// Commits that were sent and answered: good ones, and refused ones by error.
pub fn commits(events: &[Event]) -> (u64, Vec<String>) {
    let (mut good, mut refused) = (0, Vec::new());
    for event in events {
        if let Event::Committed {
            ok, error, offsets, ..
        } = event
            && !offsets.is_empty()
        {
            if *ok {
                good += 1;
            } else {
                refused.push(error.clone());
            }
        }
    }
    (good, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn lines_of_all_members_are_understood() {
        let consumed =
            event(r#"{"event":"consumed","n":2,"offsets":[["t",0,57]],"counts":[["t",0,2]]}"#);
        assert!(consumed.answers("consume") && !consumed.answers("commit"));
        assert!(
            event(r#"{"event":"end","ok":false,"error":"PRODUCER_FENCED","how":"commit"}"#)
                .answers("end")
        );
        assert!(event(r#"{"event":"error","command":"begin","error":"x"}"#).answers("begin"));
        assert_eq!(event(r#"{"event":"closed"}"#), Event::Closed);
        let auto = event(r#"{"event":"committed","ok":true,"error":"","offsets":[],"auto":true}"#);
        assert!(!auto.answers("commit"));
    }

    #[test]
    fn what_is_held_follows_the_callbacks() {
        let events = [
            event(r#"{"event":"assigned","partitions":[["t",0],["t",1],["t",2]]}"#),
            event(r#"{"event":"revoked","partitions":[["t",2]]}"#),
            event(r#"{"event":"assigned","partitions":[]}"#),
            event(r#"{"event":"lost","partitions":[["t",0]]}"#),
        ];
        assert_eq!(held(&events), BTreeSet::from([("t".to_owned(), 1)]));
        assert_eq!(rebalances(&events), 2);
    }

    #[test]
    fn a_commit_of_nothing_was_not_sent() {
        let events = [
            event(r#"{"event":"committed","ok":true,"error":"","offsets":[],"auto":false}"#),
            event(
                r#"{"event":"committed","ok":true,"error":"","offsets":[["t",0,1]],"auto":false}"#,
            ),
            event(
                r#"{"event":"committed","ok":false,"error":"UNKNOWN_MEMBER_ID","offsets":[["t",0,2]],"auto":false}"#,
            ),
        ];
        assert_eq!(commits(&events), (1, vec!["UNKNOWN_MEMBER_ID".to_owned()]));
    }
}
