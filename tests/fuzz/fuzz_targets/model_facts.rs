//! Facts as the stream stage makes them, chosen by bytes. In: a script; out: one fact after another.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_analyzer::capture::{ClientCall, ConnectionId, Means, Task, Window};
use kafka_analyzer::fact::detail::{
    Commit, CommittedOffset, GroupOffsets, KeyKind, LogEnd, LogEndKind, Marker, Producer,
    TransactionRef,
};
use kafka_analyzer::fact::group::{
    Assignment, GroupHeartbeat, GroupKind, HeartbeatAnswer, Join, Joined, JoinedMember, Leaver,
    Member, Sync,
};
use kafka_analyzer::fact::{Client, Detail, Exchange, Fact, Partition, Says, Topic};
use kafka_analyzer::observation::{Batches, Origin};
use kafka_wire::{Uuid, api};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

type Script<'a, 'b> = &'a mut Unstructured<'b>;

const ERRORS: [&str; 8] = [
    "REBALANCE_IN_PROGRESS",
    "ILLEGAL_GENERATION",
    "UNKNOWN_MEMBER_ID",
    "FENCED_INSTANCE_ID",
    "NOT_COORDINATOR",
    "PRODUCER_FENCED",
    "CONNECTION_CLOSED",
    "TIMED_OUT",
];
const SECOND: u64 = 1_000_000_000;
/// Members, groups or partitions that one fact brings; of a script at most so many.
const FLOOD: usize = 30_000;
const FLOOD_ALL: usize = 150_000;

#[derive(Default)]
pub struct Facts {
    clock: u64,
    offset: u64,
    flooded: usize,
    fresh: usize,
}

/// The group and member that an answer lets complete a generation or epoch.
pub fn completes(fact: &Fact) -> Option<(Arc<str>, Arc<str>)> {
    let Says::Exchange(exchange) = &fact.says else {
        return None;
    };
    let (member, given) = match exchange.detail.as_deref()? {
        Detail::Sync(sync) => (&sync.member, None),
        Detail::GroupHeartbeat(heartbeat) => {
            let answer = heartbeat.answer.as_ref()?;
            (&heartbeat.member, answer.member_id.as_ref())
        }
        _ => return None,
    };
    let id = given.unwrap_or(&member.member_id);
    exchange
        .error
        .is_none()
        .then(|| (Arc::clone(&member.group), Arc::clone(id)))
}

impl Facts {
    pub fn next(&mut self, script: Script<'_, '_>) -> Result<Fact> {
        let step = match script.int_in_range(0..=15)? {
            0..=6 => u64::from(script.arbitrary::<u16>()?),
            7..=11 => u64::from(script.arbitrary::<u8>()?) * SECOND / 10,
            12..=13 => u64::from(script.arbitrary::<u8>()?) * 10 * SECOND,
            14 => 0,
            _ => {
                // The clock jumps, also backwards.
                self.clock = self.clock.saturating_sub(script.arbitrary::<u32>()?.into());
                0
            }
        };
        self.clock = self.clock.saturating_add(step);
        self.offset += 100;
        let connection = ConnectionId(script.int_in_range(1..=5)?);
        Ok(Fact {
            known: self.clock,
            origin: Origin {
                time: self.clock.saturating_sub(script.arbitrary::<u16>()?.into()),
                connection,
                offset: self.offset,
            },
            pid: script.int_in_range(1..=3)?,
            says: self.says(script)?,
        })
    }

    fn says(&mut self, script: Script<'_, '_>) -> Result<Says> {
        let client_id = name(script, "client", 3)?;
        Ok(match script.int_in_range(0..=20)? {
            0 => Says::Topics(vec![(uuid(script)?, name(script, "topic", 4)?)]),
            1 => Says::Cluster {
                id: name(script, "cluster", 2)?,
                client_id,
                server: server(script)?,
                brokers: server(script)?.into_iter().collect(),
            },
            2 => Says::Client(Client {
                client_id,
                software: None,
                mechanism: None,
                server: server(script)?,
                source: "fuzz",
                closed: script.arbitrary()?,
            }),
            3 => Says::PartitionCounts {
                client_id,
                server: None,
                topics: vec![(name(script, "topic", 4)?, script.int_in_range(1..=4)?)],
            },
            4..=9 => Says::Call(Box::new(self.call(script)?)),
            10 => Says::Exited,
            11 => Says::Window(*script.choose(&[Window::Open, Window::Shut, Window::Changing])?),
            _ => Says::Exchange(Box::new(self.exchange(client_id, script)?)),
        })
    }

