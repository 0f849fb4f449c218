//! The three views as text, and what is left out.

use super::*;
use crate::store::groups::report::{Assignment, SCHEMA};

fn answer() -> Groups {
    let row = |topic: &str, partition, lag: Option<u64>| Offset {
        topic: topic.into(),
        partition,
        current_offset: lag.map(|_| 60),
        log_end_offset: Some(60 + lag.unwrap_or(0) as i64),
        lag,
        lag_seconds: lag.map(|lag| lag as f64 / 10.0),
        rate: Some(12.34),
        commit_p99: Some(3.92),
        ..Offset::default()
    };
    let owned = |offset: Offset| Offset {
        consumer_id: Some("id-8f7a8a3e-0b0c-4d3f-9d8e-6f4f6b1f0c11".into()),
        host: Some("/10.0.0.5".into()),
        client_id: Some("id".into()),
        pid: Some(1234),
        ..offset
    };
    let member = |id: &str, partitions: &[i32]| Member {
        member_id: id.into(),
        client_id: Some("id".into()),
        host: Some("/10.0.0.5".into()),
        leader: partitions.is_empty(),
        assignments: Some(match partitions {
            [] => Vec::new(),
            some => vec![Assignment {
                topic: "orders".into(),
                partitions: some.to_vec(),
            }],
        }),
        ..Member::default()
    };
    let group = |name: &str| Group {
        cluster: "c1".into(),
        group: name.into(),
        ..Group::default()
    };
    Groups {
        schema: SCHEMA.into(),
        groups: vec![
            Group {
                state: Some("Stable".into()),
                assignor: Some("range".into()),
                protocol: Some("classic".into()),
                epoch: Some(3),
                coordinator: Some("10.0.0.9:9093".into()),
                members_count: Some(2),
                members_basis: Some("leader".into()),
                members: vec![member("id-1", &[0, 1]), member("id-2", &[])],
                offsets: vec![
                    owned(row("orders", 0, Some(12))),
                    owned(row("orders", 1, None)),
                ],
                ..group("mail")
            },
            Group {
                offsets: vec![row("audit", 0, Some(0)), row("orders", 0, Some(100))],
                ..group("reports")
            },
        ],
        forgotten: 0,
    }
}

fn args(more: &[&str]) -> Args {
    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }
    let all = std::iter::once("groups").chain(more.iter().copied());
    <Only as clap::Parser>::parse_from(all).args
}

fn shown(more: &[&str]) -> String {
    let (mut answer, args) = (answer(), args(more));
    let (groups, topics) = (names(&args.group).unwrap(), names(&args.topic).unwrap());
    pick(&mut answer, &groups, &topics, &args);
    render(&answer, &args).unwrap()
}

#[test]
fn offsets_members_and_states() {
    insta::assert_snapshot!("offsets", shown(&[]));
    insta::assert_snapshot!("members", shown(&["--members"]));
    insta::assert_snapshot!("states", shown(&["--state", "--sort", "lag"]));
}

#[test]
fn only_what_is_asked_for() {
    let rows = |more: &[&str]| -> Vec<String> {
        let text = shown(more);
        let rows = text.lines().skip(1).take_while(|line| !line.is_empty());
        rows.map(|line| {
            let words: Vec<&str> = line.split_whitespace().take(3).collect();
            words.join(" ")
        })
        .collect()
    };
    assert_eq!(
        rows(&["--group", "m*", "--topic", "orders"]),
        ["mail orders 0", "mail orders 1"]
    );
    assert_eq!(
        rows(&["--lagging", "--sort", "LAG"]),
        ["reports orders 0", "mail orders 0"]
    );
    assert_eq!(rows(&["--topic", "audit"]), ["reports audit 0"]);
    assert_eq!(shown(&["--group", "none"]), "no consumer group to show\n");
    let mut two = answer();
    two.groups[1].cluster = "c2".into();
    let text = render(&two, &args(&[])).unwrap();
    assert!(
        text.lines().next().unwrap().ends_with("PID   CLUSTER"),
        "{text}"
    );
}
