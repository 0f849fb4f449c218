//! One stream stage and its way to the model. In: capture events of one ring; out: messages in order, verdicts.
//!
//! What is not about a byte (who a process is, what time it is) passes by the stage and goes on in its place, so that the model side
//! knows a process before the first fact about it. The same for the running kernel and for a file.

use kafka_analyzer::capture::{CaptureEvent, Nanos, ProcessInfo, Verdict};
use kafka_analyzer::{Fact, Settings, StreamStage};

/// What a stream thread tells the model thread.
#[derive(Debug)]
pub enum Message {
    Facts {
        shard: usize,
        facts: Vec<Fact>,
        up_to: Nanos,
    },
    Process(ProcessInfo),
    Clock {
        monotonic: Nanos,
        wall: u64,
    },
}

pub struct Shard {
    index: usize,
    stage: StreamStage,
    facts: Vec<Fact>,
    messages: Vec<Message>,
    told: Nanos,
    pub verdicts: Vec<Verdict>,
}

impl Shard {
    pub fn new(index: usize, settings: &Settings) -> Shard {
        Shard {
            index,
            stage: StreamStage::new(settings),
            facts: Vec::new(),
            messages: Vec::new(),
            told: 0,
            verdicts: Vec::new(),
        }
    }

    pub fn event(&mut self, event: &CaptureEvent<'_>) {
        // Such events go to every shard; one of them hands them on.
        match event {
            _ if self.index > 0 => {}
            CaptureEvent::Process(info) => self.say(Message::Process(info.clone())),
            CaptureEvent::Clock { monotonic, wall } => self.say(Message::Clock {
                monotonic: *monotonic,
                wall: *wall,
            }),
            _ => {}
        }
        self.stage.event(event, &mut self.facts, &mut self.verdicts);
    }

    pub fn read_to(&mut self, time: Nanos) {
        self.stage.read_to(time);
    }

    fn say(&mut self, message: Message) {
        self.close();
        self.messages.push(message);
    }

    /// Makes a message of the facts so far.
    fn close(&mut self) {
        let up_to = self.stage.up_to();
        if !self.facts.is_empty() || up_to > self.told {
            self.told = up_to;
            self.messages.push(Message::Facts {
                shard: self.index,
                facts: std::mem::take(&mut self.facts),
                up_to,
            });
        }
    }

    /// What is to be sent, in order.
    pub fn messages(&mut self) -> std::vec::Drain<'_, Message> {
        self.close();
        self.messages.drain(..)
    }

    /// Facts that are not in a message yet.
    pub fn facts(&self) -> usize {
        self.facts.len()
    }

    pub fn stage(&self) -> &StreamStage {
        &self.stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    #[test]
    fn what_may_not_be_read_yet_is_not_told_of() {
        let mut shard = Shard::new(0, &Settings::default());
        let told = |shard: &mut Shard| -> Vec<Nanos> {
            let messages = shard.messages();
            let up_to = messages.filter_map(|message| match message {
                Message::Facts { up_to, .. } => Some(up_to),
                _ => None,
            });
            up_to.collect()
        };
        shard.event(&CaptureEvent::Tick { time: 100 });
        shard.read_to(70);
        assert_eq!(told(&mut shard), [70]);
        assert_eq!(told(&mut shard), Vec::<Nanos>::new());
        shard.read_to(Nanos::MAX);
        assert_eq!(told(&mut shard), [100]);
    }

    #[test]
    fn a_call_that_is_read_late_keeps_its_time() {
        let settings = Settings::default();
        let known = |read_to| {
            let mut shard = Shard::new(0, &settings);
            shard.read_to(read_to);
            shard.event(&CaptureEvent::Tick {
                time: 100 * MILLISECOND,
            });
            shard.event(&CaptureEvent::Exited {
                pid: 7,
                time: 80 * MILLISECOND,
            });
            let facts = shard.messages().find_map(|message| match message {
                Message::Facts { facts, .. } => facts.first().map(|fact| fact.known),
                _ => None,
            });
            facts.map(|known| known / MILLISECOND)
        };
        assert_eq!(known(70 * MILLISECOND), Some(80));
        // What was told of is over: HOLD before it.
        assert_eq!(known(90 * MILLISECOND), Some(85));
        assert_eq!(known(Nanos::MAX), Some(95));
    }
}