    fn call(&mut self, script: Script<'_, '_>) -> Result<ClientCall> {
        let first = offset(script)?;
        let more = script.int_in_range(0..=5)?;
        Ok(ClientCall {
            time: self.clock,
            pid: script.int_in_range(1..=3)?,
            tid: 1,
            task: match script.int_in_range(0..=4)? {
                0 => Task::Thread(1),
                n => Task::Goroutine(n),
            },
            parent: None,
            means: *script.choose(&Means::ALL)?,
            client: script.int_in_range(0..=2)?,
            message: script.int_in_range(0..=3)?,
            topic: name(script, "topic", 4)?,
            partition: index(script)?,
            first,
            last: first.saturating_add(more),
            // Few offsets may hold fewer messages, and a lie more.
            count: script.int_in_range(0..=7)?,
            key_len: None,
            value_len: None,
            complete: script.ratio(7, 8)?,
            truncated: script.ratio(1, 16)?,
            fault: script.ratio(1, 16)?,
            named: script.ratio(1, 4)?,
        })
    }

    fn exchange(&mut self, client_id: Arc<str>, script: Script<'_, '_>) -> Result<Exchange> {
        let error = error(script)?;
        let (api_key, detail) = self.detail(error.is_none(), script)?;
        let mut partitions = Vec::new();
        if matches!(api_key, api::FETCH | api::PRODUCE) {
            for _ in 0..script.int_in_range(0..=3)? {
                partitions.push(partition(api_key == api::FETCH, script)?);
            }
        }
        let (produced, fetched) = match api_key {
            api::FETCH => (Vec::new(), partitions),
            _ => (partitions, Vec::new()),
        };
        let answered = !matches!(error, Some("CONNECTION_CLOSED" | "TIMED_OUT"));
        let asked = match api_key == api::FETCH && script.arbitrary()? {
            true => Some(Arc::new(
                [((topic(script)?, index(script)?), offset(script)?)].into(),
            )),
            false => None,
        };
        Ok(Exchange {
            client_id,
            task: match script.int_in_range(0..=3)? {
                0 => None,
                1 => Some(Task::Thread(1)),
                n => Some(Task::Goroutine(n)),
            },
            api_key,
            api_version: 12,
            correlation_id: 1,
            began: self.clock.saturating_sub(script.arbitrary::<u16>()?.into()),
            ended: self.clock,
            request_bytes: 100,
            response_bytes: answered.then_some(100),
            error,
            throttle_ms: None,
            server: server(script)?,
            produced,
            fetched,
            replica: script.ratio(1, 10)?,
            decoded: script.ratio(9, 10)?,
            acks_all: script.arbitrary()?,
            transactional_id: None,
            read_committed: script.arbitrary()?,
            asked,
            detail: detail.map(Box::new),
        })
    }

    fn detail(&mut self, accepted: bool, script: Script<'_, '_>) -> Result<(i16, Option<Detail>)> {
        let member = member(script)?;
        let told = match script.int_in_range(0..=17)? {
            0 | 1 => (api::JOIN_GROUP, self.join(member, accepted, script)?),
            2 | 3 => (api::SYNC_GROUP, self.sync(member, accepted, script)?),
            4 | 5 => (api::HEARTBEAT, Detail::Heartbeat(member)),
            6 | 7 => (api::OFFSET_COMMIT, self.commit(member, None, script)?),
            8 => {
                let transaction = Some(transaction(script)?);
                (28, self.commit(member, transaction, script)?)
            }
            9 => (api::LEAVE_GROUP, leave(member, script)?),
            10 => {
                let transaction = transaction(script)?;
                let committed = script.arbitrary()?;
                let next = None;
                let end = Detail::TransactionEnd {
                    transaction,
                    committed,
                    next,
                };
                (26, end)
            }
            11 => (
                api::CONSUMER_GROUP_HEARTBEAT,
                heartbeat(member, accepted, script)?,
            ),
            12 => (api::OFFSET_FETCH, read(member.group, script)?),
            13 => (api::LIST_OFFSETS, ends(script)?),
            14 => {
                let (kind, keys) = (KeyKind::Group, vec![member.group]);
                (api::FIND_COORDINATOR, Detail::Coordinator { kind, keys })
            }
            16 => (27, markers(script)?),
            15 => (
                api::DELETE_GROUPS,
                Detail::GroupsDeleted(vec![member.group]),
            ),
            _ => {
                let key = script.choose(&[api::FETCH, api::FETCH, api::PRODUCE])?;
                return Ok((*key, None));
            }
        };
        Ok((told.0, Some(told.1)))
    }

