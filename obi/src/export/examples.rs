//! One observation of each kind about groups and transactions, as tests use them: plausible values, changed where a test needs others.

use kafka_analyzer::capture::{ConnectionId, Task};
use kafka_analyzer::observation::{
    Basis, Commit, CommittedOffset, Delivered, Done, Event, EventKind, Group, GroupKind,
    GroupMember, Ids, Lag, LagBasis, Origin, PollInterval, Processing, ProcessingBasis,
    ProcessingError, Producer, Query, Reason, Rebalance, Request, Signal, Transaction,
    TransactionState,
};

pub const SECOND: u64 = 1_000_000_000;

pub fn at(time: u64) -> Origin {
    Origin {
        time,
        connection: ConnectionId(1),
        offset: 0,
    }
}

pub fn lag(group: &str, partition: i32, basis: LagBasis, messages: u64) -> Lag {
    Lag {
        origin: at(SECOND),
        cluster: "c1".into(),
        group: group.into(),
        topic: "orders".into(),
        partition,
        basis,
        offset: 60,
        high_watermark: 60 + messages as i64,
        messages,
        oldest_timestamp_ms: None,
        observed: SECOND,
    }
}

pub fn committed(group: &str, partition: i32, offset: i64) -> CommittedOffset {
    CommittedOffset {
        origin: at(SECOND),
        cluster: "c1".into(),
        group: group.into(),
        topic: "orders".into(),
        partition,
        offset,
    }
}

/// Accepted after 4 ms.
pub fn commit(group: &str) -> Commit {
    Commit {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: group.into(),
        server: Some(([10, 0, 0, 9], 9093).into()),
        began: SECOND - 4_000_000,
        ended: SECOND,
        answered: true,
        error: None,
        retriable: false,
        partitions: 2,
        refused: 0,
        records: Some(40),
        automatic: Some(true),
        transactional_id: None,
    }
}

pub fn rebalance(group: &str, reason: Reason, duration_ns: Option<u64>) -> Rebalance {
    Rebalance {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: group.into(),
        member_id: "id-1".into(),
        generation: 3,
        reason,
        duration_ns,
    }
}

/// A member of this node.
pub fn member(member_id: &str, pid: u32, partitions: &[i32]) -> GroupMember {
    GroupMember {
        member_id: member_id.into(),
        instance_id: None,
        client_id: Some("id".into()),
        host: Some("/10.0.0.5".into()),
        pid: Some(pid),
        epoch: Some(3),
        leader: false,
        assignment: Some(vec![("orders".into(), partitions.to_vec())]),
    }
}

pub fn group(name: &str, count: Option<(Basis, u64)>, members: Vec<GroupMember>) -> Group {
    Group {
        origin: at(SECOND),
        cluster: "c1".into(),
        group: name.into(),
        protocol: GroupKind::Classic,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        state: Some("Stable"),
        epoch: Some(3),
        coordinator: Some(([10, 0, 0, 9], 9093).into()),
        count,
        members,
        gone: false,
    }
}

/// Of 2.5 s.
pub fn transaction(state: TransactionState) -> Transaction {
    Transaction {
        origin: at(4 * SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        transactional_id: "tx-1".into(),
        producer_id: 4000,
        producer_epoch: 2,
        state,
        timeout_ms: Some(60_000),
        began: Some(SECOND),
        ended: state.is_ended().then_some(3_500_000_000),
        partitions: vec![("orders".into(), 0), ("orders".into(), 1)],
        groups: vec!["g".into()],
        records: 12,
        error: None,
    }
}

pub fn producer(topic: &str) -> Producer {
    Producer {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        topic: topic.into(),
        partitioner: Some("murmur2"),
        partitions: vec![(0, 30), (1, 10)],
        skew: Some(1.5),
        idempotent: true,
        transactional: false,
        acks: Some(-1),
        batches: 4,
        records: 40,
        bytes: 8000,
        retries: 1,
        duplicates: 0,
    }
}

pub fn event(event: EventKind) -> Event {
    Event {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        event,
        client_id: "id".into(),
        group: "g".into(),
        transactional_id: "".into(),
        server: Some(([10, 0, 0, 9], 9093).into()),
        error: None,
        reason: None,
        message: "something happened".into(),
        span: None,
    }
}

/// One message, 40 ms.
pub fn processing(group: &str, topic: &str) -> Processing {
    Processing {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: group.into(),
        topic: topic.into(),
        partition: 1,
        first: 60,
        last: 60,
        count: 1,
        basis: ProcessingBasis::Message,
        done: Done::Settled,
        began: SECOND - 40_000_000,
        ended: SECOND,
        task: Some(Task::Goroutine(12)),
        error: None,
        span: None,
    }
}

/// Three messages.
pub fn delivered(group: &str, topic: &str) -> Delivered {
    Delivered {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: group.into(),
        topic: topic.into(),
        partition: 1,
        count: 3,
        next_offset: 63,
    }
}

pub fn processing_error(group: &str, topic: &str) -> ProcessingError {
    ProcessingError {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        group: group.into(),
        topic: topic.into(),
        partition: 1,
        offset: 60,
        count: 1,
        signal: Signal::DeadLetter,
    }
}

/// 40 ms of 5 minutes.
pub fn poll_interval(group: &str) -> PollInterval {
    PollInterval {
        origin: at(SECOND),
        pid: 7,
        cluster: "c1".into(),
        client_id: "id".into(),
        group: group.into(),
        nanos: 40_000_000,
        limit_ms: Some(300_000),
    }
}

/// Times are not those of [`at`]: of a request that took 10 ns.
pub fn request() -> Request {
    Request {
        origin: at(20),
        pid: 7,
        ids: Ids {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent: None,
            trace_state: String::new(),
        },
        began: 10,
        ended: 20,
        version: "1.1",
        grpc: false,
        method: "POST".to_owned(),
        path: "/orders".to_owned(),
        host: Some("shop:8080".to_owned()),
        status: Some(503),
        grpc_status: None,
        error: Some("503".into()),
        encrypted: true,
        local: "10.0.0.5:8080".parse().ok(),
        peer: "10.0.0.7:40001".parse().ok(),
        task: Some(Task::Goroutine(18)),
    }
}

pub fn query() -> Query {
    Query {
        origin: at(20),
        pid: 7,
        ids: Ids {
            trace_id: [1; 16],
            span_id: [4; 8],
            parent: Some([3; 8]),
            trace_state: "a=1".to_owned(),
        },
        began: 10,
        ended: 20,
        statement: Some("INSERT INTO orders VALUES (?)".into()),
        operation: Some("INSERT".to_owned()),
        collection: Some("orders".to_owned()),
        database: Some("shop".into()),
        rows: Some(0),
        error: Some("23505".into()),
        server: "10.0.0.8:5432".parse().ok(),
        task: Some(Task::Thread(9)),
    }
}
