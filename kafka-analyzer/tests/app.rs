//! Conversations of other protocols beside Kafka's: requests that are served, statements that are run, and what was done for which request.

mod conversation;

use conversation::database::{insert, message, ready, session};
use conversation::{Captured, Talk, run_with};
use kafka_analyzer::Settings;
use kafka_analyzer::capture::{Copy, Direction, GapReason, Protocol, Task};
use kafka_analyzer::observation::{Observation, Query, Request};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn requests(observations: &[Observation]) -> Vec<&Request> {
    let requests = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Request(request) => Some(request),
            _ => None,
        });
    requests.collect()
}

fn queries(observations: &[Observation]) -> Vec<&Query> {
    let queries = observations
        .iter()
        .filter_map(|observation| match observation {
            Observation::Query(query) => Some(query),
            _ => None,
        });
    queries.collect()
}

fn post(traceparent: bool) -> Vec<u8> {
    let context = match traceparent {
        true => format!("Traceparent: {TRACEPARENT}\r\n"),
        false => String::new(),
    };
    format!("POST /orders?card=4111 HTTP/1.1\r\nHost: shop:8080\r\nAuthorization: Bearer secret\r\n{context}Content-Length: 5\r\n\r\nhello")
        .into_bytes()
}

fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
}

/// All events by the time of their end.
fn together(talks: Vec<Talk>) -> Vec<Captured> {
    let mut events: Vec<Captured> = talks.into_iter().flat_map(|talk| talk.events).collect();
    events.sort_by_key(|event| match event {
        Captured::Opened { time, .. } | Captured::Gap { time, .. } => *time,
        Captured::Data { ended, .. } => *ended,
        Captured::Closed { time, .. } | Captured::Tick { time } => *time,
        Captured::Call(call) => call.time,
        Captured::Window { time, .. } | Captured::Exited { time, .. } => *time,
    });
    events
}

#[test]
fn a_request_and_what_was_asked_for_it() {
    let mut database = session(2);
    let mut web = Talk::new(1);
    web.clock = database.clock;
    web.read(post(true));
    database.clock = web.clock;
    insert(&mut database);
    web.clock = database.clock;
    web.write(answer("503 Busy"));
    let (began, ended) = (4000, web.clock - 1000 + 10);
    database.clock = web.clock;
    insert(&mut database);
    let (observations, verdicts) =
        run_with(&Settings::default(), &together(vec![web, database]), 1);

    let requests = requests(&observations);
    let [request] = requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/orders")
    );
    assert_eq!(request.host.as_deref(), Some("shop:8080"));
    assert_eq!(
        (request.status, request.error.as_deref()),
        (Some(503), Some("503"))
    );
    assert_eq!((request.began, request.ended), (began, ended));
    assert_eq!(
        (request.version, request.grpc, request.encrypted),
        ("1.1", false, true)
    );
    assert_eq!(request.task, Some(Task::Thread(101)));
    assert_eq!(request.ids.parent.map(|id| id[0]), Some(0xb7));
    assert_eq!(request.ids.trace_id[0], 0x0a);

    let queries = queries(&observations);
    let [within, after] = queries[..] else {
        panic!("{queries:?}");
    };
    assert_eq!(within.ids.trace_id, request.ids.trace_id);
    assert_eq!(within.ids.parent, Some(request.ids.span_id));
    assert_eq!(
        within.statement.as_deref(),
        Some("INSERT INTO orders VALUES (?, ?)")
    );
    assert_eq!(within.operation.as_deref(), Some("INSERT"));
    assert_eq!(within.collection.as_deref(), Some("orders"));
    assert_eq!(within.database.as_deref(), Some("orders"));
    assert_eq!((within.rows, within.error.as_deref()), (Some(1), None));
    assert_eq!(after.ids.parent, None, "the request was over");
    assert_ne!(after.ids.trace_id, within.ids.trace_id);

    let told: Vec<_> = verdicts
        .iter()
        .map(|v| (v.connection.0, v.protocol, v.copy))
        .collect();
    for (connection, copy) in [(1, Copy::Heads), (2, Copy::Whole)] {
        assert!(
            told.contains(&(connection, Protocol::App, copy)),
            "{told:?}"
        );
    }
    let text = serde_json::to_string(&observations).unwrap();
    for secret in ["secret", "4111", "hello"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn any_split_says_the_same() {
    let whole = |split: usize| {
        let mut database = session(2);
        let mut web = Talk::new(1);
        web.clock = database.clock;
        web.read(post(false));
        database.clock = web.clock;
        insert(&mut database);
        web.clock = database.clock;
        web.write(answer("200 OK"));
        let events = together(vec![web, database]);
        let mut cut = Vec::new();
        for event in events {
            let Captured::Data {
                connection,
                direction,
                offset,
                began,
                ended,
                goroutine,
                bytes,
            } = event
            else {
                cut.push(event);
                continue;
            };
            let mut at = offset;
            for part in bytes.chunks(split) {
                cut.push(Captured::Data {
                    connection,
                    direction,
                    offset: at,
                    began,
                    ended,
                    goroutine,
                    bytes: part.to_vec(),
                });
                at += part.len() as u64;
            }
        }
        let (observations, _) = run_with(&Settings::default(), &cut, 1);
        let shown = observations
            .iter()
            .filter(|o| matches!(o, Observation::Request(_) | Observation::Query(_)));
        shown.cloned().collect::<Vec<_>>()
    };
    let expected = whole(usize::MAX);
    assert_eq!(expected.len(), 2);
    for split in 1..80 {
        assert_eq!(whole(split), expected, "{split}");
    }
}

/// An agent that comes while a client logs in, or reads a long answer, follows it from its next statement on.
#[test]
fn a_session_that_is_joined_within_something_else() {
    let logging_in = |talk: &mut Talk| {
        talk.read(message(b'R', b"\0\0\0\x0cv=proof"));
        talk.write(message(b'p', b"c=biws,r=nonce,p=proof"));
        talk.read(
            [
                message(b'R', &[0; 4]),
                message(b'S', b"TimeZone\0UTC\0"),
                ready(),
            ]
            .concat(),
        );
    };
    let within_a_row = |talk: &mut Talk| {
        talk.read(b"half of a row".to_vec());
        talk.read([message(b'C', b"SELECT 1\0"), ready()].concat());
    };
    // All that is read before the first statement is the end of the login.
    let at_its_end = |talk: &mut Talk| {
        talk.read([message(b'R', &[0; 4]), ready()].concat());
    };
    for (what, before) in [
        ("login", &logging_in as &dyn Fn(&mut Talk)),
        ("row", &within_a_row),
        ("end of the login", &at_its_end),
    ] {
        let mut talk = Talk::new(1);
        before(&mut talk);
        insert(&mut talk);
        insert(&mut talk);
        let (observations, verdicts) = run_with(&Settings::default(), &talk.events, 1);
        let found = queries(&observations);
        let operations: Vec<_> = found
            .iter()
            .map(|query| query.operation.as_deref())
            .collect();
        assert_eq!(operations, [Some("INSERT"); 2], "{what}");
        assert_eq!(verdicts.last().map(|v| v.protocol), Some(Protocol::App));
    }
}

#[test]
fn a_connection_that_ends_before_its_answer() {
    let mut web = Talk::new(1);
    web.read(post(false));
    let end = web.clock;
    web.events.push(Captured::Closed {
        connection: 1,
        time: end,
    });
    let (observations, _) = run_with(&Settings::default(), &web.events, 1);
    let requests = requests(&observations);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].error.as_deref(), Some("CONNECTION_CLOSED"));
    assert_eq!((requests[0].status, requests[0].ended), (None, end));
}

