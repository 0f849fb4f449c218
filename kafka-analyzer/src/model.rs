//! The model thread's part: facts of the whole node to observations.

use crate::capture::Nanos;
use crate::fact::Fact;
use crate::losses::Losses;
use crate::observation::Observation;
use crate::settings::Settings;

/// Names that are kept over a restart (state directory).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LearntNames {
    /// (topic id in Kafka's text form, name), sorted.
    pub topics: Vec<(String, String)>,
    /// (broker address, cluster id), sorted.
    pub clusters: Vec<(std::net::SocketAddr, String)>,
}

#[derive(Debug)]
pub struct Model {
    settings: Settings,
    losses: Losses,
}

impl Model {
    pub fn new(settings: &Settings) -> Model {
        Model { settings: settings.clone(), losses: Losses::default() }
    }

    /// Eats the next fact of the merge.
    pub fn fact(&mut self, fact: Fact, out: &mut Vec<Observation>) {
        let _ = (&self.settings, fact, out);
    }

    /// All facts up to `now` were eaten ([`crate::Merge::watermark`]): lets waiting labels and timeouts go on.
    pub fn advance(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        let _ = (now, out);
    }

    /// The capture ended: what still waits goes out with the labels there are.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        let _ = out;
    }

    /// Topic ids met whose name is not known.
    pub fn unresolved_topics(&self) -> usize {
        0
    }

    pub fn learnt_names(&self) -> LearntNames {
        LearntNames::default()
    }

    pub fn restore_names(&mut self, names: &LearntNames) {
        let _ = names;
    }

    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}
