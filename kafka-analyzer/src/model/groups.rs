//! Groups: who is in them, what each member was given, when and why they went round. In: exchanges of group APIs by clients on this node;
//! out: groups as they are, rebalances with their cause and cost, members that stopped.
//!
//! A client is told only what concerns it; the leader of a classic group is told all members, and an administrator's tool, too. What is known is
//! kept by member id; where it comes from is said with every number ([`Basis`]).

mod classic;
mod member;
mod newer;
mod reasons;
mod speakers;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::capture::{ConnectionId, Nanos, Pid};
use crate::fact::group::{Assignment, Described, GroupKind};
use crate::fact::{self, Detail};
use crate::losses::Losses;
use crate::model::consumers::Consumers;
use crate::model::lag::RETENTION;
use crate::model::topics::Topics;
use crate::model::{Labels, UNKNOWN};
use crate::observation::{self, Basis, Event, EventKind, Observation, Origin, Reason, Rebalance};
use member::{Assigned, Idle, Local, Member};
use reasons::{Causes, Gone};
use speakers::Speakers;
use tasks::Topology;

type Name = Arc<str>;
type Key = (Name, Name);

/// Groups of clusters that are remembered.
const MOST: usize = 20_000;
/// Members of all groups.
const MEMBERS_MOST: usize = 100_000;
const SECOND: Nanos = 1_000_000_000;
const AGAIN: Nanos = 60 * SECOND;
/// A member whose coordinator connection closed has stopped if it is not heard of for two heartbeats of 3 s.
const STOPPED_AFTER: Nanos = 6 * SECOND;

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Key, Group>,
    members: usize,
    /// Members that completed a rebalance and did not fetch yet.
    idle: usize,
    dirty: BTreeSet<Key>,
    speakers: Speakers,
}

#[derive(Debug)]
struct Group {
    kind: GroupKind,
    protocol_type: Name,
    assignor: Name,
    state: Option<&'static str>,
    epoch: Option<i32>,
    coordinator: Option<SocketAddr>,
    members: BTreeMap<Name, Member>,
    /// Of Streams: what members said that joined.
    topology: Topology,
    /// What the leader was told.
    listed: Option<Listed>,
    /// An administrator's tool was told all members.
    described: Option<Nanos>,
    /// Members came or went since.
    changed: Nanos,
    causes: Causes,
    /// What the leader's list says of a generation, against the one before.
    compared: Option<(i32, Reason)>,
    /// Of which generation the event was sent, and when.
    announced: (i32, Nanos),
    last: Nanos,
    /// When all of it was said last.
    said: Nanos,
}

/// All members of a generation.
#[derive(Debug)]
struct Listed {
    generation: i32,
    members: BTreeSet<Name>,
}

/// One exchange and what it is taken in with.
pub(super) struct Hearing<'a> {
    pub labels: &'a Labels,
    pub exchange: &'a fact::Exchange,
    pub topics: &'a Topics,
    /// How many partitions topics of clusters have.
    pub counts: &'a HashMap<(Name, Name), u32>,
    pub consumers: &'a mut Consumers,
    pub losses: &'a mut Losses,
    pub out: &'a mut Vec<Observation>,
}

impl Groups {
    pub fn hear(&mut self, detail: &Detail, hearing: &mut Hearing<'_>) {
        match detail {
            Detail::Join(join) => self.join(join, hearing),
            Detail::Sync(sync) => self.sync(sync, hearing),
            Detail::Heartbeat(member) => self.alive(member, hearing),
            // Offsets of a transaction come from its producer, which has a client id and connections of its own.
            Detail::Commit(commit) if commit.transaction.is_some() => {}
            Detail::Commit(commit) => self.alive(&commit.member, hearing),
            Detail::Leave { group, members } => self.leave(group, members, hearing),
            Detail::GroupHeartbeat(heartbeat) => self.heartbeat(heartbeat, hearing),
            Detail::Described(groups) => {
                for described in groups {
                    self.described(described, hearing);
                }
            }
            Detail::GroupsDeleted(groups) => {
                for group in groups {
                    self.remove(
                        &(Arc::clone(&hearing.labels.cluster), Arc::clone(group)),
                        hearing.out,
                    );
                }
            }
            _ => {}
        }
    }

