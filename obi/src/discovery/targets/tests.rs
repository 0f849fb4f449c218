//! The rules one by one. In: what processes do; out: the actions that follow, as words.

use super::*;
use std::fs::File;
use std::path::Path;
use tls_hooks::{Hook, HookPlan, Refusal, Returns};

fn file(ino: u64, scope: Scope, client: bool, hooked: bool) -> Arc<KnownFile> {
    let shape = obi_abi::CallShape {
        role: obi_abi::role::WRITE,
        source: obi_abi::source::OPENSSL,
        abi: obi_abi::abi::C,
        handle: 14,
        buffer: 13,
        length: 12,
        count: obi_abi::count::RETURN,
        count_arg: obi_abi::NO_REG,
        result: 10,
        task: obi_abi::NO_REG,
        fd_steps: 0,
        reserved: 0,
        fd_path: [0; 4],
        itab: 0,
    };
    let hook = Hook {
        name: "SSL_write",
        shape,
        entry: 64,
        returns: Returns::None,
    };
    let plan = HookPlan {
        hooks: if hooked { vec![hook] } else { Vec::new() },
        refused: if hooked {
            Vec::new()
        } else {
            vec![Refusal {
                hook: "SSL_write",
                reason: "stripped".into(),
                mend: String::new(),
            }]
        },
        client: client.then(|| ("librdkafka", "2.16.0".to_owned())),
        scope,
        ..HookPlan::default()
    };
    let id = FileId {
        dev: 1,
        ino,
        size: 1,
        mtime: (0, 0),
    };
    Arc::new(KnownFile::new(
        id,
        Path::new("/lib/x"),
        plan,
        File::open("/dev/null").unwrap(),
    ))
}