    fn join(&mut self, member: Member, accepted: bool, script: Script<'_, '_>) -> Result<Detail> {
        let protocol = name(script, "assignor", 2)?;
        let mut members = Vec::new();
        for _ in 0..script.int_in_range(0..=3)? {
            members.push(name(script, "member", 6)?);
        }
        members.extend(self.flood("member", script)?);
        let topics = Some(vec![name(script, "topic", 4)?]);
        let joined = Joined {
            generation: member.epoch,
            member_id: Arc::clone(&member.member_id),
            leader: name(script, "member", 6)?,
            protocol: Some(Arc::clone(&protocol)),
            members: members
                .into_iter()
                .map(|member_id| JoinedMember {
                    member_id,
                    instance_id: None,
                })
                .collect(),
        };
        Ok(Detail::Join(Box::new(Join {
            is_new: script.arbitrary()?,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            topics,
            session_timeout_ms: script.arbitrary()?,
            rebalance_timeout_ms: script.arbitrary()?,
            reason: None,
            joined: accepted.then_some(joined),
            member,
        })))
    }

    fn sync(&mut self, member: Member, accepted: bool, script: Script<'_, '_>) -> Result<Detail> {
        let own = assignment(script)?;
        let mut assignments = vec![(name(script, "member", 6)?, assignment(script)?)];
        let flood = self.flood("member", script)?;
        assignments.extend(flood.into_iter().map(|id| (id, Assignment::new())));
        Ok(Detail::Sync(Box::new(Sync {
            member,
            protocol_type: None,
            protocol: Some(
                script
                    .choose(&["range", "cooperative-sticky"])?
                    .to_owned()
                    .into(),
            ),
            assignments,
            own: accepted.then_some(own),
        })))
    }

    fn commit(
        &mut self,
        member: Member,
        transaction: Option<TransactionRef>,
        script: Script<'_, '_>,
    ) -> Result<Detail> {
        let mut offsets = Vec::new();
        for _ in 0..script.int_in_range(0..=3)? {
            offsets.push(CommittedOffset {
                topic: topic(script)?,
                partition: index(script)?,
                offset: offset(script)?,
                error: error(script)?,
            });
        }
        let at = offset(script)?;
        let flood = self.flood("topic", script)?;
        offsets.extend(flood.into_iter().map(|topic| CommittedOffset {
            topic: Topic::Name(topic),
            partition: 0,
            offset: at,
            error: None,
        }));
        Ok(Detail::Commit(Commit {
            member,
            transaction,
            offsets,
        }))
    }

    /// Names that were never used before, seldom.
    fn flood(&mut self, of: &str, script: Script<'_, '_>) -> Result<Vec<Arc<str>>> {
        if script.int_in_range(0..=250)? < 250 || self.flooded + FLOOD > FLOOD_ALL {
            return Ok(Vec::new());
        }
        self.flooded += FLOOD;
        let first = self.fresh;
        self.fresh += FLOOD;
        Ok((first..self.fresh)
            .map(|n| format!("{of}-fresh-{n}").into())
            .collect())
    }
}

/// One of `n` names, or none.
fn name(script: Script<'_, '_>, of: &str, n: u8) -> Result<Arc<str>> {
    Ok(match script.int_in_range(0..=n)? {
        0 => "".into(),
        n => format!("{of}-{n}").into(),
    })
}

fn uuid(script: Script<'_, '_>) -> Result<Uuid> {
    Ok(Uuid([script.int_in_range(1..=4)?; 16]))
}

fn topic(script: Script<'_, '_>) -> Result<Topic> {
    Ok(match script.arbitrary()? {
        true => Topic::Name(name(script, "topic", 4)?),
        false => Topic::Id(uuid(script)?),
    })
}

fn index(script: Script<'_, '_>) -> Result<i32> {
    Ok(match script.int_in_range(0..=9)? {
        9 => script.arbitrary()?,
        n => n % 4,
    })
}

/// Mostly near each other; a broker may be told anything.
fn offset(script: Script<'_, '_>) -> Result<i64> {
    Ok(match script.int_in_range(0..=9)? {
        9 => script.arbitrary()?,
        _ => script.int_in_range(-1..=50)?,
    })
}

fn known(script: Script<'_, '_>) -> Result<Option<i64>> {
    Ok(Some(offset(script)?).filter(|offset| *offset >= 0))
}

fn error(script: Script<'_, '_>) -> Result<Option<&'static str>> {
    Ok(match script.ratio(1, 6)? {
        true => Some(*script.choose(&ERRORS)?),
        false => None,
    })
}

fn server(script: Script<'_, '_>) -> Result<Option<SocketAddr>> {
    Ok(match script.int_in_range(0..=3_u16)? {
        0 => None,
        n => Some(SocketAddr::from(([10, 0, 0, 1], 9090 + n))),
    })
}

