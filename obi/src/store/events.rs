//! The newest events: `obi.events/1`, the answer to `obi kafka events`. What is not known is left out. Fixed number.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use kafka_analyzer::observation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::export::processes::Processes;

pub const SCHEMA: &str = "obi.events/1";

/// Events kept.
const KEPT: usize = 1_000;

/// What happened lately to clients of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// Always `obi.events/1`.
    pub schema: String,
    /// In the order in which they were found.
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts up from 1 since the agent started.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// `rebalance`, `commit_failure`, `fencing`, `authentication_failure`, `hanging_transaction`, `consumer_stopped`.
    pub event: String,
    pub cluster: String,
    pub service: String,
    pub pid: u32,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<String>,
    /// Broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why a group rebalanced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    number: u64,
    events: VecDeque<Event>,
}

#[derive(Debug, Default)]
pub struct Recent(Mutex<State>);

impl Recent {
    /// `wall_offset`: wall clock minus monotonic clock, ns.
    pub fn event(&self, e: &observation::Event, wall_offset: i64, processes: &Processes) {
        let known = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.number += 1;
        if state.events.len() == KEPT {
            state.events.pop_front();
        }
        let event = Event {
            number: state.number,
            time_ms: e.origin.time.wrapping_add_signed(wall_offset) as i64 / 1_000_000,
            event: e.event.as_str().to_owned(),
            cluster: e.cluster.to_string(),
            service: processes.get(e.pid).service.to_string(),
            pid: e.pid,
            client_id: e.client_id.to_string(),
            group: known(&e.group),
            transactional_id: known(&e.transactional_id),
            server: e.server.map(|address| address.to_string()),
            error: e.error.map(str::to_owned),
            reason: e.reason.map(|reason| reason.as_str().to_owned()),
            message: e.message.clone(),
            trace_id: e
                .span
                .map(|(trace, _)| trace.iter().map(|b| format!("{b:02x}")).collect()),
        };
        state.events.push_back(event);
    }

    pub fn report(&self) -> Events {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Events {
            schema: SCHEMA.to_owned(),
            events: state.events.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_analyzer::observation::{EventKind, Reason};

    use super::*;
    use crate::export::examples;

    #[test]
    fn the_last_thousand_are_kept_with_their_numbers() {
        let recent = Recent::default();
        let mut event = examples::event(EventKind::Rebalance);
        event.reason = Some(Reason::MemberLeft);
        event.span = Some(([0xab; 16], [1; 8]));
        for _ in 0..1_002 {
            recent.event(&event, 5_000_000_000, &Processes::default());
        }
        let events = recent.report().events;
        assert_eq!((events.len(), events[0].number), (1_000, 3));
        let want = Event {
            number: 1_002,
            time_ms: 6_000,
            event: "rebalance".into(),
            cluster: "c1".into(),
            service: "unknown".into(),
            pid: 7,
            client_id: "id".into(),
            group: Some("g".into()),
            transactional_id: None,
            server: Some("10.0.0.9:9093".into()),
            error: None,
            reason: Some("member_left".into()),
            message: "something happened".into(),
            trace_id: Some("ab".repeat(16)),
        };
        assert_eq!(events[999], want);
    }
}