/// Actions as words.
fn said(actions: &mut Vec<Action>) -> Vec<String> {
    actions
        .drain(..)
        .map(|action| match action {
            Action::AttachFile(file) => format!("file {}", file.id.ino),
            Action::AttachProcess(file, pid) => format!("file {} in {pid}", file.id.ino),
            Action::DetachProcess(pid) => format!("detach {pid}"),
            Action::WatchSockets(pid, on) => format!("sockets of {pid} {on}"),
        })
        .collect()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

#[test]
fn a_file_with_a_client_is_hooked_once_for_all() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    let client = file(1, Scope::File, true, true);
    targets.mapped(7, &client, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 true", "file 1"]);
    targets.mapped(8, &client, 0, &mut actions);
    targets.mapped(8, &client, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 8 true"]);
    targets.gone(7, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 false"]);
}

#[test]
fn chosen_processes_are_hooked_one_by_one() {
    let mut targets = Targets::new(true);
    let mut actions = Vec::new();
    targets.mapped(7, &file(1, Scope::File, true, true), 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 true", "file 1 in 7"]);
}

#[test]
fn a_process_that_is_not_kafka_is_let_go_and_taken_up_at_a_new_peer() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    targets.mapped(7, &file(1, Scope::Process, false, true), 0, &mut actions);
    targets.connected(7, address(443), 0, &mut actions);
    assert_eq!(said(&mut actions), ["file 1 in 7", "sockets of 7 true"]);
    targets.opened(ConnectionId(1), 7, Source::Openssl, None, 1);
    targets.verdict(ConnectionId(1), Protocol::Unknown);
    targets.tick(PATIENCE_MS - 1, &mut actions);
    assert_eq!(said(&mut actions), [""; 0]);
    targets.tick(PATIENCE_MS, &mut actions);
    assert_eq!(said(&mut actions), ["detach 7", "sockets of 7 false"]);
    assert_eq!(targets.state(7), Some(State::LetGo));

    targets.connected(7, address(443), PATIENCE_MS, &mut actions);
    assert_eq!(said(&mut actions), [""; 0], "a known peer is no news");
    for retry in 1..=RETRIES {
        let now = u64::from(retry) * 10 * PATIENCE_MS;
        let id = ConnectionId(u64::from(retry) + 1);
        targets.connected(
            7,
            address(500 + u16::try_from(retry).unwrap()),
            now,
            &mut actions,
        );
        assert_eq!(said(&mut actions), ["sockets of 7 true", "file 1 in 7"]);
        targets.opened(id, 7, Source::Openssl, None, now);
        targets.verdict(id, Protocol::Unknown);
        targets.tick(now + PATIENCE_MS, &mut actions);
        assert_eq!(said(&mut actions), ["detach 7", "sockets of 7 false"]);
    }
    targets.connected(7, address(600), u64::MAX / 2, &mut actions);
    assert_eq!(said(&mut actions), [""; 0], "retries are bounded");
}

#[test]
fn a_peer_that_speaks_kafka_brings_a_process_back() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    targets.opened(ConnectionId(1), 1, Source::Socket, Some(address(9092)), 0);
    targets.verdict(ConnectionId(1), Protocol::Kafka);
    assert_eq!(targets.state(1), Some(State::Kafka));
    targets.connected(7, address(443), 0, &mut actions);
    targets.processes.get_mut(&7).unwrap().retries = RETRIES;
    targets.processes.get_mut(&7).unwrap().let_go = true;
    targets.processes.get_mut(&7).unwrap().watched = false;
    said(&mut actions);
    targets.connected(7, address(9092), 1, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 true"]);
}

#[test]
fn kafka_clients_and_ciphertext_are_never_let_go() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    targets.mapped(7, &file(1, Scope::Process, false, true), 0, &mut actions);
    for (id, protocol) in [(1, Protocol::Unknown), (2, Protocol::Kafka)] {
        targets.opened(ConnectionId(id), 7, Source::Openssl, None, 0);
        targets.verdict(ConnectionId(id), protocol);
    }
    targets.connected(8, address(9093), 0, &mut actions);
    targets.opened(ConnectionId(3), 8, Source::Socket, None, 0);
    targets.verdict(ConnectionId(3), Protocol::Tls);
    said(&mut actions);
    targets.tick(10 * PATIENCE_MS, &mut actions);
    assert_eq!(said(&mut actions), [""; 0]);
}

#[test]
fn a_fork_is_hooked_as_its_parent() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    targets.mapped(7, &file(1, Scope::Process, false, true), 0, &mut actions);
    targets.mapped(7, &file(2, Scope::Process, true, false), 0, &mut actions);
    assert_eq!(said(&mut actions), ["file 1 in 7", "sockets of 7 true"]);
    targets.forked(7, 8, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 8 true", "file 1 in 8"]);
    targets.gone(8, &mut actions);
    assert_eq!(said(&mut actions), ["detach 8", "sockets of 8 false"]);
}

#[test]
fn system_calls_are_hooked_only_while_someone_gains() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    assert!(!targets.needs_syscalls(0));
    targets.connected(7, address(9092), 0, &mut actions);
    assert!(targets.needs_syscalls(SOCKET_WINDOW_MS - 1));
    assert!(!targets.needs_syscalls(SOCKET_WINDOW_MS));
    targets.opened(ConnectionId(1), 7, Source::Socket, None, 20_000);
    targets.verdict(ConnectionId(1), Protocol::Kafka);
    assert!(
        targets.needs_syscalls(1_000_000),
        "a plaintext client lives"
    );
    targets.closed(ConnectionId(1));
    assert!(!targets.needs_syscalls(1_000_000));
    targets.opened(ConnectionId(2), 9, Source::GoTls, None, 1_000_000);
    assert!(
        targets.needs_syscalls(1_000_001),
        "a TLS stream waits for its socket"
    );
    targets.opened(
        ConnectionId(2),
        9,
        Source::GoTls,
        Some(address(9093)),
        1_000_002,
    );
    assert!(!targets.needs_syscalls(1_000_003));
}

#[test]
fn a_client_that_cannot_be_hooked_says_so() {
    let mut targets = Targets::default();
    targets.mapped(7, &file(1, Scope::File, true, false), 0, &mut Vec::new());
    assert_eq!(targets.state(7), Some(State::Refused));
}