fn member(script: Script<'_, '_>) -> Result<Member> {
    Ok(Member {
        group: name(script, "group", 3)?,
        member_id: name(script, "member", 6)?,
        instance_id: Some(name(script, "instance", 2)?).filter(|name| !name.is_empty()),
        epoch: match script.int_in_range(0..=9)? {
            9 => script.arbitrary()?,
            _ => script.int_in_range(-1..=6)?,
        },
    })
}

fn assignment(script: Script<'_, '_>) -> Result<Assignment> {
    Ok(vec![(topic(script)?, vec![index(script)?, index(script)?])])
}

fn leave(member: Member, script: Script<'_, '_>) -> Result<Detail> {
    let mut members = Vec::new();
    for _ in 0..script.int_in_range(1..=2)? {
        let texts = [
            "the consumer is being closed",
            "consumer poll timeout has expired.",
        ];
        members.push(Leaver {
            member_id: name(script, "member", 6)?,
            instance_id: None,
            reason: match script.arbitrary()? {
                true => Some((*script.choose(&texts)?).into()),
                false => None,
            },
            error: error(script)?,
        });
    }
    let group = member.group;
    Ok(Detail::Leave { group, members })
}

fn heartbeat(member: Member, accepted: bool, script: Script<'_, '_>) -> Result<Detail> {
    let kinds = [GroupKind::Consumer, GroupKind::Share, GroupKind::Streams];
    let answer = HeartbeatAnswer {
        member_id: Some(name(script, "member", 6)?).filter(|id| !id.is_empty()),
        epoch: script.int_in_range(0..=6)?,
        heartbeat_interval_ms: script.arbitrary()?,
        assignment: match script.arbitrary()? {
            true => Some(assignment(script)?),
            false => None,
        },
        tasks: None,
        not_ready: script.arbitrary()?,
    };
    Ok(Detail::GroupHeartbeat(Box::new(GroupHeartbeat {
        kind: *script.choose(&kinds)?,
        member,
        rebalance_timeout_ms: script.arbitrary()?,
        topics: Some(vec![name(script, "topic", 4)?]),
        pattern: None,
        assignor: None,
        topology: None,
        answer: accepted.then_some(answer),
    })))
}

fn read(group: Arc<str>, script: Script<'_, '_>) -> Result<Detail> {
    let offsets = vec![(topic(script)?, index(script)?, known(script)?)];
    Ok(Detail::CommittedRead(vec![GroupOffsets { group, offsets }]))
}

fn ends(script: Script<'_, '_>) -> Result<Detail> {
    let kinds = [
        LogEndKind::HighWatermark,
        LogEndKind::LastStable,
        LogEndKind::Start,
    ];
    Ok(Detail::LogEnds(vec![LogEnd {
        topic: topic(script)?,
        partition: index(script)?,
        which: *script.choose(&kinds)?,
        offset: known(script)?.unwrap_or(0),
    }]))
}

fn transaction(script: Script<'_, '_>) -> Result<TransactionRef> {
    Ok(TransactionRef {
        transactional_id: name(script, "transaction", 3)?,
        producer: Producer {
            id: script.int_in_range(1..=3)?,
            epoch: script.int_in_range(0..=3)?,
        },
    })
}

fn partition(is_fetch: bool, script: Script<'_, '_>) -> Result<Partition> {
    let records = script.int_in_range(0..=40_u32)?;
    let at = known(script)?;
    let end = at.and_then(|at| at.checked_add(records.into()));
    Ok(Partition {
        topic: topic(script)?,
        index: index(script)?,
        error: error(script)?,
        base_offset: at.filter(|_| !is_fetch),
        log_append_time: None,
        fetch_offset: at.filter(|_| is_fetch),
        next_offset: end.filter(|_| is_fetch && records > 0),
        records_end: match script.arbitrary()? {
            true => end.filter(|_| is_fetch && records > 0),
            false => known(script)?.filter(|_| is_fetch),
        },
        high_watermark: match is_fetch {
            true => known(script)?,
            false => None,
        },
        last_stable_offset: None,
        log_start_offset: known(script)?,
        sequence: None,
        // Produce: they count from the partition's first record.
        marks: match at {
            Some(at) if records > 0 => vec![(if is_fetch { at } else { 0 }, script.arbitrary()?)],
            _ => Vec::new(),
        },
        records: records.into(),
        redelivered: 0,
        batches: Batches {
            records: vec![records],
            ..Batches::default()
        },
        samples: Vec::new(),
    })
}

fn markers(script: Script<'_, '_>) -> Result<Detail> {
    let marker = Marker {
        producer: transaction(script)?.producer,
        committed: script.arbitrary()?,
        partitions: vec![(topic(script)?, index(script)?)],
    };
    Ok(Detail::Markers(vec![marker]))
}
