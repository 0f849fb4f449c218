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
        goid: 0,
        reader: 0,
    };
    let hook = Hook {
        name: "SSL_write",
        shape,
        entry: Some(64),
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
        false,
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
            Action::DetachFile(id) => format!("no file {}", id.ino),
            Action::KnowPeer(peer) => format!("peer {peer}"),
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
    targets.gone(7, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 false"]);
}

#[test]
fn chosen_processes_are_hooked_one_by_one() {
    let mut targets = Targets::new(true, false);
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
    targets.verdict(ConnectionId(1), Protocol::Unknown, 0, &mut actions);
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
        targets.verdict(id, Protocol::Unknown, now, &mut actions);
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
    targets.verdict(ConnectionId(1), Protocol::Kafka, 0, &mut actions);
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
        targets.verdict(ConnectionId(id), protocol, 0, &mut actions);
    }
    targets.connected(8, address(9093), 0, &mut actions);
    targets.opened(ConnectionId(3), 8, Source::Socket, None, 0);
    targets.verdict(ConnectionId(3), Protocol::Tls, 0, &mut actions);
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
    assert_eq!(
        said(&mut actions),
        ["file 1 in 7", "sockets of 7 true", "file 1"],
        "all processes of a library that a client uses are hooked at once"
    );
    targets.forked(7, 8, 0, &mut actions);
    assert_eq!(
        said(&mut actions),
        [""; 0],
        "the kernel side follows it, and the library is shared"
    );
    targets.gone(8, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 8 false"]);
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
    targets.verdict(ConnectionId(1), Protocol::Kafka, 20_000, &mut actions);
    targets.tick(1_000_000, &mut actions);
    assert!(
        targets.needs_syscalls(1_000_000),
        "a plaintext client lives"
    );
    targets.closed(ConnectionId(1));
    let over = 1_000_000 + EXPECTED_MS;
    assert!(targets.needs_syscalls(over - 1), "another may come");
    assert!(!targets.needs_syscalls(over));
    targets.opened(ConnectionId(2), 9, Source::GoTls, None, over);
    assert!(
        targets.needs_syscalls(over + 1),
        "a TLS stream waits for its socket"
    );
    targets.opened(
        ConnectionId(2),
        9,
        Source::GoTls,
        Some(address(9093)),
        over + 2,
    );
    assert!(!targets.needs_syscalls(over + 3));
}

#[test]
fn the_successor_of_a_short_client_finds_the_hooks_in_place() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    let (client, library) = (
        file(1, Scope::File, true, true),
        file(2, Scope::Process, false, true),
    );
    targets.mapped(7, &client, 0, &mut actions);
    targets.mapped(7, &library, 0, &mut actions);
    assert_eq!(
        said(&mut actions),
        ["sockets of 7 true", "file 1", "file 2"]
    );
    targets.gone(7, 20, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 false"]);
    assert!(targets.needs_syscalls(EXPECTED_MS), "its successor");
    targets.mapped(8, &library, 30, &mut actions);
    assert_eq!(
        said(&mut actions),
        ["sockets of 8 true"],
        "one that is no client is only followed"
    );
    assert!(targets.is_shared(library.id));
    assert!(!targets.needs_syscalls(20 + EXPECTED_MS));
    targets.tick(EXPECTED_MS, &mut actions);
    assert_eq!(said(&mut actions), ["no file 2", "file 2 in 8"]);
    assert!(!targets.is_shared(library.id));
    let mut long = Targets::default();
    long.mapped(7, &client, 0, &mut actions);
    long.gone(7, SHORT_MS, &mut actions);
    assert!(
        !long.needs_syscalls(SHORT_MS + 1),
        "a service has no successor"
    );
}

#[test]
fn what_an_installed_client_needs_waits_for_its_first_process() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    let (client, library) = (
        file(1, Scope::File, true, true),
        file(2, Scope::Process, false, true),
    );
    targets.installed(&client, 0, &mut actions);
    targets.installed(&library, 0, &mut actions);
    assert_eq!(said(&mut actions), ["file 1", "file 2"]);
    targets.tick(u64::MAX / 2, &mut actions);
    assert_eq!(said(&mut actions), [""; 0], "for ever");
    assert!(targets.needs_syscalls(u64::MAX / 2));
    targets.mapped(7, &library, 0, &mut actions);
    targets.mapped(7, &client, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 true"]);

    let mut chosen = Targets::new(true, false);
    chosen.installed(&client, 0, &mut actions);
    chosen.installed(&library, 0, &mut actions);
    assert_eq!(said(&mut actions), [""; 0], "the user chose processes");
    assert!(!chosen.needs_syscalls(0));
}

#[test]
fn a_library_with_a_uretprobe_is_hooked_process_by_process() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    let plain = file(2, Scope::Process, false, true);
    let mut plan = plain.plan.clone();
    plan.hooks.first_mut().unwrap().returns = Returns::Uretprobe {
        function: 64,
        sites: Vec::new(),
    };
    let risky = KnownFile::new(
        plain.id,
        &plain.path,
        plan,
        false,
        File::open("/dev/null").unwrap(),
    );
    let risky = Arc::new(risky);
    targets.installed(&risky, 0, &mut actions);
    assert_eq!(said(&mut actions), [""; 0]);
    targets.mapped(7, &file(1, Scope::File, true, true), 0, &mut actions);
    targets.mapped(7, &risky, 0, &mut actions);
    assert_eq!(
        said(&mut actions),
        ["sockets of 7 true", "file 1", "file 2 in 7"]
    );
}