#[test]
fn clients_of_http_and_what_is_switched_off_are_let_go() {
    let mut client = Talk::new(1);
    client.write(post(false));
    client.read(answer("200 OK"));
    let (observations, verdicts) = run_with(&Settings::default(), &client.events, 1);
    assert!(requests(&observations).is_empty());
    let let_go = |verdicts: &[kafka_analyzer::capture::Verdict]| {
        verdicts
            .iter()
            .map(|v| (v.protocol, v.copy))
            .collect::<Vec<_>>()
            == [(Protocol::Unknown, Copy::None)]
    };
    assert!(let_go(&verdicts), "{verdicts:?}");

    let mut server = Talk::new(1);
    server.read(post(false));
    server.write(answer("200 OK"));
    for settings in [
        Settings {
            app: false,
            ..Settings::default()
        },
        Settings {
            spans: false,
            ..Settings::default()
        },
    ] {
        let (observations, verdicts) = run_with(&settings, &server.events, 1);
        assert!(requests(&observations).is_empty());
        assert!(let_go(&verdicts), "{verdicts:?}");
    }

    let mut upgraded = Talk::new(1);
    upgraded.read(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec());
    upgraded.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec());
    let (_, verdicts) = run_with(&Settings::default(), &upgraded.events, 1);
    let last = verdicts.last().map(|v| v.copy);
    assert_eq!((verdicts.len(), last), (2, Some(Copy::None)));
}

#[test]
fn a_hole_in_a_body_is_nothing_and_one_in_a_head_is_counted() {
    let mut web = Talk::new(1);
    web.read(b"POST /a HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".to_vec());
    web.gap(Direction::Read, 100_000, GapReason::CallLimit);
    web.write(answer("200 OK"));
    web.gap(Direction::Read, 50, GapReason::RingFull);
    web.write(answer("200 OK"));
    web.read(post(false));
    web.write(answer("204 None"));
    let (observations, _) = run_with(&Settings::default(), &web.events, 1);
    let statuses: Vec<_> = requests(&observations).iter().map(|r| r.status).collect();
    assert_eq!(statuses, [Some(200), Some(204)]);
}

/// A server of HTTP/2 says what it wants before it has read the client's preface.
#[test]
fn a_server_that_speaks_first() {
    let mut talk = Talk::new(1);
    let frame = |kind: u8, flags: u8, stream: u8, body: &[u8]| {
        [
            &[0, 0, body.len() as u8, kind, flags, 0, 0, 0, stream],
            body,
        ]
        .concat()
    };
    let settings = [0, 5, 0, 0, 0x40, 0];
    talk.write(frame(4, 0, 0, &settings));
    talk.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    talk.read(frame(4, 0, 0, &[]));
    // :method POST, :scheme http, :path /, :authority absent; :status 200.
    talk.read(frame(1, 5, 1, &[0x83, 0x86, 0x84]));
    talk.write(frame(1, 5, 1, &[0x88]));
    let (observations, _) = run_with(&Settings::default(), &together(vec![talk]), 1);
    let requests = requests(&observations);
    let [request] = requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (request.method.as_str(), request.version, request.status),
        ("POST", "2", Some(200))
    );
}

#[test]
fn a_goroutine_serves_its_connection_also_where_another_waits_for_the_next_request() {
    let mut web = Talk::new(1);
    for goroutine in [Some(7), None, Some(8), None] {
        web.goroutine = goroutine;
        web.read(post(false));
        web.write(answer("200 OK"));
    }
    let (observations, _) = run_with(&Settings::default(), &web.events, 1);
    let tasks = requests(&observations)
        .into_iter()
        .map(|request| request.task);
    let expected = [7, 7, 8, 8].map(|id| Some(Task::Goroutine(id)));
    assert_eq!(tasks.collect::<Vec<_>>(), expected);
}