    /// A client fetched for its group: members that completed a rebalance are at work again.
    pub fn fetched(&mut self, group: &Name, hearing: &mut Hearing<'_>) {
        if self.idle == 0 {
            return;
        }
        let (labels, exchange) = (hearing.labels, hearing.exchange);
        let key = (Arc::clone(&labels.cluster), Arc::clone(group));
        let Some(state) = self.groups.get_mut(&key) else {
            return;
        };
        for (member_id, member) in &mut state.members {
            let generation = member.epoch.unwrap_or(-1);
            let Some(local) = &mut member.local else {
                continue;
            };
            if local.idle.is_none()
                || (local.pid, &local.client_id) != (labels.pid, &labels.client_id)
                || !fetches(&member.assignment, exchange, hearing.topics)
            {
                continue;
            }
            let Some(idle) = local.idle.take_if(|idle| exchange.began >= idle.completed) else {
                continue;
            };
            self.idle = self.idle.saturating_sub(1);
            hearing.out.push(Observation::Rebalance(Rebalance {
                origin: labels.origin,
                pid: labels.pid,
                cluster: Arc::clone(&labels.cluster),
                client_id: Arc::clone(&labels.client_id),
                group: Arc::clone(group),
                member_id: Arc::clone(member_id),
                generation,
                reason: idle.reason,
                duration_ns: Some(exchange.began.saturating_sub(idle.since)),
            }));
        }
    }

    /// A topic has another number of partitions now: those who read it will go round.
    pub fn metadata_changed(&mut self, cluster: &Name, topic: &Name, time: Nanos) {
        for ((of, _), group) in &mut self.groups {
            let reads = |member: &Member| {
                member
                    .topics
                    .as_ref()
                    .is_some_and(|topics| topics.contains(topic))
            };
            if of == cluster && group.members.values().any(reads) {
                group.causes.happened(time, Reason::MetadataChanged);
            }
        }
    }

    pub fn closed(&mut self, connection: ConnectionId, time: Nanos) {
        let Some(spoke_of) = self.speakers.closed(connection) else {
            for group in self.groups.values_mut() {
                group.closed(connection, time);
            }
            return;
        };
        for key in spoke_of {
            if let Some(group) = self.groups.get_mut(&key) {
                group.closed(connection, time);
            }
        }
    }

