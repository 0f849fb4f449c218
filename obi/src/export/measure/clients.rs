//! `kafka_client_info`: who produces to, who consumes from a topic. In: exchanges, and what clients say of themselves; out: a gauge
//! of 1 for each pair, which expires with the client's idleness.
//!
//! A name that is learnt later takes the place of the unknown one, so that a client is there once.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_analyzer::capture::Pid;
use kafka_analyzer::observation::Client;
use lru::LruCache;

use super::{Label, Measure, Of};
use crate::export::catalogue::Id;

const CAP: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Positions among the labels of `kafka_client_info`.
const GROUP: usize = 3;
const SOFTWARE: usize = 6;
/// A name not known; `group` and `software` are always text, so equality is that of text.
fn unknown() -> Label {
    Label::Text("".into())
}

type Known = LruCache<(Pid, Arc<str>), Arc<str>>;

/// What a process and client id call themselves.
#[derive(Debug)]
pub struct Software(Mutex<Known>);

impl Default for Software {
    fn default() -> Self {
        Software(Mutex::new(LruCache::new(CAP)))
    }
}

impl Software {
    fn get(&self, pid: Pid, client_id: &Arc<str>) -> Label {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&(pid, Arc::clone(client_id)))
            .map_or_else(unknown, Label::text)
    }
}

impl Measure {
    pub fn client(&self, client: &Client) {
        if let Some((name, version)) = &client.software {
            let text = format!("{name} {version}").trim().into();
            let mut known = self
                .software
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            known.put((client.pid, Arc::clone(&client.client_id)), text);
        }
    }

    pub(super) fn client_info(&self, of: &Of<'_>, role: &'static str, group: Label, topic: &Label) {
        let mut labels = [
            of.cluster.clone(),
            of.service.clone(),
            of.client_id.clone(),
            group,
            topic.clone(),
            Label::Word(role),
            self.software.get(of.x.pid, &of.x.client_id),
        ];
        let now = of.x.origin.time;
        if !self.registry.set(Id::ClientInfo, &labels, 1.0, now) {
            return;
        }
        let known = |at: usize| labels.get(at).is_some_and(|label| *label != unknown());
        let (group, software) = (known(GROUP), known(SOFTWARE));
        if software {
            labels[SOFTWARE] = unknown();
            self.registry.remove(Id::ClientInfo, &labels);
        }
        if group {
            labels[GROUP] = unknown();
            self.registry.remove(Id::ClientInfo, &labels);
            labels[SOFTWARE] = self.software.get(of.x.pid, &of.x.client_id);
            self.registry.remove(Id::ClientInfo, &labels);
        }
    }
}
