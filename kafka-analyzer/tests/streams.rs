//! Streams as they really come: joined mid-way, overtaken, authenticated, not Kafka at all.

mod conversation;

use conversation::messages::{
    Answered, Named, fetch_request, fetch_response, produce_request, produce_response, text,
};
use conversation::*;
use kafka_analyzer::Settings;
use kafka_analyzer::StreamStage;
use kafka_analyzer::capture::{
    CaptureEvent, ConnectionId, Copy, Direction, GapReason, Protocol, Source, Verdict,
};
use kafka_analyzer::fact::Says;
use kafka_analyzer::observation::{Client, Observation};
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::records::Compression;

const ORDERS: Named = Named::Name("orders");

fn produce(talk: &mut Talk, id: i32, n: i64) {
    let request = produce_request(
        1,
        &[(ORDERS, &[(0, batch(&records(0, n), Compression::None))])],
    );
    talk.exchange(
        0,
        9,
        id,
        &request,
        &produce_response(&[(ORDERS, &[(0, 0, 100)])]),
    );
}

fn acknowledged(observations: &[Observation]) -> u64 {
    produced(observations)
        .iter()
        .filter(|partition| partition.2.is_none())
        .map(|partition| partition.3)
        .sum()
}

fn verdicts(events: &[Captured]) -> Vec<Verdict> {
    run_with(&Settings::default(), events, 1).1
}

fn clients(observations: &[Observation]) -> Vec<&Client> {
    let found = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Client(client) => Some(client),
            _ => None,
        });
    found.collect()
}

fn verdict(protocol: Protocol, copy: Copy) -> Verdict {
    Verdict {
        connection: ConnectionId(1),
        protocol,
        copy,
    }
}

#[test]
fn a_connection_is_undecided_until_its_verdict() {
    let mut talk = Talk::new(1);
    produce(&mut talk, 1, 1);
    let mut stage = StreamStage::new(&Settings::default());
    let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
    let mut before = 0;
    for event in &talk.events {
        stage.event(&event.event(), &mut facts, &mut verdicts);
        let undecided = if verdicts.is_empty() {
            stage.clock()
        } else {
            before
        };
        assert_eq!(stage.undecided(), undecided);
        before = undecided;
    }
    assert_eq!(verdicts.len(), 1);
    assert!(0 < before && before < stage.clock());
}

#[test]
fn the_first_request_makes_the_verdict() {
    let mut talk = Talk::new(1);
    talk.greet();
    produce(&mut talk, 3, 2);
    assert_eq!(
        verdicts(&talk.events),
        [verdict(Protocol::Kafka, Copy::Whole)]
    );
}