    /// Closed a while ago: what waited for its labels has been heard by now, too.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.speakers.closed(connection);
    }

    /// A member of the group (of a cluster) is on this node.
    pub fn is_live(&self, key: &(Name, Name)) -> bool {
        let members = self.groups.get(key).map(|group| group.members.values());
        members.is_some_and(|mut members| members.any(|member| member.local.is_some()))
    }

    /// The longest time between two polls that a member of this process asked for, as it joined with.
    pub fn poll_limit_ms(
        &self,
        cluster: &Name,
        group: &Name,
        pid: Pid,
        client_id: &Name,
    ) -> Option<u32> {
        let key = (Arc::clone(cluster), Arc::clone(group));
        let members = self.groups.get(&key)?.members.values();
        let mut locals = members.filter_map(|member| member.local.as_ref());
        let told = locals.find(|local| {
            local.told_timeout && local.pid == pid && local.client_id == *client_id
        })?;
        u32::try_from(told.rebalance_timeout / 1_000_000).ok()
    }

    pub fn tables(&self) -> [(&'static str, usize, usize); 2] {
        let members = self.groups.values().map(|group| group.members.len()).sum();
        [
            ("groups", self.groups.len(), MOST),
            ("members", members, MEMBERS_MOST),
        ]
    }

    /// A second is over: says which groups changed in it.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Observation>) {
        let mut over = Vec::new();
        for (key, group) in &mut self.groups {
            let (before, changed) = (group.members.len(), group.watch(key, now, out));
            self.members = (self.members + group.members.len()).saturating_sub(before);
            if group.members.is_empty() && group.last.saturating_add(RETENTION) < now {
                over.push(key.clone());
            } else if changed || group.said.saturating_add(AGAIN) <= now {
                self.dirty.insert(key.clone());
            }
        }
        for key in over {
            self.remove(&key, out);
        }
        for key in std::mem::take(&mut self.dirty) {
            if let Some(group) = self.groups.get_mut(&key) {
                group.said = now;
                out.push(Observation::Group(group.shown(&key, Origin::at(now))));
            }
        }
        self.idle = self
            .groups
            .values()
            .flat_map(|group| group.members.values())
            .filter(|member| {
                member
                    .local
                    .as_ref()
                    .is_some_and(|local| local.idle.is_some())
            })
            .count();
    }

    fn remove(&mut self, key: &Key, out: &mut Vec<Observation>) {
        self.dirty.remove(key);
        if let Some(mut group) = self.groups.remove(key) {
            self.members = self.members.saturating_sub(group.members.len());
            group.members.clear();
            let origin = Origin::at(group.last);
            out.push(Observation::Group(observation::Group {
                gone: true,
                ..group.shown(key, origin)
            }));
        }
    }

    fn described(&mut self, told: &Described, hearing: &mut Hearing<'_>) {
        let labels = hearing.labels;
        let Some(group) = self.group(&told.group, told.kind, hearing) else {
            return;
        };
        let before = group.members.len();
        group.described = Some(labels.origin.time);
        group.protocol_type = Arc::clone(&told.protocol_type);
        group.assignor = Arc::clone(&told.assignor);
        group.state = state_name(&told.state);
        group.epoch = Some(told.epoch).filter(|epoch| *epoch >= 0).or(group.epoch);
        let there: HashSet<&Name> = told.members.iter().map(|it| &it.member_id).collect();
        group.members.retain(|id, _| there.contains(id));
        for member in &told.members {
            let assignment = member.assignment.as_ref();
            let state = group
                .members
                .entry(Arc::clone(&member.member_id))
                .or_default();
            state.instance_id.clone_from(&member.instance_id);
            state.client_id = Some(Arc::clone(&member.client_id));
            state.host = Some(Arc::clone(&member.host));
            if let Some(assignment) = assignment {
                state.assignment = Some(assigned(assignment, hearing.topics));
            }
        }
        self.counted(&told.group, before, hearing);
    }

    /// The group had `before` members; of those that are too many now, members elsewhere go first.
    fn counted(&mut self, name: &Name, before: usize, hearing: &mut Hearing<'_>) {
        let key = (Arc::clone(&hearing.labels.cluster), Arc::clone(name));
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        let others = self.members.saturating_sub(before);
        let excess = (others + group.members.len()).saturating_sub(MEMBERS_MOST);
        if excess > 0 {
            hearing.losses.add("group_table_full", excess as u64);
            group.shed(excess);
        }
        self.members = others + group.members.len();
    }

    /// The group of an exchange, made when it is new; the coordinator is who answered.
    fn group(
        &mut self,
        name: &Name,
        kind: GroupKind,
        hearing: &mut Hearing<'_>,
    ) -> Option<&mut Group> {
        let key = (Arc::clone(&hearing.labels.cluster), Arc::clone(name));
        let full = self.groups.len() >= MOST || self.members >= MEMBERS_MOST;
        // Nor under a cluster that is not known yet: it would be there twice.
        if name.is_empty() || &*key.0 == UNKNOWN {
            return None;
        }
        if full && !self.groups.contains_key(&key) {
            hearing.losses.add("group_table_full", 1);
            return None;
        }
        self.speakers.heard(hearing.labels.origin.connection, &key);
        self.dirty.insert(key.clone());
        let group = self.groups.entry(key).or_insert_with(|| Group::new(kind));
        group.kind = kind;
        group.last = group.last.max(hearing.labels.origin.time);
        Some(group)
    }
}

impl Group {
    fn new(kind: GroupKind) -> Group {
        Group {
            kind,
            protocol_type: "".into(),
            assignor: "".into(),
            state: None,
            epoch: None,
            coordinator: None,
            members: BTreeMap::new(),
            topology: Topology::default(),
            listed: None,
            described: None,
            changed: 0,
            causes: Causes::default(),
            compared: None,
            announced: (-1, 0),
            last: 0,
            said: 0,
        }
    }

    fn closed(&mut self, connection: ConnectionId, time: Nanos) {
        self.causes.closed(connection);
        let members = self.members.values_mut();
        let locals = members.filter_map(|member| member.local.as_mut());
        for local in locals.filter(|local| local.connection == connection) {
            local.closed = Some(time);
        }
    }

