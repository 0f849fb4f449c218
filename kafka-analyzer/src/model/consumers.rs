//! Which group a fetch belongs to. In: exchanges that name a group, and assignments; out: the group of a client's fetch.
//!
//! Fetches do not say it. The client that fetches is known by process and client id, which is one consumer in Java and Streams, and often several in
//! librdkafka, sarama or franz-go: then the topics that each group was given decide. A client that was seen from its first request on and
//! named no group has none; one that was met in the middle may name it within a heartbeat (3 to 5 s), so that its fetches wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kafka_wire::api;

use crate::capture::{Nanos, Pid};

/// Clients that are remembered; of more the one that was idle for longest is forgotten.
const MOST: usize = 16_384;
const GROUPS_MOST: usize = 64;
const TOPICS_MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Consumers {
    clients: HashMap<(Pid, Arc<str>), Client>,
}

#[derive(Debug)]
struct Client {
    /// Its first exchange opened a connection.
    from_the_start: bool,
    /// Its group did not become known in time.
    given_up: bool,
    last: Nanos,
    groups: Vec<Membership>,
}

#[derive(Debug)]
struct Membership {
    group: Arc<str>,
    /// Topics that it was ever given, or committed; empty: not known.
    topics: HashSet<Arc<str>>,
}

impl Consumers {
    /// Any exchange of a client; returns how many were forgotten to make room.
    pub fn saw(&mut self, pid: Pid, client_id: &Arc<str>, api_key: i16, time: Nanos) -> u64 {
        let key = (pid, Arc::clone(client_id));
        if let Some(client) = self.clients.get_mut(&key) {
            client.last = client.last.max(time);
            return 0;
        }
        let mut forgot = 0;
        if self.clients.len() >= MOST {
            let oldest = self
                .clients
                .iter()
                .min_by_key(|(key, client)| (client.last, key.0));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.clients.remove(&oldest);
                forgot = 1;
            }
        }
        let opens = [
            api::API_VERSIONS,
            api::SASL_HANDSHAKE,
            api::SASL_AUTHENTICATE,
        ];
        self.clients.insert(
            key,
            Client {
                from_the_start: opens.contains(&api_key),
                given_up: false,
                last: time,
                groups: Vec::new(),
            },
        );
        forgot
    }

    /// The client speaks for a group. True: that is news.
    pub fn learn(&mut self, pid: Pid, client_id: &Arc<str>, group: &Arc<str>) -> bool {
        let Some(client) = self.clients.get_mut(&(pid, Arc::clone(client_id))) else {
            return false;
        };
        let known = client.groups.iter().any(|known| known.group == *group);
        if known || client.groups.len() >= GROUPS_MOST || group.is_empty() {
            return false;
        }
        client.groups.push(Membership {
            group: Arc::clone(group),
            topics: HashSet::new(),
        });
        true
    }

    /// The group gave the client this topic, or the client committed in it.
    pub fn reads(&mut self, pid: Pid, client_id: &Arc<str>, group: &Arc<str>, topic: &Arc<str>) {
        let client = self.clients.get_mut(&(pid, Arc::clone(client_id)));
        let membership = client.and_then(|client| {
            let mut groups = client.groups.iter_mut();
            groups.find(|known| known.group == *group)
        });
        if let Some(membership) = membership
            && membership.topics.len() < TOPICS_MOST
            && !membership.topics.contains(topic)
        {
            membership.topics.insert(Arc::clone(topic));
        }
    }

    /// False: its group may still become known.
    pub fn is_settled(&self, pid: Pid, client_id: &Arc<str>) -> bool {
        let client = self.clients.get(&(pid, Arc::clone(client_id)));
        client.is_none_or(|client| {
            client.from_the_start || client.given_up || !client.groups.is_empty()
        })
    }

    pub fn give_up(&mut self, pid: Pid, client_id: &Arc<str>) {
        if let Some(client) = self.clients.get_mut(&(pid, Arc::clone(client_id))) {
            client.given_up = true;
        }
    }

    /// The group that reads `topic` in this client; None: no group, or two of them, which nobody can tell apart.
    pub fn group_of(&self, pid: Pid, client_id: &Arc<str>, topic: &Arc<str>) -> Option<&Arc<str>> {
        let client = self.clients.get(&(pid, Arc::clone(client_id)))?;
        let mut given = client
            .groups
            .iter()
            .filter(|known| known.topics.contains(topic));
        if let Some(first) = given.next() {
            return given.next().is_none().then_some(&first.group);
        }
        match client.groups.as_slice() {
            [one] if one.topics.is_empty() => Some(&one.group),
            _ => None,
        }
    }

    /// The only group of a client; for what names no topic.
    pub fn only_group(&self, pid: Pid, client_id: &Arc<str>) -> Option<&Arc<str>> {
        match self
            .clients
            .get(&(pid, Arc::clone(client_id)))?
            .groups
            .as_slice()
        {
            [one] => Some(&one.group),
            _ => None,
        }
    }

    /// Forgets clients that said nothing since `before`.
    pub fn expire(&mut self, before: Nanos) {
        self.clients.retain(|_, client| client.last >= before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: Pid = 7;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_client_seen_from_the_start_without_a_group_has_none() {
        let mut consumers = Consumers::default();
        let (app, orders) = (name("app"), name("orders"));
        consumers.saw(PID, &app, api::API_VERSIONS, 1);
        assert!(consumers.is_settled(PID, &app));
        assert_eq!(consumers.group_of(PID, &app, &orders), None);
        consumers.learn(PID, &app, &name("billing"));
        assert_eq!(
            consumers.group_of(PID, &app, &orders),
            Some(&name("billing"))
        );
    }

    #[test]
    fn a_client_met_in_the_middle_waits_for_its_group() {
        let mut consumers = Consumers::default();
        let app = name("app");
        consumers.saw(PID, &app, api::FETCH, 1);
        assert!(!consumers.is_settled(PID, &app));
        consumers.give_up(PID, &app);
        assert!(consumers.is_settled(PID, &app));
        assert!(consumers.learn(PID, &app, &name("billing")), "later");
        assert_eq!(consumers.only_group(PID, &app), Some(&name("billing")));
    }

    #[test]
    fn topics_tell_groups_of_one_client_id_apart() {
        let mut consumers = Consumers::default();
        let (app, orders, audit) = (name("rdkafka"), name("orders"), name("audit"));
        consumers.saw(PID, &app, api::API_VERSIONS, 1);
        for (group, topic) in [("billing", &orders), ("auditors", &audit)] {
            consumers.learn(PID, &app, &name(group));
            consumers.reads(PID, &app, &name(group), topic);
        }
        assert_eq!(
            consumers.group_of(PID, &app, &orders),
            Some(&name("billing"))
        );
        assert_eq!(
            consumers.group_of(PID, &app, &audit),
            Some(&name("auditors"))
        );
        assert_eq!(
            consumers.group_of(PID, &app, &name("other")),
            None,
            "read without a group"
        );
        consumers.reads(PID, &app, &name("auditors"), &orders);
        assert_eq!(
            consumers.group_of(PID, &app, &orders),
            None,
            "nobody can tell"
        );
        assert_eq!(consumers.only_group(PID, &app), None);
        consumers.expire(2);
        assert!(consumers.clients.is_empty());
    }
}