#[test]
fn a_plaintext_listener_is_known_to_the_kernel_side() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    for (id, source) in [
        (1, Source::Openssl),
        (2, Source::Socket),
        (3, Source::Socket),
    ] {
        let peer = address(if id == 1 { 9093 } else { 9092 });
        targets.opened(ConnectionId(id), 7, source, Some(peer), 0);
        targets.verdict(ConnectionId(id), Protocol::Kafka, 0, &mut actions);
    }
    assert_eq!(said(&mut actions), ["peer 10.0.0.1:9092"], "once");
    let mut chosen = Targets::new(true, false);
    chosen.opened(ConnectionId(1), 7, Source::Socket, Some(address(9092)), 0);
    chosen.verdict(ConnectionId(1), Protocol::Kafka, 0, &mut actions);
    assert_eq!(said(&mut actions), [""; 0], "the user chose processes");
}

#[test]
fn an_exec_leaves_the_mark_to_the_kernel_side() {
    let mut targets = Targets::default();
    let mut actions = Vec::new();
    targets.connected(7, address(443), 0, &mut actions);
    said(&mut actions);
    assert!(targets.executed(7, 0, &mut actions));
    assert_eq!(said(&mut actions), [""; 0]);
    assert_eq!(targets.state(7), None);
}

#[test]
fn a_client_that_cannot_be_hooked_says_so() {
    let mut targets = Targets::default();
    targets.mapped(7, &file(1, Scope::File, true, false), 0, &mut Vec::new());
    assert_eq!(targets.state(7), Some(State::Refused));
}

#[test]
fn hooks_on_system_calls_stay_for_a_client_that_serves_or_asks_in_the_clear() {
    let long = 100 * SOCKET_WINDOW_MS;
    let setup = |app: bool| {
        let mut targets = Targets::new(false, app);
        targets.mapped(7, &file(1, Scope::File, true, true), 0, &mut Vec::new());
        targets
    };
    let mut targets = setup(true);
    assert!(!targets.needs_syscalls(long), "nothing to see");
    targets.listens(7);
    assert!(targets.needs_syscalls(long));
    targets.listens(8);
    targets.gone(7, 0, &mut Vec::new());
    assert!(!targets.needs_syscalls(long), "others do not count");

    for (source, stay) in [(Source::Socket, true), (Source::GoTls, false)] {
        let mut targets = setup(true);
        let id = ConnectionId(1);
        targets.opened(id, 7, source, Some(address(5432)), 1);
        targets.verdict(id, Protocol::App, 1, &mut Vec::new());
        assert_eq!(targets.needs_syscalls(long), stay, "{source:?}");
        targets.closed(id);
        assert!(!targets.needs_syscalls(long));
    }
    let mut targets = setup(false);
    targets.listens(7);
    assert!(!targets.needs_syscalls(long), "not asked for");
}

#[test]
fn what_is_learnt_of_a_file_counts_from_the_next_attach_on() {
    let mut targets = Targets::new(true, false);
    let mut actions = Vec::new();
    let before = file(1, Scope::File, true, true);
    targets.mapped(7, &before, 0, &mut actions);
    assert_eq!(said(&mut actions), ["sockets of 7 true", "file 1 in 7"]);
    let mut plan = before.plan.clone();
    plan.client = Some(("librdkafka", "2.17.0".to_owned()));
    let null = File::open("/dev/null").unwrap();
    let learnt = KnownFile::new(before.id, &before.path, plan, false, null);
    targets.learnt(&Arc::new(learnt));
    let versions = |targets: &Targets, pid| -> Vec<String> {
        let clients = targets.files(pid).iter();
        let clients = clients.filter_map(|file| file.plan.client.clone());
        clients.map(|(_, version)| version).collect()
    };
    assert_eq!(versions(&targets, 7), ["2.17.0"]);
    targets.forked(7, 8, 0, &mut actions);
    assert_eq!(versions(&targets, 8), ["2.17.0"]);
    assert_eq!(said(&mut actions), ["file 1 in 8"]);
}