    /// The member on this node with this id, made when it is new.
    fn local(
        &mut self,
        member_id: &Name,
        instance_id: &Option<Name>,
        labels: &Labels,
    ) -> &mut Local {
        let member = self.members.entry(Arc::clone(member_id)).or_default();
        if instance_id.is_some() {
            member.instance_id.clone_from(instance_id);
        }
        member.client_id = Some(Arc::clone(&labels.client_id));
        let (time, connection) = (labels.origin.time, labels.origin.connection);
        let local = member
            .local
            .get_or_insert_with(|| Local::new(labels.pid, &labels.client_id, connection, time));
        local.heard = local.heard.max(time);
        (local.connection, local.closed, local.stopped) = (connection, None, false);
        local
    }

    /// The member is not in the group any more.
    fn lose(
        &mut self,
        member_id: &Name,
        time: Nanos,
        reason: Reason,
        lingers: bool,
    ) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        self.changed = time;
        if let Some(local) = &member.local {
            self.causes.gone(Gone {
                member_id: Arc::clone(member_id),
                pid: local.pid,
                client_id: Arc::clone(&local.client_id),
                connection: local.connection,
                time,
                reason,
                lingers,
            });
        }
        if self.members.is_empty() && (self.listed.is_some() || self.described.is_some()) {
            self.state = Some("Empty");
        }
        Some(member)
    }

    /// There is no room for so many of its members: how many there are is not known any more.
    fn shed(&mut self, excess: usize) {
        let mut ids: Vec<(bool, Name)> = self
            .members
            .iter()
            .map(|(id, member)| (member.local.is_some(), Arc::clone(id)))
            .collect();
        ids.sort();
        for (_, id) in ids.iter().take(excess) {
            self.members.remove(id);
        }
        (self.listed, self.described) = (None, None);
    }

    /// Time passed: members that the coordinator has put out go. True: something changed.
    fn watch(&mut self, key: &Key, now: Nanos, out: &mut Vec<Observation>) -> bool {
        let mut changed = false;
        for (member_id, member) in &mut self.members {
            let Some(local) = &mut member.local else {
                continue;
            };
            let silent = local.closed.is_some_and(|closed| {
                closed.saturating_add(STOPPED_AFTER) <= now && local.heard <= closed
            });
            if silent && !local.stopped {
                local.stopped = true;
                let text = format!(
                    "consumer {member_id} of group {} lost its connection to the coordinator and did not come back",
                    key.1
                );
                out.push(stopped(key, local, Origin::at(now), text));
            }
        }
        let expired: Vec<Name> = self
            .members
            .iter()
            .filter(|(_, member)| {
                member
                    .local
                    .as_ref()
                    .is_some_and(|local| local.is_expired(now))
            })
            .map(|(member_id, _)| Arc::clone(member_id))
            .collect();
        for member_id in expired {
            let lost = self.lose(&member_id, now, Reason::SessionTimedOut, false);
            changed = true;
            if let Some(local) = lost
                .and_then(|member| member.local)
                .filter(|local| !local.stopped)
            {
                let text = format!(
                    "consumer {member_id} of group {} sent no heartbeat for {} s: its session timed out",
                    key.1,
                    local.session_timeout / SECOND
                );
                out.push(stopped(key, &local, Origin::at(now), text));
            }
        }
        changed
    }

    /// All members of this node are in the newest epoch: as far as can be seen from here, the group is stable.
    fn is_settled(&self) -> bool {
        let mut locals = self
            .members
            .values()
            .filter(|member| member.local.is_some());
        locals.all(|member| member.epoch == self.epoch)
    }

    fn count(&self) -> Option<(Basis, u64)> {
        let all = self
            .members
            .values()
            .filter(|member| member.epoch.is_some() || member.local.is_none());
        if self
            .listed
            .as_ref()
            .is_some_and(|listed| Some(listed.generation) == self.epoch)
        {
            return Some((Basis::Leader, all.count() as u64));
        }
        if self.described.is_some_and(|time| time >= self.changed) {
            return Some((Basis::Describe, self.members.len() as u64));
        }
        let local = all.filter(|member| member.local.is_some()).count() as u64;
        (local > 0 || self.changed > 0).then_some((Basis::Local, local))
    }

    fn shown(&self, key: &Key, origin: Origin) -> observation::Group {
        observation::Group {
            origin,
            cluster: Arc::clone(&key.0),
            group: Arc::clone(&key.1),
            protocol: self.kind,
            protocol_type: Arc::clone(&self.protocol_type),
            assignor: Arc::clone(&self.assignor),
            state: self.state,
            epoch: self.epoch,
            coordinator: self.coordinator,
            count: self.count(),
            members: self
                .members
                .iter()
                .map(|(id, member)| member.shown(id))
                .collect(),
            gone: false,
        }
    }
}

