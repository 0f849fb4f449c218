//! The stream thread's part: captured bytes of one ring to facts.

use crate::capture::{CaptureEvent, Nanos, Verdict};
use crate::fact::Fact;
use crate::losses::Losses;
use crate::settings::Settings;

/// One for each ring (shard).
#[derive(Debug)]
pub struct StreamStage {
    settings: Settings,
    clock: Nanos,
    losses: Losses,
}

impl StreamStage {
    pub fn new(settings: &Settings) -> StreamStage {
        StreamStage { settings: settings.clone(), clock: 0, losses: Losses::default() }
    }

    /// Eats one event; appends what it says and what the kernel side should copy from now on.
    pub fn event(&mut self, event: &CaptureEvent<'_>, facts: &mut Vec<Fact>, verdicts: &mut Vec<Verdict>) {
        let _ = (&self.settings, event, facts, verdicts);
    }

    /// Event time so far: `up_to` of [`crate::Merge::push`].
    pub fn clock(&self) -> Nanos {
        self.clock
    }

    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}
