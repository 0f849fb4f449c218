//! Each topic name and client id once in memory. In: text from a message; out: a shared copy.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_wire::TopicRef;

use crate::fact::Topic;

/// Above this many names the table starts again: only sharing is lost.
const MOST: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<Arc<str>>);

impl Names {
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.0.get(text) {
            return Arc::clone(name);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let name: Arc<str> = text.into();
        self.0.insert(Arc::clone(&name));
        name
    }

    pub fn topic(&mut self, topic: TopicRef<'_>) -> Topic {
        match topic {
            TopicRef::Name(name) => Topic::Name(self.get(name)),
            TopicRef::Id(id) => Topic::Id(id),
        }
    }
}
