//! What `obi kafka groups` is made of, in exact values.

use kafka_analyzer::capture::ProcessInfo;
use kafka_analyzer::observation::Basis;

use super::*;
use crate::export::examples::{SECOND, commit, committed, group, lag, member};
use crate::export::filter;
use crate::export::measure::tests::{batches, exchange, fetched};

fn processes() -> Processes {
    let processes = Processes::default();
    processes.learn(&ProcessInfo {
        pid: 7,
        service: "mail".into(),
        ..ProcessInfo::default()
    });
    processes
}

fn report(table: &Table, seconds: u64) -> Groups {
    let now = Clocks {
        event: seconds * SECOND,
        wall: Some(50_000),
    };
    let ends = HashMap::from([(("c1".into(), "orders".into(), 1), 40)]);
    table.report(now, &Filter::default(), &processes(), &ends)
}

#[test]
fn a_group_with_lag_a_member_and_an_assigned_partition_without_a_commit() {
    let table = Table::default();
    table.group(&group(
        "g",
        Some((Basis::Leader, 3)),
        vec![member("id-1", 7, &[0, 1])],
    ));
    table.lag(&Lag {
        oldest_timestamp_ms: Some(47_500),
        ..lag("g", 0, LagBasis::Committed, 12)
    });
    table.lag(&lag("g", 0, LagBasis::Position, 2));
    table.commit(&commit("g"));
    let report = report(&table, 5);
    let owned = Offset {
        topic: "orders".into(),
        consumer_id: Some("id-1".into()),
        host: Some("/10.0.0.5".into()),
        client_id: Some("id".into()),
        pid: Some(7),
        commit_p99: Some(3.92),
        ..Offset::default()
    };
    let want = report::Group {
        cluster: "c1".into(),
        group: "g".into(),
        protocol: Some("classic".into()),
        protocol_type: Some("consumer".into()),
        state: Some("Stable".into()),
        assignor: Some("range".into()),
        epoch: Some(3),
        coordinator: Some("10.0.0.9:9093".into()),
        members_count: Some(3),
        members_basis: Some("leader".into()),
        members: vec![Member {
            member_id: "id-1".into(),
            client_id: Some("id".into()),
            host: Some("/10.0.0.5".into()),
            pid: Some(7),
            service: Some("mail".into()),
            epoch: Some(3),
            assignments: Some(vec![Assignment {
                topic: "orders".into(),
                partitions: vec![0, 1],
            }]),
            ..Member::default()
        }],
        offsets: vec![
            Offset {
                current_offset: Some(60),
                log_end_offset: Some(72),
                lag: Some(12),
                lag_seconds: Some(2.5),
                position_lag: Some(2),
                observed_age_seconds: Some(4.0),
                ..owned.clone()
            },
            Offset {
                partition: 1,
                log_end_offset: Some(40),
                ..owned
            },
        ],
    };
    assert_eq!(report.groups, [want]);
}

#[test]
fn a_commit_that_no_lag_follows_leaves_the_lag_unknown() {
    let table = Table::default();
    table.lag(&lag("g", 1, LagBasis::Committed, 12));
    let mut newer = committed("g", 1, 65);
    table.committed(&newer);
    let of = |report: Groups| {
        let offset = report.groups[0].offsets[0].clone();
        (offset.current_offset, offset.log_end_offset, offset.lag)
    };
    // Its lag is on its way: what is shown is of one moment.
    assert_eq!(of(report(&table, 5)), (Some(60), Some(72), Some(12)));
    newer.origin.time = 9 * SECOND;
    table.committed(&newer);
    assert_eq!(of(report(&table, 9)), (Some(65), Some(72), None));
    newer.offset = 60;
    table.committed(&newer);
    assert_eq!(of(report(&table, 9)), (Some(60), Some(72), Some(12)));
}

#[test]
fn a_group_known_by_what_is_read_and_one_that_is_gone() {
    let table = Table::default();
    let mut x = exchange(1, "Fetch");
    x.group = "g".into();
    let records = fetched("orders", 2, 40, batches(&[40], "none", 4000));
    table.consumed(&x, &records);
    table.lag(&lag("", 0, LagBasis::Position, 2));
    table.lag(&lag("h", 0, LagBasis::Committed, 0));
    table.group(&group("h", None, vec![]));
    let shown = report(&table, 12);
    let names: Vec<_> = shown.groups.iter().map(|g| g.group.as_str()).collect();
    assert_eq!(names, ["g", "h"]);
    let read = &shown.groups[0].offsets[0];
    assert_eq!(
        (read.partition, read.rate, read.pid),
        (2, Some(4.0), Some(7))
    );
    assert_eq!(read.client_id.as_deref(), Some("id"));
    assert_eq!((read.lag, read.log_end_offset), (None, None));
    assert_eq!(shown.groups[1].offsets[0].lag_seconds, Some(0.0));
    let mut gone = group("h", None, vec![]);
    gone.gone = true;
    table.group(&gone);
    assert_eq!(report(&table, 12).groups.len(), 1);
    assert_eq!(report(&table, 700).groups, []);
}

#[test]
fn a_stable_group_stays_and_its_topics_are_filtered() {
    let table = Table::default();
    let mut both = member("id-1", 7, &[0]);
    both.assignment = Some(vec![
        ("orders".into(), vec![0]),
        ("hidden".into(), vec![1, 2]),
    ]);
    table.group(&group("g", Some((Basis::Local, 1)), vec![both]));
    let now = Clocks {
        event: 5_000 * SECOND,
        wall: None,
    };
    let filter = filter::of(&["orders"], &[]).unwrap();
    let report = table.report(now, &filter, &processes(), &HashMap::new());
    let group = &report.groups[0];
    let topics: Vec<_> = group.offsets.iter().map(|o| o.topic.as_str()).collect();
    assert_eq!(topics, ["orders"]);
    let assigned = group.members[0].assignments.as_ref().unwrap();
    assert_eq!(assigned.len(), 1);
}
