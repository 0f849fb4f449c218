//! What conversations cannot show: bounds, and what the lag model is told.

use super::*;
use crate::capture::ConnectionId;
use crate::fact::detail::{Commit, CommittedOffset, Producer, TransactionRef};
use crate::fact::group::Member;
use crate::fact::{Detail, Topic};
use crate::observation::Origin;

struct Table {
    all: Transactions,
    topics: Topics,
    losses: Losses,
    out: Vec<Observation>,
    clock: Nanos,
    connection: u64,
}

impl Table {
    fn new() -> Table {
        Table {
            all: Transactions::new(&Settings::default()),
            topics: Topics::default(),
            losses: Losses::default(),
            out: Vec::new(),
            clock: 1000,
            connection: 1,
        }
    }

    fn exchange(
        &mut self,
        api_version: i16,
        error: Option<&'static str>,
        detail: Detail,
    ) -> Vec<PendingOffsets> {
        self.clock += 1000;
        let labels = Labels {
            origin: Origin {
                time: self.clock,
                connection: ConnectionId(self.connection),
                offset: 0,
            },
            pid: 1,
            cluster: "c".into(),
            client_id: "app".into(),
            server: None,
        };
        let exchange = fact::Exchange {
            client_id: "app".into(),
            task: None,
            api_key: 28,
            api_version,
            correlation_id: 1,
            began: self.clock - 500,
            ended: self.clock,
            request_bytes: 10,
            response_bytes: (error != Some("CONNECTION_CLOSED")).then_some(10),
            error,
            throttle_ms: None,
            server: None,
            produced: Vec::new(),
            fetched: Vec::new(),
            replica: false,
            decoded: true,
            acks_all: false,
            transactional_id: None,
            read_committed: false,
            asked: None,
            detail: Some(Box::new(detail)),
        };
        let seen = Seen {
            labels: &labels,
            exchange: &exchange,
            produced: &[],
            topics: &self.topics,
            spans: self.out.len(),
        };
        self.all.advance(self.clock, &mut self.out);
        self.all.exchange(&seen, &mut self.losses, &mut self.out)
    }

    fn commit(&mut self, id: &str, group: &str, offsets: &[(i32, i64)]) -> Vec<PendingOffsets> {
        let offsets = offsets.iter().map(|(partition, offset)| CommittedOffset {
            topic: Topic::Name("in".into()),
            partition: *partition,
            offset: *offset,
            // Partition 9 has no offsets that can be committed.
            error: (*partition == 9).then_some("UNKNOWN_TOPIC_OR_PARTITION"),
        });
        let commit = Commit {
            member: Member {
                group: group.into(),
                member_id: "".into(),
                instance_id: None,
                epoch: -1,
            },
            transaction: Some(transaction(id)),
            offsets: offsets.collect(),
        };
        self.exchange(4, None, Detail::Commit(commit))
    }

    fn end(
        &mut self,
        id: &str,
        committed: bool,
        error: Option<&'static str>,
    ) -> Vec<PendingOffsets> {
        let transaction = transaction(id);
        let end = Detail::TransactionEnd {
            transaction,
            committed,
            next: None,
        };
        self.exchange(3, error, end)
    }
}

fn transaction(id: &str) -> TransactionRef {
    TransactionRef {
        transactional_id: id.into(),
        producer: Producer { id: 7, epoch: 0 },
    }
}

#[test]
fn offsets_are_committed_with_their_transaction() {
    let mut table = Table::new();
    assert_eq!(table.commit("tx", "b", &[(0, 5), (9, 1)]), []);
    assert_eq!(table.commit("tx", "a", &[(1, 6)]), []);
    assert_eq!(table.commit("tx", "b", &[(0, 8)]), []);
    assert_eq!(
        table.end("tx", true, Some("CONCURRENT_TRANSACTIONS")),
        [],
        "not taken yet"
    );
    assert_eq!(
        table.end("tx", true, Some("CONNECTION_CLOSED")),
        [],
        "nobody knows"
    );
    let of = |group: &str, partition, offset| PendingOffsets {
        group: group.into(),
        offsets: vec![("in".into(), partition, offset)],
    };
    assert_eq!(table.end("tx", true, None), [of("a", 1, 6), of("b", 0, 8)]);
    assert_eq!(table.end("tx", true, None), [], "once");

    table.commit("tx", "a", &[(1, 9)]);
    assert_eq!(table.end("tx", false, None), [], "aborted");
    assert_eq!(table.end("tx", true, None), []);
}

#[test]
fn tables_are_bounded_and_forget() {
    let mut table = Table::new();
    for n in 0..LINES_MOST + 5 {
        table.connection = 1 + n as u64 % 3;
        table.commit(&format!("tx{n}"), "g", &[(0, 1)]);
        table.end(&format!("tx{n}"), true, None);
    }
    assert_eq!(table.all.lines.len(), LINES_MOST);
    assert_eq!(table.all.schedule.len(), LINES_MOST);
    assert_eq!(table.losses.get("transaction_table_full"), 10);
    assert_eq!((table.all.parts, table.all.connections.len()), (0, 3));
    for connection in 1..4 {
        table.all.closed(ConnectionId(connection), table.clock);
    }
    table
        .all
        .advance(table.clock + 2 * RETENTION, &mut table.out);
    assert_eq!((table.all.lines.len(), table.all.schedule.len()), (0, 0));
    assert_eq!(table.all.connections.len(), 0);
}

#[test]
fn one_transaction_holds_a_bounded_number_of_things() {
    let mut table = Table::new();
    let offsets: Vec<_> = (10..20_010).map(|n| (n, 1)).collect();
    table.commit("tx", "g", &offsets);
    assert_eq!(table.losses.get("transaction_parts_full"), 10_000);
    for n in 0..40 {
        table.commit(&format!("tx{n}"), "g", &offsets);
    }
    assert!(table.all.parts <= PARTS_MOST + 41, "{}", table.all.parts);
    for n in 0..40 {
        table.end(&format!("tx{n}"), true, None);
    }
    let committed = table.end("tx", true, None);
    assert_eq!(committed[0].offsets.len(), 10_000);
    assert_eq!(table.all.parts, 0);
}

#[test]
fn a_living_process_that_is_idle_is_remembered() {
    let mut table = Table::new();
    table.commit("tx", "g", &[(0, 1)]);
    table.end("tx", true, None);
    table
        .all
        .advance(table.clock + 5 * RETENTION, &mut table.out);
    assert_eq!(table.all.lines.len(), 1);
}
