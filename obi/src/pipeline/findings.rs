//! The model side of the pipeline without its thread. In: messages of all shards; out: observations, processes, clocks through one callback.
//!
//! Knows no exporter. Compressed batches are opened before their message comes here (see `opening`).

use kafka_analyzer::capture::{Nanos, ProcessInfo};
use kafka_analyzer::observation::Observation;
use kafka_analyzer::{Fact, Merge, Model, Settings};

use super::shard::Message;

/// What leaves the model side.
#[derive(Debug)]
pub enum Finding<'a> {
    Observation(&'a Observation),
    Process(&'a ProcessInfo),
    Clock { monotonic: Nanos, wall: u64 },
}

pub struct Findings {
    merge: Merge,
    pub model: Model,
    facts: Vec<Fact>,
    observations: Vec<Observation>,
}

impl Findings {
    pub fn new(shards: usize, settings: &Settings) -> Findings {
        Findings {
            merge: Merge::new(shards),
            model: Model::new(settings),
            facts: Vec::new(),
            observations: Vec::new(),
        }
    }

    pub fn message(&mut self, message: Message, found: &mut impl FnMut(Finding<'_>)) {
        match message {
            Message::Process(info) => found(Finding::Process(&info)),
            Message::Clock { monotonic, wall } => found(Finding::Clock { monotonic, wall }),
            Message::Facts {
                shard,
                mut facts,
                up_to,
            } => {
                self.merge.push(shard, &mut facts, up_to);
                self.merge.pop(&mut self.facts);
                self.model_facts();
                self.model
                    .advance(self.merge.watermark(), &mut self.observations);
                self.tell(found);
            }
        }
    }

    /// The capture ended.
    pub fn finish(&mut self, found: &mut impl FnMut(Finding<'_>)) {
        self.merge.finish(&mut self.facts);
        self.model_facts();
        self.model.finish(&mut self.observations);
        self.tell(found);
    }

    fn model_facts(&mut self) {
        for fact in self.facts.drain(..) {
            self.model.fact(fact, &mut self.observations);
        }
    }

    fn tell(&mut self, found: &mut impl FnMut(Finding<'_>)) {
        for observation in self.observations.drain(..) {
            found(Finding::Observation(&observation));
        }
    }

    /// (reason, total) of what merge and model gave up.
    pub fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.merge.losses().iter().chain(self.model.losses().iter())
    }
}
