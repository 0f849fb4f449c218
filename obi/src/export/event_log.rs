//! Events as lines of the agent's own log, target `obi::kafka`. In: events; out: at most a few lines a second; how many were left out is
//! said by the next line. `obi kafka events` and OTLP have all of them.

use std::sync::{Mutex, PoisonError};

use kafka_analyzer::capture::Nanos;
use kafka_analyzer::observation::{Event, EventKind};

const LINES_A_SECOND: u32 = 10;
const SECOND: Nanos = 1_000_000_000;

#[derive(Debug, Default)]
pub struct Log(Mutex<Budget>);

#[derive(Debug, Default)]
struct Budget {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl Budget {
    /// How many were left out before this one; None: this one is left out too.
    fn take(&mut self, now: Nanos) -> Option<u64> {
        let second = now / SECOND;
        if second > self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= LINES_A_SECOND {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// One line: the macros want their level as a literal.
macro_rules! line {
    ($level:ident, $event:expr, $service:expr, $left_out:expr) => {
        tracing::$level!(
            target: "obi::kafka",
            kafka = $event.event.as_str(),
            service = $service,
            pid = $event.pid,
            cluster = &*$event.cluster,
            client_id = &*$event.client_id,
            group = &*$event.group,
            transactional_id = &*$event.transactional_id,
            error = $event.error,
            reason = $event.reason.map(|reason| reason.as_str()),
            left_out = $left_out,
            "{}",
            $event.message
        )
    };
}

impl Log {
    pub fn event(&self, event: &Event, service: &str) {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = budget.take(event.origin.time) else {
            return;
        };
        drop(budget);
        let left_out = (left_out > 0).then_some(left_out);
        if event.event == EventKind::Rebalance {
            line!(info, event, service, left_out);
        } else {
            line!(warn, event, service, left_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_said() {
        let mut budget = Budget::default();
        let taken: Vec<_> = (0..13).map(|n| budget.take(5 * SECOND + n)).collect();
        assert_eq!(taken.iter().flatten().count(), 10);
        assert_eq!(budget.take(6 * SECOND), Some(3));
        assert_eq!(budget.take(6 * SECOND), Some(0));
    }
}
