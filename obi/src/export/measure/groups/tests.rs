//! Groups, commits, rebalances and transactions: each metric with its exact value, and each gauge that must go.

use std::sync::Arc;

use kafka_analyzer::capture::ProcessInfo;
use kafka_analyzer::observation::{Client, Reason, TransactionState};

use super::super::tests::{batches, exchange, fetched, filtered, measure, produced};
use super::super::tests::{samples, shown_at, sum};
use super::*;
use crate::export::examples::{
    SECOND, at, commit, committed, group, lag, member, rebalance, transaction,
};
use crate::export::registry::Clocks;

fn processes() -> Processes {
    let processes = Processes::default();
    for (pid, service) in [(7, "mail"), (8, "mail"), (9, "audit")] {
        processes.learn(&ProcessInfo {
            pid,
            service: service.into(),
            ..ProcessInfo::default()
        });
    }
    processes
}

fn lines(name: &str, measure: &Measure) -> Vec<String> {
    let mut lines = samples(measure);
    lines.retain(|line| line.starts_with(name));
    lines
}

#[test]
fn lag_in_messages_and_seconds_and_its_age() {
    let measure = measure(&[], false);
    measure.lag(&Lag {
        oldest_timestamp_ms: Some(40_000),
        ..lag("g", 0, LagBasis::Committed, 12)
    });
    measure.lag(&lag("g", 0, LagBasis::Position, 5));
    measure.lag(&lag("g", 1, LagBasis::Committed, 3));
    measure.lag(&lag("g", 2, LagBasis::Committed, 0));
    measure.lag(&lag("g", 2, LagBasis::Delivered, 4));
    measure.committed(&committed("g", 2, 60));
    let now = Clocks {
        event: 4 * SECOND,
        wall: Some(41_500),
    };
    let of = |partition: i32| {
        format!("{{cluster=\"c1\",group=\"g\",topic=\"orders\",partition=\"{partition}\"}}")
    };
    let want = [
        format!("kafka_consumer_lag{} 12.0", of(0)),
        format!("kafka_consumer_lag{} 3.0", of(1)),
        format!("kafka_consumer_lag{} 0.0", of(2)),
        format!("kafka_consumer_position_lag{} 5.0", of(0)),
        format!("kafka_consumer_delivered_lag{} 4.0", of(2)),
        // Partition 1: lag, but no timestamp was seen.
        format!("kafka_consumer_lag_seconds{} 1.5", of(0)),
        format!("kafka_consumer_lag_seconds{} 0.0", of(2)),
        format!("kafka_consumer_lag_observed_age_seconds{} 3.0", of(0)),
        format!("kafka_consumer_lag_observed_age_seconds{} 3.0", of(1)),
        format!("kafka_consumer_lag_observed_age_seconds{} 3.0", of(2)),
        format!("kafka_consumer_committed_offset{} 60.0", of(2)),
    ];
    assert_eq!(shown_at(&measure, now), want);
    // It grows at each export without an observation; it goes when the timestamp is not known any more.
    let later = Clocks {
        event: 4 * SECOND,
        wall: Some(51_500),
    };
    let seconds = format!("kafka_consumer_lag_seconds{} 11.5", of(0));
    assert!(shown_at(&measure, later).contains(&seconds));
    measure.lag(&lag("g", 0, LagBasis::Committed, 13));
    assert_eq!(lines("kafka_consumer_lag_seconds", &measure).len(), 1);
}

#[test]
fn a_lag_that_is_not_known_any_more_goes() {
    let measure = measure(&[], false);
    for partition in 0..2 {
        measure.lag(&lag("g", partition, LagBasis::Delivered, 4));
    }
    measure.lag(&lag("g", 0, LagBasis::Position, 3));
    let known = lag("g", 0, LagBasis::Delivered, 4);
    measure.lag_unknown(&LagUnknown {
        origin: known.origin,
        cluster: known.cluster,
        group: known.group,
        topic: known.topic,
        partition: 0,
        basis: LagBasis::Delivered,
    });
    let of = |partition: i32| {
        format!("{{cluster=\"c1\",group=\"g\",topic=\"orders\",partition=\"{partition}\"}}")
    };
    let want = [
        format!("kafka_consumer_position_lag{} 3.0", of(0)),
        format!("kafka_consumer_delivered_lag{} 4.0", of(1)),
    ];
    assert_eq!(lines("kafka_consumer_", &measure), want);
}