#[test]
fn what_is_not_kafka_is_let_go() {
    let check = |write: bool, bytes: &[u8], expected: &[Verdict]| {
        let mut talk = Talk::new(1);
        for _ in 0..3 {
            if write {
                talk.write(bytes.to_vec())
            } else {
                talk.read(bytes.to_vec())
            }
        }
        assert_eq!(
            verdicts(&talk.events),
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    };
    let unknown = verdict(Protocol::Unknown, Copy::None);
    check(true, b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", &[unknown]);
    check(true, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[unknown]);
    check(false, b"HTTP/1.1 200 OK\r\n\r\n", &[unknown]);
    // The answer to a request that was read before we came.
    check(
        true,
        b"HTTP/1.1 200 OK\r\n\r\n",
        &[verdict(Protocol::App, Copy::Heads)],
    );
    // Postgres: a startup message, and again where none can be.
    check(
        true,
        b"\0\0\0\x29\0\x03\0\0user\0shop\0database\0shop\0\0",
        &[verdict(Protocol::App, Copy::Whole), unknown],
    );
}

#[test]
fn unlike_streams_are_looked_at_for_a_while_only() {
    let mut talk = Talk::new(1);
    for _ in 0..80 {
        talk.write(vec![0xee; 16 * 1024]);
    }
    let longer = verdict(Protocol::Unknown, Copy::Whole);
    assert_eq!(
        verdicts(&talk.events),
        [longer, verdict(Protocol::Unknown, Copy::None)]
    );
    assert!(run(&talk.events).is_empty());
}

#[test]
fn tls_records_on_a_socket_are_left_to_the_library() {
    let mut stage = StreamStage::new(&Settings::default());
    let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
    let event = CaptureEvent::Data {
        connection: ConnectionId(1),
        direction: Direction::Write,
        offset: 0,
        began: 1,
        ended: 2,
        pid: 1,
        tid: 1,
        goroutine: None,
        source: Source::Socket,
        bytes: &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
    };
    stage.event(&event, &mut facts, &mut verdicts);
    assert_eq!(verdicts, [verdict(Protocol::Tls, Copy::None)]);
}

#[test]
fn a_brokers_end_feeds_nothing() {
    let mut talk = Talk::new(1);
    talk.greet();
    produce(&mut talk, 3, 2);
    for event in &mut talk.events {
        if let Captured::Data { direction, .. } = event {
            *direction = match direction {
                Direction::Read => Direction::Write,
                Direction::Write => Direction::Read,
            };
        }
    }
    let (observations, verdicts) = run_with(&Settings::default(), &talk.events, 1);
    assert!(observations.is_empty(), "{observations:?}");
    assert_eq!(verdicts, [verdict(Protocol::Kafka, Copy::None)]);
}

#[test]
fn the_verdict_comes_late_and_the_stream_is_joined_after_it() {
    let mut talk = Talk::new(1);
    talk.greet();
    let big = produce_request(
        1,
        &[(
            ORDERS,
            &[(
                0,
                batch(&[record(0, "k", &"v".repeat(20_000))], Compression::None),
            )],
        )],
    );
    let frame = request(0, 9, 3, Some("app"), &big);
    talk.write(frame[..4000].to_vec());
    talk.gap(
        Direction::Write,
        frame.len() as u64 - 4000,
        GapReason::Verdict,
    );
    talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
    produce(&mut talk, 4, 3);
    let observations = run(&talk.events);
    assert_eq!(acknowledged(&observations), 4);
    assert_eq!(
        gaps(&observations),
        [(GapReason::Verdict, frame.len() as u64 - 4000)]
    );
}

#[test]
fn a_gap_counts_once_the_stream_is_proven_to_be_kafka() {
    // A produce request of a client that nothing is known of, cut; its answer proves it.
    let body = produce_request(
        1,
        &[(ORDERS, &[(0, batch(&records(0, 2), Compression::None))])],
    );
    let frame = request(0, 9, 1, Some("app"), &body);
    let mut talk = Talk::new(1);
    talk.write(frame[..40].to_vec());
    talk.gap(
        Direction::Write,
        frame.len() as u64 - 40,
        GapReason::Verdict,
    );
    assert_eq!(gaps(&run(&talk.events)), []);
    let mut other = talk.clone();
    other.close();
    assert_eq!(gaps(&run(&other.events)), []);
    talk.tell(9, 1, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
    assert_eq!(
        gaps(&run(&talk.events)),
        [(GapReason::Verdict, frame.len() as u64 - 40)]
    );
}

/// All exchanges after the start are exact, wherever in the stream the agent starts.
#[test]
fn joined_at_any_call() {
    let mut talk = Talk::new(1);
    talk.greet();
    for id in 3..9 {
        produce(&mut talk, id, 2);
    }
    let calls: Vec<Captured> = talk
        .events
        .iter()
        .filter(|event| matches!(event, Captured::Data { .. }))
        .cloned()
        .collect();
    for skip in 1..calls.len() {
        let rest = &calls[skip..];
        // Exchanges whose request is still there.
        let whole = rest
            .iter()
            .filter(|event| {
                matches!(
                    event,
                    Captured::Data {
                        direction: Direction::Write,
                        ..
                    }
                )
            })
            .count();
        let expected = 2 * whole.min(6) as u64;
        assert_eq!(acknowledged(&run(rest)), expected, "from call {skip}");
    }
}

/// A client that reads through a buffer, and one that writes a large request in many calls: joined in the middle of a body.
#[test]
fn joined_in_the_middle_of_a_large_request_or_answer() {
    let large = batch(
        &[record(0, "k", &"\0\0\0\x20\0\0\0\x01".repeat(8000))],
        Compression::None,
    );
    let frame = request(
        0,
        9,
        3,
        Some("app"),
        &produce_request(1, &[(ORDERS, &[(0, large.clone())])]),
    );
    let mut talk = Talk::silent(1);
    for piece in frame[10_000..].chunks(16_384) {
        talk.write(piece.to_vec());
    }
    talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
    for id in 4..8 {
        produce(&mut talk, id, 3);
    }
    assert_eq!(acknowledged(&run(&talk.events)), 12);

    let answered = [Answered {
        records: Some(large),
        ..Answered::default()
    }];
    let answer = response(12, 3, &fetch_response(0, &[(ORDERS, &answered)]));
    let mut talk = Talk::silent(1);
    for piece in answer[10_000..].chunks(16_384) {
        talk.read(piece.to_vec());
    }
    for id in 4..8 {
        talk.exchange(
            1,
            12,
            id,
            &fetch_request((0, -1), 0, &[(ORDERS, &[(0, 0)])]),
            &fetch_response(0, &[(ORDERS, &answered)]),
        );
    }
    let seen: u64 = fetched(&run(&talk.events))
        .iter()
        .map(|partition| partition.2)
        .sum();
    assert_eq!(seen, 4);
}

#[test]
fn size_words_apart_from_their_frames() {
    let mut talk = Talk::silent(1);
    for id in 1..4 {
        let request = request(
            0,
            9,
            id,
            Some("app"),
            &produce_request(
                1,
                &[(ORDERS, &[(0, batch(&records(0, 2), Compression::None))])],
            ),
        );
        let answer = response(9, id, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
        talk.write(request[..4].to_vec());
        talk.write(request[4..].to_vec());
        talk.read(answer[..4].to_vec());
        talk.read(answer[4..].to_vec());
    }
    assert_eq!(acknowledged(&run(&talk.events)), 6);
}

#[test]
fn answers_that_overtake_their_requests() {
    let mut talk = Talk::new(1);
    talk.greet();
    for id in 3..9 {
        produce(&mut talk, id, 2);
    }
    talk.close();
    let straight = run(&talk.events);
    let mut swapped = talk.events.clone();
    // Opened, then pairs of request and answer.
    for pair in swapped[1..].chunks_exact_mut(2) {
        pair.swap(0, 1);
    }
    assert_eq!(acknowledged(&straight), 12);
    assert_eq!(format!("{:#?}", run(&swapped)), format!("{straight:#?}"));
}

#[test]
fn an_answer_without_its_request_is_dropped() {
    let mut talk = Talk::new(1);
    talk.greet();
    let lost = request(
        0,
        9,
        3,
        Some("app"),
        &produce_request(
            1,
            &[(ORDERS, &[(0, batch(&records(0, 2), Compression::None))])],
        ),
    );
    // Lost in the ring: the offset jumps without a gap event.
    talk.gap(Direction::Write, lost.len() as u64, GapReason::RingFull);
    talk.events.pop();
    talk.tell(9, 3, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
    produce(&mut talk, 4, 5);
    let observations = run(&talk.events);
    assert_eq!(acknowledged(&observations), 5);
    assert_eq!(
        gaps(&observations),
        [(GapReason::RingFull, lost.len() as u64)]
    );
    assert_eq!(
        unsupported(&observations),
        [("-1".to_owned(), -1, "unmatched_response")]
    );
}

#[test]
fn a_lost_answer_leaves_the_others_exact() {
    let mut talk = Talk::new(1);
    talk.greet();
    let ask = |talk: &mut Talk, id: i32| {
        let body = batch(&records(0, 2), Compression::None);
        talk.ask(0, 9, id, &produce_request(1, &[(ORDERS, &[(0, body)])]));
    };
    for id in 3..6 {
        ask(&mut talk, id);
    }
    let answer = |id: i32| response(9, id, &produce_response(&[(ORDERS, &[(0, 0, 100)])]));
    talk.gap(Direction::Read, answer(3).len() as u64, GapReason::RingFull);
    talk.read(answer(4));
    talk.read(answer(5));
    let observations = run(&talk.events);
    assert_eq!(acknowledged(&observations), 4);
    assert_eq!(
        unsupported(&observations),
        [("Produce".to_owned(), 9, "unanswered")]
    );
}

#[test]
fn sasl_frames_name_the_mechanism_and_hide_the_token() {
    let mut talk = Talk::new(1);
    talk.exchange(
        18,
        3,
        1,
        &conversation::messages::api_versions_request(),
        &conversation::messages::api_versions_response(),
    );
    let authenticate = |talk: &mut Talk, id: i32| {
        let mut handshake = SaslHandshakeRequest::default();
        handshake.mechanism = text("PLAIN");
        talk.exchange(17, 1, id, &handshake, &SaslHandshakeResponse::default());
        let mut token = SaslAuthenticateRequest::default();
        token.auth_bytes = bytes::Bytes::from_static(b"\0alice\0hunter2-hunter2");
        talk.exchange(36, 2, id + 1, &token, &SaslAuthenticateResponse::default());
    };
    authenticate(&mut talk, 2);
    talk.exchange(
        3,
        12,
        4,
        &conversation::messages::metadata_request(),
        &conversation::messages::metadata_response(&[]),
    );
    produce(&mut talk, 5, 2);
    // KIP-368: again, in the middle, with ids from the reserved range.
    authenticate(&mut talk, 0x7fff_fff8);
    produce(&mut talk, 6, 2);
    let observations = run(&talk.events);
    assert_eq!(acknowledged(&observations), 4);
    let last = clients(&observations)
        .last()
        .map(|client| (client.mechanism.clone(), client.software.clone()));
    let software = ("apache-kafka-java".to_owned(), "4.1.0".to_owned());
    assert_eq!(last, Some((Some("PLAIN".to_owned()), Some(software))));
    assert!(!format!("{observations:?}").contains("hunter2"));
    assert_eq!(unsupported(&observations), []);
}

#[test]
fn raw_sasl_tokens_are_stepped_over() {
    // PLAIN's answer is empty; SCRAM's is not.
    let plain: &[(&[u8], &[u8])] = &[(b"\0alice\0hunter2-hunter2", b"")];
    let scram: &[(&[u8], &[u8])] = &[
        (
            b"n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJ,s=QSXC,i=4096",
        ),
        (
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfc,p=v0X8",
            b"v=rmF9pqV8S7suAoZWja4dJRkF",
        ),
    ];
    for tokens in [plain, scram] {
        let mut talk = Talk::new(1);
        let mut handshake = SaslHandshakeRequest::default();
        handshake.mechanism = text("PLAIN");
        talk.exchange(17, 0, 1, &handshake, &SaslHandshakeResponse::default());
        for (token, answer) in tokens {
            let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
            talk.write(framed(token));
            talk.read(framed(answer));
        }
        talk.greet();
        produce(&mut talk, 3, 2);
        let straight = run(&talk.events);
        assert_eq!(acknowledged(&straight), 2);
        assert_eq!(exchanges(&straight).len(), 4, "tokens are no exchanges");
        assert!(!format!("{straight:?}").contains("hunter2"));
        let mut swapped = talk.events.clone();
        for pair in swapped[1..].chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
        assert_eq!(format!("{:#?}", run(&swapped)), format!("{straight:#?}"));
    }
}

#[test]
fn newer_keys_and_versions_are_timed_and_counted() {
    let mut talk = Talk::new(1);
    talk.greet();
    // A request of an unknown key, and one of a version far ahead; both have a null-tagged header of today's shape.
    for (id, key, version) in [(3_i32, 300_i16, 0_i16), (4, 1, 40)] {
        let mut body = Vec::new();
        body.extend(key.to_be_bytes());
        body.extend(version.to_be_bytes());
        body.extend(id.to_be_bytes());
        body.extend(b"\0\x03app\0some future fields");
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend(body);
        talk.write(frame);
        let mut answer = 20_u32.to_be_bytes().to_vec();
        answer.extend(id.to_be_bytes());
        answer.extend([0; 16]);
        talk.read(answer);
    }
    produce(&mut talk, 5, 2);
    let observations = run(&talk.events);
    assert_eq!(acknowledged(&observations), 2);
    let names: Vec<_> = exchanges(&observations)
        .iter()
        .map(|exchange| (&*exchange.api, exchange.api_version))
        .collect();
    assert_eq!(names[2..], [("300", 0), ("Fetch", 40), ("Produce", 9)]);
    let reasons = unsupported(&observations);
    assert_eq!(
        reasons,
        [
            ("300".to_owned(), 0, "unknown_api"),
            ("Fetch".to_owned(), 40, "unknown_version")
        ]
    );
}

#[test]
fn a_late_peer_and_a_closed_connection_are_told() {
    let mut talk = Talk::silent(1);
    talk.greet();
    talk.events.push(Captured::Opened {
        connection: 1,
        time: talk.clock,
        peer: BROKER,
    });
    talk.clock += 10;
    talk.close();
    let observations = run(&talk.events);
    let told: Vec<_> = clients(&observations)
        .iter()
        .map(|client| {
            (
                client.server.map(|server| server.to_string()),
                client.closed,
            )
        })
        .collect();
    let broker = Some(BROKER.to_owned());
    assert_eq!(told.last(), Some(&(broker.clone(), true)));
    assert!(told.contains(&(broker, false)));
}

/// A fork: the child writes on the parent's connection and ends first.
#[test]
fn the_end_of_one_of_two_processes_is_not_the_end_of_their_connection() {
    let mut talk = Talk::new(1);
    produce(&mut talk, 1, 1);
    for (child, ends) in [(100, true), (200, false)] {
        let mut stage = StreamStage::new(&Settings::default());
        let (mut facts, mut verdicts) = (Vec::new(), Vec::new());
        let last = talk.events.len() - 1;
        for (at, captured) in talk.events.iter().enumerate() {
            let mut event = captured.event();
            if let CaptureEvent::Data { pid, .. } = &mut event
                && at == last
            {
                *pid = child;
            }
            stage.event(&event, &mut facts, &mut verdicts);
        }
        facts.clear();
        let exited = CaptureEvent::Exited {
            pid: child,
            time: talk.clock + 1,
        };
        stage.event(&exited, &mut facts, &mut verdicts);
        // That the process ended is said in any case.
        assert_eq!(facts.pop().map(|fact| fact.says), Some(Says::Exited));
        assert_eq!(!facts.is_empty(), ends, "{child}: {facts:?}");
    }
}