/// A member completed a generation or epoch: counts it, announces it once for the group, and waits for its next fetch. Returns true if
/// it is idle from now on.
fn completed(
    group: &mut Group,
    name: &Name,
    member_id: &Name,
    epoch: i32,
    group_reason: Reason,
    hearing: &mut Hearing<'_>,
) -> bool {
    let labels = hearing.labels;
    let announced = group.announced.0 == epoch;
    group.announced = (epoch, labels.origin.time);
    let Some(local) = group
        .members
        .get_mut(member_id)
        .and_then(|member| member.local.as_mut())
    else {
        return false;
    };
    let lost = local.lost.take();
    local.gives_up = false;
    let reason = lost.and_then(|lost| lost.reason).unwrap_or(group_reason);
    (local.completed, local.completed_at) = (epoch, labels.origin.time);
    let since = lost.map_or(hearing.exchange.began, |lost| lost.since);
    let was_idle = local.idle.replace(Idle {
        since,
        completed: hearing.exchange.ended,
        reason,
    });
    hearing.out.push(Observation::Rebalance(Rebalance {
        origin: labels.origin,
        pid: labels.pid,
        cluster: Arc::clone(&labels.cluster),
        client_id: Arc::clone(&labels.client_id),
        group: Arc::clone(name),
        member_id: Arc::clone(member_id),
        generation: epoch,
        reason,
        duration_ns: None,
    }));
    if !announced {
        // The group's own cause tells more than that this member is new.
        let reason = if group_reason == Reason::Unknown {
            reason
        } else {
            group_reason
        };
        hearing.out.push(Observation::Event(Event {
            origin: labels.origin,
            pid: labels.pid,
            cluster: Arc::clone(&labels.cluster),
            event: EventKind::Rebalance,
            client_id: Arc::clone(&labels.client_id),
            group: Arc::clone(name),
            transactional_id: "".into(),
            server: labels.server,
            error: None,
            reason: Some(reason),
            message: format!(
                "group {name} went round to generation {epoch}: {}",
                reason.as_str()
            ),
            span: None,
        }));
    }
    was_idle.is_none()
}

fn stopped(key: &Key, local: &Local, origin: Origin, message: String) -> Observation {
    Observation::Event(Event {
        origin,
        pid: local.pid,
        cluster: Arc::clone(&key.0),
        event: EventKind::ConsumerStopped,
        client_id: Arc::clone(&local.client_id),
        group: Arc::clone(&key.1),
        transactional_id: "".into(),
        server: None,
        error: None,
        reason: None,
        message,
        span: None,
    })
}

/// The exchange asks for something that the member was given; with nothing known of either it may.
fn fetches(assignment: &Option<Assigned>, exchange: &fact::Exchange, topics: &Topics) -> bool {
    // A session does not repeat what is asked for; the member speaks for this group alone.
    let shares = matches!(exchange.detail.as_deref(), Some(Detail::Share { .. }));
    let Some(assignment) = assignment.as_ref().filter(|_| !shares) else {
        return true;
    };
    let given = |topic: &fact::Topic, index: i32| {
        let name = topics.label(topic);
        let mut of_topic = assignment.iter().filter(|(of, _)| *of == name);
        of_topic.any(|(_, partitions)| partitions.contains(&index))
    };
    match &exchange.asked {
        Some(asked) => asked.keys().any(|(topic, index)| given(topic, *index)),
        None => exchange
            .fetched
            .iter()
            .any(|partition| given(&partition.topic, partition.index)),
    }
}

/// With names of topics, sorted.
fn assigned(assignment: &Assignment, topics: &Topics) -> Assigned {
    let mut named: Assigned = assignment
        .iter()
        .filter(|(_, partitions)| !partitions.is_empty())
        .map(|(topic, partitions)| {
            let mut partitions = partitions.clone();
            partitions.sort_unstable();
            (topics.label(topic), partitions)
        })
        .collect();
    named.sort_unstable();
    named
}

/// Kafka's words for states of a group.
fn state_name(state: &str) -> Option<&'static str> {
    [
        "Stable",
        "PreparingRebalance",
        "CompletingRebalance",
        "Empty",
        "Dead",
        "Assigning",
        "Reconciling",
        "NotReady",
    ]
    .into_iter()
    .find(|known| known.eq_ignore_ascii_case(state))
}