#[test]
fn commits_by_result() {
    let measure = measure(&[], true);
    measure.commit(&commit("g"), &processes());
    let mut refused = commit("g");
    refused.error = Some("REBALANCE_IN_PROGRESS");
    measure.commit(&refused, &processes());
    let mut silent = commit("g");
    silent.answered = false;
    measure.commit(&silent, &processes());
    silent.error = Some("CONNECTION_CLOSED");
    measure.commit(&silent, &processes());
    let base = "cluster=\"c1\",service=\"mail\",group=\"g\"";
    let mut want = Vec::from(sum(
        "kafka_offset_commit_duration_seconds",
        base,
        "0.008",
        2,
    ));
    for (result, error) in [
        ("error", "CONNECTION_CLOSED"),
        ("error", "REBALANCE_IN_PROGRESS"),
        ("ok", ""),
        ("unknown", ""),
    ] {
        want.push(format!(
            "kafka_offset_commits_total{{{base},result=\"{result}\",error_type=\"{error}\"}} 1"
        ));
    }
    assert_eq!(samples(&measure), want);
    let snapshot = measure.registry.snapshot(Clocks::default());
    let otel = snapshot
        .iter()
        .find(|s| s.metric.id == Id::OperationDuration)
        .unwrap();
    let mut labels: Vec<String> = otel
        .series
        .iter()
        .map(|(labels, _)| {
            labels
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect();
    labels.sort();
    assert_eq!(
        labels,
        [
            "mail|commit|settle||g|REBALANCE_IN_PROGRESS|10.0.0.9|9093",
            "mail|commit|settle||g||10.0.0.9|9093"
        ]
    );
}

#[test]
fn a_rebalance_counts_once_and_its_duration_comes_later() {
    let measure = measure(&[], false);
    measure.rebalance(&rebalance("g", Reason::MemberLeft, None), &processes());
    measure.rebalance(
        &rebalance("g", Reason::MemberLeft, Some(1_500_000_000)),
        &processes(),
    );
    measure.rebalance(&rebalance("g", Reason::FirstJoin, None), &processes());
    let base = "cluster=\"c1\",service=\"mail\",group=\"g\"";
    let mut want: Vec<String> = ["first_join", "member_left"]
        .iter()
        .map(|r| format!("kafka_consumer_rebalances_total{{{base},reason=\"{r}\"}} 1"))
        .collect();
    want.extend(sum(
        "kafka_consumer_rebalance_duration_seconds",
        base,
        "1.5",
        1,
    ));
    assert_eq!(samples(&measure), want);
}

#[test]
fn members_have_one_basis_and_only_members_that_are_there_have_assignments() {
    let measure = measure(&[], false);
    let mut away = member("far", 1, &[5, 6]);
    away.pid = None;
    let mut unknown = member("new", 9, &[]);
    unknown.assignment = None;
    let members = vec![
        member("a", 7, &[0, 1]),
        member("b", 8, &[2]),
        member("c", 9, &[]),
        away,
    ];
    measure.group(
        &group("g", Some((Basis::Local, 3)), members.clone()),
        &processes(),
    );
    let of = |rest: &str, n: &str| {
        format!("kafka_consumer_{rest} {n}").replace('<', "{cluster=\"c1\",group=\"g\",")
    };
    assert_eq!(
        samples(&measure),
        [
            of("group_members<basis=\"local\"}", "3.0"),
            of(
                "partition_assignments<service=\"audit\",client_id=\"id\"}",
                "0.0"
            ),
            // Two processes of one service, one client id: a sum.
            of(
                "partition_assignments<service=\"mail\",client_id=\"id\"}",
                "3.0"
            ),
        ]
    );
    measure.group(
        &group(
            "g",
            Some((Basis::Leader, 4)),
            vec![members[0].clone(), unknown],
        ),
        &processes(),
    );
    let leader = [
        of("group_members<basis=\"leader\"}", "4.0"),
        of(
            "partition_assignments<service=\"mail\",client_id=\"id\"}",
            "2.0",
        ),
    ];
    assert_eq!(samples(&measure), leader);
    measure.group(&group("h", None, vec![]), &processes());
    assert_eq!(samples(&measure), leader);
    measure.group(&group("g", None, vec![]), &processes());
    assert_eq!(samples(&measure), [""; 0]);
}

#[test]
fn a_group_that_is_gone_takes_its_gauges_along() {
    let measure = measure(&[], false);
    for name in ["g", "h"] {
        measure.group(
            &group(name, Some((Basis::Local, 1)), vec![member("a", 7, &[0])]),
            &processes(),
        );
        measure.lag(&lag(name, 0, LagBasis::Committed, 0));
        measure.lag(&lag(name, 0, LagBasis::Position, 1));
        measure.committed(&committed(name, 0, 3));
    }
    measure.commit(&commit("g"), &processes());
    let before = samples(&measure).len();
    let mut gone = group("g", Some((Basis::Local, 1)), vec![member("a", 7, &[0])]);
    gone.gone = true;
    measure.group(&gone, &processes());
    let left = samples(&measure);
    assert_eq!((before, left.len()), (17, 10), "{left:?}");
    let of_g: Vec<&String> = left.iter().filter(|l| l.contains("group=\"g\"")).collect();
    assert!(
        of_g.iter().all(|l| l.starts_with("kafka_offset_commit")),
        "{of_g:?}"
    );
    assert_eq!(of_g.len(), 3);
}

#[test]
fn filters_hold_for_groups_and_their_topics() {
    let measure = filtered(&["orders"], &["g*"], false);
    for name in ["g", "secret"] {
        let mut hidden = lag(name, 0, LagBasis::Committed, 1);
        measure.lag(&hidden);
        hidden.topic = "hidden".into();
        measure.lag(&hidden);
        measure.committed(&committed(name, 0, 3));
        measure.commit(&commit(name), &processes());
        measure.rebalance(&rebalance(name, Reason::Unknown, None), &processes());
        let mut of_both = member("a", 7, &[0]);
        of_both.assignment = Some(vec![("orders".into(), vec![0]), ("hidden".into(), vec![1])]);
        measure.group(
            &group(name, Some((Basis::Local, 1)), vec![of_both]),
            &processes(),
        );
        let mut x = exchange(1, "Fetch");
        x.group = name.into();
        x.fetched = vec![fetched("orders", 0, 4, batches(&[4], "none", 40))];
        measure.exchange(&x, &"mail".into());
    }
    let shown = samples(&measure);
    assert!(
        shown
            .iter()
            .all(|l| !l.contains("secret") && !l.contains("hidden")),
        "{shown:#?}"
    );
    let of_g = |name: &str| lines(name, &measure).len();
    assert_eq!(of_g("kafka_consumer_lag{"), 1);
    assert_eq!(of_g("kafka_messages_consumed_total"), 1);
    assert_eq!(
        lines("kafka_consumer_partition_assignments", &measure),
        [
            "kafka_consumer_partition_assignments{cluster=\"c1\",group=\"g\",service=\"mail\",client_id=\"id\"} 1.0"
        ]
    );
}

#[test]
fn transactions_count_when_they_end() {
    let measure = measure(&[], false);
    use TransactionState::{Aborted, Committed, Fenced, Hanging, Ongoing};
    for state in [Ongoing, Hanging, Committed, Committed, Aborted] {
        measure.transaction(&transaction(state), &processes());
    }
    let mut late = transaction(Fenced);
    late.began = None;
    measure.transaction(&late, &processes());
    let base = "cluster=\"c1\",service=\"mail\",result=";
    let mut want: Vec<String> = [("aborted", 1), ("committed", 2), ("fenced", 1)]
        .iter()
        .map(|(result, n)| format!("kafka_transactions_total{{{base}\"{result}\"}} {n}"))
        .collect();
    let name = "kafka_transaction_duration_seconds";
    want.extend(sum(name, &format!("{base}\"aborted\""), "2.5", 1));
    want.extend(sum(name, &format!("{base}\"committed\""), "5.0", 2));
    want.push("kafka_transactions_hanging{cluster=\"c1\",service=\"mail\"} 0.0".to_owned());
    assert_eq!(samples(&measure), want);
}

#[test]
fn who_produces_and_consumes_is_there_once_when_names_are_learnt() {
    let measure = measure(&[], false);
    let service: Arc<str> = "mail".into();
    let mut x = exchange(1, "Fetch");
    x.fetched = vec![fetched("orders", 0, 1, batches(&[1], "none", 40))];
    measure.exchange(&x, &service);
    let mut sent = exchange(0, "Produce");
    sent.throttle_ms = Some(250);
    sent.produced = vec![produced("out", 0, None, batches(&[1], "none", 40))];
    measure.exchange(&sent, &service);
    let info = |group: &str, topic: &str, role: &str, software: &str| {
        format!(
            "kafka_client_info{{cluster=\"c1\",service=\"mail\",client_id=\"id\",group=\"{group}\",topic=\"{topic}\",role=\"{role}\",software=\"{software}\"}} 1.0"
        )
    };
    assert_eq!(
        lines("kafka_client_info", &measure),
        [
            info("", "orders", "consumer", ""),
            info("", "out", "producer", "")
        ]
    );
    measure.client(&Client {
        origin: at(SECOND),
        pid: 7,
        client_id: "id".into(),
        cluster: "c1".into(),
        software: Some(("librdkafka".into(), "2.11.1".into())),
        mechanism: None,
        server: None,
        source: "openssl",
        closed: false,
    });
    x.group = "g".into();
    measure.exchange(&x, &service);
    measure.exchange(&sent, &service);
    assert_eq!(
        lines("kafka_client_info", &measure),
        [
            info("", "out", "producer", "librdkafka 2.11.1"),
            info("g", "orders", "consumer", "librdkafka 2.11.1")
        ]
    );
    assert_eq!(
        lines("kafka_throttle", &measure),
        ["kafka_throttle_seconds_total{cluster=\"c1\",service=\"mail\",api=\"Produce\"} 0.5"]
    );
}

#[test]
fn transactions_that_hang_are_counted_until_they_end() {
    let (measure, processes) = (measure(&[], false), processes());
    let tell = |id: &str, pid: u32, state: TransactionState, time: u64| {
        let mut told = transaction(state);
        (told.transactional_id, told.pid) = (id.into(), pid);
        told.origin = at(time * SECOND);
        measure.transaction(&told, &processes);
    };
    let shown = || lines("kafka_transactions_hanging", &measure);
    let of = |service: &str, n: u32| {
        format!("kafka_transactions_hanging{{cluster=\"c1\",service=\"{service}\"}} {n}.0")
    };
    tell("a", 7, TransactionState::Ongoing, 1);
    assert!(shown().is_empty(), "none ever hung");
    // Told again and again, counted once; 7 and 8 are one service.
    tell("a", 7, TransactionState::Hanging, 10);
    tell("a", 7, TransactionState::Hanging, 70);
    tell("b", 8, TransactionState::Hanging, 80);
    tell("c", 9, TransactionState::Hanging, 80);
    assert_eq!(shown(), [of("audit", 1), of("mail", 2)]);
    tell("a", 7, TransactionState::TimedOut, 90);
    tell("c", 9, TransactionState::Committed, 90);
    assert_eq!(shown(), [of("audit", 0), of("mail", 1)]);
    // How "b" ended was never seen: it is not told any more.
    tell("d", 7, TransactionState::Hanging, 400);
    assert_eq!(shown(), [of("audit", 0), of("mail", 1)]);
}
